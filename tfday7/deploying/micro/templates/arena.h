// The memory that the model works in.
#ifndef @GUARD@_ARENA_H_
#define @GUARD@_ARENA_H_

#include <cstddef>

namespace @NAMESPACE@ {

// @ARENA_1@
// @ARENA_2@
constexpr std::size_t kTensorArenaSize = @ARENA_SIZE@;

}  // namespace @NAMESPACE@

#endif  // @GUARD@_ARENA_H_

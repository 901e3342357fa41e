// The model as an array of bytes, and how its input and output are to be read.
// SHA-256 of the file: @SHA256@
#ifndef @GUARD@_MODEL_DATA_H_
#define @GUARD@_MODEL_DATA_H_

#include <cstddef>
#include <cstdint>

namespace @NAMESPACE@ {

constexpr std::size_t kModelSize = @MODEL_SIZE@;
extern const unsigned char kModelData[kModelSize];

// One example, without the batch, has the shape [@INPUT_SHAPE@]; the last axis varies fastest.
using Input = @INPUT_TYPE@;
constexpr std::size_t kInputSize = @INPUT_SIZE@;
@INPUT_SCALING@
// The output has the shape [@OUTPUT_SHAPE@].
using Output = @OUTPUT_TYPE@;
constexpr std::size_t kOutputSize = @OUTPUT_SIZE@;
@OUTPUT_SCALING@
}  // namespace @NAMESPACE@

#endif  // @GUARD@_MODEL_DATA_H_

// Names of the outputs, in their order, as UTF-8.
#ifndef @GUARD@_LABELS_H_
#define @GUARD@_LABELS_H_

#include <cstddef>

namespace @NAMESPACE@ {

constexpr std::size_t kLabelCount = @LABEL_COUNT@;
constexpr const char* kLabels[kLabelCount] = {
@LABELS@
};

}  // namespace @NAMESPACE@

#endif  // @GUARD@_LABELS_H_

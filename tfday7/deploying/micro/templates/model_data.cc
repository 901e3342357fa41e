#include "model_data.h"

namespace @NAMESPACE@ {

alignas(16) const unsigned char kModelData[kModelSize] = {
@BYTES@
};

}  // namespace @NAMESPACE@

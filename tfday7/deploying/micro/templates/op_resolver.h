// The operators of this model and no others: what is not added here is not linked.
#ifndef @GUARD@_OP_RESOLVER_H_
#define @GUARD@_OP_RESOLVER_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace @NAMESPACE@ {

using OpResolver = tflite::MicroMutableOpResolver<@OP_COUNT@>;

inline TfLiteStatus AddOps(OpResolver& resolver) {
@ADD_OPS@
  return kTfLiteOk;
}

}  // namespace @NAMESPACE@

#endif  // @GUARD@_OP_RESOLVER_H_

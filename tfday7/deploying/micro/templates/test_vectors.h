// Inputs and the outputs that LiteRT gives for them, both in the model's own numbers.
#ifndef @GUARD@_TEST_VECTORS_H_
#define @GUARD@_TEST_VECTORS_H_

#include "model_data.h"

namespace @NAMESPACE@ {

constexpr std::size_t kTestVectors = @COUNT@;

// The largest difference that other kernels may make, in the output's own numbers.
constexpr double kTestTolerance = @TOLERANCE@;

constexpr Input kTestInputs[kTestVectors][kInputSize] = {
@INPUTS@
};

constexpr Output kTestOutputs[kTestVectors][kOutputSize] = {
@OUTPUTS@
};

}  // namespace @NAMESPACE@

#endif  // @GUARD@_TEST_VECTORS_H_

// Inputs and the outputs that LiteRT gives for them, both in the model's own numbers.
#ifndef @GUARD@_TEST_VECTORS_H_
#define @GUARD@_TEST_VECTORS_H_

#include "model_data.h"

namespace @NAMESPACE@ {

constexpr std::size_t kTestVectors = @COUNT@;

// The largest difference that other kernels may make, in the output's own numbers: one for each column of the last
// axis, or a single one for all.
constexpr std::size_t kTestTolerancesSize = @TOLERANCE_COUNT@;
constexpr double kTestTolerances[kTestTolerancesSize] = {
@TOLERANCES@
};

constexpr Input kTestInputs[kTestVectors][kInputSize] = {
@INPUTS@
};

constexpr Output kTestOutputs[kTestVectors][kOutputSize] = {
@OUTPUTS@
};

}  // namespace @NAMESPACE@

#endif  // @GUARD@_TEST_VECTORS_H_

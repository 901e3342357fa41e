// Runs the test vectors through TFLite Micro: exit code 0 when each output is what LiteRT gave.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "arena.h"
#include "model_data.h"
#include "op_resolver.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "test_vectors.h"

using namespace @NAMESPACE@;

alignas(16) static unsigned char tensor_arena[kTensorArenaSize];

// Returns how many vectors differ; -1 when the model cannot be run.
static int RunTestVectors() {
  const tflite::Model* model = tflite::GetModel(kModelData);
  static OpResolver resolver;
  if (model->version() != TFLITE_SCHEMA_VERSION || AddOps(resolver) != kTfLiteOk) {
    std::printf("this TFLite Micro does not have the model's schema or operators\n");
    return -1;
  }
  static tflite::MicroInterpreter interpreter(model, resolver, tensor_arena, kTensorArenaSize);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    std::printf("the arena of %u bytes is too small\n", static_cast<unsigned>(kTensorArenaSize));
    return -1;
  }
  std::printf("arena: %u of %u bytes used\n", static_cast<unsigned>(interpreter.arena_used_bytes()),
              static_cast<unsigned>(kTensorArenaSize));
  int wrong = 0;
  for (std::size_t vector = 0; vector < kTestVectors; ++vector) {
    interpreter.Reset();  // An LSTM keeps its state from one example to the next otherwise.
    std::memcpy(interpreter.input(0)->data.raw, kTestInputs[vector], sizeof(kTestInputs[vector]));
    if (interpreter.Invoke() != kTfLiteOk) {
      std::printf("vector %u cannot be run\n", static_cast<unsigned>(vector));
      return -1;
    }
    const Output* outputs = reinterpret_cast<const Output*>(interpreter.output(0)->data.raw);
    double largest = 0.0;
    bool differs = false;
    for (std::size_t i = 0; i < kOutputSize; ++i) {
      const double expected = static_cast<double>(kTestOutputs[vector][i]);
      const double difference = std::fabs(static_cast<double>(outputs[i]) - expected);
      if (difference > largest) largest = difference;
      if (!(difference <= kTestTolerances[i % kTestTolerancesSize])) differs = true;  // Also when it is no number.
    }
    if (differs) std::printf("vector %u differs by %g\n", static_cast<unsigned>(vector), largest);
    wrong += differs ? 1 : 0;
  }
  std::printf("%d of %u vectors differ\n", wrong, static_cast<unsigned>(kTestVectors));
  return wrong;
}

int main() { return RunTestVectors() == 0 ? 0 : 1; }

"""The C++ of a bundle, compiled and run, with headers that stand for TFLite Micro's."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploying.micro.conftest import HOSTILE_LABELS

from tfday7.deploying.bundle import Bundle
from tfday7.deploying.config import DeployConfig
from tfday7.deploying.micro import deploy, ops, source

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed (apt-get install g++)")

# Prints what the headers hold, in their own order, a line each.
PRINT = """
#include <cstdio>
#include "arena.h"
#include "labels.h"
#include "model_data.h"
#include "test_vectors.h"
using namespace @NAMESPACE@;
int main() {
  for (std::size_t i = 0; i < kModelSize; ++i) std::printf("%02x", kModelData[i]);
  std::printf("\\n%d\\n", static_cast<int>(reinterpret_cast<std::size_t>(kModelData) % 16));
  for (std::size_t i = 0; i < kLabelCount; ++i) {
    for (const char* at = kLabels[i]; *at; ++at) std::printf("%02x", static_cast<unsigned char>(*at));
    std::printf(" ");
  }
  std::printf("\\n");
  for (std::size_t i = 0; i < kTestVectors * kInputSize; ++i) std::printf("%.9g ", double(kTestInputs[0][i]));
  std::printf("\\n");
  for (std::size_t i = 0; i < kTestVectors * kOutputSize; ++i) std::printf("%.9g ", double(kTestOutputs[0][i]));
  std::printf("\\n%d %d\\n", static_cast<int>(kTensorArenaSize), static_cast<int>(kTensorArenaSize % 16));
}
"""

RESOLVER = """
#pragma once
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
namespace tflite {
template <unsigned int N>
class MicroMutableOpResolver {
 public:
  @METHODS@
  unsigned int count = 0;
 private:
  TfLiteStatus Add() { return ++count <= N ? kTfLiteOk : kTfLiteError; }
};
}
"""

SCHEMA = """
#pragma once
#define TFLITE_SCHEMA_VERSION 3
namespace tflite {
struct Model { int version() const { return bytes[4] == 'T' ? 3 : 0; } const unsigned char* bytes; };
inline const Model* GetModel(const unsigned char* bytes) { static Model model; model.bytes = bytes; return &model; }
}
"""

# Answers a vector's input with its output, the last number made wrong by BROKEN.
INTERPRETER = """
#pragma once
#include <cstring>
#include "tensorflow/lite/schema/schema_generated.h"
#include "test_vectors.h"
namespace tflite {
struct TfLiteTensor { union { char* raw; } data; };
class MicroInterpreter {
 public:
  template <typename Resolver>
  MicroInterpreter(const Model*, Resolver& resolver, unsigned char*, std::size_t) {
    all = resolver.count;
    in.data.raw = reinterpret_cast<char*>(given);
    out.data.raw = reinterpret_cast<char*>(made);
  }
  TfLiteStatus AllocateTensors() { return all == @COUNT@ ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus Reset() { fresh = true; return kTfLiteOk; }
  TfLiteTensor* input(int) { return &in; }
  TfLiteTensor* output(int) { return &out; }
  std::size_t arena_used_bytes() const { return 1; }
  TfLiteStatus Invoke() {
    using namespace @NAMESPACE@;
    if (!fresh) return kTfLiteError;
    fresh = false;
    for (std::size_t v = 0; v < kTestVectors; ++v) {
      if (std::memcmp(given, kTestInputs[v], sizeof(given)) != 0) continue;
      std::memcpy(made, kTestOutputs[v], sizeof(made));
      if (v == 1) made[kOutputSize - 1] += BROKEN;
      return kTfLiteOk;
    }
    return kTfLiteError;
  }
 private:
  unsigned int all;
  bool fresh = false;
  TfLiteTensor in, out;
  @NAMESPACE@::Input given[@NAMESPACE@::kInputSize];
  @NAMESPACE@::Output made[@NAMESPACE@::kOutputSize];
};
}
"""


@pytest.fixture(scope="module")
def deployed(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict]]:
    """The written folders with their records."""
    root = tmp_path_factory.mktemp("deployed")
    found = {}
    for name in ("cnn_int8", "cnn_float32"):
        record = deploy(bundles[name], root / name, DeployConfig(device="micro"), lambda _: None)
        found[name] = (root / name, record)
    return found


def built(folder: Path, scratch: Path, files: dict[str, str], *flags: str) -> Path:
    """Returns the program made of files in `scratch` and the bundle's model_data.cc."""
    for name, text in files.items():
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_text(text)
    sources = [str(path) for path in scratch.glob("*.cc")] + [str(folder / "model_data.cc")]
    warnings = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    command = [str(shutil.which("g++")), *warnings, *flags, "-I", str(folder), "-I", str(scratch), *sources]
    ended = subprocess.run([*command, "-o", str(scratch / "a.out")], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return scratch / "a.out"


@pytest.mark.parametrize("name", ["cnn_int8", "cnn_float32"])
def test_compiled_headers_hold_the_model_its_labels_and_vectors(
    name: str, deployed: dict[str, tuple[Path, dict]], bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    folder, record = deployed[name]
    program = built(folder, tmp_path, {"print.cc": PRINT.replace("@NAMESPACE@", record["namespace"])})
    printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    model, misaligned, labels, inputs, outputs, sizes = printed
    assert bytes.fromhex(model) == bundles[name].model.read_bytes()
    assert misaligned == "0"
    assert [bytes.fromhex(label).decode() for label in labels.split()] == list(HOSTILE_LABELS)
    assert sizes == f"{record['arena']['header_bytes']} 0"
    dtype, raw = (
        np.dtype(bundles[name].spec["input"]["dtype"]),
        np.fromfile(bundles[name].folder / "vectors_raw.bin", "<f4"),
    )
    if dtype == np.float32:  # The model divides nothing; an app does.
        np.testing.assert_array_equal(np.array(inputs.split(), np.float32), raw[: 4 * 64] / np.float32(255))
        expected = np.fromfile(bundles[name].folder / "vectors_expected.bin", "<f4")
        np.testing.assert_array_equal(np.array(outputs.split(), np.float32), expected[: 4 * 3])
    else:  # Calibrated on pixels from 0 to 1, a step is a 255th and the smallest number stands for 0.
        np.testing.assert_array_equal(np.array(inputs.split(), int), raw[: 4 * 64] - 128)


@pytest.mark.parametrize(("broken", "code", "says"), [(0, 0, "0 of 4 vectors differ"), (2, 1, "1 of 4 vectors differ")])
def test_the_example_runs_the_vectors_and_finds_a_wrong_output(
    broken: int, code: int, says: str, deployed: dict[str, tuple[Path, dict]], tmp_path: Path
) -> None:
    ended = example_of(*deployed["cnn_int8"], tmp_path, broken)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (code, says)


@pytest.mark.parametrize(
    ("allowed", "broken", "code"),
    [([1e-4, 1e-4, 5.0], "3.0f", 0), ([1e-4, 1e-4, 5.0], "6.0f", 1), ([5.0, 5.0, 1e-4], "3.0f", 1)],
)
def test_each_target_has_a_tolerance_of_its_own(
    allowed: list[float], broken: str, code: int, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    """A price may differ by 5; what the others may differ by is no measure for it."""
    vectors = {**bundles["cnn_float32"].spec["vectors"], "column_tolerances": allowed}
    bundle = dataclasses.replace(bundles["cnn_float32"], spec={**bundles["cnn_float32"].spec, "vectors": vectors})
    record = deploy(bundle, tmp_path / "out", DeployConfig(device="micro"), lambda _: None)
    ended = example_of(tmp_path / "out", record, tmp_path / "scratch", broken)
    assert ended.returncode == code, ended.stdout


def example_of(folder: Path, record: dict[str, Any], scratch: Path, broken: object) -> subprocess.CompletedProcess[str]:
    """Returns how the example ends whose second vector's last number is made wrong by so much."""
    methods = "\n".join(f"  TfLiteStatus {method}() {{ return Add(); }}" for method in ops.METHODS.values())
    interpreter = INTERPRETER.replace("@NAMESPACE@", record["namespace"]).replace(
        "@COUNT@", str(len(record["resolver"]))
    )
    files = {
        "tensorflow/lite/micro/micro_mutable_op_resolver.h": RESOLVER.replace("@METHODS@", methods),
        "tensorflow/lite/micro/micro_interpreter.h": interpreter,
        "tensorflow/lite/schema/schema_generated.h": SCHEMA,
        "main.cc": '#include "example_main.cc"\n',
    }
    program = built(folder, scratch, files, f"-DBROKEN={broken}")
    return subprocess.run([str(program)], capture_output=True, text=True, check=False)


def test_the_resolver_has_exactly_the_operators_of_the_model(deployed: dict[str, tuple[Path, dict]]) -> None:
    text = (deployed["cnn_int8"][0] / "op_resolver.h").read_text()
    assert "MicroMutableOpResolver<4>" in text
    assert text.count("resolver.Add") == 4
    for method in ("AddConv2D", "AddFullyConnected", "AddMaxPool2D", "AddReshape"):
        assert f"resolver.{method}()" in text


def test_lines_have_12_numbers(deployed: dict[str, tuple[Path, dict]]) -> None:
    lines = [line for line in (deployed["cnn_int8"][0] / "model_data.cc").read_text().splitlines() if "0x" in line]
    assert {line.count("0x") for line in lines[:-1]} == {12}


def test_the_tolerance_is_in_the_outputs_own_numbers() -> None:
    """Steps of 0.1 become 0.1 * 3 and 0.1 * 2 in answers, so that 0.6 is two steps of the first column."""
    spec = {
        "vectors": {"tolerance": 0.6, "column_tolerances": [0.6, 0.6]},
        "output": {"scale": 0.1, "standardization": {"mean": [0.0, 0.0], "std": [3.0, 2.0]}},
    }
    assert source.tolerances(spec) == [2.0, 3.0]
    assert source.tolerances({"vectors": {"tolerance": 0.25}, "output": {"scale": None}}) == [0.25]
    spec["output"]["standardization"]["std"] = [-3.0, 2.0]
    assert source.tolerances(spec) == [2.0, 3.0]
    steps = {"tolerance": 2.02 * 0.1 * 0.7, "column_tolerances": [2.02 * 0.1 * 0.7, 2.02 * 0.1 * 0.3]}
    output = {"scale": 0.1, "standardization": {"mean": [0.0, 0.0], "std": [0.7, 0.3]}}
    assert source.tolerances({"vectors": steps, "output": output}) == [2.02]

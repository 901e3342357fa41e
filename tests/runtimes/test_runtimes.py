"""What the runtimes have in common, and what they say when they cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7 import runtimes
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.runtimes import Tensor, table

CPU = ["CPUExecutionProvider"]
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`x @ WEIGHTS` as every kind of file."""
    folder = tmp_path_factory.mktemp("files")
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", s]) for n, s in (("x", 4), ("y", 3))]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "m",
        ends[:1],
        ends[1:],
        [onnx.numpy_helper.from_array(WEIGHTS, "w")],
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx"
    )
    module = tf.Module()
    module.w = tf.Variable(WEIGHTS)
    module.f = tf.function(lambda x: {"y": x @ module.w}, input_signature=[tf.TensorSpec((None, 4), tf.float32, "x")])
    tf.saved_model.save(module, str(folder / "saved"), signatures=module.f)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(lambda x: x @ tf.constant(WEIGHTS)).get_concrete_function(tf.TensorSpec((1, 4), tf.float32))]
    )
    (folder / "m.tflite").write_bytes(converter.convert())
    return {"onnx": folder / "m.onnx", "tflite": folder / "m.tflite", "saved": folder / "saved"}


@pytest.mark.parametrize(
    ("file", "runtime", "batch_size"),
    [("tflite", "litert", 1), ("tflite", "litert", 2), ("tflite", "openvino", 1), ("onnx", "onnxruntime", 1),
     ("onnx", "onnxruntime", 2), ("onnx", "openvino", 2), ("saved", "tensorflow", 2), ("saved", "xla", 1)],
)  # fmt: skip
def test_every_runtime_gives_the_same_for_any_number_of_examples(
    file: str, runtime: str, batch_size: int, files: dict[str, Path]
) -> None:
    runner = runtimes.open_artefact(files[file], runtime, batch_size=batch_size)
    assert (runner.name, runner.input.dtype) == (runtime, "float32")
    np.testing.assert_allclose(runner.predict(X), X @ WEIGHTS, rtol=1e-5, atol=1e-6)


def test_a_file_has_the_runtime_that_it_is_made_for(files: dict[str, Path]) -> None:
    found = {name: runtimes.default_runtime(path) for name, path in files.items()}
    assert found == {"tflite": "litert", "onnx": "onnxruntime", "saved": "tensorflow"}
    assert runtimes.default_runtime(Path("a.XML")) == "openvino"
    with pytest.raises(UserError, match=r"a\.pt: no runtime takes such a file"):
        runtimes.default_runtime(Path("a.pt"))


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".xml", ".keras"])
@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04 more rubbish" * 9])
def test_a_file_that_cannot_be_loaded_is_the_users_error(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"it's broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="it's broken"):
        runtimes.open_artefact(path)


def test_a_runtime_that_is_not_installed_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(table.PACKAGES, "openvino", ("no_such_package", "openvino"))
    with pytest.raises(UserError, match="the runtime openvino is not installed") as error:
        runtimes.find("openvino")
    assert error.value.hint == "pip install 'tfday7[openvino]'"
    with pytest.raises(UserError, match="unknown runtime 'onxruntime'"):
        runtimes.find("onxruntime")


def test_an_extra_brings_each_runtime() -> None:
    text = (Path(__file__).resolve().parents[2] / "setup.cfg").read_text(encoding="utf-8")
    extras = text.partition("[options.extras_require]")[2].partition("\n[")[0]
    for _, extra in table.PACKAGES.values():
        assert f"\n{extra} =" in extras


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e3), st.integers(-128, 127))
def test_quantizing_is_within_half_a_step_or_cut_off(value: float, scale: float, zero_point: int) -> None:
    end = Tensor("int8", (1, 1), scale, zero_point)
    q = end.quantize(np.array([[value]], np.float32))
    assert q.dtype == np.int8
    back = float(end.dequantize(q)[0, 0])
    lowest, highest = (-128 - zero_point) * scale, (127 - zero_point) * scale
    inside = min(max(value, lowest), highest)
    assert abs(back - inside) <= scale * 0.501 + 1e-6 * abs(inside)


def test_a_file_for_one_example_says_that_it_takes_no_more(tmp_path: Path) -> None:
    fixed = tf.function(
        lambda x: tf.reshape(tf.reshape(x, (2, 2)) @ tf.constant(WEIGHTS[:2, :2]), (1, 4))
    ).get_concrete_function(tf.TensorSpec((1, 4), tf.float32))
    path = tmp_path / "fixed.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([fixed]).convert())
    with pytest.raises(UserError, match=r"fixed\.tflite: LiteRT cannot"):
        runtimes.open_artefact(path, batch_size=3)


USED_ELSEWHERE = """
import signal, sys, threading
import numpy as np
from pathlib import Path
from tfday7.runtimes import open_artefact

held = [open_artefact(Path(sys.argv[1]), "openvino")]
held[0].predict(np.zeros((1, 4), np.float32))
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.slow
def test_signals_are_handled_after_openvino_was_let_go_in_another_thread(files: dict[str, Path]) -> None:
    """A segmentation fault, on CPUs with AMX, where every file had an `openvino.Core` of its own."""
    called = [sys.executable, "-c", USED_ELSEWHERE, str(files["onnx"])]
    ended = subprocess.run(called, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr


def test_a_session_that_fell_back_to_the_cpu_is_no_session_on_a_gpu(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime takes the CPU without a word where CUDA's libraries are missing."""
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *given, **_: session(*given, providers=CPU))
    with pytest.raises(UserError, match=r"m\.onnx: ONNX Runtime cannot use its providers for GPUs") as error:
        runtimes.open_artefact(files["onnx"], device="gpu")
    assert "--device=cpu" in error.value.hint
    runtimes.open_artefact(files["onnx"])


def test_a_session_on_a_gpu_does_not_fall_back_later(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class OnGpu(onnxruntime.InferenceSession):
        def __init__(self, *given: Any, **_: Any) -> None:
            super().__init__(*given, providers=CPU)

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", *CPU]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", OnGpu)
    runner = runtimes.open_artefact(files["onnx"], device="gpu")
    assert not runner._session._enable_fallback  # type: ignore[attr-defined]


def test_gpus_that_are_not_there_are_an_error_before_anything_runs(files: dict[str, Path]) -> None:
    for name in files:
        with pytest.raises(UserError, match=r"GPU|gpu|CPU alone"):
            runtimes.open_artefact(files[name], device="gpu")

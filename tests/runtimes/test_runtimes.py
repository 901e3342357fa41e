"""What the runtimes have in common, and what they say when they cannot."""

from __future__ import annotations

import gc
import shutil
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
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfday7 import runtimes
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.runtimes import Tensor, table, tensorflow

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


def test_a_saved_model_that_reaches_for_files_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(
        lambda x: {"y": x + tf.strings.to_number(tf.io.read_file("/etc/hostname"))},
        input_signature=[tf.TensorSpec((None,), tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path / "spy"), signatures=module.f)
    with pytest.raises(UserError, match=r"reads or writes files or runs Python \(ReadFile\)"):
        runtimes.open_artefact(tmp_path / "spy")


@pytest.mark.parametrize("deed", ["print", "lines", "py"])
def test_whatever_reaches_beyond_the_model_when_it_is_called_is_refused(deed: str, tmp_path: Path) -> None:
    def call(x: Any) -> Any:
        if deed == "print":
            tf.print("seen", output_stream=f"file://{tmp_path}/written.txt")
        if deed == "lines":
            x = x + tf.strings.to_number(next(iter(tf.data.TextLineDataset("/etc/hostname"))))
        if deed == "py":
            x = tf.numpy_function(lambda value: value, [x], tf.float32)
        return {"y": x}

    module = tf.Module()
    module.f = tf.function(call, input_signature=[tf.TensorSpec((None,), tf.float32, "x")], autograph=False)
    if deed == "lines":
        module.f = tf.function(
            lambda x: {"y": x + tf.data.TextLineDataset("/etc/hostname").reduce(0.0, lambda total, _: total + 1.0)},
            input_signature=[tf.TensorSpec((None,), tf.float32, "x")],
        )
    tf.saved_model.save(module, str(tmp_path / "spy"), signatures=module.f)
    with pytest.raises(UserError, match="reads or writes files or runs Python"):
        runtimes.open_artefact(tmp_path / "spy")


class Writing(tf.saved_model.experimental.TrackableResource):
    """A resource that writes the file `mark` when TensorFlow does the deed with it."""

    def __init__(self, deed: str, mark: Path) -> None:
        super().__init__()
        self.deed, self.mark = deed, str(mark)

    def _write(self, deed: str) -> None:
        if deed == self.deed:
            tf.io.write_file(self.mark, "x")

    def _create_resource(self) -> Any:
        self._write("create")
        return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.float32)

    def _initialize(self) -> None:
        self._write("initialize")

    def _destroy_resource(self) -> None:
        self._write("destroy")


class Restoring(tf.Module):
    """An object that writes the file `mark` when it is restored."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = str(mark)

    def _serialize_to_tensors(self) -> dict[str, Any]:
        return {"value": tf.constant(1.0)}

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> Any:
        with tf.control_dependencies([tf.io.write_file(self.mark, "x")]):
            return tf.identity(restored_tensors["value"])


@pytest.mark.parametrize("unlisted", [False, True])
@pytest.mark.parametrize("deed", ["create", "initialize", "destroy", "restore"])
def test_what_tensorflow_does_with_an_object_before_and_after_is_judged_too(
    deed: str, unlisted: bool, tmp_path: Path
) -> None:
    mark, pb = tmp_path / "mark", tmp_path / "spy" / "saved_model.pb"
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    module.resource = Restoring(mark) if deed == "restore" else Writing(deed, mark)
    tf.saved_model.save(module, str(tmp_path / "spy"), signatures=module.f)
    module.resource.deed = "none"  # Ours would be destroyed too.
    if unlisted:
        saved = SavedModel.FromString(pb.read_bytes())
        saved.meta_graphs[0].object_graph_def.concrete_functions.clear()
        del saved.meta_graphs[0].signature_def["__saved_model_init_op"]
        pb.write_bytes(saved.SerializeToString())
    mark.unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"reads or writes files or runs Python \(WriteFile\)"):
        runtimes.open_artefact(tmp_path / "spy")
    gc.collect()
    assert not mark.exists()


@pytest.mark.parametrize("hidden", ["as an operator", "in the attributes of a function"])
def test_a_function_that_is_called_in_another_way_is_judged_too(hidden: str, tmp_path: Path) -> None:
    mark, pb = tmp_path / "mark", tmp_path / "spy" / "saved_model.pb"

    @tf.function(input_signature=[tf.TensorSpec((), tf.float32)])  # type: ignore[untyped-decorator]
    def writes(x: Any) -> Any:
        tf.io.write_file(str(mark), "x")
        return x

    def serve(x: Any) -> dict[str, Any]:
        writes(1.0)
        return {"y": x}

    module = tf.Module()
    module.f = tf.function(serve, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "spy"), signatures=module.f)
    saved = SavedModel.FromString(pb.read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    evil = {one.signature.name for one in functions if any(node.op == "WriteFile" for node in one.node_def)}
    for node in (node for one in functions for node in one.node_def if node.attr["f"].func.name in evil):
        name = node.attr["f"].func.name
        if hidden == "as an operator":
            node.op = name
            node.attr.clear()
        else:
            node.attr["f"].func.name = "harmless"
            node.attr["f"].func.attr["inner"].func.name = name
    pb.write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match=r"WriteFile"):
        runtimes.open_artefact(tmp_path / "spy")
    assert not mark.exists()


@pytest.mark.parametrize(
    "operator",
    [
        "Abort", "DecodeProtoV2", "DumpTensor", "EncodeProto", "GenerateVocabRemapping", "ImmutableConst",
        "LoadAndRemapMatrix", "MergeV2Checkpoints", "QueueDequeueV2", "RecordInput", "ReadFile", "Barrier", "MutexLock",
        "NoSuchOperator",
    ],
)  # fmt: skip
def test_operators_that_a_model_has_no_reason_to_call_are_refused(operator: str) -> None:
    assert tensorflow._is_refused(operator)


@pytest.mark.parametrize(
    "operator",
    ["MatMul", "VarHandleOp", "ReadVariableOp", "StatefulPartitionedCall", "While", "HashTableV2", "LookupTableFindV2",
     "LookupTableImportV2", "TensorArrayV3", "TensorArrayReadV3", "TensorListReserve", "RandomUniform", "Assert",
     "StatelessRandomUniformV2", "AssignVariableOp", "ResourceGather", "DestroyResourceOp", "Placeholder",
     "BatchMatMulV2", "MutableDenseHashTableV2", "AnonymousMutableHashTable", "TruncatedNormal", "RngReadAndSkip"],
)  # fmt: skip
def test_operators_that_models_are_made_of_are_not(operator: str) -> None:
    assert not tensorflow._is_refused(operator)


@pytest.mark.parametrize("which", ["lstm", "random", "lookup", "exported"])
def test_ordinary_models_are_opened(which: str, tmp_path: Path) -> None:
    """Layers that draw numbers have functions that save and restore their generators."""
    layers, given = keras.layers, keras.Input((6, 3))
    if which == "exported":
        inputs = keras3.Input((6, 3))
        hidden = keras3.layers.Dropout(0.5)(keras3.layers.LSTM(4)(inputs))
        keras3.Model(inputs, keras3.layers.Dense(2)(hidden)).export(str(tmp_path / "m"), verbose=False)
    else:
        ends = {
            "lstm": lambda: layers.Bidirectional(layers.LSTM(4))(given),
            "random": lambda: layers.Dropout(0.5)(layers.GaussianNoise(0.1)(given)),
            "lookup": lambda: layers.IntegerLookup(vocabulary=[1, 2], output_mode="multi_hot")(given[:, :, 0]),
        }
        keras.Model(given, ends[which]()).save(tmp_path / "m", save_format="tf")
    assert runtimes.open_artefact(tmp_path / "m").input.shape[1:] == (6, 3)


def test_a_constant_that_a_few_bytes_blow_up_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    saved = SavedModel.FromString((files["saved"] / "saved_model.pb").read_bytes())
    node = saved.meta_graphs[0].graph_def.library.function[0].node_def.add(name="large", op="Const")
    node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.float_val.append(1.0)
    node.attr["value"].tensor.tensor_shape.dim.add(size=700_000_000)
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match=r"its constants take 2,800,0\d\d,\d\d\d bytes"):
        runtimes.open_artefact(tmp_path / "large")


@pytest.mark.parametrize("shape", [(), None])
def test_a_saved_model_without_a_certain_shape_is_the_users_error(shape: Any, tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec(shape, tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "odd"), signatures=module.f)
    with pytest.raises(UserError, match="no certain shape"):
        runtimes.open_artefact(tmp_path / "odd")


def test_a_saved_model_whose_parts_do_not_fit_together_is_the_users_error(
    files: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(files["saved"], broken)
    saved = SavedModel.FromString((broken / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].object_graph_def.concrete_functions.clear()
    (broken / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match="broken: TensorFlow cannot load it"):
        runtimes.open_artefact(broken)


def test_a_saved_model_without_objects_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    """TensorFlow loads it as one of TensorFlow 1, and runs whatever its collections name."""
    saved = SavedModel.FromString((files["saved"] / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].ClearField("object_graph_def")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match="a SavedModel of TensorFlow 1"):
        runtimes.open_artefact(tmp_path / "old")


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

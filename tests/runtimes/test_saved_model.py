"""A SavedModel is looked through before TensorFlow loads it: nothing that it runs reaches beyond the process."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfday7 import runtimes
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.runtimes import saved_model


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of two weights."""
    folder = tmp_path_factory.mktemp("plain") / "saved"
    module = tf.Module()
    module.w = tf.Variable([1.0, 2.0])
    module.f = tf.function(lambda x: {"y": x * module.w}, input_signature=[tf.TensorSpec((None, 2), tf.float32, "x")])
    tf.saved_model.save(module, str(folder), signatures=module.f)
    return folder


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


class Kept(tf.Module):
    """An object that writes the file `mark` when it is saved or restored; loading it does both."""

    def __init__(self, deed: str, mark: Path) -> None:
        super().__init__()
        self.deed, self.mark = deed, str(mark)

    def _after(self, deed: str) -> Any:
        return tf.control_dependencies([tf.io.write_file(self.mark, "x")] if deed == self.deed else [])

    def _serialize_to_tensors(self) -> dict[str, Any]:
        with self._after("save"):
            return {"value": tf.constant(1.0)}

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> Any:
        with self._after("restore"):
            return tf.identity(restored_tensors["value"])


@pytest.mark.parametrize("unlisted", [False, True])
@pytest.mark.parametrize("deed", ["create", "initialize", "destroy", "save", "restore"])
def test_what_tensorflow_does_with_an_object_before_and_after_is_judged_too(
    deed: str, unlisted: bool, tmp_path: Path
) -> None:
    mark, pb = tmp_path / "mark", tmp_path / "spy" / "saved_model.pb"
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    module.resource = (Kept if deed in ("save", "restore") else Writing)(deed, mark)
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


def test_what_saves_an_object_is_judged_under_any_name(tmp_path: Path) -> None:
    """Under a name that it does not know, TensorFlow asks what there is to save while it loads."""
    mark, pb = tmp_path / "mark", tmp_path / "spy" / "saved_model.pb"
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    module.kept = Kept("save", mark)
    tf.saved_model.save(module, str(tmp_path / "spy"), signatures=module.f)
    saved = SavedModel.FromString(pb.read_bytes())
    for node in saved.meta_graphs[0].object_graph_def.nodes:
        for name in list(node.saveable_objects):
            node.saveable_objects["other"].CopyFrom(node.saveable_objects.pop(name))
    pb.write_bytes(saved.SerializeToString())
    mark.unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"WriteFile"):
        runtimes.open_artefact(tmp_path / "spy")
    assert not mark.exists()


def test_a_function_that_stands_in_for_another_is_judged_too(tmp_path: Path) -> None:
    """TensorFlow calls, of the functions that "implement" the same, the one that is meant for its device."""
    mark, pb = tmp_path / "mark", tmp_path / "spy" / "saved_model.pb"
    spec = tf.TensorSpec((None,), tf.float32, "x")

    def implementing(writes: bool) -> Any:
        def add(x: Any) -> Any:
            if writes:
                tf.io.write_file(str(mark), "x")
            return x + 1.0

        attributes = {"api_implements": "add", **({"api_preferred_device": "CPU"} if writes else {})}
        return tf.function(add, input_signature=[spec], autograph=False, experimental_attributes=attributes)

    module, honest, evil = tf.Module(), implementing(False), implementing(True)
    module.f = tf.function(lambda x: {"y": evil(honest(x))}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "spy"), signatures=module.f)
    saved = SavedModel.FromString(pb.read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    writing = {one.signature.name for one in functions if any(node.op == "WriteFile" for node in one.node_def)}
    calls = [node for one in functions for node in one.node_def if "f" in node.attr]
    name = next(node.attr["f"].func.name for node in calls if "_add_" in node.attr["f"].func.name)
    for node in (node for node in calls if node.attr["f"].func.name in writing):
        node.attr["f"].func.name = name
    pb.write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match=r"WriteFile"):
        runtimes.open_artefact(tmp_path / "spy")
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


REACHING = (
    "Abort", "DecodeProtoV2", "DumpTensor", "EncodeProto", "GenerateVocabRemapping", "ImmutableConst",
    "LoadAndRemapMatrix", "MergeV2Checkpoints", "RecordInput", "ReadFile", "SymbolicGradient",
)  # fmt: skip
UNLISTED = ("Barrier", "MutexLock", "NoSuchOperator", "QueueDequeueV2", "ResourceCountUpTo")


@pytest.mark.parametrize("operator", [*REACHING, *UNLISTED])
def test_operators_that_a_model_has_no_reason_to_call_are_refused(operator: str, plain: Path, tmp_path: Path) -> None:
    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        function.node_def.add(name="more", op=operator)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saved_model.pb").write_bytes(saved.SerializeToString())
    what = rf"reads or writes files or runs Python \({operator}\)"
    if operator in UNLISTED:
        what = f"its graph calls {operator}, not on the list of operators"
    with pytest.raises(UserError, match=what):
        saved_model.judge(tmp_path / "m")


@pytest.mark.parametrize(
    "operator",
    ["MatMul", "VarHandleOp", "ReadVariableOp", "StatefulPartitionedCall", "While", "HashTableV2", "LookupTableFindV2",
     "LookupTableImportV2", "TensorArrayV3", "TensorArrayReadV3", "TensorListReserve", "RandomUniform", "Assert",
     "StatelessRandomUniformV2", "AssignVariableOp", "ResourceGather", "DestroyResourceOp", "Placeholder",
     "BatchMatMulV2", "MutableDenseHashTableV2", "AnonymousMutableHashTable", "TruncatedNormal", "RngReadAndSkip",
     "ResourceApplyAdam", "ResourceSparseApplyAdagradV2", "ResourceStridedSliceAssign", "CudnnRNNV3", "CheckNumericsV2",
     "LogUniformCandidateSampler", "VariableShape", "DisableCopyOnRead"],
)  # fmt: skip
def test_operators_that_models_are_made_of_are_not(operator: str) -> None:
    saved_model._check_operators(Path("m"), [operator])


@pytest.mark.parametrize("which", ["lstm", "random", "lookup", "exported", "training"])
def test_ordinary_models_are_opened(which: str, tmp_path: Path) -> None:
    """Layers that draw numbers have functions that save and restore their generators."""
    layers, given = keras.layers, keras.Input((6, 3))
    if which == "exported":
        inputs = keras3.Input((6, 3))
        hidden = keras3.layers.Dropout(0.5)(keras3.layers.LSTM(4)(inputs))
        keras3.Model(inputs, keras3.layers.Dense(2)(hidden)).export(str(tmp_path / "m"), verbose=False)
    elif which == "training":
        module = tf.Module()
        module.w = tf.Variable(tf.ones((6, 3)))
        module.f = tf.function(lambda x: {"y": x * module.w}, input_signature=[tf.TensorSpec((None, 6, 3), name="x")])

        @tf.function(input_signature=[])  # type: ignore[untyped-decorator]
        def step() -> None:
            tf.raw_ops.ResourceApplyGradientDescent(var=module.w.handle, alpha=0.1, delta=tf.ones((6, 3)))
            module.w[0].assign(tf.zeros(3))

        module.step = step
        tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.f)
    else:
        ends = {
            "lstm": lambda: layers.Bidirectional(layers.LSTM(4))(given),
            "random": lambda: layers.Dropout(0.5)(layers.GaussianNoise(0.1)(given)),
            "lookup": lambda: layers.IntegerLookup(vocabulary=[1, 2], output_mode="multi_hot")(given[:, :, 0]),
        }
        keras.Model(given, ends[which]()).save(tmp_path / "m", save_format="tf")
    assert runtimes.open_artefact(tmp_path / "m").input.shape[1:] == (6, 3)


def test_a_constant_that_a_few_bytes_blow_up_is_refused(plain: Path, tmp_path: Path) -> None:
    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    node = saved.meta_graphs[0].graph_def.library.function[0].node_def.add(name="large", op="Const")
    node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.float_val.append(1.0)
    node.attr["value"].tensor.tensor_shape.dim.add(size=700_000_000)
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match=r"its constants take 2,800,0\d\d,\d\d\d bytes"):
        runtimes.open_artefact(tmp_path / "large")


@pytest.mark.parametrize("op", ["Const", "Placeholder"])
def test_a_value_that_many_objects_are_made_from_counts_for_each(op: str, plain: Path, tmp_path: Path) -> None:
    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0]
    node = graph.graph_def.node.add(name="large", op=op)
    node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.float_val.append(1.0)
    node.attr["value"].tensor.tensor_shape.dim.add(size=10_000_000)
    for _ in range(99):
        graph.object_graph_def.nodes.add().constant.operation = "large"
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match=r"its constants take 4,000,0\d\d,\d\d\d bytes"):
        saved_model.judge(tmp_path / "large")


def test_a_constant_of_no_known_type_is_damage(plain: Path, tmp_path: Path) -> None:
    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].graph_def.node.add(name="odd", op="Const").attr["value"].tensor.dtype = 77
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match=r"odd: damaged: a constant is of no known type"):
        runtimes.open_artefact(tmp_path / "odd")


@pytest.mark.parametrize(
    "name", ["variables/variables.index", "variables/variables.data-00000-of-00001", "debug/saved_model_debug_info.pb"]
)
def test_a_pipe_inside_is_not_waited_for(name: str, plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "m")
    file = tmp_path / "m" / name
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    with pytest.raises(UserError, match=rf"{file.name}: a pipe; expected a file"):
        saved_model.judge(tmp_path / "m")


@pytest.mark.parametrize("shape", [(), None])
def test_a_saved_model_without_a_certain_shape_is_the_users_error(shape: Any, tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec(shape, tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "odd"), signatures=module.f)
    with pytest.raises(UserError, match="no certain shape"):
        runtimes.open_artefact(tmp_path / "odd")


def test_a_saved_model_whose_parts_do_not_fit_together_is_the_users_error(plain: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(plain, broken)
    saved = SavedModel.FromString((broken / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].object_graph_def.concrete_functions.clear()
    (broken / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match="broken: TensorFlow cannot load it"):
        runtimes.open_artefact(broken)


def test_a_saved_model_without_objects_is_refused(plain: Path, tmp_path: Path) -> None:
    """TensorFlow loads it as one of TensorFlow 1, and runs whatever its collections name."""
    saved = SavedModel.FromString((plain / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].ClearField("object_graph_def")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match="a SavedModel of TensorFlow 1"):
        runtimes.open_artefact(tmp_path / "old")

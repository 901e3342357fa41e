"""One small trained model in every format, each file looked into with the libraries that read it elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tfday7.core.frameworks import keras, keras3, tf
from tfday7.data import Dataset
from tfday7.exporting import exporting, feeding, onnx_conversion, vectors
from tfday7.exporting.format import FORMATS
from tfday7.exporting.formats import tensorrt
from tfday7.exporting.job import save_with_batch
from tfday7.exporting.records import Artefact, Origin, read_artefact
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.runtimes import open_artefact
from tfday7.training import TrainingConfig, fitting

pytestmark = pytest.mark.slow
WANTED = [
    ("onnx", "float32"), ("onnx", "int8"), ("openvino", "float16"), ("openvino", "int8"), ("tensorrt", "float16"),
    ("tensorrt", "int8"), ("saved_model", "float32"), ("keras", "float32"),
]  # fmt: skip

Exported = tuple[Any, Dataset, dict[tuple[str, str], Artefact]]


@pytest.fixture(scope="module")
def exported(pictures: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    model = building.build(ModelConfig(model="cnn", width=8, depth=1), pictures.problem)
    fitting.fit(model, pictures, OptimizerConfig(learning_rate=0.01), TrainingConfig(epochs=5))
    folder = tmp_path_factory.mktemp("exported")
    origin = Origin("small", "/runs/small", "logits", data={"data": "pictures"})
    made = exporting.export(model, pictures, WANTED, folder, origin, batch=None)
    return model, pictures, {(artefact.format, artefact.kind): artefact for artefact in made}


def content(exported: Exported, format: str, kind: str) -> Any:
    return onnx.load(str(exported[2][format, kind].path))


@pytest.mark.parametrize(("format", "kind"), WANTED)
def test_every_artefact_gives_the_models_answers_by_its_own_runtime(format: str, kind: str, exported: Exported) -> None:
    model, dataset, artefacts = exported
    artefact = artefacts[format, kind]
    assert artefact.holds, artefact
    path = Path(str(artefact.path))
    assert read_artefact(path) == artefact
    runner = open_artefact(path, batch_size=1)
    outputs = feeding.predict(runner, artefact, dataset.test.x[:])
    expected = model.predict(dataset.test.x[:], verbose=0)
    limit = {"float32": 1e-5, "float16": 2e-3, "int8": 0.1}[kind]
    assert np.abs(outputs - expected).max() < limit * np.abs(expected).max()


def test_an_onnx_file_with_an_open_batch_takes_any_number_at_once(exported: Exported) -> None:
    model, dataset, artefacts = exported
    path = Path(str(artefacts["onnx", "float32"].path))
    assert artefacts["onnx", "float32"].input["shape"] == [None, 4, 4, 1]
    several = open_artefact(path, batch_size=7).predict(dataset.test.x[:7])
    np.testing.assert_allclose(several, model.predict(dataset.test.x[:7], verbose=0), rtol=1e-4, atol=1e-5)


def test_a_batch_of_a_fixed_size_is_exported_and_verified_as_it_is(pictures: Dataset, tmp_path: Path) -> None:
    model = building.build(ModelConfig(model="mlp", width=8, depth=1), pictures.problem)
    origin = Origin("eight", "/runs/eight", "logits", data={})
    wanted = [("onnx", "float32"), ("onnx", "int8"), ("openvino", "float16")]
    for artefact in exporting.export(model, pictures, wanted, tmp_path, origin, batch=8):
        assert artefact.holds, artefact
        assert artefact.input["shape"] == [8, 4, 4, 1]


def test_a_model_for_one_example_at_a_time_is_verified_so(pictures: Dataset, tmp_path: Path) -> None:
    inputs = keras.Input(batch_shape=(1, 4, 4, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    wanted = [("keras", "float32"), ("saved_model", "float32")]
    for artefact in exporting.export(model, pictures, wanted, tmp_path, Origin("one", "/runs/one", "logits", data={})):
        assert artefact.failure == ""
        assert artefact.holds


def test_what_a_converter_lacks_is_named_and_not_the_end_of_its_graph(pictures: Dataset, tmp_path: Path) -> None:
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(tf.linalg.inv(inputs[..., 0]))))
    origin = Origin("inverse", "/runs/inverse", "logits", data={})
    (artefact,) = exporting.export(model, pictures, [("tflite", "float32")], tmp_path, origin)
    assert "error" not in artefact.failure.lower().removeprefix("the converter failed: convertererror")
    assert "'tf.MatrixInverse' op is neither a custom op nor a flex op" in artefact.failure


def test_the_weights_of_an_int8_onnx_file_are_int8_in_qdq_form(exported: Exported) -> None:
    model = content(exported, "onnx", "int8")
    constants = {each.name: each for each in model.graph.initializer}
    of_weights = [
        node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants
    ]
    assert {constants[node.input[0]].data_type for node in of_weights} <= {
        onnx.TensorProto.INT8, onnx.TensorProto.INT32,
    }  # fmt: skip
    weights = sum(constants[n.input[0]].data_type == onnx.TensorProto.INT8 for n in of_weights)
    layers = [layer for layer in exported[0].layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))]
    assert weights == len(layers)
    assert {node.op_type for node in model.graph.node} & {"Conv", "MatMul", "Gemm"}


def test_a_float_file_that_claims_to_be_int8_is_caught(exported: Exported) -> None:
    float32 = Path(str(exported[2]["onnx", "float32"].path))
    assert FORMATS.get("onnx").problems(float32, "int8") == ["not quantized: no weights are int8"]
    ir = Path(str(exported[2]["openvino", "float16"].path))
    assert FORMATS.get("openvino").problems(ir, "int8") == ["not converted: no weights are int8"]
    assert FORMATS.get("openvino").problems(ir, "float16") == []


def test_tensorrt_gets_fixed_shapes_and_zero_points_of_0(exported: Exported) -> None:
    model = content(exported, "tensorrt", "int8")
    assert tensorrt.rule_problems(model) == []
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    zeros = [constants[n.input[2]] for n in model.graph.node if n.op_type.endswith("QuantizeLinear")]
    zeros += [constants[n.input[2]] for n in model.graph.node if n.op_type == "DequantizeLinear"]
    assert zeros
    assert not any(np.any(zero) for zero in zeros)
    assert [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim] == [1, 4, 4, 1]


def test_what_tensorrt_would_refuse_is_named(exported: Exported) -> None:
    problems = tensorrt.rule_problems(content(exported, "onnx", "int8"))
    assert any("input has an open size" in problem for problem in problems)
    assert any("the zero point of" in problem for problem in problems)
    model = content(exported, "tensorrt", "float16")
    model.graph.node.append(onnx.helper.make_node("StringNormalizer", ["a"], ["b"]))
    assert "operators that it does not have: StringNormalizer" in tensorrt.rule_problems(model)


def test_the_trtexec_line_is_one_that_a_shell_takes_and_what_was_not_built_is_said(exported: Exported) -> None:
    notes = exported[2]["tensorrt", "int8"].notes
    assert notes[0].startswith("no engine was built: ")
    assert notes[1] == (
        "build one: trtexec --onnx=small_int8.tensorrt.onnx --saveEngine=small_int8.engine --int8 --fp16"
    )
    assert "--onnx='it is mine.tensorrt.onnx'" in tensorrt.trtexec("/x/it is mine.tensorrt.onnx", "float16") or (
        "'--onnx=it is mine.tensorrt.onnx'" in tensorrt.trtexec("/x/it is mine.tensorrt.onnx", "float16")
    )


def test_the_keras_file_opens_in_keras_3_and_the_saved_model_in_tensorflow(exported: Exported) -> None:
    model, dataset, artefacts = exported
    expected = model.predict(dataset.test.x[:], verbose=0)
    opened = keras3.models.load_model(artefacts["keras", "float32"].path)
    np.testing.assert_allclose(opened.predict(dataset.test.x[:], verbose=0), expected, rtol=1e-4, atol=1e-5)
    signature = tf.saved_model.load(artefacts["saved_model", "float32"].path).signatures["serving_default"]
    given = signature(input=tf.constant(dataset.test.x[:]))["output"]
    np.testing.assert_allclose(given.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_vectors_are_raw_inputs_with_the_models_answers(exported: Exported) -> None:
    model, dataset, artefacts = exported
    artefact = artefacts["onnx", "float32"]
    found = vectors.read(Path(str(artefact.path)).parent / str(artefact.vectors))
    np.testing.assert_array_equal(found.raw, dataset.test.x[: len(found)])
    np.testing.assert_allclose(found.keras, model.predict(found.raw, verbose=0), rtol=1e-4, atol=1e-5)


def test_exact_gelu_and_constants_that_a_model_holds_are_exported(tmp_path: Path) -> None:
    """tf2onnx lacks Erfc, and takes captured tensors, such as a range, for inputs."""
    inputs = keras.Input((6,))
    held = tf.range(6, dtype=tf.float32)
    made = keras.layers.Lambda(lambda x: tf.nn.gelu(x + held, approximate=False))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(made))
    save_with_batch(model, (6,), tmp_path / "saved_model", 1)
    converted = onnx_conversion.to_onnx(str(tmp_path / "saved_model"), 1)
    assert [each.name for each in converted.graph.input] == ["input"]
    onnx.save(converted, str(tmp_path / "model.onnx"))
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    outputs = open_artefact(tmp_path / "model.onnx").predict(x)
    np.testing.assert_allclose(outputs, np.asarray(model(x)), rtol=1e-5, atol=1e-6)


def test_grouped_convolutions_which_keras_lets_xla_compile_are_exported(tmp_path: Path) -> None:
    inputs = keras.Input((5, 5, 4))
    model = keras.Model(inputs, keras.layers.Conv2D(8, 3, groups=4, padding="same")(inputs))
    save_with_batch(model, (5, 5, 4), tmp_path / "saved_model", 1)
    converted = onnx_conversion.to_onnx(str(tmp_path / "saved_model"), 1)
    assert "Conv" in {node.op_type for node in converted.graph.node}
    onnx.save(converted, str(tmp_path / "model.onnx"))
    x = np.random.default_rng(0).normal(size=(3, 5, 5, 4)).astype(np.float32)
    outputs = open_artefact(tmp_path / "model.onnx").predict(x)
    np.testing.assert_allclose(outputs, np.asarray(model(x)), rtol=1e-4, atol=1e-5)


def test_a_table_that_a_model_looks_words_up_in_is_saved_with_it(tmp_path: Path) -> None:
    inputs = keras.Input((3,), dtype=tf.string)
    ids = keras.layers.StringLookup(vocabulary=["red", "green", "blue"], output_mode="multi_hot")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(ids))
    save_with_batch(model, (3,), tmp_path / "saved_model", None)
    signature = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    words = tf.constant([["red", "blue", "red"], ["green", "grey", "grey"]])
    np.testing.assert_allclose(signature(input=words)["output"].numpy(), np.asarray(model(words)), rtol=1e-6)


def test_a_saved_model_holds_the_traced_signature_and_no_functions_of_layers(tmp_path: Path) -> None:
    """Tracing every layer for them took four to six times as long."""
    inputs = keras.Input((6,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="only")(keras.layers.Dense(4, name="first")(inputs)))
    save_with_batch(model, (6,), tmp_path / "saved_model", 1)
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    assert len(loaded.kept) == 4
    written = (tmp_path / "saved_model" / "saved_model.pb").read_bytes()
    assert b"call_and_return" not in written

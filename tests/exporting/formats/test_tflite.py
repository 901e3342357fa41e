"""Exported files against the Keras model, and what happens when an export goes wrong."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import GateError, UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting import exporting, feeding, tflite_file
from tfday7.exporting.config import wanted
from tfday7.exporting.format import FORMATS
from tfday7.exporting.options import QuantizationOptions
from tfday7.exporting.records import Artefact, Origin, record_path
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.runtimes.litert import LiteRT
from tfday7.runtimes.openvino import OpenVino
from tfday7.training import TrainingConfig, fitting

pytestmark = pytest.mark.slow


def trained(dataset: Dataset, **config: Any) -> Any:
    model = building.build(ModelConfig(**config), dataset.problem)
    fitting.fit(model, dataset, OptimizerConfig(learning_rate=0.01), TrainingConfig(epochs=5))
    return model


def export(model: Any, dataset: Dataset, folder: Path, meaning: str = "logits", kinds: str = "") -> dict[str, Artefact]:
    origin = Origin("small", "/runs/small", meaning, data={})
    artefacts = exporting.export(model, dataset, wanted(("tflite",), kinds), folder, origin)
    return {artefact.kind: artefact for artefact in artefacts}


@pytest.fixture(scope="module")
def exported(pictures: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Artefact]]:
    model = trained(pictures, model="cnn", width=4, depth=1)
    return model, export(model, pictures, tmp_path_factory.mktemp("exported"))


def test_the_float_file_gives_kerass_outputs(exported: tuple[Any, dict[str, Artefact]], pictures: Dataset) -> None:
    model, artefacts = exported
    outputs = LiteRT(Path(str(artefacts["float32"].path))).predict(pictures.test.x)
    np.testing.assert_allclose(outputs, model.predict(pictures.test.x, verbose=0), rtol=1e-5, atol=1e-5)
    assert artefacts["float32"].holds


def test_the_int8_file_is_int8_throughout_and_close(
    exported: tuple[Any, dict[str, Artefact]], pictures: Dataset
) -> None:
    model, artefacts = exported
    runner = LiteRT(Path(str(artefacts["int8"].path)))
    assert tflite_file.float_islands(tflite_file.read(runner.path)) == []
    assert (runner.input.dtype, runner.output.dtype) == ("int8", "int8")
    expected = model.predict(pictures.test.x, verbose=0)
    assert np.abs(runner.predict(pictures.test.x) - expected).max() < 0.1 * np.abs(expected).max()
    assert artefacts["int8"].holds


def test_the_record_beside_a_file_describes_it(exported: tuple[Any, dict[str, Artefact]]) -> None:
    for artefact in exported[1].values():
        path = Path(str(artefact.path))
        content = path.read_bytes()
        assert artefact.size_bytes == len(content)
        assert artefact.gzip_bytes == len(gzip.compress(content, 9, mtime=0))
        assert artefact.sha256 == hashlib.sha256(content).hexdigest()
        assert json.loads(record_path(path).read_text(encoding="utf-8")) == artefact.to_json()
        assert artefact.input["shape"] == [1, 4, 4, 1]
        assert artefact.labels == ["0", "1"]


def test_quantizing_is_the_files_own_arithmetic(exported: tuple[Any, dict[str, Artefact]]) -> None:
    runner = LiteRT(Path(str(exported[1]["int8"].path)))
    scale, zero_point = runner.input.scale, runner.input.zero_point
    assert scale is not None
    x = np.array([[-1e9, 0.0, scale * 3.4, 1e9]], np.float32)
    expected = [-128, zero_point, zero_point + 3, 127]
    assert runner.quantize(x).tolist() == [expected]


def test_columns_of_very_different_size_survive_int8(tmp_path: Path) -> None:
    """One scale for raw columns of 1 and 1,000,000 would round the first to nothing; standardized, both count."""
    generator = np.random.default_rng(1)
    small, large = generator.normal(size=(2, 400))
    y = 3.0 * small - 2.0 * large + 7.0
    dataset = prepare(Raw(np.stack([small, 1e6 * large], axis=1), y), "columns")
    model = trained(dataset, model="mlp", width=16, depth=1)
    artefacts = export(model, dataset, tmp_path, "values")
    assert artefacts["int8"].holds, artefacts["int8"]
    before, after = (getattr(artefacts["int8"], side)["standardization"] for side in ("input", "output"))
    np.testing.assert_allclose(before["std"], dataset.train.x.std(axis=0), rtol=1e-4)
    assert artefacts["float32"].input["standardization"] is None
    runner = LiteRT(Path(str(artefacts["int8"].path)))
    by_hand = (dataset.test.x - np.array(before["mean"])) / np.array(before["std"])
    outputs = runner.predict(by_hand.astype(np.float32)) * after["std"] + after["mean"]
    expected = model.predict(dataset.test.x, verbose=0)
    assert np.abs(outputs - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(("offset", "spread", "unit"), [(5000.0, 1.0, 1.0), (0.0, 1.0, 1e-9), (2000.0, 9.0, 1e12)])
def test_targets_far_from_zero_and_columns_in_odd_units_survive_int8(
    offset: float, spread: float, unit: float, tmp_path: Path
) -> None:
    """A range that must hold 0 would leave a target of 5000 give or take 1 a single step."""
    generator = np.random.default_rng(1)
    x = generator.uniform(-1, 1, size=(400, 2))  # Bounded: what lies beyond the calibration's range is clipped.
    dataset = prepare(Raw(x * unit, offset + spread * (x[:, 0] - x[:, 1])), "odd")
    model = building.build(ModelConfig(model="mlp", width=16, depth=1), dataset.problem)
    fitting.fit(model, dataset, OptimizerConfig(learning_rate=0.02), TrainingConfig(epochs=40))
    for artefact in export(model, dataset, tmp_path, "values").values():
        assert artefact.holds, artefact
        assert artefact.parity is not None
        assert artefact.parity.artefact_metric > 0.98


@pytest.mark.parametrize(("offset", "spread"), [(1013.0, 5.0), (180_000.0, 40_000.0)])
def test_targets_far_from_zero_keep_their_precision_in_float_files(
    offset: float, spread: float, tmp_path: Path
) -> None:
    """Kernels begin sums with a bias: 256 products were added to 1013 each; float16 ends at 65,504."""
    x = np.random.default_rng(1).normal(size=(400, 8))
    dataset = prepare(Raw(x, offset + spread * x[:, 0]), "far")
    model = building.build(ModelConfig(model="mlp", width=256, depth=1), dataset.problem)
    model.layers[-2].set_weights([3.0 * weights for weights in model.layers[-2].get_weights()])
    artefacts = export(model, dataset, tmp_path, "values", "float32,float16")
    for artefact, limit in zip(artefacts.values(), (3e-5, 5e-3), strict=True):
        assert artefact.parity is not None
        assert artefact.parity.relative_difference < limit, artefact.kind
        assert artefact.holds
    assert artefacts["float32"].output["standardization"] is None
    assert artefacts["float16"].output["standardization"] == {
        "mean": pytest.approx([dataset.train.y.mean()]), "std": pytest.approx([dataset.train.y.std()])
    }  # fmt: skip


def test_a_model_that_branches_before_its_normalization_is_exported_whole(line: Dataset, tmp_path: Path) -> None:
    inputs = keras.Input((2,))
    both = keras.layers.Concatenate()([keras.layers.Normalization(mean=0.0, variance=1.0)(inputs), inputs])
    model = keras.Model(inputs, keras.layers.Dense(1)(both))
    artefacts = export(model, line, tmp_path, "values")
    assert artefacts["int8"].input["standardization"] is None
    assert artefacts["float32"].holds, artefacts["float32"]


def test_a_model_of_open_size_is_exported_for_the_size_of_the_data(pictures: Dataset, tmp_path: Path) -> None:
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    artefacts = export(model, pictures, tmp_path)
    assert artefacts["float32"].input["shape"] == [1, 4, 4, 1]
    assert all(artefact.holds for artefact in artefacts.values()), artefacts


def test_artefacts_of_another_run_are_not_replaced(exported: tuple[Any, dict[str, Artefact]]) -> None:
    folder = Path(str(exported[1]["int8"].path)).parent
    given = (folder, "/runs/small", "small", wanted(("tflite",), ""))
    exporting.check_free(*given)
    with pytest.raises(UserError, match="holds the artefacts of another run") as error:
        exporting.check_free(folder, "/elsewhere/small", *given[2:])
    assert "--overwrite" in error.value.hint
    exporting.check_free(folder, "/elsewhere/small", *given[2:], overwrite=True)


@pytest.mark.parametrize("name", ["small_int8.tflite", "README.md", "small_vectors.npz"])
def test_a_file_that_no_export_wrote_is_never_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=f"{name} was not written by an export"):
            exporting.check_free(tmp_path, "/runs/small", "small", wanted(("tflite",), ""), overwrite)


def test_artefacts_of_other_weights_go_when_a_model_is_exported_again(pictures: Dataset, tmp_path: Path) -> None:
    """They would stand beside vectors and a card that are not theirs."""
    said: list[str] = []
    origin = Origin("small", "/runs/small", "logits", data={})
    for seed, kind in ((0, "float32"), (1, "float16")):
        model = building.build(ModelConfig(model="linear"), pictures.problem, seed=seed)
        exporting.export(model, pictures, [("tflite", kind)], tmp_path, origin, say=said.append)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md", "small_float16.tflite", "small_float16.tflite.json", "small_vectors.npz",
    ]  # fmt: skip
    assert said == [f"small_float32 in {tmp_path} is of other weights, and is removed"]


def test_kinds_of_weights_alone_and_of_wide_activations(pictures: Dataset, tmp_path: Path) -> None:
    model = trained(pictures, model="cnn", width=16, depth=2)
    kinds = ("float32", "int8", "int16x8", "weight_int8", "weight_int4")
    artefacts = export(model, pictures, tmp_path, kinds=",".join(kinds))
    assert tuple(artefacts) == kinds
    assert all(artefact.holds for artefact in artefacts.values()), artefacts
    ends = {kind: (artefact.input["dtype"], artefact.output["dtype"]) for kind, artefact in artefacts.items()}
    assert ends["int16x8"] == ("int16", "int16")
    assert ends["weight_int8"] == ends["weight_int4"] == ("float32", "float32")
    assert artefacts["int16x8"].input["zero_point"] == 0
    wide = artefacts["int16x8"]
    differences = {kind: artefact.parity.largest_difference for kind, artefact in artefacts.items() if artefact.parity}
    for run in (LiteRT, OpenVino):  # Neither tells the scales of such ends by itself.
        answers = feeding.predict(run(Path(str(wide.path))), wide, pictures.test.x)
        assert np.abs(answers - model.predict(pictures.test.x, verbose=0)).max() < differences["int8"]
    sizes = {kind: artefact.size_bytes or 0 for kind, artefact in artefacts.items()}
    assert sizes["weight_int4"] < sizes["weight_int8"] < sizes["float32"]
    assert differences["int16x8"] < differences["int8"]
    assert differences["weight_int8"] < differences["weight_int4"]
    assert artefacts["int16x8"].recipe["calibration"]["seed"] == 0
    assert artefacts["weight_int4"].recipe["calibration"] is None


def test_the_options_of_an_export_are_in_the_record_and_the_file(pictures: Dataset, tmp_path: Path) -> None:
    model = trained(pictures, model="cnn", width=16, depth=2)
    for weight in model.trainable_weights:
        values = weight.numpy()
        if values.ndim > 1:
            weight.assign(np.where(np.abs(values) < np.quantile(np.abs(values), 0.9), 0, values))
    origin = Origin("small", "/runs/small", "logits", data={})
    options = QuantizationOptions(calibration_examples=50, calibration_seed=4, sparse=True)
    kinds = [("tflite", "float32"), ("tflite", "int8")]
    float32, int8 = exporting.export(model, pictures, kinds, tmp_path, origin, bisect=False, options=options)
    assert int8.recipe["calibration"] == {"examples": 50, "seed": 4, "from": "training, then validation examples"}
    assert float32.recipe["sparse"] is True
    assert any("are not stored" in note for note in float32.notes)
    assert float32.holds, float32
    assert any(tensor.is_sparse for tensor in tflite_file.read(Path(str(float32.path))).tensors)
    wrong = QuantizationOptions(float_layers=("nowhere",))
    (failed,) = exporting.export(model, pictures, kinds[1:], tmp_path, origin, bisect=False, options=wrong)
    assert "no operator computes nowhere" in failed.failure


def test_a_layer_that_stays_in_float_is_not_what_another_one_calls_a_part_of_it(
    pictures: Dataset, tmp_path: Path
) -> None:
    """Layer normalization has an addition in it, which is not that of a layer "add"."""
    inputs = keras.Input((4, 4, 1))
    normal = keras.layers.LayerNormalization(name="norm")(keras.layers.Dense(6)(inputs))
    added = keras.layers.Add(name="add")([normal, keras.layers.Dense(6, activation="relu")(normal)])
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(added)))
    origin, options = Origin("small", "/runs/small", "logits", data={}), QuantizationOptions(float_layers=("add",))
    (made,) = exporting.export(model, pictures, [("tflite", "int8")], tmp_path, origin, bisect=False, options=options)
    assert not made.failure
    summary = tflite_file.read(Path(str(made.path)))
    floating = [summary.outputs_of(node)[0].name for node in summary.nodes if node.op == "ADD"
                and summary.outputs_of(node)[0].is_floating]  # fmt: skip
    assert len(floating) == 1
    assert "norm/" not in floating[0]


def test_a_model_trained_with_fake_quantization_keeps_its_ranges(
    pictures: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow_model_optimization as tfmot

    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    plain = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    model = tfmot.quantization.keras.quantize_model(plain)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures.train.x, pictures.train.y, epochs=10, verbose=0)
    artefact = export(model, pictures, tmp_path, kinds="int8")["int8"]
    assert artefact.holds, artefact
    learned = {weight.name: float(weight) for weight in model.layers[1].weights if weight.shape == ()}
    low, high = (next(value for name, value in learned.items() if name.endswith(f"_{end}:0")) for end in ("min", "max"))
    assert artefact.input["scale"] == pytest.approx((max(high, 0) - min(low, 0)) / 255, rel=1e-3)
    outputs = LiteRT(Path(str(artefact.path))).predict(pictures.test.x)
    expected = model.predict(pictures.test.x, verbose=0)
    assert np.abs(outputs - expected).max() <= 2.1 * artefact.output["scale"]
    # It says itself which layers are int8: what is asked for has no effect, and that is no silent one.
    monkeypatch.setattr(FORMATS.get("tflite"), "attempts", 1)
    origin, last = Origin("mixed", "/runs/small", "logits", data={}), model.layers[-1].name
    options = QuantizationOptions(float_layers=(last,))
    (mixed,) = exporting.export(model, pictures, [("tflite", "int8")], tmp_path, origin, bisect=False, options=options)
    assert mixed.failure == f"{last} were to stay in float32, and are int8 all the same"


def test_an_lstm_answers_each_example_alone(tmp_path: Path) -> None:
    """TFLite's fused LSTM keeps its state between invocations; the runner must reset it."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(60, 6, 3)).astype(np.float32)
    dataset = prepare(Raw(x, (x.sum(axis=(1, 2)) > 0).astype(int)), "series")
    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(5)(inputs)))
    artefact = export(model, dataset, tmp_path, kinds="float32")["float32"]
    assert artefact.holds, artefact
    runner = LiteRT(Path(str(artefact.path)))
    forward, backward = runner.predict(x[:5]), runner.predict(x[:5][::-1])[::-1]
    np.testing.assert_array_equal(forward, backward)


def test_the_gate_holds_only_when_every_file_does(exported: tuple[Any, dict[str, Artefact]]) -> None:
    artefacts = list(exported[1].values())
    exporting.check_gate(artefacts)
    parity = artefacts[1].parity
    assert parity is not None
    broken = dataclasses.replace(artefacts[1], parity=dataclasses.replace(parity, failures=["too far"]))
    with pytest.raises(GateError, match="small_int8: too far"):
        exporting.check_gate([artefacts[0], broken])


@pytest.mark.parametrize("content", [b"", b"rubbish", b"TFL3" * 10])
def test_a_file_that_is_no_tflite_model_is_the_users_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.tflite: LiteRT cannot load it"):
        LiteRT(path)

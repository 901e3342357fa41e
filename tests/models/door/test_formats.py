"""Every file format of every Keras comes in; what is no model is refused with a hint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from models.door.trips import difference, random_weights

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door
from tfday7.models.door import applications

X = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")


def small_model(framework: Any) -> Any:
    """Returns a compiled model with a nested one, an operation, and moving statistics."""
    layers = framework.layers
    inputs = layers.Input((8, 8, 3))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, kernel_regularizer="l2", name="conv")(inputs))
    x = framework.ops.relu(x) if framework is keras3 else tf.nn.relu(x)
    nested = framework.Sequential([layers.Input((6, 6, 4)), layers.Flatten(), layers.Dense(2)], name="nested")
    model = framework.Model(inputs, nested(x), name="small")
    random_weights(model)
    model.compile("adam", "mse")
    model.fit(X, np.zeros((3, 2)), verbose=0)  # So that there are states of an optimizer in the file.
    return model


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_layers_and_operations_of_one_name_are_told_apart(name: str, tmp_path: Path) -> None:
    a, b = keras3.Input((4,)), keras3.Input((4,))
    layers, ops = keras3.layers, keras3.ops
    x = layers.Add()([ops.add(a, b), layers.Multiply()([a, ops.multiply(a, b)])])
    x = layers.Softmax()(ops.softmax(ops.concatenate([x, layers.Concatenate()([a, b])], axis=-1)))
    model = keras3.Model([a, b], layers.Dense(12, kernel_initializer="identity")(layers.Identity()(x)))
    model.save(tmp_path / name)
    data = [X[:, 0, 0, :1].repeat(4, 1), X[:, 1, 1, :1].repeat(4, 1)]
    assert difference(door.load(tmp_path / name)(data), model(data)) == 0


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize(
    ("which", "name"),
    [("keras3", "m.keras"), ("keras3", "m.h5"), ("tf_keras", "m.keras"), ("tf_keras", "m.h5"), ("tf_keras", "m")],
)
def test_a_file_of_either_keras_gives_the_same_model(which: str, name: str, tmp_path: Path) -> None:
    model = small_model(keras3 if which == "keras3" else keras)
    model.save(tmp_path / name)
    loaded = door.load(tmp_path / name)
    assert isinstance(loaded, keras.Model)
    assert difference(loaded(X), model(X, training=False)) == 0
    assert loaded.get_layer("conv").kernel_regularizer.get_config()["l2"] == pytest.approx(0.01)
    assert loaded.get_layer("nested").layers[-1].kernel.shape == (144, 2)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_layers_of_the_applications_come_from_files(package: str, name: str, tmp_path: Path) -> None:
    framework = keras3 if package == "keras" else keras
    kinds = applications.classes(package)
    inputs = framework.Input((8, 8, 3))
    x = kinds["LayerScale"](0.5, 3)(inputs)
    x = kinds["CustomScaleLayer"](0.3)([inputs, kinds["StochasticDepth"](0.2)(x)])
    model = framework.Model(inputs, x)
    model.save(tmp_path / name)
    assert difference(door.load(tmp_path / name)(X), model(X, training=False)) == 0


def keras_2_2_file(path: Path, recurrent: str, settings: dict[str, Any], bias: np.ndarray) -> None:
    """Writes an .h5 as Keras 2.2 wrote it: a bare list as the settings of a Sequential, no registered names."""
    first = {
        "name": "r",
        "trainable": True,
        "batch_input_shape": [None, 5, 3],
        "dtype": "float32",
        "units": 2,
        **settings,
    }
    dense = {"name": "d", "trainable": True, "units": 1, "activation": "linear", "use_bias": True}
    initializer = {
        "class_name": "VarianceScaling",
        "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"},
    }
    dense["kernel_initializer"] = initializer
    layers = [{"class_name": recurrent, "config": first}, {"class_name": "Dense", "config": dense}]
    generator = np.random.default_rng(0)
    gates = bias.size // (2 if bias.size > 8 else 1)
    weights = {
        "r": {
            "r/kernel:0": generator.normal(size=(3, gates)),
            "r/recurrent_kernel:0": generator.normal(size=(2, gates)),
        },
        "d": {"d/kernel:0": generator.normal(size=(2, 1)), "d/bias:0": np.zeros(1)},
    }
    weights["r"]["r/bias:0"] = bias
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.2.0"
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"r", b"d"]
        group.attrs["keras_version"], group.attrs["backend"] = b"2.2.0", b"tensorflow"
        for layer, named in weights.items():
            sub = group.create_group(layer)
            sub.attrs["weight_names"] = [name.encode() for name in named]
            for name, value in named.items():
                sub.create_dataset(name, data=value.astype("float32"))


def lstm_by_hand(path: Path, x: np.ndarray, gate: Any, bias: np.ndarray) -> np.ndarray:
    """Returns the file's LSTM and dense layer computed with NumPy: Hochreiter and Schmidhuber's equations."""
    with h5py.File(path) as file:
        kernel, recurrent = (file[f"model_weights/r/r/{name}:0"][()] for name in ("kernel", "recurrent_kernel"))
        dense = file["model_weights/d/d/kernel:0"][()]
    h = c = np.zeros((len(x), 2))
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
    return h @ dense


def test_an_h5_of_keras_2_2_with_its_hard_sigmoid_gates(tmp_path: Path) -> None:
    bias = np.linspace(-1, 1, 8)
    keras_2_2_file(tmp_path / "old.h5", "LSTM", {"recurrent_activation": "hard_sigmoid", "implementation": 1}, bias)
    x = np.random.default_rng(1).normal(size=(4, 5, 3)).astype("float32")
    expected = lstm_by_hand(tmp_path / "old.h5", x, lambda z: np.clip(0.2 * z + 0.5, 0, 1), bias)
    inside = door.load(tmp_path / "old.h5")
    assert difference(inside(x), expected) < 1e-6
    assert difference(door.to_keras3(inside)(x), expected) < 1e-6  # Whose own hard sigmoid is another function.


def test_an_h5_of_keras_2_2_with_a_cudnn_layer(tmp_path: Path) -> None:
    bias = np.linspace(-1, 1, 16)  # CuDNN has two biases, which are added.
    keras_2_2_file(tmp_path / "gpu.h5", "CuDNNLSTM", {}, bias)
    layer = door.load(tmp_path / "gpu.h5").get_layer("r")
    assert layer.get_config()["recurrent_activation"] == "sigmoid"
    np.testing.assert_allclose(layer.get_weights()[2], bias[:8] + bias[8:], rtol=1e-6)


def test_a_tflite_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(64))
    with pytest.raises(UserError, match="TFLite") as caught:
        door.load(tmp_path / "m.tflite")
    assert "converted from" in caught.value.hint


def test_a_saved_model_without_a_keras_model_is_refused_with_a_hint(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    small_model(keras3).export(tmp_path / "exported", verbose=False)
    for name in ("bare", "exported"):
        with pytest.raises(UserError, match="without a Keras model") as caught:
            door.load(tmp_path / name)
        assert "model.save" in caught.value.hint


@pytest.mark.parametrize("name", ["missing.keras", "folder", "text.keras"])
def test_what_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.keras").write_text("hello")
    with pytest.raises(UserError, match=name):
        door.load(tmp_path / name)


def test_an_h5_with_weights_only_says_so(tmp_path: Path) -> None:
    small_model(keras3).save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(UserError, match="no model inside") as caught:
        door.load(tmp_path / "only.weights.h5")
    assert "weights only" in caught.value.hint


def test_what_layers_learned_from_data_comes_in_and_goes_out(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(3, 2, size=(100, 2)).astype("float32")
    inputs, layers = keras3.Input((2,)), keras3.layers
    normalization, bins = layers.Normalization(), layers.Discretization(num_bins=4)
    normalization.adapt(data)
    bins.adapt(data)
    model = keras3.Model(inputs, [normalization(inputs), bins(inputs)])
    model.save(tmp_path / "learned.keras")
    expected = model(data)
    np.testing.assert_allclose(np.std(expected[0], axis=0), [1, 1], rtol=1e-4)
    inside = door.load(tmp_path / "learned.keras")
    assert difference(inside(data), expected) == 0
    inside.save(tmp_path / "inside.keras")
    assert difference(door.load(tmp_path / "inside.keras")(data), expected) == 0
    door.save(inside, tmp_path / "back.keras")
    assert difference(keras3.models.load_model(tmp_path / "back.keras")(data), expected) == 0


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("name", ["", "learned.h5", "learned", "learned.keras"])
def test_what_layers_of_tf_keras_learned_comes_in_and_goes_out(name: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(3, 2, size=(100, 2)).astype("float32")
    inputs, layers = keras.Input((2,)), keras.layers
    normalization, bins = layers.Normalization(), layers.Discretization(num_bins=4)
    normalization.adapt(data)
    bins.adapt(data)
    model = keras.Model(inputs, [normalization(inputs), bins(inputs)])
    expected = model(data)
    assert np.bincount(expected[1].numpy().ravel()).min() > 40  # Four bins of fifty.
    if name:
        model.save(tmp_path / name)
    given = tmp_path / name if name else model
    assert difference(door.read(given)(data), expected) == 0
    inside = door.load(given, dtype_policy="mixed_float16")
    assert inside(data)[1].numpy().tolist() == expected[1].numpy().tolist()
    door.save(door.load(given), tmp_path / "back.keras")
    assert difference(keras3.models.load_model(tmp_path / "back.keras")(data), expected) == 0


@pytest.mark.parametrize("target", [door.load, door.to_keras3])
def test_bins_that_were_not_learned_are_refused(target: Any) -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Discretization(num_bins=4, name="bins")(inputs))
    with pytest.raises(UserError, match=r"'bins' \(Discretization\) has no bins") as caught:
        target(model)
    assert "adapt" in caught.value.hint


def test_vocabularies_come_in_with_the_file(tmp_path: Path) -> None:
    inputs = keras3.Input((), dtype="string")
    lookup = keras3.layers.StringLookup(name="words")
    lookup.adapt(["a", "b", "b"])
    model = keras3.Model(inputs, lookup(inputs))
    model.save(tmp_path / "words.keras")
    words = tf.constant(["a", "b", "c"])
    assert door.load(tmp_path / "words.keras")(words).numpy().tolist() == model(words).numpy().tolist()


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize(("framework", "name"), [(keras3, "words.h5"), (keras, "words")], ids=["keras3", "tf_keras"])
@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_vocabularies_that_are_not_in_the_file_are_asked_for(
    framework: Any, name: str, kind: str, tmp_path: Path
) -> None:
    lookup = getattr(framework.layers, kind)(name="known")
    lookup.adapt(np.array([1, 2, 2]) if kind == "IntegerLookup" else np.array(["a", "b", "b"]))
    inputs = framework.Input((1,), dtype="int64" if kind == "IntegerLookup" else "string")
    framework.Model(inputs, lookup(inputs)).save(tmp_path / name)
    with pytest.raises(UserError, match=rf"'known' \({kind}\) has no vocabulary") as caught:
        door.load(tmp_path / name)
    assert "model.keras" in caught.value.hint

"""What goes out: files that Keras 3 opens by itself, from plain, pruned and clustered models; wrappers are named."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.door.trips import difference, random_weights

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door

X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")


def small_model() -> Any:
    layers = keras.layers
    inputs = layers.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="swish", name="conv")(inputs))
    x = tf.reduce_mean(x[:, 1:], [1, 2]) * 2.0
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x), name="small")
    random_weights(model)
    return model


def test_plain_keras3_opens_the_file_in_a_process_without_tfday7(
    tmp_path: Path, plain_python: Callable[[str], str]
) -> None:
    model = small_model()
    door.save(model, tmp_path / "out.keras")
    np.save(tmp_path / "x.npy", X)
    printed = plain_python(
        "import json, sys, keras, numpy as np\n"
        "model = keras.models.load_model('out.keras')\n"
        "assert not {'tfday7', 'tf_keras'} & set(sys.modules), 'loaded more than Keras 3'\n"
        "y = np.asarray(model(np.load('x.npy'))).tolist()\n"
        "print(json.dumps({'y': y, 'names': [layer.name for layer in model.layers]}))"
    )
    record = json.loads(printed.strip().splitlines()[-1])
    # tf_keras's batch normalization has a fused kernel, with other last bits.
    assert difference(np.array(record["y"], "float32"), model(X)) < 1e-6
    assert {"conv", "head"} <= set(record["names"])


def test_a_keras3_model_is_saved_as_it_is(tmp_path: Path) -> None:
    inputs = keras3.Input((8, 8, 3))
    model = keras3.Model(inputs, keras3.layers.Conv2D(2, 3)(inputs))
    assert door.to_keras3(model) is model
    door.save(model, tmp_path / "m.keras")
    assert difference(keras3.models.load_model(tmp_path / "m.keras")(X), model(X)) == 0


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.keras"):
        door.save(small_model(), tmp_path / "m.h5")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_text("old")
    inputs = keras.Input((4,))
    with pytest.raises(UserError):
        door.save(keras.Model(inputs, tf.math.bessel_i0(inputs)), tmp_path / "m.keras")
    assert (tmp_path / "m.keras").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_pruned_and_clustered_models_go_out_with_their_zeros_and_clusters() -> None:
    tfmot = importlib.import_module("tensorflow_model_optimization")
    pruning, clustering = tfmot.sparsity.keras, tfmot.clustering.keras
    schedule = pruning.ConstantSparsity(0.5, begin_step=0, frequency=1)
    model = pruning.prune_low_magnitude(small_dense(), schedule)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 6)), np.ones((4, 2)), verbose=0, callbacks=[pruning.UpdatePruningStep()])
    stripped = pruning.strip_pruning(model)
    for given in (model, stripped):  # Pruning's wrapper only masks: it goes by itself.
        kernel = door.to_keras3(given).get_layer("a").kernel.numpy()
        assert np.mean(kernel == 0) == 0.5
        np.testing.assert_array_equal(kernel, stripped.get_layer("a").kernel.numpy())
    clustered = clustering.cluster_weights(
        small_dense(), number_of_clusters=3, cluster_centroids_init=clustering.CentroidInitialization.LINEAR
    )
    with pytest.raises(UserError, match="still wrapped for clustering") as caught:
        door.to_keras3(clustered)
    assert "strip_clustering" in caught.value.hint
    kernel = door.to_keras3(clustering.strip_clustering(clustered)).get_layer("a").kernel.numpy()
    assert len(np.unique(kernel)) <= 3


def test_a_model_with_kept_operations_can_be_pruned_as_a_whole() -> None:
    tfmot = importlib.import_module("tensorflow_model_optimization")
    inputs = keras3.Input((6,))
    x = keras3.layers.RMSNormalization()(keras3.layers.Dense(4, name="a")(inputs)) * 2.0
    pruned = tfmot.sparsity.keras.prune_low_magnitude(door.load(keras3.Model(inputs, x)))
    stripped = tfmot.sparsity.keras.strip_pruning(pruned)
    data = np.ones((2, 6), "float32")
    assert difference(door.to_keras3(stripped)(data), stripped(data)) == 0


def small_dense() -> Any:
    return keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(2)])


def test_layers_wrapped_for_quantization_are_refused_by_name() -> None:
    tfmot = importlib.import_module("tensorflow_model_optimization")
    with pytest.raises(UserError, match="quantization-aware training") as caught:
        door.to_keras3(tfmot.quantization.keras.quantize_model(small_dense()))
    assert "TFLite" in caught.value.hint


OLD = {"recurrent_activation": "hard_sigmoid"}
# Name of the test -> (maker of the layer, input shape): where the old hard sigmoid may be.
HARD_SIGMOIDS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "LSTM": (lambda n: n.LSTM(4, **OLD), (5, 3)),
    "GRU": (lambda n: n.GRU(4, **OLD), (5, 3)),
    "GRU, the older": (lambda n: n.GRU(4, reset_after=False, **OLD), (5, 3)),
    "convolutional": (lambda n: n.ConvLSTM1D(2, 3), (3, 6, 2)),  # It is its default.
    "bidirectional": (lambda n: n.Bidirectional(n.LSTM(4, **OLD)), (5, 3)),
    "bidirectional, unlike halves": (
        lambda n: n.Bidirectional(n.GRU(4, **OLD), backward_layer=n.GRU(4, go_backwards=True)),
        (5, 3),
    ),
    "a cell": (lambda n: n.RNN(n.LSTMCell(4, **OLD)), (5, 3)),
    "stacked cells": (lambda n: n.RNN([n.GRUCell(4, **OLD), n.LSTMCell(3), n.LSTMCell(4, **OLD)]), (5, 3)),
    "time distributed": (lambda n: n.TimeDistributed(n.LSTM(4, **OLD)), (2, 5, 3)),
    "time distributed model": (
        lambda n: n.TimeDistributed(keras.Sequential([n.Input((5, 3)), n.LSTM(4, **OLD)])),
        (2, 5, 3),
    ),
    "dense": (lambda n: n.Dense(2, activation="hard_sigmoid"), (3,)),
    "activation": (lambda n: n.Activation("hard_sigmoid"), (3,)),
}


@pytest.mark.parametrize("name", HARD_SIGMOIDS)
def test_the_old_hard_sigmoid_goes_out_exactly(name: str, tmp_path: Path) -> None:
    make, shape = HARD_SIGMOIDS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, make(keras.layers)(inputs))
    random_weights(model)
    data = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
    assert difference(door.to_keras3(model)(data), model(data)) < 1e-6
    door.save(model, tmp_path / "m.keras")
    assert difference(keras3.models.load_model(tmp_path / "m.keras")(data), model(data)) < 1e-6


def test_the_old_hard_sigmoid_keeps_a_mask() -> None:
    inputs, layers = keras.Input((None,), dtype="int32"), keras.layers
    x = layers.Dense(4, activation="hard_sigmoid", name="d")(layers.Embedding(4, 3, mask_zero=True)(inputs))
    model = keras.Model(inputs, layers.LSTM(3)(x))
    random_weights(model)
    tokens = np.array([[1, 2, 3, 0, 0, 0], [3, 0, 0, 0, 0, 0]], "int32")
    new = door.to_keras3(model)
    for outputs in (new(tokens), new.predict(tokens, verbose=0)):
        assert difference(outputs, model(tokens)) < 1e-6
    assert difference(new(tokens)[:1], new(tokens[:1, :3])) < 1e-6  # What is masked changes nothing.


def test_the_old_hard_sigmoid_between_the_steps_of_a_layer_is_refused() -> None:
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, keras.layers.SimpleRNN(4, activation="hard_sigmoid", name="inside")(inputs))
    with pytest.raises(UserError, match=r"layer 'inside'.*hard_sigmoid"):
        door.to_keras3(model)


def test_a_layer_of_keras2_only_is_refused_by_name() -> None:
    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, keras.layers.LocallyConnected1D(2, 3, name="local")(inputs))
    with pytest.raises(UserError, match=r"'local'.*LocallyConnected1D"):
        door.to_keras3(model)


def test_names_with_a_slash_go_out_without_it(tmp_path: Path) -> None:
    inputs = keras.Input((4,), name="x")
    outputs = keras.layers.ReLU(name="block/relu")(keras.layers.Dense(3, name="block/dense")(inputs))
    model = keras.Model(inputs, outputs, name="small/model")
    door.save(model, tmp_path / "m.keras")
    loaded = keras3.models.load_model(tmp_path / "m.keras")
    assert [layer.name for layer in loaded.layers] == ["x", "block_dense", "block_relu"]
    x = np.ones((1, 4), "float32")
    assert difference(loaded(x), model(x)) == 0


@pytest.mark.parametrize("name", ["ConvNeXtTiny", "MobileNetV3Small"])
def test_an_architecture_of_keras2_goes_out(name: str) -> None:
    application = importlib.import_module("tf_keras.applications")
    application = application.convnext if name == "ConvNeXtTiny" else application
    model = getattr(application, name)(weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3))
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype("float32")
    expected = np.asarray(model(x))
    # Keras 2's batch normalization is fused: the last bits differ in each of some thirty layers.
    assert difference(door.to_keras3(model)(x), expected) <= 1e-5 * np.abs(expected).max()


def test_thresholded_relu_goes_out_as_operations() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.ThresholdedReLU(0.5)(inputs))
    x = np.array([[-1, 0.5, 0.6, 2]], "float32")
    np.testing.assert_array_equal(door.to_keras3(model)(x), np.array([[0, 0, 0.6, 2]], "float32"))


def test_two_threads_save_at_once(tmp_path: Path) -> None:
    model = door.to_keras3(small_model())
    threads = [threading.Thread(target=door.save, args=(model, tmp_path / "m.keras")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert difference(keras3.models.load_model(tmp_path / "m.keras")(X), model(X)) == 0

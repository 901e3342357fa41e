"""What a probe says of a layer: against arithmetic on models whose weights are known."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.diagnosis.health import Health, LayerProbe, from_json
from tfday7.diagnosis.measuring import probing
from tfday7.diagnosis.measuring.probing import Prober
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig
from tfday7.training.fitting import compile_model


def _compiled(model: Any, dataset: Dataset) -> Any:
    compile_model(model, dataset, OptimizerConfig(), TrainingConfig())
    return model


def _named(prober: Prober, epoch: int = 0) -> dict[str, LayerProbe]:
    return {layer.name: layer for layer in prober.probe(epoch).layers}


@pytest.fixture
def network(blobs: Dataset) -> Any:
    tensor = keras.Input((2,))
    x = keras.layers.Dense(4, activation="relu", name="hidden")(tensor)
    x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.Dense(3, activation="tanh", name="bounded")(x)
    return _compiled(keras.Model(tensor, keras.layers.Dense(2, name="logits")(x)), blobs)


def test_outputs_and_dead_units_are_those_of_the_weights(network: Any, blobs: Dataset) -> None:
    kernel, bias = network.get_layer("hidden").get_weights()
    bias[1] = -1000.0
    network.get_layer("hidden").set_weights([kernel, bias])
    prober = Prober(network, blobs)
    probe = _named(prober)["hidden"]
    output = np.maximum(prober.x.numpy() @ kernel + bias, 0.0)
    assert (probe.kind, probe.activation) == ("Dense", "relu")
    assert probe.mean == pytest.approx(output.mean(), rel=1e-4)
    assert probe.std == pytest.approx(output.std(), rel=1e-4)
    assert probe.dead_share == np.mean(np.all(output <= 0, axis=0)) >= 0.25
    assert probe.weight == pytest.approx(math.sqrt(np.mean(kernel**2)), rel=1e-5)
    assert probe.saturated_share is None


def test_saturated_outputs_are_counted(network: Any, blobs: Dataset) -> None:
    kernel, _ = network.get_layer("bounded").get_weights()
    network.get_layer("bounded").set_weights([kernel * 0.0, np.array([9.0, 0.5, -9.0], np.float32)])
    assert _named(Prober(network, blobs))["bounded"].saturated_share == pytest.approx(2 / 3)


def test_gradients_are_those_of_keras(network: Any, blobs: Dataset) -> None:
    prober = Prober(network, blobs)
    with tf.GradientTape() as tape:
        loss = network.compute_loss(prober.x, prober.y, network(prober.x, training=False))
    expected = tape.gradient(loss, network.trainable_variables)
    probe = prober.probe(0)
    assert probe.loss == pytest.approx(float(loss), rel=1e-5)
    assert probe.dropout == pytest.approx(0.3)
    assert probe.last_activation == ""
    found = [layer.gradient for layer in probe.layers if layer.weight is not None]
    np.testing.assert_allclose(found, [np.sqrt(np.mean(np.square(g))) for g in expected[::2]], rtol=1e-4)


def test_change_is_measured_from_the_start(network: Any, blobs: Dataset) -> None:
    prober = Prober(network, blobs)
    assert _named(prober)["hidden"].change is None
    kernel, bias = network.get_layer("hidden").get_weights()
    network.get_layer("hidden").set_weights([kernel + 0.5, bias])
    assert _named(prober, 3)["hidden"].change == pytest.approx(0.5, rel=1e-5)
    assert _named(prober, 3)["logits"].change == 0.0


def test_a_frozen_layer_has_no_gradient(network: Any, blobs: Dataset) -> None:
    network.get_layer("hidden").trainable = False
    named = _named(Prober(network, blobs))
    assert named["hidden"].gradient is None
    assert named["logits"].gradient > 0


def test_statistics_that_are_not_the_data_s_show_by_how_many_deviations(blobs: Dataset) -> None:
    tensor = keras.Input((2,))
    norm = keras.layers.BatchNormalization(name="norm", epsilon=1e-9)
    model = _compiled(keras.Model(tensor, keras.layers.Dense(2)(norm(tensor))), blobs)
    prober = Prober(model, blobs)
    x = prober.x.numpy().astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    norm.set_weights([np.ones(2), np.zeros(2), mean, std**2])
    assert _named(prober)["norm"].statistics_gap == pytest.approx(0.0, abs=1e-3)
    norm.set_weights([np.ones(2), np.zeros(2), mean + 3 * std, std**2])
    assert _named(prober)["norm"].statistics_gap == pytest.approx(3.0, rel=1e-3)
    norm.set_weights([np.ones(2), np.zeros(2), mean, std**2 * math.exp(4.0)])  # exp(2) times the deviation.
    assert _named(prober)["norm"].statistics_gap == pytest.approx(2.0, rel=1e-3)


def test_the_first_kernel_s_view_is_behind_layers_without_weights(blobs: Dataset) -> None:
    tensor = keras.Input((2,))
    x = keras.layers.Rescaling([100.0, 1.0], [50.0, 0.0])(tensor)
    prober = Prober(_compiled(keras.Model(tensor, keras.layers.Dense(2)(x)), blobs), blobs)
    seen = prober.x.numpy() * [100.0, 1.0] + [50.0, 0.0]
    probe = _named(prober)["input"]
    assert (probe.kind, probe.mean) == ("Input", pytest.approx(seen.mean(), rel=1e-5))
    deviations = seen.std(axis=0)
    assert probe.scale_ratio == pytest.approx(deviations.max() / deviations.min(), rel=1e-4)


def test_a_constant_column_has_no_scale() -> None:
    generator = np.random.default_rng(0)
    x = np.column_stack([generator.normal(size=(300, 2)), np.full(300, 0.1)])  # 0.1 is rounded, and so is its mean.
    table = prepare(Raw(x, np.arange(300) % 2), "table")
    tensor = keras.Input((3,))
    prober = Prober(_compiled(keras.Model(tensor, keras.layers.Dense(2)(tensor)), table), table)
    assert _named(prober)["input"].scale_ratio < 1.5


def test_the_output_s_activation_is_found_behind_layers_that_rescale(line: Dataset) -> None:
    tensor = keras.Input((2,))
    x = keras.layers.Dense(1, activation="relu")(tensor)
    model = _compiled(keras.Model(tensor, keras.layers.Rescaling(50.0)(x)), line)
    assert Prober(model, line).probe(0).last_activation == "relu"


def test_a_probe_changes_nothing(pictures: Dataset) -> None:
    model = _compiled(building.build(ModelConfig("resnet8", width=2, dropout=0.2), pictures.problem), pictures)
    before = [weight.copy() for weight in model.get_weights()]
    state = tf.random.get_global_generator().state.numpy()
    Prober(model, pictures).probe(0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(tf.random.get_global_generator().state.numpy(), state)


@pytest.mark.parametrize("name", ["mlp", "cnn", "ds_cnn", "resnet8", "mobilenet_v2", "linear"])
def test_every_architecture_can_be_probed_and_recorded(name: str, pictures: Dataset) -> None:
    model = _compiled(
        building.build(ModelConfig(name, width=None if name == "linear" else 4), pictures.problem), pictures
    )
    probe = Prober(model, pictures).probe(0)
    assert any(layer.gradient for layer in probe.layers)
    record = json.loads(json.dumps(Health(probes=(probe,)).to_json(), allow_nan=False))
    assert from_json(record).probes == (probe,)


def test_values_that_are_no_numbers_become_null(network: Any, blobs: Dataset) -> None:
    kernel, bias = network.get_layer("hidden").get_weights()
    network.get_layer("hidden").set_weights([kernel * np.nan, bias])
    probe = Prober(network, blobs).probe(0)
    assert probe.loss is None
    json.dumps(dataclasses.asdict(probe), allow_nan=False)


def test_units_that_leak_are_not_dead(blobs: Dataset) -> None:
    tensor = keras.Input((2,))
    x = keras.layers.LeakyReLU(name="leaky")(
        keras.layers.Dense(3, bias_initializer=keras.initializers.Constant(-20.0))(tensor)
    )
    model = _compiled(keras.Model(tensor, keras.layers.Dense(2)(x)), blobs)
    assert _named(Prober(model, blobs))["leaky"].dead_share is None


def test_models_with_scalars_branches_and_layers_called_twice_are_probed(blobs: Dataset) -> None:
    tensor = keras.Input((2,))
    scaled = tensor / (tf.reduce_max(tf.abs(tensor)) + 1.0)
    shared = keras.layers.Dense(3, activation="relu", name="shared")
    x = keras.layers.Concatenate()([shared(scaled), shared(tensor * 100.0), keras.layers.Rescaling(1e4)(tensor)])
    model = _compiled(keras.Model(tensor, keras.layers.Dense(2)(x)), blobs)
    probe = Prober(model, blobs).probe(0)
    assert probe.loss is not None
    seen = next(layer for layer in probe.layers if layer.kind == "Input")
    assert seen.std < 1e3  # What the first layer gets, not what a branch beside it does.


def test_a_batch_of_large_layers_is_small(blobs: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = keras.Input((2,))
    model = _compiled(keras.Model(tensor, keras.layers.Dense(2)(keras.layers.Dense(1000)(tensor))), blobs)
    monkeypatch.setattr("tfday7.diagnosis.measuring.probing.MAX_VALUES", 10_000)
    assert len(Prober(model, blobs).x) < 10


def test_only_batches_of_floating_numbers_are_probed() -> None:
    assert probing._is_batch(keras.Input((3,)))
    assert not probing._is_batch(keras.Input((3,), dtype="int32"))
    assert not probing._is_batch(keras.Input(batch_shape=(1, 3)))
    assert not probing._is_batch("no tensor")

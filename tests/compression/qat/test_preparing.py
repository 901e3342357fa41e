"""What `prepare` gives: a new model with calibrated ranges, the given one untouched, and words for what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compression.qat.compared import images

from tfday7.compression import qat
from tfday7.compression.qat.layers import FakeQuantize, QuantizedWeights
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.models import ModelConfig, building

LAYERS = keras.layers


def small() -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = LAYERS.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    return keras.Model(inputs, LAYERS.Dense(2, name="logits")(LAYERS.Flatten()(x)))


def test_the_given_model_stays_as_it_is() -> None:
    model = small()
    before = model.get_weights()
    qat.prepare(model, images())
    assert not qat.is_quantized(model)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_ranges_are_those_of_training_examples() -> None:
    dataset = images()
    model, left = qat.prepare(small(), dataset)
    assert left == []
    x = np.concatenate([dataset.train.x, dataset.validation.x])
    assert float(model.get_layer("input_range").low) == pytest.approx(min(x.min(), 0.0))
    assert float(model.get_layer("input_range").high) == pytest.approx(x.max())
    assert float(model.get_layer("conv_range").low) == 0.0  # Behind the rectifier.


def test_without_training_it_decides_as_the_given_model_does() -> None:
    dataset, given = images(), small()
    model, _ = qat.prepare(given, dataset)
    expected, outputs = (each(dataset.test.x, training=False).numpy() for each in (given, model))
    assert 0 < np.abs(outputs - expected).max() < 0.05 * np.abs(expected).max()


def test_a_skipped_layer_has_its_weights_as_they_are_and_is_named() -> None:
    model, left = qat.prepare(small(), images(), skip=("conv",))
    assert [each.layer for each in left] == ["conv"]
    assert isinstance(model.get_layer("conv"), LAYERS.Conv2D)
    assert isinstance(model.get_layer("logits"), QuantizedWeights)


def test_an_unknown_layer_to_skip_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="no layer 'cone'") as error:
        qat.prepare(small(), images(), skip=("cone",))
    assert "conv, logits" in str(error.value.hint)


def test_a_model_that_has_fake_quantization_is_refused() -> None:
    model, _ = qat.prepare(small(), images())
    with pytest.raises(UserError, match="has fake quantization already"):
        qat.prepare(model, images())


def test_a_model_with_two_outputs_is_refused() -> None:
    model = small()
    with pytest.raises(UserError, match="one input and one output"):
        qat.prepare(keras.Model(model.input, [model.output, model.output]), images())


def test_an_unknown_layer_leaves_the_ranges_to_the_export_and_is_named() -> None:
    inputs = keras.Input((8, 8, 3))
    x = LAYERS.Conv2D(8, 3, activation="softplus", name="conv")(inputs)
    model, left = qat.prepare(keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Flatten()(x))), images())
    assert [each.layer for each in left] == ["conv_activation"]
    assert "softplus" in left[0].reason
    assert not any(each.exported for each in model.submodules if isinstance(each, FakeQuantize))


def test_a_mask_passes_through_the_layers_that_round(blobs: Any) -> None:
    inputs = keras.Input((2,))
    x = LAYERS.Dense(4)(LAYERS.Masking()(LAYERS.Reshape((2, 1))(inputs)))
    given = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.LSTM(4)(x)))
    model, left = qat.prepare(given, blobs)
    assert {each.layer.split("_")[0] for each in left} == {"masking", "lstm"}
    x = np.array([[0.0, 1.0], [2.0, 0.0]], np.float32)  # A step of 0 is masked.
    expected, outputs = (each(x, training=False).numpy() for each in (given, model))
    np.testing.assert_allclose(outputs, expected, atol=0.05)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet8", "ds_cnn", "mobilenet_v2"])
def test_every_weight_of_a_family_is_rounded_and_nothing_is_left(name: str) -> None:
    dataset = images()
    sizes = {"mobilenet_v2": {"width": 8, "depth": 2}}.get(name, {"width": 8})
    given = building.build(ModelConfig(model=name, **sizes), dataset.problem)
    model, left = qat.prepare(given, dataset)
    assert left == []
    kernels = {layer.name for layer in given.layers if any(w.shape.rank >= 2 for w in layer.weights)}
    assert {layer.name for layer in model.layers if isinstance(layer, QuantizedWeights)} == kernels


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda x: LAYERS.ELU(name="act")(x), "act"),
        (lambda x: LAYERS.Conv2D(8, 3, groups=2, activation="elu", name="conv2")(x), "conv2_activation"),
        (lambda x: tf.nn.elu(x), r"tf.nn.elu\S*"),
    ],
)
def test_what_the_converter_leaves_in_floating_point_is_refused_before_any_training(make: Any, named: str) -> None:
    inputs = keras.Input((8, 8, 3))
    x = make(LAYERS.Conv2D(8, 3, name="conv")(inputs))
    model = keras.Model(inputs, LAYERS.Dense(2, name="logits")(LAYERS.Flatten()(x)))
    with pytest.raises(UserError, match=f"layer '{named}': the converter leaves ELU in floating point") as caught:
        qat.prepare(model, images())
    assert "a recipe without qat" in caught.value.hint

"""keras.applications with a new head: the same weights, preprocessing and shapes as Keras's own; frozen layers."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.models import ModelConfig, building, transfer
from tfday7.planning import Plan
from tfday7.training.config import TrainingConfig

PROBLEM = Problem("classification", "image", (32, 32, 3), 3, ("a", "b", "c"))


def _config(name: str = "MobileNetV2", **changes: object) -> ModelConfig:
    return ModelConfig(model=f"keras.applications:{name}", **changes)  # type: ignore[arg-type]


def test_the_names_are_those_of_keras() -> None:
    functions = {name for name, item in vars(keras.applications).items() if inspect.isfunction(item)}
    assert set(transfer.NAMES) == functions


# One of each way to preprocess: to [-1, 1]; ImageNet's mean and deviation; blue first without its mean; inside.
@pytest.mark.parametrize("name", ["MobileNetV2", "DenseNet121", "VGG16", "EfficientNetB0"])
def test_it_computes_what_kerass_own_does_on_pixels_from_0_to_255(name: str) -> None:
    model = building.build(_config(name), PROBLEM)
    make = getattr(keras.applications, name)
    theirs = make(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    theirs.set_weights(model.get_weights()[2 * (name == "VGG16") : -2])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    features = theirs(sys.modules[make.__module__].preprocess_input(pixels.copy())).numpy()
    kernel, bias = model.get_layer("logits").get_weights()
    expected = features @ kernel + bias
    np.testing.assert_allclose(model(pixels / 255.0).numpy(), expected, atol=1e-4 * np.abs(expected).max())
    colours = 3 * 3 + 3 if name == "VGG16" else 0
    assert model.count_params() == theirs.count_params() + colours + features.shape[1] * 3 + 3


def test_pretrained_weights_are_for_pixels_from_0_to_1() -> None:
    x, y = np.random.default_rng(0).random((60, 32, 32, 3), np.float32), np.arange(60) % 3
    for inputs, refused in ((x, False), (x * 255, True), (x * 2 - 1, True), ((x * 255).astype(np.uint8), False)):
        dataset = prepare(Raw(inputs, y), "images")
        Plan(model=_config(), training=TrainingConfig(batch_size=8)).check(dataset)  # New weights may learn any scale.
        pretrained = Plan(model=_config(pretrained=True), training=TrainingConfig(batch_size=8))
        if refused:
            with pytest.raises(
                UserError, match="MobileNetV2 with --pretrained takes pixels from 0 to 1, but the train"
            ):
                pretrained.check(dataset)
        else:
            pretrained.check(dataset)


def test_regression_ends_in_the_targets_unit_and_dropout_stands_before_the_head() -> None:
    mean, std = np.array([70.0], np.float32), np.array([9.0], np.float32)
    problem = Problem("regression", "image", (32, 32, 3), 1, target_mean=mean, target_std=std)
    model = building.build(_config(dropout=0.3), problem)
    assert [layer.name for layer in model.layers[-3:]] == ["dropout", "standardized_output", "output"]
    assert model.layers[-3].rate == 0.3


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ((28, 28, 1), "image", r"takes images \[height, width, 3\], but the examples have the shape \(28, 28, 1\)"),
        ((4,), "tabular", r"the shape \(4,\)"),
        ((8, 8, 3), "image", r"does not take images of \(8, 8, 3\) \(Input size must be at least 32x32"),
    ],
)
def test_what_it_does_not_take_is_refused(shape: tuple[int, ...], kind: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        building.build(_config(), Problem("classification", kind, shape, 2, ("a", "b")))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "keras.applications:MobileNetV9"}, "unknown model of keras.applications 'MobileNetV9'"),
        ({"model": "keras.applications:"}, "unknown model of keras.applications ''"),
        ({"model": "keras.applications:VGG16", "width": 3}, "--width=3 contradicts --model=keras.applications:VGG16"),
        ({"model": "keras.applications:VGG16", "l2": 0.1}, "--l2=0.1 contradicts"),
        ({"model": "mlp", "pretrained": True}, "--pretrained contradicts --model=mlp"),
    ],
)
def test_a_mistake_in_the_name_or_its_flags_is_caught_before_anything_is_built(config: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        building.check_name(ModelConfig(**config))


def test_weights_come_from_the_cache_and_are_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_128_no_top.h5"
    problem = Problem("classification", "image", (128, 128, 3), 3, ("a", "b", "c"))
    with pytest.raises(UserError, match=f"{name} is missing") as caught:
        building.build(_config(pretrained=True), problem)
    assert "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/" in caught.value.hint
    theirs = keras.applications.MobileNetV2((128, 128, 3), include_top=False, weights=None)
    (tmp_path / "models").mkdir()
    theirs.save_weights(tmp_path / "models" / name)
    model = building.build(_config(pretrained=True), problem, seed=5)
    for mine, known in zip(model.get_weights()[:-2], theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, known)


def test_untrained_normalization_settles_within_a_small_data_set() -> None:
    model = building.build(_config(), PROBLEM)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 52
    assert {layer.momentum for layer in norms} == {0.9}  # 0.999 in Keras's own.
    assert {layer.get_config()["momentum"] for layer in norms} == {0.9}


def _small() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, name="a"),
            layers.BatchNormalization(name="b"),
            layers.Dense(4, name="c"),
            layers.Dropout(0.1),
            layers.Dense(4, name="d"),
            layers.Dense(2, name="head"),
        ]
    )


def test_freezing_leaves_the_head_and_unfreezing_goes_from_the_output_down() -> None:
    model = _small()
    layers = transfer.freezable(model)
    assert [layer.name for layer in layers] == ["a", "b", "c", "d"]
    trained = []
    for stage in range(6):
        changed = transfer.freeze(layers, stage)
        assert changed == (stage <= 4)
        trained.append([layer.name for layer in model.layers if layer.trainable_weights])
    assert trained == [
        ["head"],
        ["d", "head"],
        ["c", "d", "head"],
        ["b", "c", "d", "head"],
        ["a", "b", "c", "d", "head"],
        ["a", "b", "c", "d", "head"],
    ]


def test_frozen_normalization_keeps_its_statistics_in_training() -> None:
    model = _small()
    transfer.freeze(transfer.freezable(model))
    model.compile("sgd", "mse")
    before = [weight.copy() for weight in model.get_weights()]
    model.fit(np.full((8, 4), 5.0), np.ones((8, 2)), epochs=2, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] * (len(before) - 2) + [True, True]


def test_a_model_of_a_single_layer_cannot_be_frozen() -> None:
    with pytest.raises(UserError, match="a single layer with weights"):
        transfer.freezable(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


def _classifier(outputs: int, end: str = "softmax") -> keras.Model:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="features")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(outputs, name="logits")(x)
    return keras.Model(inputs, keras.layers.Activation(end)(x))


def test_a_new_head_sees_what_the_old_one_saw(tmp_path: Path) -> None:
    old = _classifier(7)
    old.save(tmp_path / "old.keras")
    problem = Problem("classification", "image", (8, 8, 1), 3, ("a", "b", "c"))
    config = ModelConfig(model=str(tmp_path / "old.keras"), head="new", dropout=0.4)
    model = building.build(config, problem)
    assert [type(layer).__name__ for layer in model.layers][-2:] == ["Dropout", "Dense"]
    x = np.random.default_rng(0).uniform(size=(5, 8, 8, 1)).astype(np.float32)
    features = keras.Model(old.input, old.get_layer("logits").input)(x).numpy()
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(model(x).numpy(), features @ kernel + bias, atol=1e-6)
    assert [layer.name for layer in transfer.freezable(model)] == ["features"]


def test_without_a_new_head_a_model_with_other_outputs_is_refused(tmp_path: Path) -> None:
    _classifier(7).save(tmp_path / "old.keras")
    problem = Problem("classification", "image", (8, 8, 1), 3, ("a", "b", "c"))
    with pytest.raises(UserError, match=r"gives outputs of shape \(7,\)"):
        building.build(ModelConfig(model=str(tmp_path / "old.keras")), problem)


def test_a_model_that_ends_in_no_dense_layer_gets_no_new_head(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, name="last")(inputs))
    keras.Model(inputs, x).save(tmp_path / "old.keras")
    problem = Problem("classification", "image", (8, 8, 1), 3, ("a", "b", "c"))
    with pytest.raises(UserError, match=r"last layer with weights is last \(Conv2D\)"):
        building.build(ModelConfig(model=str(tmp_path / "old.keras"), head="new"), problem)


def test_imagenets_own_head_is_kept_for_its_thousand_classes() -> None:
    names = tuple(str(i) for i in range(1000))
    model = building.build(_config(head="own"), Problem("classification", "image", (32, 32, 3), 1000, names))
    theirs = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), classifier_activation=None)
    theirs.set_weights(model.get_weights())
    x = np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(model(x).numpy(), theirs(x * 2.0 - 1.0).numpy(), atol=1e-6)
    with pytest.raises(UserError, match=r"gives outputs of shape \(1000,\); the data has 3 classes"):
        building.build(_config(head="own"), PROBLEM)


@pytest.mark.parametrize(
    "config",
    [
        {"model": "mlp", "head": "new"},
        {"model": "python:a:b", "dropout": 0.1},
        {**_config(head="own", dropout=0.1).__dict__},
    ],
)
def test_a_head_that_contradicts_the_model_is_refused_without_tensorflow(config: dict) -> None:
    with pytest.raises(UserError, match="contradicts --model="):
        building.check_name(ModelConfig(**config))

"""BatchNormalization in training: the fused kernel where a model was told to do without, and no trace of it behind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfday7 import models
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.optimizers import OptimizerConfig
from tfday7.training import batch_statistics, fitting, step_time
from tfday7.training.config import TrainingConfig

IMAGES = np.random.default_rng(3).normal(2.0, 3.0, size=(6, 4, 5, 3)).astype(np.float32)


def normalizing(images: Any = None, **settings: Any) -> Any:
    given = keras.Input(IMAGES.shape[1:])
    x = keras.layers.BatchNormalization(momentum=0.9, **settings)(given if images is None else images(given))
    return keras.Model(given, x)


def from_keras_3(folder: Path, model: Any) -> Any:
    models.save(model, folder / "model.keras")
    return models.load(folder / "model.keras")


def layer_of(model: Any) -> Any:
    return next(each for each in model.submodules if isinstance(each, keras.layers.BatchNormalization))


def moving_variance(model: Any, x: Any = IMAGES) -> Any:
    """Returns it after one step from 1, and leaves the model as it is otherwise."""
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(x, x, batch_size=len(x), verbose=0)
    return layer_of(model).moving_variance.numpy()


def expected(unbiased: bool, x: Any = IMAGES) -> Any:
    n = x[..., 0].size
    return 0.9 + 0.1 * x.var(axis=(0, 1, 2)) * (n / (n - 1) if unbiased else 1.0)


def test_a_model_of_keras_3_trains_with_the_fused_kernel(tmp_path: Path) -> None:
    """The kernel's moving variance is the unbiased one, by the closed form: n / (n - 1) of the batch's."""
    model = from_keras_3(tmp_path, normalizing())
    assert layer_of(model).fused is False
    with batch_statistics.fused(model):
        np.testing.assert_allclose(moving_variance(model), expected(unbiased=True), rtol=1e-5)
        assert layer_of(models.load(model)).fused is False  # A copy made meanwhile is none for training.
    np.testing.assert_allclose(layer_of(model).moving_mean.numpy(), 0.1 * IMAGES.mean(axis=(0, 1, 2)), rtol=1e-5)
    again = from_keras_3(tmp_path, normalizing())
    with batch_statistics.fused(again):
        pass
    np.testing.assert_allclose(moving_variance(again), expected(unbiased=False), rtol=1e-5)


def test_training_uses_it_and_leaves_no_trace(tmp_path: Path, pictures: Dataset) -> None:
    given = keras.Input(pictures.problem.input_shape)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3)(given))
    model = from_keras_3(tmp_path, keras.Model(given, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(x))))
    used = []
    layer, own = layer_of(model), layer_of(model)._fused_batch_norm
    layer._fused_batch_norm = lambda *arguments, **named: used.append(layer.fused) or own(*arguments, **named)
    optimizer, training = OptimizerConfig(optimizer="sgd", learning_rate=0.1), TrainingConfig(epochs=1)
    fitting.fit(model, pictures, optimizer, training)
    assert used
    used.clear()
    step_time.measure(model, pictures, optimizer, training)
    assert used
    used.clear()
    model.predict(pictures.test.x, verbose=0)
    assert not used
    assert layer.fused is False


def test_over_replicas_the_moving_variance_is_that_of_the_kernel(tmp_path: Path) -> None:
    """By two replicas in name: what is set up before it is traced."""
    model = from_keras_3(tmp_path, normalizing())
    two = SimpleNamespace(
        distribute_strategy=SimpleNamespace(num_replicas_in_sync=2), submodules=list(model.submodules)
    )
    for _ in range(2):
        with batch_statistics.fused(model):
            batch_statistics.prepare(two, 1)
            assert "call" not in vars(layer_of(model))
        assert layer_of(model).fused is False
        assert layer_of(model)._calculate_mean_and_var.corrects


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_layer_is_left_alone_where_all_has_to_be_deterministic(tmp_path: Path, frozen: bool) -> None:
    model = from_keras_3(tmp_path, normalizing())
    layer_of(model).trainable = not frozen
    with batch_statistics.fused(model, deterministic=True):
        assert ("call" in vars(layer_of(model))) != frozen


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_with_it(tmp_path: Path, policy: str) -> None:
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = from_keras_3(tmp_path, normalizing())
    finally:
        keras.mixed_precision.set_global_policy("float32")
    with batch_statistics.fused(model):
        np.testing.assert_allclose(moving_variance(model), expected(unbiased=True), rtol=1e-2)


def test_a_call_with_a_mask_goes_without_it(tmp_path: Path) -> None:
    """Of the masked places nothing counts: by the mean of the others alone."""
    inner = from_keras_3(tmp_path, normalizing())
    given = keras.Input(IMAGES.shape[1:])
    model = keras.Model(given, inner(keras.layers.Masking(mask_value=0.0)(given)))
    x = IMAGES.copy()
    x[:3] = 0.0
    with batch_statistics.fused(model):
        np.testing.assert_allclose(moving_variance(model, x), expected(unbiased=False, x=IMAGES[3:]), rtol=1e-4)


def test_afterwards_it_answers_as_it_would_have(tmp_path: Path) -> None:
    """The same bits, also from graphs that were traced meanwhile."""
    model = from_keras_3(tmp_path, normalizing())
    model.set_weights([np.float32([0.3, 1.7, 2.9]), np.float32([0.1, 0.2, -0.3]), *model.get_weights()[2:]])
    before = model.predict(IMAGES, verbose=0)
    model.predict_function = None
    with batch_statistics.fused(model):
        meanwhile = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(meanwhile, before, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), before)
    assert layer_of(model).fused is False


def test_it_is_undone_when_training_fails(tmp_path: Path) -> None:
    model = from_keras_3(tmp_path, normalizing())

    def fail() -> None:
        with batch_statistics.fused(model):
            assert "call" in vars(layer_of(model))
            raise ValueError("by hand")

    with pytest.raises(ValueError, match="by hand"):
        fail()
    assert "call" not in vars(layer_of(model))


@pytest.mark.parametrize(
    "model",
    [
        lambda: normalizing(axis=1, fused=False),
        lambda: normalizing(keras.layers.Reshape((20, 3)), fused=False),
        lambda: normalizing(renorm=True),
        lambda: normalizing(synchronized=True),
    ],
    ids=["channels first", "no images", "renormalized", "synchronized"],
)
def test_what_the_kernel_cannot_do_is_left(model: Any) -> None:
    made = model()
    with batch_statistics.fused(made):
        assert "call" not in vars(layer_of(made))


def test_a_class_of_somebodys_own_is_left() -> None:
    class Own(keras.layers.BatchNormalization):
        pass

    given = keras.Input(IMAGES.shape[1:])
    made = keras.Model(given, Own(fused=False)(given))
    with batch_statistics.fused(made):
        assert "call" not in vars(layer_of(made))


def test_what_uses_it_already_goes_on_with_it() -> None:
    model = normalizing()
    with batch_statistics.fused(model):
        assert layer_of(model).fused is True
    assert layer_of(model).fused is True

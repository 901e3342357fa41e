"""BatchNormalization in training: the fused kernel where a model was told to do without, and no trace of it behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7 import models
from tfday7.core.frameworks import keras
from tfday7.training import batch_statistics

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


def test_a_model_of_keras_3_trains_with_the_fused_kernel(tmp_path: Path) -> None:
    """The kernel's moving variance is the unbiased one, by the closed form: n / (n - 1) of the batch's."""
    model = from_keras_3(tmp_path, normalizing())
    layer = layer_of(model)
    assert layer.fused is False
    model.compile(keras.optimizers.SGD(0.0), "mse")
    with batch_statistics.fused(model):
        assert layer.fused is True
        model.fit(IMAGES, IMAGES, batch_size=len(IMAGES), verbose=0)
    n = IMAGES[..., 0].size
    variance = 0.9 + 0.1 * IMAGES.var(axis=(0, 1, 2)) * n / (n - 1)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * IMAGES.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)


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
    with pytest.raises(ValueError, match="by hand"), batch_statistics.fused(model):
        raise ValueError("by hand")
    assert layer_of(model).fused is False


@pytest.mark.parametrize(
    "model",
    [
        lambda: normalizing(axis=2, fused=False),
        lambda: normalizing(keras.layers.Reshape((20, 3)), fused=False),
        lambda: normalizing(renorm=True),
        lambda: normalizing(keras.layers.Masking(), fused=False),
        lambda: normalizing(synchronized=True),
    ],
    ids=["another axis", "no images", "renormalized", "masked", "synchronized"],
)
def test_what_the_kernel_cannot_do_is_left(model: Any) -> None:
    made = model()
    with batch_statistics.fused(made):
        assert layer_of(made).fused is False


def test_what_uses_it_already_goes_on_with_it() -> None:
    model = normalizing()
    with batch_statistics.fused(model):
        assert layer_of(model).fused is True
    assert layer_of(model).fused is True

"""What a run needs of every optimizer alike: replicas, a mesh, resume, loss scaling, clipping, sparse gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optimizers.stepping import GRADIENTS, HERE, START, small_model
from support import start_script

from tfday7.core.frameworks import keras, tf
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers import state as optimizer_state
from tfday7.optimizers.table import OPTIMIZERS
from tfday7.training import TrainingConfig, fitting, state


def _compiled(name: str, **settings: Any) -> Any:
    model = small_model()
    config = OptimizerConfig(optimizer=name, schedule="constant", warmup_steps=4, **settings)
    model.compile(catalog.build(config, 8, model), "mse")
    return model


def _train(model: Any, steps: list[list[np.ndarray]]) -> None:
    for gradients in steps:
        model.optimizer.apply_gradients(zip(map(tf.constant, gradients), model.trainable_variables, strict=True))


def _apart(script: str, *names: str) -> dict[str, tuple[float, float]]:
    """Runs a script that trains in two ways: virtual devices must be set before TensorFlow starts."""
    started = start_script(Path(__file__).parent / script, *names)
    out, err = started.communicate(timeout=900)
    assert started.returncode == 0, err[-3000:]
    return {name: (moved, apart) for name, (moved, apart) in json.loads(out).items()}


@pytest.mark.slow
def test_two_replicas_end_where_one_device_does() -> None:
    distances = _apart("two_replicas.py", *HERE)
    assert set(distances) == set(HERE)
    for name, (moved, apart) in distances.items():
        assert moved > 1e-3, name
        assert apart < 1e-6, name


@pytest.mark.slow
def test_a_mesh_of_four_ends_where_one_device_does() -> None:
    """Matrices split over two devices, twice; tf_keras's own Adam, AdamW and SGD are the other side for these three."""
    distances = _apart("on_a_mesh.py")
    assert set(distances) == {name for name, spec in OPTIMIZERS.items() if spec.rule}
    for name, (moved, apart) in distances.items():
        assert moved > 1e-3, name
        assert apart < 1e-6, name


@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, {}) for name in HERE), ("adam", {"use_ema": True}), ("lamb", {"lookahead_steps": 3, "clipnorm": 1.0})],
)
def test_saved_and_resumed_steps_equal_uninterrupted_ones(name: str, settings: dict[str, Any]) -> None:
    whole, first, second = (_compiled(name, **settings) for _ in range(3))
    _train(whole, GRADIENTS)
    _train(first, GRADIENTS[:4])
    captured = state.capture(first)
    optimizer_state.build(second.optimizer, second.trainable_variables)
    state.restore(second, captured)
    _train(second, GRADIENTS[4:])
    arrays, expected = state.capture(second), state.capture(whole)
    assert arrays.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(arrays[key], value, key)
    assert optimizer_state.learning_rate(second.optimizer) == pytest.approx(OPTIMIZERS[name].learning_rate)


@pytest.mark.parametrize("name", HERE)
def test_a_step_under_a_loss_scale_is_the_step_without_it(name: str) -> None:
    plain, scaled = _compiled(name), small_model()
    inner = catalog.build(OptimizerConfig(optimizer=name, warmup_steps=4), 8, scaled)
    optimizer = keras.mixed_precision.LossScaleOptimizer(inner, dynamic=False, initial_scale=1024.0)
    optimizer_state.build(optimizer, scaled.trainable_variables)
    pairs = zip([tf.constant(1024.0 * each) for each in GRADIENTS[0]], scaled.trainable_variables, strict=True)
    unscaled = optimizer.get_unscaled_gradients([gradient for gradient, _ in pairs])
    optimizer.apply_gradients(zip(unscaled, scaled.trainable_variables, strict=True))
    _train(plain, GRADIENTS[:1])
    for start, mine, other in zip(START, scaled.get_weights(), plain.get_weights(), strict=True):
        assert np.abs(other - start).max() > 0
        np.testing.assert_allclose(mine, other, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in HERE if OPTIMIZERS[name].origin != "tf_keras"] + ["sgd"])
@pytest.mark.parametrize("clipping", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_gradients_are_clipped_before_the_step(name: str, clipping: str) -> None:
    clipped, plain = _compiled(name, **{clipping: 0.5}), _compiled(name)
    for gradients in GRADIENTS[:3]:
        _train(clipped, [gradients])
        _train(plain, [_clip(gradients, clipping, 0.5)])
    for mine, other in zip(clipped.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def _clip(gradients: list[np.ndarray], how: str, limit: float) -> list[np.ndarray]:
    if how == "clipvalue":
        return [np.clip(each, -limit, limit) for each in gradients]
    norms = [np.linalg.norm(each) for each in gradients]
    if how == "global_clipnorm":
        norms = [np.linalg.norm(norms)] * len(norms)
    return [each * min(1.0, limit / norm) for each, norm in zip(gradients, norms, strict=True)]


@pytest.mark.parametrize("name", [name for name in HERE if OPTIMIZERS[name].origin == "tfday7"])
def test_a_sparse_gradient_is_the_dense_one_with_zeros(name: str) -> None:
    def after(gradient: Any) -> np.ndarray:
        table = tf.Variable(START[0])
        model = small_model()
        optimizer = catalog.build(OptimizerConfig(optimizer=name), 8, model)
        for _ in range(3):
            optimizer.apply_gradients([(gradient, table)])
        return table.numpy()

    rows = tf.constant([[1.0, -2.0, 3.0], [0.5, 0.5, -0.5], [4.0, 0.0, 1.0]])
    dense = np.zeros((4, 3), np.float32)
    dense[2], dense[0] = [1.0 + 4.0, -2.0, 3.0 + 1.0], rows[1]  # A row that is named twice counts twice.
    sparse = after(tf.IndexedSlices(rows, tf.constant([2, 0, 2]), tf.constant([4, 3])))
    np.testing.assert_allclose(sparse, after(tf.constant(dense)), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"), [("nadam", "float32"), ("muon", "mixed_float16"), ("tfa_yogi", "mixed_float16")]
)
def test_a_run_that_goes_on_equals_one_that_did_not_stop(
    name: str, precision: str, blobs: Dataset, tmp_path: Path
) -> None:
    if name not in HERE:
        pytest.skip("tensorflow-addons has no wheels for this Python")
    config = OptimizerConfig(optimizer=name, warmup_steps=10)

    def losses(folder: str, epochs: int) -> list[float]:
        model = building.build(ModelConfig(model="mlp", width=8, depth=1), blobs.problem, precision)
        training = TrainingConfig(epochs=epochs, precision=precision)
        fitted = fitting.fit(model, blobs, config, training, RunFolder(tmp_path / folder))
        return [record[key] for record in fitted.records for key in ("loss", "val_loss")]

    losses("grown", 1)
    assert losses("grown", 3) == losses("whole", 3)

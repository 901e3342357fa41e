"""Dropout and L2 grow when the gap grows three epochs in a row, and the growth reaches the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.training.callbacks.adaptive_regularization import AdaptiveRegularization, check_model


def compiled_model() -> Any:
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.01))(inputs)
    x = keras.layers.Dropout(0.1)(x)
    model = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)(x))
    model.compile("sgd", "mse")
    return model


def run_epochs(callback: AdaptiveRegularization, gaps: list[float]) -> None:
    callback.on_train_begin()
    for epoch, gap in enumerate(gaps):
        # What the stronger penalty adds is in the loss that Keras reports.
        callback.on_epoch_end(epoch, {"loss": 1.0 + callback._added_penalty(), "val_loss": 1.0 + gap})


@pytest.mark.parametrize(
    ("gaps", "times"),
    [
        ([0.1, 0.2, 0.3, 0.4], 1),  # It has grown three times.
        ([0.1, 0.2, 0.3], 0),
        ([0.1, 0.2, 0.15, 0.3, 0.4], 0),  # It shrank in between.
        ([-0.4, -0.3, -0.2, -0.1], 0),  # Validation is still better than training.
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 2),
    ],
)
def test_it_strengthens_after_three_growths_in_a_row(gaps: list[float], times: int) -> None:
    callback = AdaptiveRegularization()
    callback.set_model(compiled_model())
    run_epochs(callback, gaps)
    assert len(callback.changes) == times


def test_it_doubles_l2_adds_a_tenth_of_dropout_and_stops_at_the_limits() -> None:
    callback, model = AdaptiveRegularization(), compiled_model()
    callback.set_model(model)
    for _ in range(9):
        run_epochs(callback, [0.1, 0.2, 0.3, 0.4])
    rates = [change["dropout"] for change in callback.changes]
    factors = [change["l2"] for change in callback.changes]
    assert rates == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert factors == pytest.approx([0.02, 0.04, 0.08, 0.1, 0.1])


def test_the_stronger_penalty_is_in_the_loss_of_the_next_step() -> None:
    """With a last layer of zeros the data's loss is constant, so what changes in the loss is the penalty alone."""
    callback, model = AdaptiveRegularization(), compiled_model()
    callback.set_model(model)
    x, y = np.ones((4, 4), np.float32), np.zeros((4, 1), np.float32)
    kernel = model.layers[1].get_weights()[0]
    model.optimizer.learning_rate = 0.0
    before = model.train_on_batch(x, y)
    run_epochs(callback, [0.1, 0.2, 0.3, 0.4])
    after = model.train_on_batch(x, y)
    assert before == pytest.approx(0.01 * np.sum(kernel**2), rel=1e-5)
    assert after == pytest.approx(0.02 * np.sum(kernel**2), rel=1e-5)


def test_the_stronger_penalty_is_taken_out_of_the_record() -> None:
    callback, model = AdaptiveRegularization(), compiled_model()
    callback.set_model(model)
    run_epochs(callback, [0.1, 0.2, 0.3, 0.4])
    kernel = model.layers[1].get_weights()[0]
    logs = {"loss": 3.0, "val_loss": 3.5}
    callback.on_epoch_end(9, logs)
    assert logs["loss"] == pytest.approx(3.0 - (0.02 - 0.01) * np.sum(kernel**2), rel=1e-5)


def test_a_model_with_nothing_to_strengthen_is_refused() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(UserError, match="neither Dropout nor L2"):
        check_model(keras.Model(inputs, keras.layers.Dense(1)(inputs)))
    check_model(compiled_model())


def test_state_survives_a_restart() -> None:
    first, model = AdaptiveRegularization(), compiled_model()
    first.set_model(model)
    run_epochs(first, [0.1, 0.2, 0.3, 0.4])
    second, fresh = AdaptiveRegularization(), compiled_model()
    second.set_model(fresh)
    second.set_state(first.get_state())
    assert fresh.layers[2].rate == pytest.approx(0.2)
    assert float(fresh.layers[1].kernel_regularizer.l2) == pytest.approx(0.02)


L2 = keras.regularizers.L2


@pytest.mark.parametrize(
    ("layer", "shape", "penalized"),
    [
        (lambda: keras.layers.LSTM(3, kernel_regularizer=L2(0.01)), (5, 2), [0]),
        (lambda: keras.layers.GRU(3, kernel_regularizer=L2(0.01), recurrent_regularizer=L2(0.01)), (5, 2), [0, 1]),
        (lambda: keras.layers.DepthwiseConv2D(3, depthwise_regularizer=L2(0.01)), (5, 5, 2), [0]),
        (lambda: keras.layers.SeparableConv1D(3, 2, pointwise_regularizer=L2(0.01)), (5, 2), [1]),
    ],
)
def test_l2_of_every_kind_of_kernel_is_strengthened_and_taken_out_of_the_record(
    layer: Any, shape: tuple[int, ...], penalized: list[int]
) -> None:
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer()(inputs))
    model.compile("sgd", "mse")
    check_model(model)
    callback = AdaptiveRegularization()
    callback.set_model(model)
    before = float(sum(model.losses))
    run_epochs(callback, [0.1, 0.2, 0.3, 0.4])
    squares = sum(np.sum(model.get_weights()[index] ** 2) for index in penalized)
    assert before == pytest.approx(0.01 * squares, rel=1e-5)
    assert float(sum(model.losses)) == pytest.approx(0.02 * squares, rel=1e-5)
    assert callback._added_penalty() == pytest.approx(0.01 * squares, rel=1e-5)


@pytest.mark.slow
def test_it_narrows_the_gap_of_a_run_that_overfits(tmp_path: Path) -> None:
    """Labels that are partly noise: the plain run memorizes them, the adaptive one is held back."""
    from tfday7.data.loading import prepare
    from tfday7.data.source import Raw

    generator = np.random.default_rng(3)
    x = generator.normal(size=(300, 20)).astype(np.float32)
    y = ((x[:, 0] > 0) ^ (generator.uniform(size=300) < 0.25)).astype(np.int64)
    dataset: Dataset = prepare(Raw(x, y), "noisy")
    gaps = {}
    for adaptive in (False, True):
        model = building.build(ModelConfig(model="mlp", width=64, dropout=0.05, l2=1e-4), dataset.problem)
        training = TrainingConfig(epochs=40, adaptive_regularization=adaptive)
        folder = RunFolder(tmp_path / str(adaptive))
        result = fitting.fit(model, dataset, OptimizerConfig(learning_rate=3e-3), training, folder)
        gaps[adaptive] = result.records[-1]["val_loss"] - result.records[-1]["loss"]
        assert bool(result.regularization_changes) is adaptive
    assert gaps[True] < 0.7 * gaps[False]

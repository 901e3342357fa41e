"""The learning-rate range test: one short training at ever larger rates shows which are too small, good and too large.

Smith, 2017, arXiv:1506.01186, section 3.3: the rate rises a little at every step, and the loss is watched. Where it
falls fastest learning is quickest; where it explodes training diverges. Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import Dataset, pipeline
from tfday7.optimizers import OptimizerConfig
from tfday7.training import state
from tfday7.training.batches import training_batches, weighting
from tfday7.training.callbacks.unfreezing import Unfreezing
from tfday7.training.config import TrainingConfig
from tfday7.training.fitting import compile_model
from tfday7.training.objective import class_weights

LOWEST, HIGHEST = 1e-6, 10.0
STEPS = 140  # 20 for each power of ten.
SMOOTHING = 5.0  # Steps: the deviation of the Gaussian that the losses are smoothed by, a quarter of a power of ten.
PLATEAU = 0.25  # Share of the steps that are too small to change the loss; their median is the loss to fall from.
BEGUN = 0.1  # Share of the whole fall from which the curve counts as falling.
DIVERGED = 4.0  # Times the lowest smoothed loss.
FALL = 0.05  # Of the first loss: a curve that never falls by more shows noise.
LAST = 5  # Losses whose median tells an explosion from one bad batch.
MARGIN = 3.0  # Below the rate of the lowest loss, beyond which it begins to rise.


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """What a range test has found.

    Attributes:
        rates, losses: the rate and the smoothed loss of each step.
        steepest: the rate at which the loss falls fastest, with regard to the logarithm of the rate.
        lowest: the rate of the lowest loss.
        diverges_at: the rate at which the loss is four times its lowest, or no number; None if it stays lower.
        learning_rate: the one to train with.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    steepest: float
    lowest: float
    diverges_at: float | None
    learning_rate: float

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return {**dataclasses.asdict(self), "rates": list(self.rates), "losses": list(self.losses)}


def run(model: Any, dataset: Dataset, optimizer: OptimizerConfig, training: TrainingConfig) -> RangeTest:
    """Tests rates from 0.000001 to 10 in at most 140 steps, and leaves the model with the weights that it had.

    Args:
        model: a tf_keras model that fits the data's problem; its compilation is replaced.
        dataset: its training split.
        optimizer: which optimizer, with its other settings; the schedule is left out.
        training: batch size, augmentation, frozen layers, weights of classes and all else that decides about a step.

    Raises:
        UserError: the loss falls at no rate, or nothing is left to be frozen.
    """
    constant = dataclasses.replace(optimizer, learning_rate=LOWEST, schedule="constant", warmup_steps=0)
    before = model.get_weights()
    states = [generator.state.numpy() for generator in state.generators(model)]
    trainable = [(layer, layer.trainable) for layer in model._flatten_layers(include_self=False)]  # Outer ones first.
    compile_model(model, dataset, constant, training)
    try:
        if training.freeze:
            Unfreezing(model, training.unfreeze_epochs)
        with pipeline.user_errors(dataset.train):
            return judge(*_measure(model, _batches(dataset, training)))
    finally:
        for layer, trains in trainable:
            layer.trainable = trains
        model.set_weights(before)
        for generator, value in zip(state.generators(model), states, strict=True):
            generator.state.assign(value)


def _batches(dataset: Dataset, training: TrainingConfig) -> Any:
    """Returns the batches of the training that follows, each example with the weight of its class if they have any."""
    batches = training_batches(dataset, training)
    weights = class_weights(training.class_weights, dataset.problem, dataset.train.y)
    return batches if weights is None else batches.map(weighting(weights))


def _measure(model: Any, batches: Any) -> tuple[list[float], list[float]]:
    """Returns the rates, and the loss of the batch that each was tried on; ends when the loss explodes."""
    step = tf.function(model.train_step)
    rate = model.optimizer.learning_rate
    rates, losses = [], []
    for wanted, batch in zip(np.geomspace(LOWEST, HIGHEST, STEPS), batches, strict=False):
        rate.assign(wanted)
        model.reset_metrics()
        loss = float(step(batch)["loss"])
        rates.append(float(wanted))
        losses.append(loss)
        if not math.isfinite(loss) or np.median(losses[-LAST:]) > 2 * DIVERGED * np.min(_smoothed(losses)):
            break
    return rates, losses


def judge(rates: list[float], losses: list[float]) -> RangeTest:
    """Returns what the losses say of the rates.

    Raises:
        UserError: the loss falls at no rate.
    """
    finite = next((index for index, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    if not finite:
        raise UserError(
            "--learning_rate=find: the loss is no number before anything was learned",
            "look at the data and the model: are the inputs scaled, does the last layer fit the task?",
        )
    smoothed = _smoothed(losses[:finite])
    bottom = int(np.argmin(smoothed))
    start = float(np.median(losses[: max(1, round(PLATEAU * STEPS))]))
    fall = start - smoothed[bottom]
    if not fall > FALL * abs(start):
        raise UserError(
            "--learning_rate=find: the loss falls at no learning rate from 0.000001 to 10",
            "give a rate, and look at the data and the model: python -m tfday7.diagnose says what may be wrong",
        )
    begun = max((index for index in range(bottom) if smoothed[index] > start - BEGUN * fall), default=0)
    slopes = np.gradient(smoothed, np.log(rates[:finite]))
    steepest = rates[begun + int(np.argmin(slopes[begun : bottom + 1]))]
    above = [index for index in range(bottom, finite) if smoothed[index] > DIVERGED * smoothed[bottom]]
    diverged = rates[above[0]] if above else rates[finite] if finite < len(losses) else None
    chosen = min(steepest, rates[bottom] / MARGIN)
    return RangeTest(tuple(rates[:finite]), tuple(smoothed), steepest, rates[bottom], diverged, float(f"{chosen:.2g}"))


def _smoothed(losses: list[float]) -> list[float]:
    """Returns the losses smoothed to both sides: a mean of past ones alone would show every fall too late."""
    return gaussian_filter1d(np.array(losses, np.float64), SMOOTHING, mode="nearest").tolist()

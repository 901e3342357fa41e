"""One more training of a run with some flags changed, scored as a delivered model, with the curves for a diagnosis.

`tuning.trial` answers a search: one number of a training. A repair also needs the curves, the score on what trained,
and the weights of the best epoch, so it fits on its own; both give a training up by the same judge. Importing this
module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

from tfday7 import models
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.settings import from_text
from tfday7.data import DataConfig, Dataset, augmentation
from tfday7.data.scoring import baseline
from tfday7.diagnosis.repairing.candidates import Flags
from tfday7.diagnosis.repairing.trained import OUT_OF_TIME, Trained, Weights
from tfday7.models import building
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training import config as training_config
from tfday7.training.config import TrainingConfig
from tfday7.training.fitting import fit
from tfday7.training.scores import score_of
from tfday7.tuning.trial import InfeasibleError, Judge

Configs = tuple[ModelConfig, OptimizerConfig, TrainingConfig]


class Deadline(Judge):
    """Ends a training that diverged, that has no time left, or, of a candidate, that is no better than guessing."""

    def __init__(self, metric: str, guess: float, epochs: int, until: float) -> None:
        super().__init__(metric, guess, epochs)
        self.until = until

    def epoch(self, record: dict[str, Any], is_best: bool) -> None:
        """Raises InfeasibleError when training shall go no further."""
        if time.perf_counter() > self.until and record["epoch"] < self.epochs:
            raise InfeasibleError(OUT_OF_TIME)
        super().epoch(record, is_best)


class Retrainer:
    """Trains one data set with the flags that it is given.

    Args:
        dataset: what learns and validates; its test split is not touched here.
        source: where it comes from.
    """

    def __init__(self, dataset: Dataset, source: DataConfig) -> None:
        self.dataset = dataset
        self.source = source
        self.guess = baseline(dataset.problem, dataset.train.y, dataset.validation.y)

    def __call__(self, flags: Flags, seed: int, give_up: bool, seconds: float) -> tuple[Trained, Weights]:
        """Trains and returns how it went, and the weights of the best epoch ([] without one).

        Args:
            flags: of the whole run, canonical.
            seed: instead of the flags'.
            give_up: whether a training that is no better than guessing after a while ends there.
            seconds: after which it ends at the next epoch; the reason says so.

        Raises:
            Interrupted: a signal.
        """
        started = time.perf_counter()
        try:
            self._check_same_data(flags)
            trained, weights = self._train(configs_of(flags, seed), give_up, started + seconds)
        except UserError as error:  # Settings that contradict each other or the data.
            trained, weights = Trained(None, error.message, contradicts=True), []
        except (tf.errors.ResourceExhaustedError, MemoryError):
            trained, weights = Trained(None, "out of memory"), []
        return dataclasses.replace(trained, seconds=round(time.perf_counter() - started, 3)), weights

    def _check_same_data(self, flags: Flags) -> None:
        if from_text(DataConfig, flags) != self.source:
            raise UserError("it changes the data and with them the splits: the scores would not compare")

    def _train(self, configs: Configs, give_up: bool, until: float) -> tuple[Trained, Weights]:
        model_config, optimizer, training = configs
        dataset, problem = self.dataset, self.dataset.problem
        training_config.check_flags(training, model_config)
        training_config.check(training, optimizer, problem.task, len(dataset.train))
        augmentation.check(training.augment, problem)
        model = building.build(model_config, problem, training.precision, training.seed)
        deadline = Deadline(f"val_{problem.metric}", self.guess if give_up else -math.inf, training.epochs, until)
        try:
            result = fit(model, dataset, optimizer, training, None, deadline)
        except InfeasibleError as error:
            return Trained(None, str(error), *_curves(deadline.records), stopped=_stopped(str(error))), []
        curves = _curves(result.records)
        if result.stopped == "nan" or not result.best_epoch:
            return Trained(None, "diverged: the loss is not finite", *curves, stopped="nan"), []
        train, validation = (score_of(model, dataset, part) for part in (dataset.train, dataset.validation))
        return Trained(validation, "", *curves, train_score=train, stopped=result.stopped), model.get_weights()

    def deliver(self, flags: Flags, seed: int, weights: Weights) -> Any:
        """Returns the model of a training, in float32 as files are."""
        model_config, _, training = configs_of(flags, seed)
        model = building.build(model_config, self.dataset.problem, training.precision, training.seed)
        model.set_weights(weights)
        return models.load(model, dtype_policy="float32")


def configs_of(flags: Flags, seed: int) -> Configs:
    """Returns the settings that flags say, with a seed. Raises UserError for a value that a setting does not take."""
    training = dataclasses.replace(from_text(TrainingConfig, flags), seed=seed)
    return from_text(ModelConfig, flags), from_text(OptimizerConfig, flags), training


def _stopped(reason: str) -> str:
    return "nan" if reason.startswith("diverged") else "finished"


def _curves(records: list[dict[str, Any]]) -> tuple[list[float | None], list[float | None]]:
    return [record.get("loss") for record in records], [record.get("val_loss") for record in records]

"""Fits a model: wires data, optimizer, objective and callbacks together and lets tf_keras's `fit` do the loop.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from tfday7.core.errors import Interrupted
from tfday7.core.frameworks import keras, tf
from tfday7.core.run_folder import CHECKPOINTS, METRICS, TENSORBOARD, RunFolder
from tfday7.core.signals import StopRequest, stop_requests
from tfday7.data import Dataset, Problem, augmentation, pipeline
from tfday7.data.pipeline import Parts
from tfday7.distribution import agreement, parameter_servers
from tfday7.distribution.feeding import feed
from tfday7.distribution.mesh import stepping
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers import state as optimizer_state
from tfday7.training import batch_statistics, loop, state, step
from tfday7.training.batches import training_batches, weighting
from tfday7.training.callbacks.adaptive_regularization import AdaptiveRegularization
from tfday7.training.callbacks.averaging import Averaging
from tfday7.training.callbacks.best_weights import BestWeights
from tfday7.training.callbacks.checkpointing import Checkpointing, When
from tfday7.training.callbacks.coordinating import WholeValidation, without_batches
from tfday7.training.callbacks.epoch_seed import EpochSeed
from tfday7.training.callbacks.mean_score import MeanScore
from tfday7.training.callbacks.metrics_log import MetricsLog
from tfday7.training.callbacks.pacing import Pacing, first_steps
from tfday7.training.callbacks.stop_on_nan import BlownUp, StopOnNaN
from tfday7.training.callbacks.tensorboard_log import TensorBoardLog
from tfday7.training.callbacks.unfreezing import Unfreezing
from tfday7.training.checkpoints import CheckpointStore
from tfday7.training.config import TrainingConfig
from tfday7.training.objective import class_weights, metric_names, objective
from tfday7.training.observer import Observer, Observing
from tfday7.training.watcher import Watcher, Watching

RECOVERY_FACTOR = 0.5  # Of the rate, each time that a run goes back.
_REST = "values_and_records"


@dataclasses.dataclass(frozen=True)
class Fit:
    """How training went.

    Attributes:
        records: one record an epoch, as in metrics.jsonl.
        best_epoch: the epoch (counted from 1) whose weights the model has now; 0 if none had a finite loss.
        stopped: "finished", "early" (no better epoch for `patience` epochs), "nan", or why a watcher ended training.
        seconds: time of all epochs, those of earlier calls included.
        resumed_at: the epoch that a checkpoint let it start in, counted from 1; 0 for a fresh start.
        step_ms: mean time of an optimizer step in this call, data included; None when it trained no further.
        watch_seconds: what looking at the epochs took, of `seconds`, in this call.
        regularization_changes: what `--adaptive_regularization` changed, and when.
        recoveries: where the loss was not finite and the run went back: "epoch", "step" after it, "steps_left_out", and
            "rate_factor" from there on.
    """

    records: list[dict[str, Any]]
    best_epoch: int
    stopped: str
    seconds: float
    resumed_at: int
    step_ms: float | None
    watch_seconds: float
    regularization_changes: list[dict[str, float]]
    recoveries: list[dict[str, Any]]


def fit(
    model: Any,
    dataset: Dataset,
    optimizer: OptimizerConfig,
    training: TrainingConfig,
    folder: RunFolder | None = None,
    observer: Observer | None = None,
    until: int | None = None,
    watchers: Sequence[Watcher] = (),
    callbacks: Sequence[Any] = (),
    aim: Mapping[str, Any] | None = None,
    best_from: int = 1,
) -> Fit:
    """Trains the model in place and leaves it with the weights of its best epoch.

    Args:
        model: a tf_keras model that fits the data's problem.
        dataset: what to learn from; its test split is not touched.
        optimizer, training: the settings.
        folder: where metrics, TensorBoard logs and checkpoints go; training resumes from a checkpoint there. None
            writes nothing.
        observer: told of progress.
        until: stop after this epoch; the next call goes on from there as if there had been no stop. None for the end.
        watchers: see what the model has become after each epoch.
        callbacks: more of Keras's, called before those that keep the run's state.
        aim: `loss` and `metrics` for `compile`; None for the problem's own (`objective`).
        best_from: the first epoch, counted from 1, that may be the best; earlier ones are on the way to what is wanted.

    Raises:
        Interrupted: SIGINT or SIGTERM; a checkpoint has been written.
        UserError: the folder cannot be written, or its checkpoint belongs to another model.
        WorkerLostError: another process of the group has gone.
    """
    with agreement.loss_of_workers(model), batch_statistics.fused(model, training.deterministic):
        steps = compile_model(model, dataset, optimizer, training, aim)
        last = min(until or training.epochs, training.epochs)
        session = _Session(model, training, steps, folder, last, watchers, BestFrom(training.patience, best_from))
        session.resume(dataset)
        if session.recoveries:
            session.compile_again(dataset, optimizer, aim)
        extra = [*callbacks, *_mean_score(dataset.problem)]
        with stop_requests() as stop:
            try:
                while not session.run_through(dataset, [*extra, *session.callbacks(stop, observer)]):
                    session.compile_again(dataset, optimizer, aim)
            finally:
                session.close()
                if observer is not None:
                    observer.end()
            session.leave_if_asked(stop)
        return session.finish()


def compile_model(
    model: Any,
    dataset: Dataset,
    optimizer: OptimizerConfig,
    training: TrainingConfig,
    aim: Mapping[str, Any] | None = None,
) -> int:
    """Gives a model its optimizer, loss and metrics, and returns the steps of an epoch; arguments as of `fit`."""
    strategy = model.distribute_strategy
    if training.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(training.seed)
    steps = pipeline.steps_per_epoch(dataset.train, training.batch_size)
    mesh = agreement.mesh_of(model)
    if mesh is not None:
        stepping.prepare(model, mesh, training.accumulate_steps)
    else:
        batch_statistics.prepare(model, training.accumulate_steps)
    mixes = augmentation.mixes_labels(training.augment)
    with strategy.scope():
        aim = aim or objective(dataset.problem, model, training.label_smoothing, mixes)
        chosen = _optimizer(optimizer, training, steps, model)
        model.compile(optimizer=chosen, steps_per_execution=first_steps(steps, training.checkpoint_steps), **aim)
    if mesh is None:
        step.install(model, training.accumulate_steps)
        loop.install(model)
    return steps


class BestFrom(BestWeights):
    """Remembers the best weights of the epochs from a given one on.

    Args:
        patience: as of `BestWeights`.
        first: the first epoch that counts, from 1.
    """

    def __init__(self, patience: int, first: int) -> None:
        super().__init__(patience)
        self.first = first

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compares the epoch with the best one, if it counts."""
        if epoch + 1 >= self.first:
            super().on_epoch_end(epoch, logs)


class _Session:
    """One call of `fit`: the position in the run, and the callbacks that keep its state."""

    def __init__(
        self,
        model: Any,
        training: TrainingConfig,
        steps: int,
        folder: RunFolder | None,
        until: int,
        watchers: Sequence[Watcher],
        best: BestWeights,
    ) -> None:
        self.model = model
        self.training = training
        self.until = until
        self.steps = steps
        self.folder = folder = folder if agreement.is_chief(model) else None
        self.store = CheckpointStore(folder / CHECKPOINTS, training.keep_checkpoints) if folder else None
        self.best = best
        self.adaptive = AdaptiveRegularization() if training.adaptive_regularization else None
        self.unfreezing = Unfreezing(model, training.unfreeze_epochs) if training.freeze else None
        self.nan = StopOnNaN()
        self.pacing = Pacing(steps, training.checkpoint_steps, bool(training.recoveries))
        self.log = MetricsLog(folder / METRICS if folder else None, [])
        self.watching = [Watching(watcher, self.log) for watcher in watchers]
        self.tensorboard = TensorBoardLog(folder / TENSORBOARD) if folder else None
        self.epoch, self.step = 0, 0
        self.recoveries: list[dict[str, Any]] = []
        self.resumed: int | None = None
        self.ended = ""  # Why a watcher ended the run that is gone on from.
        self._arrays: dict[str, Any] = {}

    def resume(self, dataset: Dataset) -> None:
        """Takes the position and all state from the newest checkpoint, if there is one."""
        loaded = self._loaded()
        if loaded is None:
            if self.training.recoveries:  # The state at the start is one to go back to.
                state.build_slots(self.model, dataset.train.x[:1], dataset.train.y[:1])
            return
        self._arrays, values, records = loaded
        best = [self._arrays[name] for name in sorted(self._arrays) if name.startswith("best/")]
        state.build_slots(self.model, dataset.train.x[:1], dataset.train.y[:1])
        if self.adaptive is not None:  # After validation's graph is traced, before training's, as without a stop.
            self.adaptive.set_model(self.model)
            self.adaptive.set_state(values["adaptive"])
        state.restore(self.model, self._arrays)
        self.epoch, self.step = values["epoch"], values["step"]
        self.resumed = self.epoch
        self.best.set_state(values["best"], best or None)
        self.nan.epoch = values["nan_epoch"]
        self.recoveries = values.get("recoveries", [])
        self.ended = values.get("ended", "")
        if self.training.epochs > values["epochs"]:  # More were asked for than the run that stopped had.
            self.best.stopped_early, self.ended = False, ""
        self.log.records = [record for record in records if record["epoch"] <= self.epoch]

    def _loaded(self) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]] | None:
        """Returns (arrays, values, records of metrics) of the newest checkpoint: the chief's, on every worker."""
        found = self.store.load_newest() if self.store else None
        packed = None
        if found is not None and self.folder is not None:
            rest = json.dumps([found[1], self.folder.metrics()]).encode()
            packed = {**found[0], _REST: np.frombuffer(rest, np.uint8)}
        agreed = agreement.arrays_from_chief(self.model, packed)
        if agreed is None:
            return None
        values, records = json.loads(agreed.pop(_REST).tobytes())
        return agreed, values, records

    def callbacks(self, stop: StopRequest, observer: Observer | None) -> list[Any]:
        """Returns the callbacks in the order in which they depend on each other."""
        chosen: list[Any] = [EpochSeed(self.training.seed), self.pacing, self.nan]
        chosen += [each for each in (self.unfreezing, self.adaptive) if each is not None]
        chosen += [self.log, self.best, Averaging()]
        if self.tensorboard is not None:
            chosen.append(self.tensorboard)
        chosen += self.watching
        first = (self.epoch, self.step)
        restore = self._restore_epoch if self.step else _nothing  # A new epoch begins with metrics of its own.
        self.nan.may_go_back = len(self.recoveries) < self.training.recoveries
        when = When(self.training.epochs, self.until, self.steps, self.training.checkpoint_steps, self.nan.may_go_back)
        self.checkpointing = Checkpointing(self.store, when, self.best, self.adaptive, self.nan, stop, first, restore)
        self.checkpointing.recoveries, self.checkpointing.watching = self.recoveries, self.watching
        chosen.append(self.checkpointing)
        if observer is not None:
            chosen.append(Observing(observer, self.log, self.best, self.epoch, self.training.epochs, self.steps))
        return chosen

    def run_through(self, dataset: Dataset, callbacks: list[Any]) -> bool:
        """Trains to the end; returns False when the loss was no longer a number and the run has gone back."""
        try:
            self.run(dataset, callbacks)
        except BlownUp as where:
            self.model._eval_data_handler = None  # Keras would take up what it has left unfinished.
            self.go_back(where)
            return False
        return True

    def go_back(self, where: BlownUp) -> None:
        """Takes the last state with a finite loss, and the position after the batches that blew up."""
        if self.checkpointing.remembered is None:
            raise where
        self._arrays, epoch, step = self.checkpointing.remembered
        if epoch < where.epoch or step == 0:  # Its metrics are those of an epoch that has ended.
            self._arrays = {n: np.zeros_like(a) if n.startswith("metric/") else a for n, a in self._arrays.items()}
        self.epoch, self.step = divmod(where.epoch * self.steps + where.step, self.steps)
        left_out = self.epoch * self.steps + self.step - epoch * self.steps - step
        factor = RECOVERY_FACTOR ** (len(self.recoveries) + 1)
        note = {"epoch": where.epoch + 1, "step": where.step, "steps_left_out": left_out, "rate_factor": factor}
        self.recoveries = [*self.recoveries, note]
        logging.warning(
            "the loss is not finite in epoch %d: %d steps are undone and left out, the rate is %g times what it was",
            where.epoch + 1,
            left_out,
            factor,
        )

    def compile_again(self, dataset: Dataset, optimizer: OptimizerConfig, aim: Mapping[str, Any] | None) -> None:
        """Compiles with the lower rate of a run that went back, and takes up its state."""
        lower = optimizer_state.scale_learning_rate(optimizer, self.recoveries[-1]["rate_factor"])
        compile_model(self.model, dataset, lower, self.training, aim)
        state.build_slots(self.model, dataset.train.x[:1], dataset.train.y[:1])
        state.restore(self.model, self._arrays)
        optimizer_state.set_learning_rate(self.model.optimizer, float(lower.learning_rate or 0.0))
        self.pacing = Pacing(self.steps, self.training.checkpoint_steps, fixed=True)

    def leave_if_asked(self, stop: StopRequest) -> None:
        """Raises Interrupted when a signal came so late that training had ended; its end has been saved."""
        code = agreement.highest(self.model, stop.exit_code or 0)
        if code:
            raise Interrupted("stopped after training; the same command goes on from there", code)

    def run(self, dataset: Dataset, callbacks: list[Any]) -> None:
        """Calls Keras's `fit` for the epochs that are left."""
        if self.epoch >= self.until or self.best.stopped_early or self.nan.epoch or self.ended:
            return
        strategy, weights = self.model.distribute_strategy, self._class_weights(dataset)
        coordinates = parameter_servers.coordinates(strategy)
        in_parts = coordinates or strategy.num_replicas_in_sync > 1
        sequences = parameter_servers.Sequences(strategy)

        def batches(parts: Parts) -> Any:
            first_epoch = sequences.first_epoch() + self.epoch
            made = training_batches(dataset, self.training, first_epoch, self.step, parts)
            return made.map(weighting(weights)) if weights is not None and in_parts else made

        def validation(parts: Parts) -> Any:
            return pipeline.evaluation_batches(dataset.validation, parts)

        if coordinates:
            whole = WholeValidation(pipeline.evaluation_steps(dataset.validation))
            callbacks = without_batches([whole, *callbacks])
        # Keras's own hook for the position in an interrupted epoch; `initial_epoch` alone can only start whole ones.
        self.model._maybe_load_initial_counters_from_ckpt = lambda steps, epoch: (self.epoch, self.step)
        self.model.fit(
            feed(strategy, batches, True, self.training.accumulate_steps),
            epochs=self.until,
            initial_epoch=self.epoch,
            steps_per_epoch=self.steps,
            validation_data=feed(strategy, validation, False),
            validation_steps=pipeline.evaluation_steps(dataset.validation),
            class_weight=None if in_parts else weights,
            callbacks=callbacks,
            verbose=0,
        )

    def _class_weights(self, dataset: Dataset) -> dict[int, float] | None:
        return class_weights(self.training.class_weights, dataset.problem, dataset.train.y)

    def close(self) -> None:
        """Writes what callbacks still hold; Keras does not tell them of an end by an exception."""
        if self.tensorboard is not None:
            self.tensorboard.close()

    def finish(self) -> Fit:
        """Gives the model its best weights and returns the account of the run."""
        if self.best.weights is not None:
            self.model.set_weights(self.best.weights)
        ended = next((watching.reason for watching in self.watching if watching.reason), self.ended)
        lost = self.nan.epoch or (self.recoveries and not self.log.records)  # What was left out was all there was.
        stopped = "nan" if lost else "early" if self.best.stopped_early else ended or "finished"
        return Fit(
            records=self.log.records,
            best_epoch=self.best.best_epoch,
            stopped=stopped,
            seconds=round(sum(record["seconds"] for record in self.log.records), 3),
            resumed_at=self.resumed + 1 if self.resumed is not None and self.resumed < len(self.log.records) else 0,
            step_ms=self.pacing.step_ms(),
            watch_seconds=round(sum(watching.seconds for watching in self.watching), 4),
            regularization_changes=self.adaptive.changes if self.adaptive else [],
            recoveries=self.recoveries,
        )

    def _restore_epoch(self) -> None:
        """Puts back metrics and generators of the epoch in work, which Keras and `EpochSeed` have just reset."""
        state.restore(self.model, self._arrays)


def _optimizer(config: OptimizerConfig, training: TrainingConfig, steps: int, model: Any) -> Any:
    optimizer = catalog.build(config, steps * training.epochs, model, agreement.mesh_of(model))
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1 and not parameter_servers.coordinates(strategy):
        optimizer.aggregate_gradients = list  # Keras's sums over the only replica, and so keeps the graph for good.
    if training.precision == "mixed_float16":  # Small gradients would vanish in float16 without a loss scale.
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def _mean_score(problem: Problem) -> list[Any]:
    """Returns the callback for the score of several targets, which no metric of Keras's is; none for a single one."""
    return [MeanScore(problem.metric, metric_names(problem))] if problem.heads else []


def _nothing() -> None:
    """There is nothing to put back when an epoch starts from its beginning."""

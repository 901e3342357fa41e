"""Fits a model: wires data, optimizer, objective and callbacks together and lets tf_keras's `fit` do the loop.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfday7.core.errors import Interrupted
from tfday7.core.frameworks import keras, tf
from tfday7.core.run_folder import CHECKPOINTS, METRICS, TENSORBOARD, RunFolder
from tfday7.core.signals import StopRequest, stop_requests
from tfday7.data import Dataset, augmentation, pipeline
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.training import state
from tfday7.training.batches import input_ms, training_batches
from tfday7.training.callbacks.adaptive_regularization import AdaptiveRegularization
from tfday7.training.callbacks.averaging import Averaging
from tfday7.training.callbacks.best_weights import BestWeights
from tfday7.training.callbacks.checkpointing import Checkpointing
from tfday7.training.callbacks.epoch_seed import EpochSeed
from tfday7.training.callbacks.metrics_log import MetricsLog
from tfday7.training.callbacks.pacing import Pacing, first_steps
from tfday7.training.callbacks.stop_on_nan import StopOnNaN
from tfday7.training.callbacks.tensorboard_log import TensorBoardLog
from tfday7.training.callbacks.unfreezing import Unfreezing
from tfday7.training.checkpoints import CheckpointStore
from tfday7.training.config import TrainingConfig
from tfday7.training.objective import class_weights, objective
from tfday7.training.observer import Observer, Observing
from tfday7.training.watcher import Watcher, Watching


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
        input_ms: what the input pipeline alone takes for a batch, measured before; None as above.
        watch_seconds: what looking at the epochs took, of `seconds`, in this call.
        regularization_changes: what `--adaptive_regularization` changed, and when.
    """

    records: list[dict[str, Any]]
    best_epoch: int
    stopped: str
    seconds: float
    resumed_at: int
    step_ms: float | None
    input_ms: float | None
    watch_seconds: float
    regularization_changes: list[dict[str, float]]


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
    """
    steps = compile_model(model, dataset, optimizer, training, aim)
    last = min(until or training.epochs, training.epochs)
    session = _Session(model, training, steps, folder, last, watchers, BestFrom(training.patience, best_from))
    session.resume(dataset)
    with stop_requests() as stop:
        every = [*callbacks, *session.callbacks(stop)]
        if observer is not None:
            every.append(Observing(observer, session.log, session.best, session.epoch, training.epochs, steps))
        try:
            session.run(dataset, every)
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
    if training.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(training.seed)
    steps = pipeline.steps_per_epoch(dataset.train, training.batch_size)
    if aim is None:
        aim = objective(dataset.problem, model, training.label_smoothing, augmentation.mixes_labels(training.augment))
    chosen = _optimizer(optimizer, training, steps, model)
    model.compile(optimizer=chosen, steps_per_execution=first_steps(steps), **aim)
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
        self.folder = folder
        self.store = CheckpointStore(folder / CHECKPOINTS) if folder else None
        self.best = best
        self.adaptive = AdaptiveRegularization() if training.adaptive_regularization else None
        self.unfreezing = Unfreezing(model, training.unfreeze_epochs) if training.freeze else None
        self.nan = StopOnNaN()
        self.pacing = Pacing(steps)
        self.input_ms: float | None = None
        self.log = MetricsLog(folder / METRICS if folder else None, [])
        self.watching = [Watching(watcher, self.log) for watcher in watchers]
        self.tensorboard = TensorBoardLog(folder / TENSORBOARD) if folder else None
        self.epoch, self.step = 0, 0
        self._arrays: dict[str, Any] = {}

    def resume(self, dataset: Dataset) -> None:
        """Takes the position and all state from the newest checkpoint, if there is one."""
        loaded = self.store.load_newest() if self.store else None
        if loaded is None or self.folder is None:
            return
        self._arrays, values = loaded
        best = [self._arrays[name] for name in sorted(self._arrays) if name.startswith("best/")]
        state.build_slots(self.model, dataset.train.x[:1], dataset.train.y[:1])
        if self.adaptive is not None:  # After validation's graph is traced, before training's, as without a stop.
            self.adaptive.set_model(self.model)
            self.adaptive.set_state(values["adaptive"])
        state.restore(self.model, self._arrays)
        self.epoch, self.step = values["epoch"], values["step"]
        self.best.set_state(values["best"], best or None)
        self.nan.epoch = values["nan_epoch"]
        if self.training.epochs > values["epochs"]:
            self.best.stopped_early = False  # More epochs were asked for than the run that stopped early had.
        self.log.records = [record for record in self.folder.metrics() if record["epoch"] <= self.epoch]

    def callbacks(self, stop: StopRequest) -> list[Any]:
        """Returns the callbacks in the order in which they depend on each other."""
        chosen: list[Any] = [EpochSeed(self.training.seed), self.pacing, self.nan]
        chosen += [each for each in (self.unfreezing, self.adaptive) if each is not None]
        chosen += [self.log, self.best, Averaging()]
        if self.tensorboard is not None:
            chosen.append(self.tensorboard)
        chosen += self.watching
        first = (self.epoch, self.step)
        restore = self._restore_epoch if self.step else _nothing
        epochs = self.training.epochs
        self.checkpointing = Checkpointing(
            self.store, (epochs, self.steps), self.best, self.adaptive, self.nan, stop, first, restore
        )
        return [*chosen, self.checkpointing]

    def leave_if_asked(self, stop: StopRequest) -> None:
        """Raises Interrupted when a signal came so late that training had ended; its end has been saved."""
        if stop:
            raise Interrupted("stopped after training; the same command goes on from there", stop.exit_code or 1)

    def run(self, dataset: Dataset, callbacks: list[Any]) -> None:
        """Calls Keras's `fit` for the epochs that are left."""
        if self.epoch >= self.until or self.best.stopped_early or self.nan.epoch:
            return
        self.input_ms = input_ms(dataset, self.training)
        # Keras's own hook for the position in an interrupted epoch; `initial_epoch` alone can only start whole ones.
        self.model._maybe_load_initial_counters_from_ckpt = lambda steps, epoch: (self.epoch, self.step)
        self.model.fit(
            training_batches(dataset, self.training, self.epoch, self.step),
            epochs=self.until,
            initial_epoch=self.epoch,
            steps_per_epoch=self.steps,
            validation_data=pipeline.evaluation_batches(dataset.validation),
            class_weight=class_weights(self.training.class_weights, dataset.problem, dataset.train.y),
            callbacks=callbacks,
            verbose=0,
        )

    def close(self) -> None:
        """Writes what callbacks still hold; Keras does not tell them of an end by an exception."""
        if self.tensorboard is not None:
            self.tensorboard.close()

    def finish(self) -> Fit:
        """Gives the model its best weights and returns the account of the run."""
        if self.best.weights is not None:
            self.model.set_weights(self.best.weights)
        ended = next((watching.reason for watching in self.watching if watching.reason), "")
        stopped = "nan" if self.nan.epoch else "early" if self.best.stopped_early else ended or "finished"
        return Fit(
            records=self.log.records,
            best_epoch=self.best.best_epoch,
            stopped=stopped,
            seconds=round(sum(record["seconds"] for record in self.log.records), 3),
            resumed_at=self.epoch + 1 if self._arrays and self.epoch < len(self.log.records) else 0,
            step_ms=self.pacing.step_ms(),
            input_ms=self.input_ms,
            watch_seconds=round(sum(watching.seconds for watching in self.watching), 4),
            regularization_changes=self.adaptive.changes if self.adaptive else [],
        )

    def _restore_epoch(self) -> None:
        """Puts back metrics and generators of the epoch in work, which Keras and `EpochSeed` have just reset."""
        state.restore(self.model, self._arrays)


def _optimizer(config: OptimizerConfig, training: TrainingConfig, steps: int, model: Any) -> Any:
    optimizer = catalog.build(config, steps * training.epochs, model)
    if training.precision == "mixed_float16":  # Small gradients would vanish in float16 without a loss scale.
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def _nothing() -> None:
    """There is nothing to put back when an epoch starts from its beginning."""

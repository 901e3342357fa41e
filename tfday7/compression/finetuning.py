"""Fine-tuning: the training that lets a model recover from what a step of a recipe has done to it.

It is `training.fitting.fit` with the run's own batch size, precision, augmentation, label smoothing, class weights and
seed, at a share of its learning rate, learning from the model as it was before (`distillation`), and keeping the zeros
and clusters that earlier steps have made (`constraints`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfday7.compression.distillation.plan import Distillation
from tfday7.compression.technique import Work
from tfday7.core.errors import InUseError, UserError
from tfday7.core.run_folder import RunFolder
from tfday7.optimizers import catalog
from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.table import OPTIMIZERS
from tfday7.training.config import TrainingConfig

if TYPE_CHECKING:
    from tfday7.training.fitting import Fit

# Of the run's own learning rate, falling to 0 along a cosine. Half of the units of a cnn gone, three epochs of
# fine-tuning, accuracy on validation, mean of three seeds (Adam at 0.003; digits, and 8,000 images of Fashion-MNIST):
#   share    digits   fashion
#   0.1      0.945    0.796
#   0.3      0.975    0.826
#   1        0.983    0.843
# (from the labels; from the original's answers the order is the same)
RATE_SHARE = 1.0
DISTIL = ("auto", "none")
POLL_SECONDS = 0.5  # Between two looks at a training of another process.


def finetune(
    work: Work,
    model: Any,
    epochs: int,
    learning_rate: float | None = None,
    distil: str | Distillation = "auto",
    callbacks: Sequence[Any] = (),
    what: str = "",
    best_from: int = 1,
) -> dict[str, Any]:
    """Trains a model in place and leaves it with the weights of its best epoch.

    Called again on the same weights with the same settings, in a work that has the same folder, it goes on where it was
    interrupted, or gives back at once what came of it: recipes that begin alike train their beginning once. While
    another process is at this very training, it waits for what comes of it.

    Args:
        work: data, settings, teachers, what to keep, where checkpoints go. `work.original` says what the outputs mean.
        model: a model of the caller's own; it may be wrapped for pruning, clustering or quantization.
        epochs: passes over the training split; 0 trains nothing.
        learning_rate: the peak; None for `RATE_SHARE` of the run's own.
        distil: "auto": learns from `work.teachers`, or `work.original` without any; "none": from the labels alone; or
            how to learn from them.
        callbacks: more of Keras's. `on_train_batch_begin` comes once for several steps (`training.callbacks.pacing`):
            `model.optimizer.iterations` counts steps.
        what: the step's name, for messages and the folder.
        best_from: the first epoch that may be the best one, counted from 1: where weights are pruned little by little,
            the one from which all zeros are there. Of validation loss the least decides.

    Returns:
        {} without training, else JSON values: "epochs" (trained), "best_epoch" (0 if none was finite, then the model
        has the weights that it came with), "metric" (of validation), "val_loss" (each epoch's), "learning_rate",
        "seconds", "epoch_seconds" (of an epoch's steps, without what the first one costs more; None where there were
        too few, or none as it was all done before), "stopped" (as in `Fit`), and "distil".

    Raises:
        UserError: a teacher does not fit the data, or as `fitting.fit`.
        Interrupted: a signal; a checkpoint has been written.
    """
    from tfday7.data.pipeline import steps_per_epoch

    if distil not in DISTIL and not isinstance(distil, Distillation):
        raise UserError(f"distil is {distil!r}; expected {' or '.join(DISTIL)}")
    if epochs == 0:
        return {}
    plan = distil if isinstance(distil, Distillation) else None
    if distil == "auto" and work.distil:
        plan = Distillation()
    optimizer = optimizer_for(work.optimizer, learning_rate)
    training = training_for(work.training, epochs)
    rate = optimizer.learning_rate
    work.say(f"{what or 'finetune'}: {epochs} epochs at a learning rate of {rate:g}{_said(work, plan)}")
    folder = _folder(work, model, what, (optimizer, training, plan, best_from))
    before = model.get_weights()
    trained = _in_precision(work, model, training.precision)
    if work.kept:
        from tfday7.compression import constraints

        constraints.attach(trained, work.kept)
        if not any(isinstance(callback, constraints.Keeping) for callback in callbacks):
            callbacks = [*callbacks, constraints.Keeping()]
    with _alone(work, folder):
        went, learned = _fit(work, trained, optimizer, training, plan, folder, callbacks, best_from)
    if trained is not model:
        model.set_weights(trained.get_weights())
    if went.stopped == "nan" and not went.best_epoch:
        model.set_weights(before)
        work.notes.append(
            f"{what or 'finetune'}: training diverged at a learning rate of {rate:g}; nothing was learned"
        )
    steps = steps_per_epoch(work.dataset.train, training.batch_size)
    return {
        "epochs": len(went.records),
        "best_epoch": went.best_epoch,
        "metric": round(validation_metric(work, model), 6),
        "val_loss": [record.get("val_loss") for record in went.records],
        "learning_rate": rate,
        "seconds": went.seconds,
        "epoch_seconds": None if went.step_ms is None else round(went.step_ms * steps / 1000.0, 3),
        "stopped": went.stopped,
        "distil": learned,
    }


def optimizer_for(config: OptimizerConfig, learning_rate: float | None = None) -> OptimizerConfig:
    """Returns the run's optimizer for fine-tuning: a lower rate, without a warm-up, falling to 0 where it may.

    Args:
        config: the run's.
        learning_rate: the peak; None for `RATE_SHARE` of the run's own.
    """
    if config.optimizer == "auto":  # Of a run that trained nothing; a choice for training is none for a few epochs.
        config = dataclasses.replace(config, optimizer="adam")
    averages = catalog.check(dataclasses.replace(config, learning_rate=None)).constant_schedule
    schedule = config.schedule if config.schedule != "constant" or averages else "cosine"
    rate = learning_rate if learning_rate is not None else own_rate(config) * RATE_SHARE
    return dataclasses.replace(config, learning_rate=rate, schedule=schedule, warmup_steps=0)


def own_rate(config: OptimizerConfig) -> float:
    """Returns the run's own learning rate, or where it does not say one its optimizer's, or Adam's."""
    if isinstance(config.learning_rate, float):
        return config.learning_rate
    return OPTIMIZERS["adam" if config.optimizer == "auto" else config.optimizer].learning_rate


def training_for(config: TrainingConfig, epochs: int) -> TrainingConfig:
    """Returns the run's training for fine-tuning: all layers train, and regularization stays as it is."""
    return dataclasses.replace(config, epochs=epochs, freeze=False, unfreeze_epochs=0, adaptive_regularization=False)


def validation_metric(work: Work, model: Any) -> float:
    """Returns the task's metric on the validation split of a model that ends in what `work.original` ends in."""
    from tfday7.data import pipeline
    from tfday7.data.scoring import reconstruction_r2

    problem, part = work.dataset.problem, work.dataset.validation
    if problem.task == "reconstruction":
        return reconstruction_r2(problem, pipeline.predict_in_parts(model, part.x))
    return metric_of(work, pipeline.predict(model, part))


def metric_of(work: Work, outputs: np.ndarray) -> float:
    """Returns the task's metric of outputs [n, ...] on the validation split, which lies in memory."""
    from tfday7.data.scoring import reconstruction_r2, score
    from tfday7.training.objective import output_meaning

    problem, part = work.dataset.problem, work.dataset.validation
    if problem.task == "reconstruction":
        return reconstruction_r2(problem, [(outputs, np.asarray(part.x[:]))])
    return score(problem, outputs, part.y, output_meaning(problem, work.original))


def copied(model: Any) -> Any:
    """Returns a new model with the same layers and weights; TFMOT's wrappers stay."""
    from tfday7.compression import qat
    from tfday7.models import load

    if qat.is_quantized(model):
        with tempfile.TemporaryDirectory(prefix="tfday7-") as folder:
            qat.save(model, Path(folder) / "model")
            return qat.load(Path(folder) / "model", allow_unsafe=True)  # Its code is this model's, which runs already.
    if not wrapped(model):
        return load(model)
    import tensorflow_model_optimization as tfmot

    kit = tfmot.quantization.keras
    with kit.quantize_scope(), tfmot.sparsity.keras.prune_scope(), tfmot.clustering.keras.cluster_scope():
        return load(model)


def wrapped(model: Any) -> bool:
    """Returns whether a layer is one of TFMOT's wrappers, or of our own fake quantization."""
    owners = ("tensorflow_model_optimization.", "tfday7.compression.qat.")
    return any(type(layer).__module__.startswith(owners) for layer in model.submodules)


def _fit(
    work: Work,
    model: Any,
    optimizer: OptimizerConfig,
    training: TrainingConfig,
    plan: Distillation | None,
    folder: RunFolder | None,
    callbacks: Sequence[Any],
    best_from: int,
) -> tuple[Fit, dict[str, Any] | None]:
    data, like = work.dataset, work.original
    if plan is None:
        from tfday7.data import augmentation
        from tfday7.training import fitting
        from tfday7.training.objective import objective

        # Of the original, because a wrapped last layer does not show whether it gives logits.
        aim = objective(data.problem, like, training.label_smoothing, augmentation.mixes_labels(training.augment))
        went = fitting.fit(model, data, optimizer, training, folder, callbacks=callbacks, aim=aim, best_from=best_from)
        return went, None
    from tfday7.compression.distillation import fitting as distilling

    return distilling.fit(model, data, optimizer, training, _teachers(work), plan, like, folder, callbacks, best_from)


def _teachers(work: Work) -> tuple[Any, ...]:
    return work.teachers or (work.original,)


def _said(work: Work, plan: Distillation | None) -> str:
    if plan is None:
        return ""
    count = len(work.teachers)
    return f", learning from {'the original' if not count else f'{count} teachers' if count > 1 else 'the teacher'}"


def _folder(work: Work, model: Any, what: str, settings: tuple[Any, ...]) -> RunFolder | None:
    """Returns the folder of this very training: a checkpoint of other weights or settings is never taken for its own.

    Without the digest a step that trains several times would take the end of the first for the start of the second.
    """
    if work.folder is None:
        return None
    digest = hashlib.blake2b(digest_size=10)
    kept = [(path, each) for path, one in sorted(work.kept.items()) for each in (one.zeros, one.clusters)]
    weights = [(None, weight) for one in (model, *_teachers(work)) for weight in one.get_weights()]
    for path, values in (*weights, *kept):
        digest.update(f"{path} {None if values is None else values.shape}".encode())
        digest.update(b"" if values is None else values.tobytes())
    described = [dataclasses.asdict(each) if dataclasses.is_dataclass(each) else each for each in settings]  # type: ignore[arg-type]
    digest.update(json.dumps([work.dataset.fingerprint, dict(work.step), *described]).encode())
    name = re.sub("[^a-z0-9_]+", "_", what.lower()).strip("_") or "finetune"
    return RunFolder(work.folder / f"{name}_{digest.hexdigest()}")


@contextlib.contextmanager
def _alone(work: Work, folder: RunFolder | None) -> Iterator[None]:
    """Holds a training's folder, as soon as no other process does."""
    with contextlib.ExitStack() as held:
        waits = False
        while folder is not None:
            try:
                held.enter_context(folder.locked())
                break
            except InUseError:
                if not waits:
                    work.say("waiting for another process, which is at this very training")
                waits = True
                time.sleep(POLL_SECONDS)
        yield


def _in_precision(work: Work, model: Any, precision: str) -> Any:
    """Returns the model, or for a mixed precision a copy of it whose outputs stay in float32."""
    if precision == "float32":
        return model
    if wrapped(model):
        work.notes.append(f"trained in float32 instead of {precision}: fake quantization and wrappers know no other")
        return model
    from tfday7.compression.mixed import with_precision

    return with_precision(model, precision)

"""Trains a student from its teachers by `training.fitting.fit`: from stored answers, or with the teachers in the step.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfday7.compression.distillation import caching
from tfday7.compression.distillation.distiller import Distiller
from tfday7.compression.distillation.features import Transfer
from tfday7.compression.distillation.losses import Columns, DistilledLoss, labels_only
from tfday7.compression.distillation.plan import Distillation
from tfday7.compression.distillation.teachers import Teachers
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset, augmentation
from tfday7.optimizers import OptimizerConfig
from tfday7.training import fitting
from tfday7.training.config import TrainingConfig
from tfday7.training.objective import objective, output_meaning


def fit(
    student: Any,
    dataset: Dataset,
    optimizer: OptimizerConfig,
    training: TrainingConfig,
    teachers: Sequence[Any],
    plan: Distillation,
    like: Any,
    folder: RunFolder | None = None,
    callbacks: Sequence[Any] = (),
    best_from: int = 1,
) -> tuple[fitting.Fit, dict[str, Any]]:
    """Trains a student in place; returns how it went, and from what it learned, as JSON values.

    Args:
        student: a tf_keras functional model.
        dataset, optimizer, training, folder, callbacks, best_from: as of `training.fitting.fit`.
        teachers: models whose mean answer is to be learned.
        plan: what to learn of them.
        like: a model that ends in what the student ends in (`training.objective` asks it): the student itself, or the
            one that it was made from, where it is wrapped for quantization.

    Raises:
        UserError: a teacher does not fit the data, layers do not fit each other, or as `fit`.
    """
    asked = Teachers(teachers, dataset.problem)
    transfer = None
    if plan.features != "none":
        if len(asked.models) > 1:
            raise UserError(
                f"features={plan.features} with {len(asked.models)} teachers: features are those of one model",
                "give one teacher, or features=none",
            )
        transfer = Transfer(student, asked.models[0], plan.features, plan.layers, plan.weight)
    cached = transfer is None and caching.repeats_exactly(dataset, training)
    if cached:
        data, columns = caching.with_answers(dataset, asked, training)
        model, training = student, dataclasses.replace(training, class_weights="none")
    else:
        data, columns = dataset, Columns(_label_count(dataset, training))
        model = Distiller(student, asked.answers, transfer)
    aim = distilled_aim(dataset, training, plan, like, columns, cached)
    went = fitting.fit(model, data, optimizer, training, folder, callbacks=callbacks, aim=aim, best_from=best_from)
    record = {
        "teachers": len(asked.models),
        "temperature": plan.temperature,
        "alpha": plan.alpha,
        "features": plan.features,
        "cached": cached,
    }
    if transfer is not None:
        record["layers"] = [":".join(pair) for pair in transfer.pairs]
        record["feature_weight"] = plan.weight
    return went, record


def distilled_aim(
    dataset: Dataset, training: TrainingConfig, plan: Distillation, like: Any, columns: Columns, cached: bool
) -> dict[str, Any]:
    """Returns `loss` and `metrics` for `compile`; arguments as of `fit`.

    Args:
        columns: of the targets that the loss sees.
        cached: whether the metrics see them, too; with the teachers in the step they see the labels alone.
    """
    problem = dataset.problem
    # As if labels were mixed: the loss that takes both class indices and shares, and gives one number an example.
    aim = objective(problem, like, training.label_smoothing, mixes_labels=True)
    meaning = output_meaning(problem, like)
    loss = DistilledLoss(problem, aim["loss"], meaning, columns, plan.temperature, plan.alpha)
    metrics = [labels_only(metric, columns) for metric in aim["metrics"]] if cached else aim["metrics"]
    return {"loss": loss, "metrics": metrics}


def _label_count(dataset: Dataset, training: TrainingConfig) -> int:
    """Returns the columns of the labels that training sees: class indices, or shares where augmentation mixes them."""
    if dataset.problem.task != "classification":
        return int(dataset.train.y.shape[-1])
    return dataset.problem.outputs if augmentation.mixes_labels(training.augment) else 1

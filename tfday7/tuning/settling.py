"""What a training leaves open about its optimizer, settled before it begins: by advice, or by a range test."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfday7.data import Dataset
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig, advisor
from tfday7.optimizers.config import FIND
from tfday7.optimizers.situation import Situation
from tfday7.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Settled:
    """An optimizer of which nothing is left open.

    Attributes:
        config: its settings.
        reasons: why, of what was "auto"; JSON values.
        range_test: of the rate where it was "find", as JSON values; None otherwise.
    """

    config: OptimizerConfig
    reasons: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    range_test: dict[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        """Returns what run.json says of it."""
        return {"optimizer": advisor.to_record(self.config, self.reasons), "range_test": self.range_test}


def is_open(config: OptimizerConfig) -> bool:
    """Returns whether something is left to be settled."""
    return advisor.is_auto(config) or config.learning_rate == FIND


def settle(
    config: OptimizerConfig,
    dataset: Dataset,
    model: Any,
    configs: tuple[ModelConfig, TrainingConfig],
    before: Mapping[str, Any],
) -> Settled:
    """Returns the settings with everything concrete.

    Args:
        config: the settings, some of them "auto" or "find".
        dataset, model: what is trained; the model keeps its weights.
        configs: how it was built and will be trained.
        before: what run.json holds of an earlier call. A run that goes on keeps what it began with: more epochs would
            otherwise change the optimizer under way.

    Raises:
        UserError: too little is known, or the loss falls at no rate.
    """
    if not is_open(config):
        return Settled(config)
    if before.get("optimizer"):
        return Settled(*advisor.from_record(before["optimizer"]), before.get("range_test"))
    model_config, training = configs
    settled, reasons = advisor.resolve(config, situation(dataset, model, model_config, training, trials=0))
    if settled.learning_rate != FIND:
        return Settled(settled, reasons)
    from tfday7.tuning import range_test

    found = range_test.run(model, dataset, settled, training)
    return Settled(dataclasses.replace(settled, learning_rate=found.learning_rate), reasons, found.to_json())


def agreed(settled: Settled, model: Any) -> Settled:
    """Returns what the chief of a group has settled, on every process of it.

    Args:
        settled: the chief's; what the others give is not looked at.
        model: is trained in the group.
    """
    from tfday7.distribution import agreement

    if not agreement.is_group(model):
        return settled
    said = json.dumps([dataclasses.asdict(settled.config), settled.reasons, settled.range_test]).encode()
    told = agreement.arrays_from_chief(model, {"settled": np.frombuffer(said, np.uint8)})
    config, reasons, range_test = json.loads((told or {})["settled"].tobytes())
    return Settled(OptimizerConfig(**config), reasons, range_test)


def situation(dataset: Dataset, model: Any, config: ModelConfig, training: TrainingConfig, trials: int) -> Situation:
    """Returns what the advisor goes by.

    Args:
        dataset, model: they are inspected.
        config: says whether the model comes with weights that should last.
        training: batch size and epochs.
        trials: what tuning may cost.
    """
    from tfday7.models import building
    from tfday7.optimizers import inspection

    stays_frozen = training.freeze and not training.unfreeze_epochs
    return inspection.inspect(
        dataset,
        model,
        batch_size=training.batch_size,
        epochs=training.epochs,
        fine_tuning=building.brings_weights(config) and not stays_frozen,
        trials=trials,
        **({"parameters": _head_parameters(model)} if stays_frozen else {}),
    )


def _head_parameters(model: Any) -> int:
    """Returns the number of weights that `--freeze` lets train. Raises UserError when it would freeze nothing."""
    from tfday7.models import transfer

    frozen = {id(layer) for layer in transfer.freezable(model)}
    weights = [weight for layer in model.layers if id(layer) not in frozen for weight in layer.trainable_weights]
    return sum(int(np.prod(weight.shape)) for weight in weights)

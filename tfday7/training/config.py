"""How a model is trained."""

from __future__ import annotations

import dataclasses
import math

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting
from tfday7.distribution.config import MOST_STEPS
from tfday7.models.architecture import ARCHITECTURES
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig


@dataclasses.dataclass(frozen=True)
class TrainingConfig(Settings):
    """The settings of a training run, apart from its data, model and optimizer."""

    epochs: int = setting(20, "Passes over the training split.", minimum=1, maximum=10_000_000)
    batch_size: int = setting(32, "Examples of one optimizer step, over all devices and accumulation steps.", minimum=1)
    accumulate_steps: int = setting(
        1, "Micro-batches that each device takes one after the other for one optimizer step.",
        minimum=1, maximum=MOST_STEPS,
    )  # fmt: skip
    micro_batch_size: str = setting(
        "", "auto: accumulate as little as memory allows, by the largest micro-batch that fits.", choices=("", "auto")
    )
    precision: str = setting(
        "float32",
        "Arithmetic of the layers; the mixed ones keep float32 variables.",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )
    seed: int = setting(
        0, "Decides initial weights, order of examples, augmentation and dropout.", minimum=0, maximum=2**32 - 1
    )
    deterministic: bool = setting(False, "Make every operation repeatable bit for bit; slower on GPUs.")
    augment: str = setting(
        "",
        "Random changes of training data (comma list): flip, shift, crop, cutout, color, mixup, noise, mask, "
        "token_dropout.",
    )
    label_smoothing: float = setting(0.0, "Share of each label that is spread over all classes.", minimum=0, below=1)
    patience: int = setting(0, "Stop after this many epochs without a better val_loss; 0 never stops early.", minimum=0)
    freeze: bool = setting(False, "Train the last layer alone; the others keep the weights that they come with.")
    unfreeze_epochs: int = setting(
        0,
        "With --freeze: every so many epochs another quarter of the layers trains, the last first; 0 never.",
        minimum=0,
    )
    class_weights: str = setting(
        "none",
        "Weight of each class in the loss; balanced: rare classes count as much as common ones.",
        choices=("none", "balanced"),
    )
    checkpoint_steps: int = setting(
        0, "Save a checkpoint after every so many steps; 0: between epochs, whenever it is cheap.", minimum=0
    )
    recoveries: int = setting(
        0,
        "How often a run whose loss is no longer a number may go back, halve the rate and leave out the batches there.",
        minimum=0,
        maximum=100,
    )
    keep_checkpoints: int = setting(2, "How many of the newest checkpoints stay on disk.", minimum=1, maximum=1000)
    adaptive_regularization: bool = setting(
        False, "Strengthen dropout and L2 while the gap between training and validation loss grows."
    )


def check_flags(training: TrainingConfig, model: ModelConfig) -> None:
    """Checks what contradicts without knowing the data. Raises UserError naming both flags."""
    if training.adaptive_regularization and model.model in ARCHITECTURES.names() and not (model.dropout or model.l2):
        raise UserError(
            "--adaptive_regularization needs something to strengthen, but --dropout=0 and --l2=0",
            "give a starting value, for example --dropout=0.1 or --l2=1e-5",
        )
    if training.micro_batch_size and training.accumulate_steps > 1:
        raise UserError(
            f"--micro_batch_size=auto contradicts --accumulate_steps={training.accumulate_steps}", "leave one out"
        )
    for name in ("freeze", "adaptive_regularization"):
        if training.recoveries and getattr(training, name):
            raise UserError(
                f"--recoveries={training.recoveries} contradicts --{name}: what it has changed cannot be taken back",
                "leave one out",
            )
    if training.unfreeze_epochs and not training.freeze:
        raise UserError(f"--unfreeze_epochs={training.unfreeze_epochs} needs --freeze", "nothing is frozen without it")
    if training.unfreeze_epochs >= training.epochs:
        raise UserError(
            f"--unfreeze_epochs={training.unfreeze_epochs} is not shorter than the run of --epochs={training.epochs}",
            "nothing would be unfrozen: give a smaller number, or leave it out",
        )


def check(training: TrainingConfig, optimizer: OptimizerConfig, task: str, train_examples: int) -> None:
    """Checks what contradicts the data, or another setting on this data.

    Args:
        training, optimizer: the settings.
        task: as in `Problem.task`.
        train_examples: size of the training split.

    Raises:
        UserError: a contradiction; the message names both flags.
    """
    if training.class_weights != "none" and task != "classification":
        raise UserError(f"--class_weights={training.class_weights} has no meaning for --task={task}")
    if training.label_smoothing and task not in ("classification", "multilabel", "several"):
        raise UserError(f"--label_smoothing={training.label_smoothing} has no meaning for --task={task}")
    if training.batch_size > train_examples:
        raise UserError(
            f"--batch_size={training.batch_size} is larger than the training split of {train_examples} examples"
        )
    total_steps = math.ceil(train_examples / training.batch_size) * training.epochs
    if optimizer.warmup_steps >= total_steps:
        raise UserError(
            f"--warmup_steps={optimizer.warmup_steps} is not shorter than the run: --epochs={training.epochs} are "
            f"{total_steps:,} steps",
            f"for example --warmup_steps={total_steps // 10}",
        )

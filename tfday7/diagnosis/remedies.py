"""The flags that apply a remedy to the run at hand.

"" where no flag does it, as with a model that brings its own layers; None where the run has the remedy already or more
of it, or has settings that contradict it. Of a history alone neither data nor flags are known: only absolute values
make flags then.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.settings import typed_fields
from tfday7.diagnosis.evidence import Evidence
from tfday7.models.architecture import ARCHITECTURES
from tfday7.models.config import ModelConfig
from tfday7.optimizers import catalog
from tfday7.optimizers.catalog import OPTIMIZERS
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig

MOST_DROPOUT = 0.6
HIGHEST_RATE = 0.1
CLIPNORM = 1.0
LONGER = 3  # Times the epochs.
WARMUP_STEPS, WARMUP_SHARE = 100, 0.1  # The share is of the run's steps: a short run has no time for more.


def width(evidence: Evidence, factor: float) -> str | None:
    """Returns the flag for a model that is wider by a factor; None where there is nothing to take away."""
    name = _architecture(evidence)
    if not name or (name == "linear" and evidence.kind != "text"):  # It has no width then.
        return ""
    before = int(evidence.flags.get("width") or ARCHITECTURES.get(name).width)
    after = max(1, round(before * factor))
    return None if after == before else f"--width={after}"


def more_dropout(evidence: Evidence) -> str | None:
    """Returns the flag for a dropout rate that is higher by 0.2, up to 0.6; None where it is as high."""
    if not _architecture(evidence):
        return ""
    before = float(evidence.flags.get("dropout") or 0)
    return None if before >= MOST_DROPOUT else f"--dropout={min(before + 0.2, MOST_DROPOUT):g}"


def more_l2(evidence: Evidence) -> str:
    """Returns the flag for a tenfold L2 penalty, at least 0.0001."""
    before = float(evidence.flags.get("l2") or 0)
    return f"--l2={max(before * 10, 1e-4):g}" if _architecture(evidence) else ""


def no_regularization(evidence: Evidence) -> str | None:
    """Returns the flags that take away what dropout and L2 there is."""
    present = [name for name in ("dropout", "l2") if float(evidence.flags.get(name) or 0)]
    if not _architecture(evidence):
        return ""
    return " ".join(f"--{name}=0" for name in present) or None


def augment(evidence: Evidence) -> str | None:
    """Returns the flag that adds an augmentation that the data takes to those that the run has."""
    if not evidence.kind:
        return ""
    wanted = {"image": "shift", "text": "token_dropout"}.get(evidence.kind, "noise")
    present = [name for name in evidence.flags.get("augment", "").split(",") if name]
    return None if wanted in present else "--augment=" + ",".join([*present, wanted])


def unless_set(evidence: Evidence, flag: str) -> str | None:
    """Returns the flag, or None when the run has just that value already or cannot take it."""
    name, _, value = flag.removeprefix("--").partition("=")
    return None if evidence.flags.get(name) == value else if_taken(evidence, flag)


def if_taken(evidence: Evidence, flags: str) -> str | None:
    """Returns the flags, or None when they contradict the run's optimizer or its settings."""
    given = {**evidence.flags, **dict(flag.removeprefix("--").split("=", 1) for flag in flags.split())}
    if given.get("optimizer", OptimizerConfig.optimizer) not in OPTIMIZERS:
        return flags
    read: dict[type, Callable[[str], Any]] = {str: str, int: int, float: float, bool: "true".__eq__}
    kinds = {field.name: kind for field, kind, _ in typed_fields(OptimizerConfig) if field.name != "learning_rate"}
    try:
        catalog.check(OptimizerConfig(**{name: read[kinds[name]](given[name]) for name in kinds if name in given}))
    except UserError:
        return None
    return flags


def lower_rate(evidence: Evidence, divisor: float) -> str:
    """Returns the flag for the run's learning rate, or its optimizer's own, divided by a number."""
    rate = _rate(evidence)
    return "" if rate is None else f"--learning_rate={rate / divisor:.3g}"


def find_rate(evidence: Evidence) -> str | None:
    """Returns the flag for a range test of the learning rate; None where one has chosen it."""
    return None if evidence.found_rate else unless_set(evidence, "--learning_rate=find")


def longer(evidence: Evidence) -> str | None:
    """Returns the flag for three times the epochs; None where patience has ended the run, as it would again."""
    if evidence.stopped == "early":
        return None
    return f"--epochs={LONGER * max(evidence.epochs, int(evidence.flags.get('epochs') or 0))}"


def larger_batch(evidence: Evidence) -> str | None:
    """Returns the flag for batches of twice the size; None where the training split has no such batch."""
    batch = 2 * int(evidence.flags.get("batch_size") or 0)
    if not batch:
        return ""
    return None if 0 < evidence.train_examples < batch else f"--batch_size={batch}"


def reference_optimizer(evidence: Evidence) -> str | None:
    """Returns the flags for Adam with its own rate; None where the run has them, or what Adam does not take."""
    has_adam = evidence.flags.get("optimizer", OptimizerConfig.optimizer) == "adam"
    return (
        None if has_adam and _rate(evidence) == 0.001 else if_taken(evidence, "--optimizer=adam --learning_rate=0.001")
    )


def higher_rate(evidence: Evidence, factor: float) -> str | None:
    """Returns the flag for the run's learning rate, or its optimizer's own, times a number, up to 0.1; None at that."""
    rate = _rate(evidence)
    if rate is None:
        return ""
    return None if rate >= HIGHEST_RATE else f"--learning_rate={min(rate * factor, HIGHEST_RATE):.3g}"


def warmup(evidence: Evidence) -> str | None:
    """Returns the flag for a warm-up of 100 steps, or a tenth of a shorter run; None where it is as long already."""
    steps = _steps(evidence)
    wanted = WARMUP_STEPS if steps is None else min(WARMUP_STEPS, int(WARMUP_SHARE * steps))
    before = int(evidence.flags.get("warmup_steps") or 0)
    return None if before >= wanted else if_taken(evidence, f"--warmup_steps={wanted}")


def clipping(evidence: Evidence) -> str | None:
    """Returns the flag for clipping at the usual norm; None where the run clips at it or below."""
    before = float(evidence.flags.get("global_clipnorm") or math.inf)
    return None if before <= CLIPNORM else if_taken(evidence, f"--global_clipnorm={CLIPNORM}")


def lower_momentum(evidence: Evidence) -> str | None:
    """Returns the flag for the usual momentum, where the run has a higher one."""
    return "--momentum=0.9" if float(evidence.flags.get("momentum") or 0) > 0.9 else None


def no_clipping(evidence: Evidence) -> str | None:
    """Returns the flags for clipping at the usual norm, where the run clips to less."""
    given = {name: float(evidence.flags.get(name) or 0) for name in ("global_clipnorm", "clipnorm", "clipvalue")}
    return " ".join(f"--{name}={CLIPNORM}" for name, value in given.items() if 0 < value < CLIPNORM) or None


def shallower(evidence: Evidence) -> str | None:
    """Returns the flag for half of the depth; None where there is no more to take away."""
    if not _architecture(evidence):
        return ""
    depth = int(evidence.flags.get("depth") or ARCHITECTURES.get(_architecture(evidence)).depth)
    return f"--depth={depth // 2}" if depth > 1 else None


def _rate(evidence: Evidence) -> float | None:
    """Returns the run's learning rate; None of a history alone, and where it is still to be found."""
    given = evidence.flags.get("learning_rate")
    if given in ("auto", "find") or (not given and not evidence.kind):
        return None
    optimizer = evidence.flags.get("optimizer", OptimizerConfig.optimizer)
    return float(given) if given else OPTIMIZERS.get(optimizer, OPTIMIZERS["adam"]).learning_rate


def _steps(evidence: Evidence) -> int | None:
    """Returns the steps of the whole run; None where the size of its training split is not known."""
    if not evidence.train_examples:
        return None
    batch = int(evidence.flags.get("batch_size") or TrainingConfig.batch_size)
    return math.ceil(evidence.train_examples / batch) * int(evidence.flags.get("epochs") or evidence.epochs)


def _architecture(evidence: Evidence) -> str:
    """Returns the run's architecture, or "" when the model brings its own layers, which no flag scales."""
    name = evidence.flags.get("model", ModelConfig.model if evidence.kind else "")
    return name if name in ARCHITECTURES.names() else ""

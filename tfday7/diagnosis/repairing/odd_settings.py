"""Settings of a run that lie beyond every range that a search would look in: the first suspects of a run that fails.

That a setting is odd proves nothing, as some runs want it so; it only says what to put back first. The ranges are those
of `tuning/space.py`, `optimizers/advisor_tuning.py` and `optimizers/table.py`, with what a small step beyond them is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tfday7.models.architecture import ARCHITECTURES
from tfday7.optimizers.table import CLIPPING, OPTIMIZERS

Flags = Mapping[str, str]
# Name -> highest value of the usual range, and what it is put back to.
HIGHEST = {
    "dropout": (0.5, "0"), "l2": (1e-2, "0"), "label_smoothing": (0.2, "0"), "weight_decay": (0.1, ""),
    "momentum": (0.98, ""), "beta_1": (0.98, ""), "beta_2": (0.9999, ""), "epsilon": (1e-3, ""), "rho": (0.98, ""),
    "ema_momentum": (0.9999, ""),
}  # fmt: skip
LOWEST_CLIP = 0.1
RATE_ABOVE = 5.0  # Times the highest rate of a search: short runs of small models are advised up to 2 times as much.
MIN_STEPS, USUAL_BATCH = 10, "32"  # Of an epoch; with fewer there are hardly any updates.
# Of the architecture's own size: small models are often wanted small, so that only extremes are odd.
SIZE_FACTORS = {"width": 16, "depth": 4}
MIN_PATIENCE = 3


def odd(flags: Flags, train_examples: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields changes that put odd settings back, each with the id of its sentence: all together, then each alone.

    Args:
        flags: of the run, canonical.
        train_examples: size of the training split.
    """
    found = dict((*_numbers(flags), *_switches(flags), *_sizes(flags), *_steps(flags, train_examples)))
    if len(found) > 1:
        yield "repair.odd_together", found
    for name, value in found.items():
        yield "repair.odd", {name: value}


def _numbers(flags: Flags) -> Iterator[tuple[str, str]]:
    spec = OPTIMIZERS.get(flags.get("optimizer", ""))
    if spec is not None and flags.get("learning_rate"):
        low, high = spec.learning_rate_range
        if not low <= float(flags["learning_rate"]) <= RATE_ABOVE * high:
            yield "learning_rate", str(spec.learning_rate)
    for name, (highest, usual) in HIGHEST.items():
        if flags.get(name) and float(flags[name]) > highest:
            yield name, usual
    for name in CLIPPING:
        if flags.get(name) and float(flags[name]) < LOWEST_CLIP:
            yield name, ""


def _switches(flags: Flags) -> Iterator[tuple[str, str]]:
    if flags.get("freeze") == "true":
        yield "freeze", "false"
        if flags.get("unfreeze_epochs", "0") != "0":
            yield "unfreeze_epochs", "0"
    if 0 < int(flags.get("patience") or 0) < MIN_PATIENCE:
        yield "patience", "0"
    if flags.get("augment", "").count(","):
        yield "augment", ""


def _sizes(flags: Flags) -> Iterator[tuple[str, str]]:
    if flags.get("model") not in ARCHITECTURES.names():
        return
    usual = ARCHITECTURES.get(flags["model"])
    for name, size in (("width", usual.width), ("depth", usual.depth)):
        given = int(flags.get(name) or size)
        if not size / SIZE_FACTORS[name] <= given <= size * SIZE_FACTORS[name]:
            yield name, str(size)


def _steps(flags: Flags, train_examples: int) -> Iterator[tuple[str, str]]:
    batch, epochs = int(flags["batch_size"]), int(flags["epochs"])
    steps = math.ceil(train_examples / batch)
    if batch > int(USUAL_BATCH) and steps < MIN_STEPS:
        yield "batch_size", USUAL_BATCH
    if int(flags.get("warmup_steps") or 0) > steps * epochs / 2:
        yield "warmup_steps", "0"

"""What a repair tries, the likeliest first: odd settings put back, then in turn a finding's remedy and a usual suspect.

A candidate need not be right, as training decides. So the usual suspects do not wait for the end of what the diagnosis
says: a run that was judged wrongly gets repaired too.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping

from tfday7.core.errors import UserError
from tfday7.core.settings import from_text, to_text, typed_fields
from tfday7.data.config import DataConfig
from tfday7.diagnosis import remedies
from tfday7.diagnosis.diagnosing import MIN_EPOCHS
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.records import Diagnosis
from tfday7.diagnosis.repairing.odd_settings import odd
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.table import OPTIMIZERS
from tfday7.training.config import TrainingConfig

Flags = Mapping[str, str]
GROUPS = (DataConfig, ModelConfig, OptimizerConfig, TrainingConfig)
LONGER, MUCH_LONGER = 3, 10
FEW_EPOCHS = 10  # Ten times as long is worth a try only where a run was as short as that; it would cost too much.
RATE_STEP = 10.0
SMOOTHING = 0.1
# Which of the usual suspects come first with which verdict; the others follow.
FIRST = {
    "broken": ("advised", "lower_rate", "higher_rate", "longer", "no_regularization", "no_augmentation", "float32"),
    "unstable": ("lower_rate", "advised", "clip", "warmup", "schedule"),
    "underfit": ("longer", "advised", "much_longer", "no_regularization", "no_augmentation", "higher_rate", "wider"),
    "overfit": ("dropout", "advised", "augment", "l2", "narrower", "smoothing"),
    "undetermined": ("longer", "advised", "much_longer", "higher_rate", "wider"),
    "good_fit": ("longer", "advised", "wider", "dropout"),
}


@dataclasses.dataclass(frozen=True)
class Remedy:
    """Flags to try.

    Attributes:
        id: of the sentence in the table of texts that says what it does.
        flags: name -> value; "" puts a flag back to its default.
    """

    id: str
    flags: dict[str, str]


def candidates(diagnosis: Diagnosis, evidence: Evidence, advised: Flags, train_examples: int) -> list[Remedy]:
    """Returns what to try on a run, the likeliest first, without what changes nothing.

    Args:
        diagnosis: what is known of it.
        evidence: with the run's flags, complete and in the form of `canonical`.
        advised: flags of the optimizer that the advisor chooses, complete too.
        train_examples: size of the training split.
    """
    suspects = dict(_usual(evidence, train_examples))
    too_short = int(evidence.flags["epochs"]) < MIN_EPOCHS  # Whatever the verdict: so few epochs show no trend.
    first = (*(("longer", "much_longer") if too_short else ()), *FIRST[diagnosis.verdict])
    others = [name for name in suspects if name not in first and diagnosis.verdict != "good_fit"]
    order = dict.fromkeys([*first, *others])
    own = [(advice.id, advice.flag) for finding in diagnosis.findings for advice in finding.remedies if advice.flag]
    usual = [(f"repair.{name}", suspects[name]) for name in order if name in suspects]
    turns = (each for turn in itertools.zip_longest(own, usual) for each in turn if each is not None)
    listed: list[tuple[str, str | Flags]] = [*odd(evidence.flags, train_examples), *turns]
    found: dict[tuple[tuple[str, str], ...], Remedy] = {}
    for identifier, flag in listed:
        change = _concrete(parse(flag) if isinstance(flag, str) else dict(flag), advised)
        change = _what_changes(evidence.flags, change)
        if change and not _only_stops(change):
            found.setdefault(tuple(sorted(change.items())), Remedy(identifier, change))
    return list(found.values())


def parse(flags: str) -> dict[str, str]:
    """Returns "--dropout=0.3 --nofreeze" as {"dropout": "0.3", "freeze": "false"}."""
    switches = {field.name for group in GROUPS for field, kind, _ in typed_fields(group) if kind is bool}
    parsed = {}
    for flag in flags.split():
        name, given, value = flag.removeprefix("--").partition("=")
        if not given and name.removeprefix("no") in switches and name not in switches:
            name, value = name.removeprefix("no"), "false"
        parsed[name] = value if given or value else "true"
    return parsed


def canonical(flags: Flags) -> dict[str, str]:
    """Returns flags with each setting written in one way, so that equal settings are equal texts.

    Raises:
        UserError: a value that its setting does not take.
    """
    said = {name: value for group in GROUPS for name, value in to_text(from_text(group, flags)).items()}
    known = {field.name for group in GROUPS for field, _, _ in typed_fields(group)}
    return {**{name: value for name, value in flags.items() if name not in known}, **said}


def applied(flags: Flags, change: Flags) -> dict[str, str]:
    """Returns the flags of a run after a change, canonical; another optimizer comes without the settings of the former.

    Raises:
        UserError: a value that its setting does not take.
    """
    after = dict(flags)
    optimizer = change.get("optimizer", flags.get("optimizer"))
    if optimizer != flags.get("optimizer") and optimizer in OPTIMIZERS:
        takes = ("optimizer", "schedule", "warmup_steps", *OPTIMIZERS[optimizer].common)
        for field in dataclasses.fields(OptimizerConfig):
            if field.name not in takes:
                after.pop(field.name, None)
    return canonical({**after, **change})


def difference(before: Flags, after: Flags) -> dict[str, str]:
    """Returns the flags that differ, as they are after; "" where one is back at a default that has no text."""
    names = sorted({*before, *after})
    return {name: after.get(name, "") for name in names if after.get(name, "") != before.get(name, "")}


def _what_changes(flags: Flags, change: dict[str, str]) -> dict[str, str]:
    """Returns a change without what is so already; as it is where the flags do not take it, which is said later."""
    try:
        return difference(flags, applied(flags, change))
    except UserError:
        return change


def _only_stops(change: Flags) -> bool:
    """Returns whether a change only ends training early: the best epoch's weights are delivered in any case."""
    return change.keys() == {"patience"} and change["patience"] != "0"


def _concrete(change: dict[str, str], advised: Flags) -> dict[str, str]:
    """Returns a change in which the advisor's choice stands for "auto" and "find"."""
    if not {"auto", "find"} & {change.get("optimizer"), change.get("learning_rate")}:
        return change
    settings = {field.name: advised.get(field.name, "") for field in dataclasses.fields(OptimizerConfig)}
    return {**settings, **{name: value for name, value in change.items() if value not in ("auto", "find")}}


def _usual(evidence: Evidence, train_examples: int) -> Iterator[tuple[str, str | Flags]]:
    """Yields name -> flags of every change that repairs runs of some kind."""
    flags = evidence.flags
    epochs = int(flags["epochs"])
    steps = math.ceil(train_examples / int(flags["batch_size"])) * epochs
    yield "longer", f"--epochs={epochs * LONGER}"
    yield "advised", "--optimizer=auto --learning_rate=auto"
    yield "lower_rate", remedies.lower_rate(evidence, RATE_STEP)
    yield "higher_rate", remedies.lower_rate(evidence, 1 / RATE_STEP)
    yield "no_regularization", remedies.no_regularization(evidence) or ""
    yield "no_augmentation", {"augment": ""}
    yield "wider", remedies.width(evidence, 2.0) or ""
    yield "dropout", remedies.more_dropout(evidence) or ""
    yield "l2", remedies.more_l2(evidence)
    yield "narrower", remedies.width(evidence, 0.5) or ""
    yield "augment", remedies.augment(evidence) or ""
    yield "schedule", "--schedule=cosine"
    if epochs <= FEW_EPOCHS:
        yield "much_longer", f"--epochs={epochs * MUCH_LONGER}"
    warmup_steps = int(steps * remedies.WARMUP_SHARE)
    if warmup_steps > int(flags.get("warmup_steps") or 0):
        yield "warmup", f"--warmup_steps={warmup_steps}"
    if not any(flags.get(name) for name in ("clipnorm", "clipvalue", "global_clipnorm")):
        yield "clip", "--global_clipnorm=1.0"
    if evidence.task == "classification":
        if float(flags.get("label_smoothing") or 0) < SMOOTHING:
            yield "smoothing", f"--label_smoothing={SMOOTHING}"
        yield "balanced", "--class_weights=balanced"
    yield "float32", "--precision=float32"

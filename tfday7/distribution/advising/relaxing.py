"""What to relax where nothing fits: each change is tried by itself, and said with what it would leave to hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from tfday7.distribution.advising.accelerators import ACCELERATORS
from tfday7.distribution.advising.hardware import FLOAT32, MIXED_BFLOAT16, MIXED_FLOAT16, Case
from tfday7.distribution.advising.memory import USABLE, Workload
from tfday7.distribution.advising.plans import Plan, plans
from tfday7.distribution.advising.timing import GIGA
from tfday7.distribution.advising.weights import optimizer_bytes
from tfday7.optimizers.advice import as_flag

LEAN = ("lion", "adafactor")  # With fewer slots, the larger first.
MOST_DEVICES = 64  # In one machine, that are worth asking for.
SHORTEST = 32  # Words of a sequence that still say something.
Describe = Callable[[Case], Workload]  # The model under other settings; with a measured one the same.


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of the question.

    Attributes:
        id: of the sentence, `relax.<id>`.
        flags: what says it.
        plan: what would then be taken, or needs least.
    """

    id: str
    flags: tuple[str, ...]
    plan: Plan

    @property
    def fits(self) -> bool:
        """Whether it is enough alone."""
        return self.plan.fits


def changes(case: Case, workload: Workload, describe: Describe, measured: bool) -> list[Change]:
    """Returns what can be changed, what is enough alone first.

    Args:
        case: what does not fit.
        workload: its model.
        describe: gives the model for another case.
        measured: whether activations were measured: then precision and sequence length are the model's own.
    """
    found = [*_optimizers(case, workload), *_devices(case, workload)]
    if not measured:
        found += [*_precision(case, describe), *_sequence(case, describe)]
    needed = plans(case, workload).smallest.memory.total
    helpful = [change for change in found if change.fits or change.plan.memory.total < needed]
    if not any(change.fits for change in helpful):
        helpful += _together(case, describe, measured)
    return [*sorted(helpful, key=lambda change: not change.fits), _memory(case, workload)]


def _tried(identifier: str, case: Case, workload: Workload, **values: str | int | float) -> Change:
    changed = dataclasses.replace(case, **values)  # type: ignore[arg-type]
    tried = plans(changed, workload)
    flags = tuple(as_flag(name, value) for name, value in values.items())
    return Change(identifier, flags, tried.chosen or tried.smallest)


def _optimizers(case: Case, workload: Workload) -> Iterator[Change]:
    now = optimizer_bytes(workload.weights, case.optimizer)
    for name in LEAN:
        if optimizer_bytes(workload.weights, name) < now:
            yield _tried("optimizer", case, workload, optimizer=name)


def _together(case: Case, describe: Describe, measured: bool) -> Iterator[Change]:
    """Yields the leanest optimizer in 16 bit, on as many devices of one machine as suffice, or nothing.

    No mesh trains in float16; where that is all that the devices have, they share the model in float32.
    """
    half = _half(case) if case.precision == FLOAT32 else case.precision
    for precision in [case.precision] if measured else dict.fromkeys((half, FLOAT32)):
        values: dict[str, Any] = {"optimizer": LEAN[-1]}
        values |= {"precision": precision} if precision != case.precision else {}
        lean = dataclasses.replace(case, **values)
        model = describe(lean)
        alone = _tried("together", case, model, **values)
        if alone.fits:
            yield alone
            return
        for more in _devices(lean, model):
            flags = tuple(as_flag(name, value) for name, value in values.items())
            yield Change("together", (*flags, *more.flags), more.plan)
            return


def _half(case: Case) -> str:
    kind = ACCELERATORS.get(case.accelerator or "")
    return MIXED_BFLOAT16 if kind is None or kind.bfloat16 else MIXED_FLOAT16


def _devices(case: Case, workload: Workload) -> Iterator[Change]:
    """Yields the fewest devices in one machine that suffice, or nothing."""
    count = 2
    while count <= MOST_DEVICES:
        if count > case.devices_per_machine:
            batch = -(-case.batch_size // count) * count  # The next that all of them can share.
            values = {"devices": count, "devices_per_machine": count}
            change = _tried(
                "devices", case, workload, **values, **({"batch_size": batch} if batch != case.batch_size else {})
            )
            if change.fits:
                yield change
                return
        count *= 2


def _precision(case: Case, describe: Describe) -> Iterator[Change]:
    if case.precision == FLOAT32:
        name = _half(case)
        changed = dataclasses.replace(case, precision=name)
        yield _tried("precision", case, describe(changed), precision=name)


def _sequence(case: Case, describe: Describe) -> Iterator[Change]:
    """Yields half the length, or the first halving of it that suffices."""
    if case.sequence_length is None:
        return
    first = None
    length = case.sequence_length // 2
    while length >= SHORTEST:
        changed = dataclasses.replace(case, sequence_length=length)
        change = _tried("sequence", case, describe(changed), sequence_length=length)
        first = first or change
        if change.fits:
            yield change
            return
        length //= 2
    if first is not None:
        yield first


def _memory(case: Case, workload: Workload) -> Change:
    """Returns the memory that would be enough."""
    least = plans(case, workload).smallest.memory.total / USABLE / GIGA
    return _tried("memory", case, workload, device_memory_gb=_rounded_up(least))


def _rounded_up(value: float) -> float:
    """Returns three digits of a number, rounded up, so that they are enough."""
    digits = max(0, 3 - len(str(int(value))))
    step = 10.0**-digits
    return round((value // step + 1) * step, digits)

"""The candidates: every way to spread a run that the devices allow, with memory, accumulation and time of each.

A plan is (replicas, parts): copies of the model that share the batch, and the devices of one machine that each copy is
split over. The choice is a rule: the fewest parts whose memory suffices, since a whole model sends its gradients once a
step, and a split one its activations in every layer. Only where one device suffices and would be done sooner, by the
estimate, it stays alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfday7.core.errors import UserError
from tfday7.distribution.advising import memory, timing
from tfday7.distribution.advising.hardware import MIXED_FLOAT16, Case
from tfday7.distribution.advising.memory import USABLE, Layout, Memory, Refusal, Workload
from tfday7.distribution.advising.timing import Times
from tfday7.distribution.config import MOST_STEPS
from tfday7.optimizers.table import OPTIMIZERS

FASTER = 0.9  # Share of the chosen plan's step below which another plan is worth a word.


@dataclasses.dataclass(frozen=True)
class Plan:
    """One way to spread the run.

    Attributes:
        strategy: as `--strategy` takes it.
        replicas, parts: copies of the model, and the devices of each.
        accumulate_steps: micro-batches of a step.
        micro_batch: examples of one micro-batch on one replica.
        memory: bytes on each device.
        usable_bytes: what there is.
        times: of a step.
        speedup: examples a second, beside one such device; None where times are not known.
    """

    strategy: str
    replicas: int
    parts: int
    accumulate_steps: int
    micro_batch: int
    memory: Memory
    usable_bytes: float
    times: Times

    @property
    def devices(self) -> int:
        """Devices that it uses."""
        return self.replicas * self.parts

    @property
    def mesh(self) -> str:
        """As `--mesh` takes it; "" without one."""
        return mesh(self.replicas, self.parts)

    @property
    def name(self) -> str:
        """The strategy with its mesh."""
        return f"{self.strategy} {self.mesh}".strip()

    @property
    def fits(self) -> bool:
        """Whether what is known of its memory fits."""
        return self.memory.total <= self.usable_bytes

    @property
    def speedup(self) -> float | None:
        """Examples a second beside one device of unlimited memory, by the estimate."""
        return None if self.times.efficiency is None else self.devices * self.times.efficiency


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A plan that is none, with the id of why, `left_out.<id>`, and what fills it."""

    name: str
    sentence: str
    replicas: int
    parts: int
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Plans:
    """All plans, and the one to take.

    Attributes:
        candidates: one device first, then by the parts of a replica.
        left_out: what the devices would allow and the model or the batch does not.
        chosen: None where nothing fits.
    """

    candidates: tuple[Plan, ...]
    left_out: tuple[LeftOut, ...]
    chosen: Plan | None

    @property
    def smallest(self) -> Plan:
        """The plan of all devices that needs the least memory, fit or not; the one device where there is no other."""
        spread = [plan for plan in self.candidates if plan.devices > 1] or list(self.candidates)
        return min(spread, key=lambda plan: plan.memory.total)

    @property
    def faster(self) -> Plan | None:
        """The fastest of those that fit, where the estimate has it clearly before the chosen one."""
        if self.chosen is None or self.chosen.times.step is None:
            return None
        known = [(plan.times.step, plan) for plan in self.candidates if plan.fits and plan.times.step is not None]
        step, plan = min(known, key=lambda pair: pair[0])
        return plan if step < FASTER * self.chosen.times.step else None


def _alone(one: Plan, chosen: Plan) -> bool:
    """Returns whether one device is known to be no slower."""
    steps = (one.times.step, chosen.times.step)
    return one.fits and steps[0] is not None and steps[1] is not None and steps[0] <= steps[1]


def mesh(replicas: int, parts: int) -> str:
    """Returns the mesh as `--mesh` takes it; "" where nothing is split."""
    if parts == 1:
        return ""
    return f"model:{parts}" if replicas == 1 else f"batch:{replicas},model:{parts}"


def plans(case: Case, workload: Workload) -> Plans:
    """Returns the candidates for all devices, and one device to compare with.

    Raises:
        UserError: no plan has a batch that its replicas can share.
    """
    candidates = [_plan(case, workload, Layout(workload.weights), "one_device", 1, 1)]
    left_out = []
    for parts in _parts(case):
        replicas = case.devices // parts
        strategy = _strategy(case, replicas, parts)
        layout = _layout(case, workload, replicas, parts)
        if isinstance(layout, Refusal):
            name = f"{strategy} {mesh(replicas, parts)}".strip()
            left_out.append(LeftOut(name, layout.id, replicas, parts, layout.reason))
        else:
            candidates.append(_plan(case, workload, layout, strategy, replicas, parts))
    spread = [plan for plan in candidates if plan.devices == case.devices]
    if not spread:
        below, above = nearest(case.batch_size, case.devices)
        raise UserError(
            f"--batch_size={case.batch_size} cannot be shared by --devices={case.devices}",
            f"--batch_size={f'{below} or {above}' if below else above} can",
        )
    chosen = next((plan for plan in spread if plan.fits), None)
    if chosen is not None and _alone(candidates[0], chosen):
        chosen = candidates[0]
    return Plans(tuple(candidates), tuple(left_out), chosen)


def nearest(batch_size: int, replicas: int) -> tuple[int, int]:
    """Returns the batch sizes around one that so many replicas can share; the smaller one may be 0."""
    below = batch_size // replicas * replicas
    return below, below + replicas


def _parts(case: Case) -> Iterator[int]:
    """Yields how many devices a replica may be split over, inside one machine."""
    first = 1 if case.devices > 1 else 2
    yield from (parts for parts in range(first, case.devices_per_machine + 1) if case.devices_per_machine % parts == 0)


def _strategy(case: Case, replicas: int, parts: int) -> str:
    if parts > 1:
        return "model_parallel" if replicas == 1 else "hybrid"
    if case.on_tpu:
        return "tpu"
    return "mirrored" if case.machines == 1 else "multiworker"


def _layout(case: Case, workload: Workload, replicas: int, parts: int) -> Layout | Refusal:
    """Returns how the model lies on the devices of a replica, or what stands against that."""
    if parts > 1 and case.on_tpu:
        return Refusal("tpu")
    if parts > 1 and not OPTIMIZERS[case.optimizer].rule:
        return Refusal("optimizer")
    if parts > 1 and case.precision == MIXED_FLOAT16:
        return Refusal("float16")
    if case.batch_size % replicas:
        return Refusal("batch")
    return workload.on(parts)


def _plan(case: Case, workload: Workload, layout: Layout, strategy: str, replicas: int, parts: int) -> Plan:
    """Returns a plan with the fewest micro-batches that fit; where none does, with those that need least."""
    own = max(1, case.batch_size // replicas)
    usable = USABLE * case.device_memory_gb * timing.GIGA
    found: list[tuple[int, Memory]] = []
    for steps in (each for each in _divisors(own) if each <= MOST_STEPS) if workload.activations else [1]:
        needed = memory.of(workload, layout, case.optimizer, case.half, own // steps, parts, accumulates=steps > 1)
        found.append((steps, needed))
        if needed.total <= usable:
            break
    else:
        found.sort(key=lambda pair: pair[1].total, reverse=True)
    steps, needed = found[-1]
    times = timing.of(case, workload, layout, replicas, parts, steps)
    return Plan(strategy, replicas, parts, steps, own // steps, needed, usable, times)


def _divisors(count: int) -> list[int]:
    small = [each for each in range(1, int(count**0.5) + 1) if count % each == 0]
    return sorted({*small, *(count // each for each in small)})

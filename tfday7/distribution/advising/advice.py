"""The answer: which strategy and mesh, what each device holds, how many micro-batches, how it scales, what to run.

    advise(Hardware(accelerator="a100_80", precision="mixed_bfloat16"), Situation(parameters=7 * 10**9, devices=8))

Loads no TensorFlow, unless a built model was measured before.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tfday7.distribution.advising import claims, relaxing, transformer
from tfday7.distribution.advising import plans as planning
from tfday7.distribution.advising.accelerators import ACCELERATORS
from tfday7.distribution.advising.hardware import KINDS, Case, Hardware, case
from tfday7.distribution.advising.memory import PARTS, Activations, Layout, Refusal, Workload
from tfday7.distribution.advising.plans import Plan, Plans
from tfday7.distribution.advising.relaxing import Change
from tfday7.distribution.advising.timing import FLOPS_PER_WEIGHT
from tfday7.distribution.advising.transformer import Transformer
from tfday7.distribution.advising.weights import alike, split
from tfday7.optimizers.advice import as_flag
from tfday7.optimizers.situation import Situation

if TYPE_CHECKING:
    from tfday7.distribution.advising.measuring import Measured


@dataclasses.dataclass(frozen=True)
class DistributionAdvice:
    """The answer.

    Attributes:
        case: what was asked.
        workload: the model.
        plans: every way to spread it, and the chosen one.
        changes: what to relax; empty unless nothing fits.
    """

    case: Case
    workload: Workload
    plans: Plans
    changes: tuple[Change, ...]

    def flags(self) -> list[str]:
        """Returns the flags of `tfday7.train` that carry the plan out; without one, none."""
        plan = self.plans.chosen
        if plan is None:
            return []
        found = [as_flag("strategy", plan.strategy)]
        if plan.mesh:
            found.append(as_flag("mesh", plan.mesh))
        found.append(as_flag("batch_size", self.case.batch_size))
        if plan.accumulate_steps > 1:
            found.append(as_flag("accumulate_steps", plan.accumulate_steps))
        if self.workload.activations is None and not self.workload.loops:
            found.append(as_flag("micro_batch_size", "auto"))
        return [*found, as_flag("precision", self.case.precision), as_flag("optimizer", self.case.optimizer)]

    def to_json(self, lang: str = "en") -> dict[str, Any]:
        """Returns the record as plain JSON values, its sentences in "en" or "zh"."""
        chosen, asked = self.plans.chosen, self.case
        said = claims.Claims(asked, self.workload, self.plans, lang)
        return {
            "topic": "distribution",
            "chosen": chosen.name if chosen else None,
            "usable_bytes": self.plans.smallest.usable_bytes,
            "reasons": said.reasons(),
            "accumulation": said.accumulation(),
            "candidates": [_candidate(plan, plan is chosen) for plan in self.plans.candidates],
            "left_out": [{"name": out.name, **said.left_out(out)} for out in self.plans.left_out],
            "binding": None if chosen else _binding(self.plans.smallest),
            "relax": [
                {"flags": list(change.flags), "fits": change.fits, **said.change(change)} for change in self.changes
            ],
            "formulas": said.formulas(),
            "notes": said.notes(),
            "accelerator": _accelerator(asked),
            "flags": self.flags(),
            "inputs": asked.inputs(),
            "origins": dict(asked.origins),
        }


def advise(
    devices: Hardware, given: Situation, found: Situation | None = None, measured: Measured | None = None
) -> DistributionAdvice:
    """Returns how to spread a run.

    Args:
        devices: the devices, and how the run uses them.
        given: what the user knows of the task; `hardware.INPUTS` count.
        found: what the data and the model say themselves.
        measured: what the built model says of its weights and activations.

    Raises:
        UserError: too little is known, or values contradict each other.
    """
    if measured is not None:
        from tfday7.distribution.advising.measuring import with_sizes

        devices = with_sizes(devices, measured)
    asked = _with_sizes(case(devices, given, found), measured)
    if measured is not None:
        origins = {**asked.origins, **dict.fromkeys(measured.sizes, "found")}
        asked = dataclasses.replace(asked, origins=origins)
    workload = describe(asked, measured)
    plans = planning.plans(asked, workload)
    changes = []
    if plans.chosen is None:
        changes = relaxing.changes(asked, workload, lambda other: describe(other, measured), measured is not None)
    return DistributionAdvice(asked, workload, plans, tuple(changes))


def describe(asked: Case, measured: Measured | None = None) -> Workload:
    """Returns the model of a case, by arithmetic where it was not measured."""
    sizes = _sizes(asked)
    if measured is not None:
        activations, loops = measured.activations, measured.activations is None
        return Workload(measured.weights, activations, sizes, measured.example_flops, measured.divide, loops)
    flops = _flops(asked)
    if sizes is None:
        loops = asked.model_kind == "rnn"
        return Workload(alike(asked.parameters), None, None, flops, lambda parts: Refusal("kind"), loops)
    weights = sizes.weights(asked.parameters)

    def divide(parts: int) -> Layout | Refusal:
        if not sizes.splits_into(parts):
            return Refusal("heads")
        return Layout(split(weights, parts), sizes.exchanged_bytes(asked.half))

    activations = Activations(sizes.activation_bytes(half=asked.half), None, "formula")
    return Workload(weights, activations, sizes, flops, divide)


def _with_sizes(asked: Case, measured: Measured | None) -> Case:
    """Returns the case with the sizes of the transformer; those of a model that was looked at are not made up."""
    if asked.model_kind != "transformer" or measured is not None or asked.sequence_length is None:
        return asked
    sizes = transformer.derive(
        asked.parameters, asked.sequence_length, asked.layers, asked.hidden_size, asked.attention_heads
    )
    origins = {**dict.fromkeys(KINDS, "assumed"), **asked.origins}
    return dataclasses.replace(asked, **vars(sizes), origins=origins)


def _sizes(asked: Case) -> Transformer | None:
    values = [getattr(asked, name) for name in ("layers", "hidden_size", "attention_heads", "sequence_length")]
    return None if None in values else Transformer(*values)


def _flops(asked: Case) -> float | None:
    """Returns the operations of one example: 6 for each weight and word, where every word meets every weight."""
    per_word = float(FLOPS_PER_WEIGHT * asked.parameters)
    if asked.model_kind in ("transformer", "rnn"):
        return None if asked.sequence_length is None else per_word * asked.sequence_length
    return per_word if asked.model_kind == "mlp" else None


def _binding(plan: Plan) -> dict[str, Any]:
    return {"plan": plan.name, "part": plan.memory.largest, "missing_bytes": plan.memory.total - plan.usable_bytes}


def _candidate(plan: Plan, chosen: bool) -> dict[str, Any]:
    times = plan.times
    return {
        "name": plan.name,
        "strategy": plan.strategy,
        "mesh": plan.mesh,
        "chosen": chosen,
        "devices": plan.devices,
        "replicas": plan.replicas,
        "model_parallel": plan.parts,
        "accumulate_steps": plan.accumulate_steps,
        "micro_batch": plan.micro_batch,
        "memory": {**{part: getattr(plan.memory, part) for part in PARTS}, "total": plan.memory.total},
        "fits": plan.fits,
        "seconds": {**dataclasses.asdict(times), "step": times.step},
        "efficiency": times.efficiency,
        "speedup": plan.speedup,
    }


def _accelerator(asked: Case) -> dict[str, Any] | None:
    if asked.accelerator is None:
        return None
    return {"name": asked.accelerator, "source": ACCELERATORS[asked.accelerator].source}

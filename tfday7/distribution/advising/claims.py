"""What is said about a plan: sentences of core/texts/distribution.json with their values and sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfday7.core.texts import text
from tfday7.core.units import format_bytes
from tfday7.distribution.advising import sources
from tfday7.distribution.advising import weights as shapes
from tfday7.distribution.advising.hardware import Case
from tfday7.distribution.advising.memory import USABLE, Workload
from tfday7.distribution.advising.plans import LeftOut, Plan, Plans, nearest
from tfday7.distribution.advising.relaxing import Change

SLOW = 0.5  # An efficiency below which links are most of a step.


class Claims:
    """The sentences about one answer.

    Args:
        case: what was asked.
        workload: the model.
        plans: every way to spread it.
        lang: "en" or "zh".
    """

    def __init__(self, case: Case, workload: Workload, plans: Plans, lang: str) -> None:
        self.case = case
        self.workload = workload
        self.plans = plans
        self.lang = lang

    def reasons(self) -> list[dict[str, Any]]:
        """Returns why the plan is the one to take, or what binds where there is none."""
        return [self._said(f"why.{name}", **self._of(plan)) for name, plan in self._reasons()]

    def accumulation(self) -> dict[str, Any] | None:
        """Returns how many micro-batches there are, and why; None where nothing fits."""
        plan = self.plans.chosen
        if plan is None:
            return None
        name = "none" if plan.accumulate_steps == 1 else "steps"
        if self.workload.activations is None:
            name = "loops" if self.workload.loops else "unknown"
        elif plan.micro_batch == 1 and plan.accumulate_steps > 1:
            name = "example"
        return self._said(f"accumulate.{name}", **self._of(plan))

    def left_out(self, out: LeftOut) -> dict[str, Any]:
        """Returns why a plan is none."""
        return self._said(f"left_out.{out.sentence}", reason=out.reason, **self._batches(out))

    def change(self, change: Change) -> dict[str, Any]:
        """Returns what a change would do."""
        plan = change.plan
        verdict = text(f"distribution.relax.{'enough' if change.fits else 'not_enough'}", self.lang, **self._of(plan))
        flags = text("distribution.label.separator", self.lang).join(change.flags)
        return self._said(f"relax.{change.id}", verdict=verdict, flags=flags, **self._of(plan))

    def formulas(self) -> list[dict[str, Any]]:
        """Returns how each figure was calculated, and with which assumptions."""
        return [self._said(f"formula.{name}") for name in self._formulas()]

    def notes(self) -> list[dict[str, Any]]:
        """Returns what else is worth knowing."""
        return [self._said(f"note.{name}", **values) for name, values in self._notes()]

    def _reasons(self) -> Iterator[tuple[str, Plan]]:
        plan, one = self.plans.chosen, self.plans.candidates[0]
        if plan is None:
            yield "binds", self.plans.smallest
            if self.plans.smallest.parts == 1 and self.case.devices > 1:
                yield "replicated", self.plans.smallest
        elif plan.parts == 1:
            alone = "one_device" if self.case.devices == 1 else "alone"
            yield (alone if plan.devices == 1 else "data"), plan
        else:
            yield ("batch" if one.fits else "not_whole"), one
            yield ("split" if plan.replicas == 1 else "hybrid"), plan
            yield "inside", plan

    def _formulas(self) -> Iterator[str]:
        activations, sizes = self.workload.activations, self.workload.transformer
        yield "weights"
        if self.case.half:
            yield "casts"
        if any(plan.accumulate_steps > 1 for plan in self.plans.candidates):
            yield "accumulated"
        yield "optimizer"
        split = any(plan.parts > 1 for plan in self.plans.candidates)
        if activations is not None:
            yield f"activations.{activations.origin}"
            if split and activations.origin != "formula":
                yield "activations.split" if sizes is not None else "activations.whole"
        yield "reserve"
        if any(plan.times.compute is not None for plan in self.plans.candidates):
            measured = activations is not None and activations.origin != "formula"
            yield "compute.layers" if measured else "compute.words"
            yield "utilization"
        if self.case.devices > 1:
            yield "ring"
            if split:
                yield "tensor.layers" if activations is None or activations.origin != "formula" else "tensor.megatron"
            yield "efficiency"

    def _notes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        asked, plan = self.case, self.plans.chosen
        if asked.origins.get("layers") == "assumed":
            yield "sizes", {}
        yield from ((name, {}) for name in self._unknown())
        if plan is None:
            return
        if plan.parts > 1 and self.plans.candidates[0].fits:
            yield "batch", self._batches(LeftOut("", "", asked.devices, 1))
        if plan.times.efficiency is not None and plan.times.efficiency < SLOW:
            yield "slow_links", self._of(plan)
        faster = self.plans.faster
        if faster is not None:
            share = (faster.times.step or 0) / (plan.times.step or 1)
            yield "faster", {**self._of(faster), "share": share}
        if asked.machines > 1:
            yield "machines", {}

    def _unknown(self) -> Iterator[str]:
        """Yields the ids of what keeps a time from being known."""
        asked = self.case
        if self.workload.example_flops is None:
            yield "no_flops"
        elif asked.device_tflops is None:
            yield "no_rate"
        if asked.devices_per_machine > 1 and asked.link_gb_per_s is None:
            yield "no_link"
        if asked.machines > 1 and asked.network_gb_per_s is None:
            yield "no_network"

    def _of(self, plan: Plan) -> dict[str, Any]:
        """Returns the values of a plan that sentences are filled with."""
        efficiency = plan.times.efficiency
        return {
            "plan": plan.name,
            "total": format_bytes(plan.memory.total),
            "usable": format_bytes(plan.usable_bytes),
            "part": text(f"distribution.part.{plan.memory.largest}", self.lang),
            "part_bytes": format_bytes(getattr(plan.memory, plan.memory.largest)),
            "activations": format_bytes(plan.memory.activations),
            "replicas": plan.replicas,
            "parts": plan.parts,
            "steps": plan.accumulate_steps,
            "micro_batch": plan.micro_batch,
            "own": plan.accumulate_steps * plan.micro_batch,
            "efficiency": 0.0 if efficiency is None else efficiency,
            "best": max((other.speedup or 0 for other in self.plans.candidates if other.devices > 1), default=0),
        }

    def _batches(self, out: LeftOut) -> dict[str, Any]:
        """Returns the batch sizes around the given one that so many replicas can share."""
        below, above = nearest(self.case.batch_size, out.replicas)
        return {"replicas": out.replicas, "parts": out.parts, "below": below or out.replicas, "above": above}

    def _said(self, identifier: str, **values: Any) -> dict[str, Any]:
        """Returns a sentence with its id and its sources."""
        asked, sizes = self.case, self.workload.transformer
        kept = (shapes.optimizer_bytes(self.workload.weights, asked.optimizer) - shapes.COUNTER_BYTES) / max(
            1, shapes.gradient_bytes(self.workload.weights)
        )
        known = {**asked.inputs(), "kept": kept, "reserve": 1 - USABLE}
        known["example"] = format_bytes(self.workload.activations.example_bytes) if self.workload.activations else "?"
        known["layers"] = sizes.layers if sizes else None
        sentence = text(f"distribution.{identifier}", self.lang, **{**known, **values})
        return {"id": identifier, "text": sentence, "source": sources.of(identifier, self.lang)}

"""shrink: channels, neurons, attention heads and recurrent units go, at once or in steps with training between."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.errors import UserError
from tfday7.core.settings import setting

AMOUNTS = ("ratio", "macs_ratio", "size_bytes", "counts")
IMPORTANCES = ("magnitude", "bn_scale", "taylor", "activation", "random")


@dataclasses.dataclass(frozen=True)
class ShrinkSettings(StepSettings):
    """The settings of a step "shrink"; one of ratio, macs_ratio, size_bytes and counts says how much goes."""

    ratio: float | None = setting(None, "Share of each group's channels that goes.", above=0, below=1)
    macs_ratio: float | None = setting(None, "Multiply-accumulates after / before, at most.", above=0, maximum=1)
    size_bytes: int | None = setting(None, "Bytes of the weights in float32, at most.", minimum=1)
    counts: str | None = setting(None, "How many channels of each group stay: GROUP=NUMBER, a comma list.")
    importance: str = setting("magnitude", "Which channels go first: the least important.", choices=IMPORTANCES)
    round_to: int = setting(8, "Counts of channels are multiples of it, in groups of 16 or more.", minimum=1)
    keep: str = setting("", "Layers or patterns whose channels stay (comma list).")
    scope: str = setting(
        "local", "The same share of each group, or the least important of all.", choices=("local", "global")
    )
    iterations: int = setting(1, "Steps in which the channels go; 1 takes all at once.", minimum=1, maximum=100)
    epochs: int = setting(3, "Fine-tuning after each step, in passes over the training data.", minimum=0)
    learning_rate: float | None = setting(None, "Of fine-tuning; default: a share of the run's own.", above=0)
    distil: str = setting("auto", "Whether fine-tuning learns from the model as it was.", choices=("auto", "none"))


class Shrink(Technique):
    """See `compression.shrink`."""

    name = "shrink"
    phase = "structure"
    settings = ShrinkSettings

    def check(self, settings: ShrinkSettings) -> None:
        """Raises UserError when not exactly one amount is given."""
        given = [name for name in AMOUNTS if getattr(settings, name) is not None]
        if len(given) != 1:
            what = f"{' contradicts '.join(given)}" if given else "nothing says how much goes"
            raise UserError(what, f"give exactly one of {', '.join(AMOUNTS)}")
        read_counts(settings.counts)

    def apply(self, work: Work, settings: ShrinkSettings) -> dict[str, Any]:
        """Removes channels and fine-tunes, as often as there are iterations."""
        from tfday7.compression import shrink
        from tfday7.compression.finetuning import finetune
        from tfday7.compression.shrink.schedule import schedule

        common: dict[str, Any] = {
            "importance": settings.importance,
            "data": work.dataset,
            "round_to": settings.round_to,
            "keep": tuple(name.strip() for name in settings.keep.split(",") if name.strip()),
            "seed": work.training.seed,
        }
        amount = {name: getattr(settings, name) for name in AMOUNTS} | {"counts": read_counts(settings.counts)}
        whole = shrink.plan(work.model, **amount, scope=settings.scope, **common)
        for one in whole.skipped:
            work.skip(self.name, one.layer, one.reason)
        work.notes.extend(whole.notes)
        model, tuned = work.model, []
        for number, counts in enumerate(schedule(whole, settings.iterations, settings.round_to), 1):
            plan = whole if settings.iterations == 1 else shrink.plan(model, counts=counts, **common)
            model = plan.apply()
            work.say(f"shrink: {plan.parameters[0]:,} -> {plan.parameters[1]:,} parameters (step {number})")
            rate, distil = settings.learning_rate, settings.distil
            tuned.append(finetune(work, model, settings.epochs, rate, distil, what=f"{self.name}_{number}"))
        work.model = model
        return {**_summary(whole), "iterations": len(tuned), "finetuning": tuned}


def read_counts(text: str | None) -> dict[str, int] | None:
    """Returns how many channels of each group stay. Raises UserError for what is no comma list of GROUP=NUMBER."""
    if text is None:
        return None
    found = {}
    for part in text.split(","):
        name, _, count = part.strip().rpartition("=")
        if not name or not count.isdecimal():
            raise UserError(f"counts={text}: {part.strip()!r} is no GROUP=NUMBER", "for example counts=conv2d=12")
        found[name] = int(count)
    return found


def _summary(plan: Any) -> dict[str, Any]:
    """Returns what a plan came to: before and after, of the whole and of each group."""
    record = plan.to_json()
    keys = ("name", "kind", "before", "after")
    return {
        "parameters": list(plan.parameters),
        "macs": list(plan.macs) if plan.macs else None,
        "importance": record["importance"],
        "groups": [{key: one[key] for key in keys} for one in record["groups"]],
    }


TECHNIQUES.add("shrink", Shrink())

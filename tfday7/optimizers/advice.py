"""What advice on an optimizer says, as a record: sentences are ids with values until a language is chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfday7.core.texts import text
from tfday7.optimizers.advice_sources import spoken

Value = float | int | str | bool


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why something was decided.

    Attributes:
        id: of the sentence, `advice.reason.<id>`.
        inputs: the inputs that led to it; the sentence names each as the flag that gives it.
        source: paper, guide or measurement.
        values: what the sentence is filled with.
    """

    id: str
    inputs: tuple[str, ...]
    source: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self, lang: str) -> dict[str, Any]:
        """Returns the reason with its sentence."""
        sentence = text(f"advice.reason.{self.id}", lang, **self.values)
        return {"id": self.id, "text": sentence, "source": spoken(self.source, lang), "inputs": list(self.inputs)}


@dataclasses.dataclass(frozen=True)
class Tunable:
    """A hyperparameter worth tuning.

    Attributes:
        name: of the flag.
        range: lowest and highest value, or the values to choose from.
        scale: "log", "linear" or "choice".
        order: 1 for the first to tune.
    """

    name: str
    range: tuple[Value, ...]
    scale: str
    order: int

    def to_json(self, lang: str) -> dict[str, Any]:
        """Returns the record with what the hyperparameter does."""
        about = text(f"advice.tune.{self.name}", lang)
        return {"name": self.name, "range": list(self.range), "scale": self.scale, "order": self.order, "text": about}


@dataclasses.dataclass(frozen=True)
class Sign:
    """Something to watch, and what to do then; sentences `advice.watch.<id>.sign` and `.action`.

    Attributes:
        id: of the sign.
        source: paper, guide or measurement.
        flags: what applies the action, the first step first; empty when no flag does.
        values: what the sentences are filled with.
    """

    id: str
    source: str
    flags: tuple[str, ...] = ()
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self, lang: str) -> dict[str, Any]:
        """Returns the record with its sentences."""
        sign, action = (text(f"advice.watch.{self.id}.{part}", lang, **self.values) for part in ("sign", "action"))
        return {
            "id": self.id,
            "sign": sign,
            "action": action,
            "flags": list(self.flags),
            "source": spoken(self.source, lang),
        }


@dataclasses.dataclass(frozen=True)
class Advice:
    """Which optimizer, with which settings, and why.

    Attributes:
        optimizer, runner_up: names in `optimizers.catalog`.
        reasons: the deciding one first.
        settings: values to start from, by the name of their flag, without the optimizer.
        tune: what to tune within the budget, the first first; empty when nothing may be tuned.
        watch: what to look out for while training.
        inputs: each input's value, None for unknown.
        origins: each known input -> "given", "found" or "assumed".
    """

    optimizer: str
    runner_up: str
    reasons: tuple[Reason, ...]
    settings: Mapping[str, Value]
    tune: tuple[Tunable, ...]
    watch: tuple[Sign, ...]
    inputs: Mapping[str, Any]
    origins: Mapping[str, str]

    def flags(self) -> list[str]:
        """Returns the starting values as flags of `tfday7.train`."""
        chosen = {"optimizer": self.optimizer, **self.settings}
        return [as_flag(name, value) for name, value in chosen.items()]

    def to_json(self, lang: str = "en") -> dict[str, Any]:
        """Returns the record as plain JSON values, its sentences in "en" or "zh"."""
        return {
            "topic": "optimizer",
            "optimizer": self.optimizer,
            "runner_up": self.runner_up,
            "reasons": [reason.to_json(lang) for reason in self.reasons],
            "settings": dict(self.settings),
            "flags": self.flags(),
            "tune": [tunable.to_json(lang) for tunable in self.tune],
            "watch": [sign.to_json(lang) for sign in self.watch],
            "inputs": dict(self.inputs),
            "origins": dict(self.origins),
        }


def as_flag(name: str, value: Value) -> str:
    """Returns "--name=value" as the command line takes it."""
    spoken = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"--{name}={spoken}"

"""What overfitting, underfitting, instability or a broken run looks like, why, and what helps, without a run to see.

    advise("overfit", Situation(data_kind="image", examples=500))

The causes (`fit_causes`) are ranked by a weight for what is usual, moved by what is known of the task. Every rule that
moves one says so in the answer. The weights are an order, not probabilities. Loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfday7.core.errors import unknown_name
from tfday7.core.texts import text
from tfday7.diagnosis.advising.fit_causes import CAUSES, SYMPTOMS, Cause
from tfday7.diagnosis.evidence import Evidence
from tfday7.models.architecture import ARCHITECTURES
from tfday7.models.config import ModelConfig
from tfday7.optimizers.situation import BATCH_PER_DEVICE, Situation, joined

INPUTS = ("data_kind", "examples", "parameters")
# The architecture whose flags are shown where none is named.
MODELS = {"image": "cnn", "text": "transformer", "tabular": "mlp", "series": "gru", "speech": "ds_cnn"}
# Rules of thumb. Weights an example from which memorizing is the likelier failure, as in the advice on optimizers.
MANY_WEIGHTS_AN_EXAMPLE = 10.0
FEW_WEIGHTS_AN_EXAMPLE = 0.1
FEW_EXAMPLES = 1000
FEW_WEIGHTS = 1000
LARGE_MODEL = 1_000_000
UP, DOWN = 6, -6  # More than what kinds of data and the usual order differ by.
FEW_EXAMPLES_MOVE = {
    "overfit": ("data", UP), "underfit": ("short", 3), "unstable": ("chance", UP), "broken": ("labels", 1),
}  # fmt: skip
Rule = tuple[str, str, int]  # The cause's name, the id of the sentence that says why, and how far it moves.


@dataclasses.dataclass(frozen=True)
class FitAdvice:
    """The answer.

    Attributes:
        symptom: that was asked about.
        causes: ranked, each with the ids of the sentences that say why it stands where it does.
        evidence: stands in for a run where flags depend on one.
        inputs, origins: what is known, and whether it was "given", "found" or "assumed".
    """

    symptom: str
    causes: tuple[tuple[Cause, tuple[str, ...]], ...]
    evidence: Evidence
    inputs: Mapping[str, Any]
    origins: Mapping[str, str]

    def to_json(self, lang: str = "en") -> dict[str, Any]:
        """Returns the record as plain JSON values, its sentences in "en" or "zh"."""
        return {
            "topic": "fit",
            "symptom": self.symptom,
            "signs": [text(f"fit.{self.symptom}.sign.{name}", lang) for name in ("curves", "scores", "check")],
            "causes": [self._cause(cause, why, lang) for cause, why in self.causes],
            "inputs": dict(self.inputs),
            "origins": dict(self.origins),
        }

    def _cause(self, cause: Cause, why: tuple[str, ...], lang: str) -> dict[str, Any]:
        found = [(remedy, remedy.flag(self.evidence)) for remedy in cause.remedies]
        return {
            "id": cause.id,
            "text": text(cause.id, lang),
            "recognise": text(f"fit.recognise.{self.symptom}.{cause.name}", lang),
            "why": [text(f"fit.why.{name}", lang, **_values(self.inputs)) for name in why],
            "solutions": [
                {
                    "id": remedy.id,
                    "text": text(remedy.id, lang),
                    "flag": flag,
                    "cost": {
                        about: text(f"fit.{about}.{name}", lang)
                        for about, name in zip(("training", "accuracy", "inference"), remedy.cost, strict=True)
                    },
                }
                for remedy, flag in found
                if flag is not None
            ],
        }


def advise(
    symptom: str, given: Situation, found: Situation | None = None, flags: Mapping[str, str] | None = None
) -> FitAdvice:
    """Returns the causes of a symptom, ranked, with what helps.

    Args:
        symptom: "overfit", "underfit", "unstable" or "broken".
        given: what the user knows; `INPUTS` count.
        found: what the data and the model say themselves.
        flags: those of the model, if there is one, by name; without them it is what is usual for the data.

    Raises:
        UserError: an unknown symptom, or what is given contradicts what was found.
    """
    if symptom not in CAUSES:
        raise unknown_name("symptom", symptom, SYMPTOMS)
    values, origins = joined(given, found)
    inputs = {name: values.get(name) for name in INPUTS}
    known = {name: origins[name] for name in INPUTS if name in origins}
    kind = inputs["data_kind"] or ""
    usual = {"model": MODELS.get(kind, ModelConfig.model)}
    inputs["model"], known["model"] = (flags or usual)["model"], "given" if flags else "assumed"
    moved = list(_rules(symptom, kind, inputs["examples"], inputs["parameters"]))
    causes = [each for each in CAUSES[symptom] if each.kind in ("", kind) and _is_about(each, flags)]
    ranked = sorted(causes, key=lambda cause: -cause.weight - sum(by for name, _, by in moved if name == cause.name))
    why = [(cause, tuple(sentence for name, sentence, _ in moved if name == cause.name)) for cause in ranked]
    return FitAdvice(symptom, tuple(why), _evidence(kind, flags or usual), inputs, known)


def _rules(symptom: str, kind: str, examples: int | None, parameters: int | None) -> Iterator[Rule]:
    """Yields what is known of the task moves which causes; the first that holds of each line."""
    ratio = parameters / examples if parameters and examples else None
    yield from _of_capacity(symptom, ratio, examples, parameters)
    if examples is not None and examples < FEW_EXAMPLES:
        name, move = FEW_EXAMPLES_MOVE[symptom]
        yield name, f"few_examples.{symptom}", move
    if parameters is not None and parameters >= LARGE_MODEL and symptom in ("unstable", "broken"):
        yield "rate", "large_model", UP
    if symptom == "unstable" and kind in ("text", "series", "speech"):
        yield "gradients", "sequences", 2
    if symptom == "broken" and kind in ("tabular", "series", "speech"):
        yield "unscaled", "units", 4


def _of_capacity(symptom: str, ratio: float | None, examples: int | None, parameters: int | None) -> Iterator[Rule]:
    """Yields how likely a model of the wrong size is, by weights an example or by what is known of the two."""
    if symptom not in ("overfit", "underfit"):
        return
    too_large, too_small = (UP, DOWN) if symptom == "overfit" else (DOWN, UP)
    if ratio is not None and ratio >= MANY_WEIGHTS_AN_EXAMPLE:
        yield "capacity", f"many_weights.{symptom}", too_large
    elif ratio is not None and ratio <= FEW_WEIGHTS_AN_EXAMPLE:
        yield "capacity", f"few_weights.{symptom}", too_small
    elif ratio is not None:
        yield "capacity", "usual_ratio", 0
    elif parameters is not None:
        move = too_small if parameters < FEW_WEIGHTS else too_large if parameters >= LARGE_MODEL else 0
        yield "capacity", "memorizes", move // 2
    elif examples is not None and symptom == "overfit":
        yield "capacity", "room", 0


def _values(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the sentences are filled with."""
    examples, parameters = inputs["examples"] or 0, inputs["parameters"] or 0
    return {
        "examples": examples,
        "parameters": parameters,
        "ratio": parameters / examples if examples else 0.0,
        "memorized": parameters // 2,
        "room": int(MANY_WEIGHTS_AN_EXAMPLE * examples),
        "steps": math.ceil(examples / BATCH_PER_DEVICE),
        "batch": BATCH_PER_DEVICE,
    }


def _is_about(cause: Cause, flags: Mapping[str, str] | None) -> bool:
    """Returns whether a cause may be that of a model; of layers that a user brings, nothing is known."""
    name = flags["model"] if flags else ""
    return not cause.models or name in cause.models or name not in ARCHITECTURES.names()


def _evidence(kind: str, flags: Mapping[str, str]) -> Evidence:
    """Returns a run of that model with every other flag at its default, for the functions that make flags."""
    kinds = {"speech": "series", "": "array"}
    return Evidence(np.empty(0), np.empty(0), kind=kinds.get(kind, kind), flags=dict(flags))

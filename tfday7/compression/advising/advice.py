"""The answer: techniques in order, each with why, what speaks for and against it, its speed, and the command to run.

    advise(Deployment(device="raspberry_pi", data_available="labelled"), Situation(model_kind="cnn"))

Which recipes are left, and in which order: `ranking`; what is known of devices and recipes: the tables `devices` and
`recipes`. Everything that is said has a source (`sources`). Loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from tfday7.benchmarking.acceleration.targets.sparse import LEAST_ZEROS
from tfday7.compression.advising import measured, operators, ranking, sources
from tfday7.compression.advising.deployment import Case, Deployment, case
from tfday7.compression.advising.devices import DEVICES, SLOWER
from tfday7.compression.advising.ranking import LeftOut
from tfday7.compression.advising.recipes import EXAMPLES, LABELS, NEEDS, NOTHING, TEACHER, TRAINED, RecipeFacts
from tfday7.core.run_folder import COMPRESSION_WORK
from tfday7.core.texts import text
from tfday7.exporting.format import FORMATS
from tfday7.optimizers.advice import as_flag
from tfday7.optimizers.situation import Situation

RUN = ("--run_dir=runs/NAME",)
WITHOUT_DATA = ("python", "-m", "tfday7.export", "--model=MODEL.keras")
FEW_EXAMPLES = 100  # To calibrate with; as many as the export takes at least where it can.


@dataclasses.dataclass(frozen=True)
class CompressionAdvice:
    """The answer.

    Attributes:
        case: what was asked.
        techniques: the best first; empty where a device takes only what there are no examples for.
        left_out: the other recipes, each with why.
        subject: the flags of `tfday7.compress` that name model and data.
    """

    case: Case
    techniques: tuple[RecipeFacts, ...]
    left_out: tuple[LeftOut, ...]
    subject: tuple[str, ...] = RUN

    def to_json(self, lang: str = "en") -> dict[str, Any]:
        """Returns the record as plain JSON values, its sentences in "en" or "zh"."""
        return {
            "topic": "compression",
            "device": self._said(f"device.{self.case.device}", lang),
            "operators": self._operators(lang),
            "techniques": [self._technique(recipe, lang) for recipe in self.techniques],
            "with_more": [self._left_out(out, lang) for out in self._with_more()],
            "left_out": [self._left_out(out, lang) for out in self.left_out],
            "notes": [self._said(name, lang) for name in self._notes()],
            "then": self._then(),
            "inputs": self.case.inputs(),
            "origins": dict(self.case.origins),
        }

    def _technique(self, recipe: RecipeFacts, lang: str) -> dict[str, Any]:
        device = DEVICES[self.case.device]
        speed = []
        for part in recipe.parts:
            effect = device.effect(part, self.case.model_kind)
            found = self._said(f"speed.{effect.sentence}", lang)
            speed.append({"part": part, "effect": effect.word, **found})
        together = f"together.{recipe.name}"
        against = [f"con.{part}" for part in recipe.parts] + [together] * (together in sources.SOURCES)
        return {
            "recipe": recipe.name,
            "path": recipe.path,
            "title": text(f"compression.recipe.{recipe.name}", lang),
            "needs": recipe.needs,
            "why": [self._said(name, lang, recipe) for name in self._why(recipe)],
            "advantages": [self._said(f"pro.{part}", lang) for part in recipe.parts],
            "drawbacks": [self._said(name, lang) for name in against],
            "speed": speed,
            "weights_kb": self._weights_kb(recipe),
            "command": self._command(recipe),
        }

    def _why(self, recipe: RecipeFacts) -> Iterator[str]:
        """Yields the ids of why a recipe stands where it does."""
        asked, drop = self.case, self.case.max_accuracy_drop
        if recipe.name == DEVICES[asked.device].first:
            yield f"first.{asked.device}"
        if asked.reduce in ("size", "both"):
            yield "why.sparse_file" if recipe.share is None else "why.bytes"
            if {"zeros", "clusters", "pattern"} & set(recipe.parts):
                yield "why.packed"
        if asked.reduce == "memory":
            device = DEVICES[asked.device]
            yield from (f"memory.{part}" for part in recipe.parts if ranking.gain(asked, device, part) > 0)
        if drop is not None and drop <= ranking.TIGHT_DROP and {*TRAINED, "int16x8"} & set(recipe.parts):
            yield "why.tight"
        if drop is not None and drop >= ranking.LOOSE_DROP and "shrink" in recipe.parts:
            yield "why.loose"
        kb = self._weights_kb(recipe)
        if asked.max_size_kb is not None and kb is not None:
            yield "why.fits" if kb <= asked.max_size_kb else "why.not_fits"
        if "low_rank" in recipe.parts and asked.model_kind in ranking.SVD_KINDS:
            yield "why.svd"
        yield f"why.needs.{recipe.needs}"

    def _with_more(self) -> list[LeftOut]:
        """Returns the best recipe behind each thing that is missing, what needs least first."""
        first = DEVICES[self.case.device].first
        missing = [out for out in self.left_out if out.is_missing]
        found: dict[str, LeftOut] = {}
        for out in sorted(missing, key=lambda out: out.recipe.name != first):
            found.setdefault(out.sentence, out)
        return sorted(found.values(), key=lambda out: NEEDS.index(out.recipe.needs))

    def _notes(self) -> Iterator[str]:
        asked = self.case
        if not self.techniques:
            yield "note.nothing_yet"
        if asked.data_available == "unlabelled":
            yield "note.unlabelled"
        if asked.examples is not None and asked.examples < FEW_EXAMPLES and self._has(EXAMPLES, TEACHER):
            yield "note.few_examples"
        slow = DEVICES[asked.device].effect("int8", asked.model_kind).word == SLOWER
        if slow and any("int8" in recipe.parts and len(recipe.parts) > 1 for recipe in self.techniques):
            yield "note.float_instead"
        if asked.device == "android_gpu" and any("shrink" in recipe.parts for recipe in self.techniques):
            yield "note.gpu_float16"
        if asked.device == "nvidia_gpu":
            yield "note.nvidia"

    def _has(self, *needs: str) -> bool:
        return any(recipe.needs in needs for recipe in self.techniques)

    def _then(self) -> list[str]:
        """Returns what to run on the artefact: whether the device takes it, and how it gets there."""
        device, found = self.case.device, []
        targets = ",".join(DEVICES[device].targets)
        if targets:
            found.append(f"python -m tfday7.benchmark --artefacts=FILE.tflite --check --targets={targets}")
        if device.startswith("android"):
            found.append("python -m tfday7.deploy --artefact=FILE.tflite --device=android")
        if device == "microcontroller":
            found.append("python -m tfday7.deploy --artefact=FILE.tflite --device=micro")
        if device == "raspberry_pi":
            found.append("python -m tfday7.deploy --artefact=FILE.tflite --device=ssh://pi@raspberrypi")
        if device in ("x86", "intel"):
            runtimes = "litert,openvino" if device == "intel" else "litert"
            found.append(f"python -m tfday7.benchmark --artefacts=FILE.tflite --runtimes={runtimes}")
        if device == "nvidia_gpu" and self._has(TEACHER, LABELS):
            model = f"runs/NAME/{COMPRESSION_WORK}/RECIPE/model.keras"
            found.append(f"python -m tfday7.export --model={model} --formats=tensorrt --kinds=float16")
        return found

    def _command(self, recipe: RecipeFacts) -> str:
        """Returns the command that carries a recipe out; without data an export does what it would."""
        if self.case.device == "nvidia_gpu" and recipe.parts in (("float16",), ("int8",)):
            named = WITHOUT_DATA if recipe.needs == NOTHING and self.case.data_available == "none" else (
                "python", "-m", "tfday7.export", *self.subject)  # fmt: skip
            return shlex.join([*named, "--formats=tensorrt", f"--kinds={recipe.kind}"])
        if self.case.data_available == "none":
            return shlex.join([*WITHOUT_DATA, "--formats=tflite", f"--kinds={recipe.kind}"])
        drop = self.case.max_accuracy_drop
        budget = [] if drop is None else [as_flag("max_accuracy_drop", drop)]
        return shlex.join(["python", "-m", "tfday7.compress", *self.subject, f"--recipe={recipe.path}", *budget])

    def _weights_kb(self, recipe: RecipeFacts) -> float | None:
        """Returns what a recipe leaves of the weights, in kB, by arithmetic."""
        if recipe.share is None or self.case.float_kb is None:
            return None
        return self.case.float_kb * recipe.share

    def _left_out(self, out: LeftOut, lang: str) -> dict[str, Any]:
        title = text(f"compression.recipe.{out.recipe.name}", lang)
        said = self._said(out.sentence, lang, out.recipe)
        return {"recipe": out.recipe.name, "title": title, "missing": out.is_missing, **said}

    def _operators(self, lang: str) -> dict[str, Any] | None:
        found = operators.missing(self.case)
        if found is None:
            return None
        identifier, target, names = found
        return self._said(identifier, lang, target=target, operators=", ".join(names))

    def _said(self, identifier: str, lang: str, recipe: RecipeFacts | None = None, **values: Any) -> dict[str, Any]:
        """Returns a sentence with its id and its sources."""
        asked = self.case
        values |= {
            **measured.values(),
            "kind": text(f"compression.kind.{asked.model_kind}", lang),
            "least_zeros": LEAST_ZEROS,
            "reduce": asked.reduce,
            "examples": asked.examples,
            "drop": asked.max_accuracy_drop,
            "budget": asked.max_size_kb,
            "share": recipe.share if recipe else None,
            "kb": self._weights_kb(recipe) if recipe else None,
        }
        sentence = text(f"compression.{identifier}", lang, **values)
        return {"id": identifier, "text": sentence, "source": sources.of(identifier, lang)}


def advise(
    deployment: Deployment, given: Situation, found: Situation | None = None, subject: Sequence[str] = RUN
) -> CompressionAdvice:
    """Returns the techniques for a device, in order.

    Args:
        deployment: where the model is to run, what has to get smaller, and what there is to work with.
        given: what the user knows of the model and its data; `deployment.INPUTS` count.
        found: what the data and the model say themselves.
        subject: the flags of `tfday7.compress` that name them.

    Raises:
        UserError: no device, or values that contradict each other.
    """
    asked = case(deployment, given, found)
    techniques, left_out = ranking.rank(asked, FORMATS.get("tflite").kinds)
    return CompressionAdvice(asked, tuple(techniques), tuple(left_out), tuple(subject))

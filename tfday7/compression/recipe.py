"""A recipe: the steps that make a compressed model, as JSON, checked before anything is loaded.

    {"name": "shrink50_qat", "description": "...", "steps": [
      {"technique": "shrink", "ratio": 0.5, "epochs": 3},
      {"technique": "qat", "epochs": 2},
      {"technique": "quantize", "kind": "int8"}]}

Recipes that come with tfday7 lie in configs/recipes. Each artefact has the recipe that made it in its record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfday7.compression.records import BASELINE
from tfday7.compression.technique import PHASES, TECHNIQUES, StepSettings, Technique, read_settings
from tfday7.core import files
from tfday7.core.errors import UserError

FILE = "recipe.json"  # Beside the artefact that it makes.
MAX_STEPS = 20
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-.")
RESERVED = (BASELINE, "groups")  # The given model's own file; probes of a search, whose folder goes.


@dataclasses.dataclass(frozen=True)
class Step:
    """One step: a technique and its settings, checked."""

    technique: Technique
    settings: StepSettings
    given: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Returns the step as a recipe has it: what was given alone."""
        return {"technique": self.technique.name, **self.given}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A name and steps in an order that can be carried out.

    Attributes:
        name: lower-case letters, digits, "_", "-" and "."; part of the artefacts' names.
        steps: at least one.
        description: for people.
    """

    name: str
    steps: tuple[Step, ...]
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the recipe as its file has it."""
        described = {"description": self.description} if self.description else {}
        return {"name": self.name, **described, "steps": [step.to_json() for step in self.steps]}

    @property
    def teachers(self) -> list[str]:
        """The model files that its own steps name to learn from."""
        named = ",".join(getattr(step.settings, "teacher", "") for step in self.steps)
        return sorted({name.strip() for name in named.split(",") if name.strip()})

    @property
    def kind(self) -> str:
        """The numbers of its file: what its step "quantize" says, float32 without one."""
        return str(getattr(self.steps[-1].settings, "kind", "float32"))


def read(path: Path) -> Recipe:
    """Returns the recipe of a file. Raises UserError naming the file, the step and what is wrong with it."""
    if not path.is_file():
        raise UserError(f"{path}: no such recipe", "give a JSON file, or the name of one in configs/recipes")
    return parse(files.read_json(path), str(path))


def parse(record: Any, where: str = "recipe") -> Recipe:
    """Returns a recipe from JSON values; `where` names it in messages. Raises UserError."""
    if not isinstance(record, dict):
        raise UserError(f"{where}: expected an object with name and steps", 'for example {"name": "int8", "steps": []}')
    unknown = set(record) - {"name", "description", "steps"}
    if unknown:
        raise UserError(f"{where}: unknown {sorted(unknown)[0]!r}", "a recipe has name, description and steps")
    name, steps, description = record.get("name"), record.get("steps"), record.get("description", "")
    if not isinstance(name, str) or not name or not set(name) <= NAME_CHARACTERS or name.startswith("."):
        raise UserError(f"{where}: name is {name!r}", "lower-case letters, digits, _, - and ., such as shrink50_qat")
    if name in RESERVED:
        raise UserError(f"{where}: name is {name!r}, which stands for something else", "give it another name")
    if not isinstance(description, str):
        raise UserError(f"{where}: description is no text")
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        raise UserError(f"{where}: steps is no list of 1 to {MAX_STEPS} steps")
    recipe = Recipe(name, tuple(_step(step, f"{where}, step {i + 1}") for i, step in enumerate(steps)), description)
    _check_order(recipe, where)
    return recipe


def _step(record: Any, where: str) -> Step:
    if not isinstance(record, dict) or not isinstance(record.get("technique"), str):
        raise UserError(f"{where}: expected an object with a technique", f"known: {', '.join(TECHNIQUES.names())}")
    given = {name: value for name, value in record.items() if name != "technique"}
    try:
        technique = TECHNIQUES.get(record["technique"])
        return Step(technique, read_settings(technique, given), given)
    except UserError as error:
        message = error.message.replace("--", "", 1) if error.message.startswith("--") else error.message
        raise UserError(f"{where} ({record['technique']}): {message}", error.hint) from error


def _check_order(recipe: Recipe, where: str) -> None:
    """Raises UserError where a step would undo an earlier one, or cannot follow it."""
    latest, before = 0, ""
    for number, step in enumerate(recipe.steps, 1):
        phase, name = step.technique.phase, step.technique.name
        if before == "quantize":
            raise UserError(
                f"{where}, step {number}: {name} after quantize, which decides the numbers of the file",
                "let quantize be the last step",
            )
        if phase != "training":
            if PHASES.index(phase) < latest:
                message = f"{where}, step {number}: {name} cannot follow {before}, whose work it would undo"
                raise UserError(message, f"the order is {_ORDER}")
            latest = PHASES.index(phase)
            before = name
    names = [step.technique.name for step in recipe.steps]
    for name in ("qat", "cluster", "quantize"):
        if names.count(name) > 1:
            raise UserError(f"{where}: {name} comes {names.count(name)} times", "once is all that it takes")
    if "cluster" in names and "prune" in names[names.index("cluster") :]:
        raise UserError(f"{where}: prune cannot follow cluster, whose values it would change", "prune first")
    last = recipe.steps[-1].settings
    kind = getattr(last, "kind", "int8")
    if "qat" in names and (names[-1] != "quantize" or kind != "int8"):
        says = f"quantize says {kind}" if names[-1] == "quantize" else "without quantize the file is float32"
        hint = 'let {"technique": "quantize", "kind": "int8"} be the last step'
        raise UserError(f"{where}: qat trains for int8, and {says}", hint)
    if "qat" in names and (getattr(last, "fallback", "none") != "none" or getattr(last, "float_layers", "")):
        raise UserError(f"{where}: quantize leaves layers in float32, which qat has trained for int8", 'qat has "skip"')


_ORDER = "shrink, low_rank; then prune; then cluster; then qat; then quantize (distil and finetune anywhere before it)"

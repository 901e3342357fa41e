"""The model card of a folder of artefacts: Markdown that says what each file is, how it answers, how to feed it.

Everything in it is read from the records beside the files. Names come from the user's data, so all of them are escaped.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.records import build
from tfday7.core.units import format_bytes, format_number
from tfday7.exporting import feeding
from tfday7.exporting.format import FORMATS
from tfday7.exporting.records import Artefact, from_json, mismatch

CARD = "README.md"
COMPRESSED = "compressed.json"  # Of a file that a recipe has made: the recipe, and its figures beside the original's.
MARK = "<!-- model card of tfday7 -->"  # Tells our own file from one that somebody else has written.
MAX_LABELS = 20


@dataclasses.dataclass(frozen=True)
class Metric:
    """What a file reaches on the validation split."""

    name: str = ""
    value: float | None = None


@dataclasses.dataclass(frozen=True)
class Figures:
    """Of a file; None for what was not measured, the time relative to the float32 file's."""

    metric: Metric
    test_metric: float | None
    size_bytes: int | None
    gzip_bytes: int | None
    parameters: int | None
    macs: int | None
    latency_ratio: float | None


@dataclasses.dataclass(frozen=True)
class Steps:
    """Of a recipe."""

    steps: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Compressed(Figures):
    """As much of `COMPRESSED` as the card shows; see `tfday7.compression.records.Candidate`."""

    baseline: Figures
    device: str | None = None
    recipe: Steps | None = None
    latency_spread: tuple[float, ...] | None = None
    skipped_layers: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def write(folder: Path, name: str) -> None:
    """Writes the card of a folder's whole artefacts; without any there is none.

    Raises:
        UserError: a record is damaged, or the folder cannot be written.
    """
    artefacts = [each for each in found_in(folder) if not mismatch(each, folder / Path(each.path or each.name).name)]
    if artefacts:
        path = folder / COMPRESSED
        hint = "remove that file: it tells of a compression, not of what is exported"
        compressed = build(Compressed, files.read_json(path), path, hint) if path.exists() else None
        files.write_text(folder / CARD, render(name, artefacts, compressed))
    elif is_ours(folder):
        (folder / CARD).unlink()


def is_ours(folder: Path) -> bool:
    """Returns whether the README.md of a folder is a model card that `write` has made."""
    path = folder / CARD
    return path.is_file() and MARK.encode() in path.read_bytes()


def found_in(folder: Path) -> list[Artefact]:
    """Returns the artefacts of a folder, by their records; formats in their order, then kinds."""
    records = [files.read_json(path) for path in sorted(folder.glob("*.json"))]
    known = FORMATS.names()
    made = [from_json(each, folder) for each in records if isinstance(each, dict) and each.get("format") in known]
    return sorted(made, key=lambda artefact: (artefact.format != "tflite", artefact.format, artefact.name))


def render(name: str, artefacts: Sequence[Artefact], compressed: Compressed | None = None) -> str:
    """Returns the card; `compressed` is what `COMPRESSED` holds, where a recipe has made the file."""
    first = artefacts[0]
    lines = [f"# {escaped(name)}", "", *_about(first), "", "## Files", ""]
    lines += ["| file | size | gzip | metric | largest difference | same decision | SHA-256 |", f"|{'---|' * 7}"]
    lines += [_row(artefact) for artefact in artefacts]
    broken = [artefact for artefact in artefacts if not artefact.holds]
    for artefact in broken:
        why = "; ".join(artefact.parity.failures) if artefact.parity else "not compared with the Keras model"
        lines += ["", f"**{escaped(artefact.name)} does not hold:** {escaped(why)}."]
    if compressed:
        lines += ["", "## Compressed", "", *_compressed(compressed)]
    lines += ["", "## Feeding a file", ""]
    for artefact in artefacts:
        lines += [f"**{escaped(artefact.name)}**", "", *_feeding(artefact), ""]
    if first.labels:
        lines += [f"Labels, in the order of the outputs: {_some(first.labels)}.", ""]
    if first.vectors:
        lines += [
            f"{escaped(first.vectors)} holds raw inputs and the Keras model's answers (NumPy: `raw`, `keras`), to try"
            " a file.",
            "",
        ]
    return "\n".join([*lines, *_recipe(artefacts), "", MARK]) + "\n"


def escaped(text: Any) -> str:
    """Returns text of any origin as Markdown that shows it as it is, in one line."""
    plain = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text)))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", plain)


def _about(artefact: Artefact) -> list[str]:
    parity, output, data = artefact.parity, artefact.output, artefact.recipe.get("data") or {}
    task, meaning = escaped(output.get("task", "unknown")), escaped(output.get("meaning") or "values")
    lines = [f"A model for {task} with outputs that are {meaning}."]
    if output.get("heads"):
        lines = ["A model for several targets, which lie side by side in its outputs:", "", *_heads(output), ""]
    if parity and parity.keras_metric is not None:
        lines.append(
            f"The Keras model's {escaped(parity.metric)} is {format_number(parity.keras_metric)} on the"
            f" {parity.examples:,} test examples of {escaped(data.get('name', 'its data'))}."
        )
    return lines


def _heads(output: dict[str, Any]) -> Iterator[str]:
    """Yields a line for each target: its outputs, counted from 0, what they are, and their labels."""
    heads = output["heads"]
    meanings = str(output.get("meaning") or "").split(", ")
    for head, meaning in zip(heads, meanings if len(meanings) == len(heads) else ["values"] * len(heads), strict=True):
        first, last = head["columns"][0], head["columns"][1] - 1
        place = f"output {first}" if first == last else f"outputs {first} to {last}"
        labels = f": {_some(head['labels'])}" if head["labels"] else ""
        yield f"- {place}, {escaped(head['name'])} ({escaped(head['task'])}, {escaped(meaning)}){labels}"


def _some(labels: Sequence[Any]) -> str:
    more = f", and {len(labels) - MAX_LABELS} more" if len(labels) > MAX_LABELS else ""
    return ", ".join(escaped(label) for label in labels[:MAX_LABELS]) + more


def _row(artefact: Artefact) -> str:
    parity = artefact.parity
    metric = format_number(parity.artefact_metric) if parity else "?"
    relative = parity.relative_difference if parity else None
    difference = "?" if relative is None else f"{relative:.2%}" if relative >= 1e-4 or not relative else "<0.01%"
    same = "" if parity is None or parity.agreement is None else f"{parity.agreement:.2%}"
    size, packed = format_bytes(artefact.size_bytes), format_bytes(artefact.gzip_bytes)
    shown = Path(artefact.path or "").name
    return f"| {escaped(shown)} | {size} | {packed} | {metric} | {difference} | {same} | {escaped(artefact.sha256)} |"


def _compressed(record: Compressed) -> list[str]:
    """Returns how a file was made smaller, and what that did, beside the float32 file of the model as it was."""
    steps = record.recipe.steps if record.recipe else ()
    lines = [f"{number}. {_step(step)}" for number, step in enumerate(steps, 1)]
    lines += ["", "| | float32 | this file |", f"|{'---|' * 3}"]
    for key, what, shown in (
        ("metric", f"{escaped(record.metric.name)}, validation", lambda x: format_number(x.value)),
        ("test_metric", f"{escaped(record.metric.name)}, test", format_number),
        ("size_bytes", "size", format_bytes),
        ("gzip_bytes", "gzip", format_bytes),
        ("parameters", "parameters", lambda x: f"{x:,}"),
        ("macs", "multiply-accumulates", lambda x: f"{x:,}"),
        ("latency_ratio", f"time of an example, relative, on {escaped(record.device)}", lambda x: f"{x:.2f}"),
    ):
        before, after = getattr(record.baseline, key), getattr(record, key)
        if before is not None and after is not None:
            between = _range(record.latency_spread) if key == "latency_ratio" else ""
            lines.append(f"| {what} | {shown(before)} | {shown(after)}{between} |")
    left = [f"- {escaped(each.get('layer'))}: {escaped(each.get('reason'))}" for each in record.skipped_layers]
    lines += ["", "Left as they were:", "", *left[:MAX_LABELS]] if left else []
    notes = [f"- {escaped(note)}" for note in record.notes]
    return [*lines, *(["", *notes] if notes else []), "", "`recipe.json` makes it again: `--recipe=recipe.json`."]


def _range(spread: Sequence[float] | None) -> str:
    return f" ({spread[0]:.2f}–{spread[1]:.2f})" if spread and len(spread) == 2 else ""


def _step(step: dict[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in step.items() if name != "technique")
    return escaped(f"{step.get('technique')} ({settings})" if settings else step.get("technique"))


def _feeding(artefact: Artefact) -> list[str]:
    given, made = artefact.input, artefact.output
    lines = [f"- input: {_tensor(given)}"]
    if given.get("preprocessing"):
        lines.append(f"- before it: {escaped(given['preprocessing'])}")
    if given.get("columns"):
        lines.append("- how each column is encoded: `input.columns` of the record")
    if given.get("standardization"):
        lines.append("- standardized: (x - mean) / std, with mean and std of the record's `input.standardization`")
    if given.get("scale"):
        low, high = feeding.limits(given)
        quantized = f"round(x / {given['scale']!r}){_plus(given['zero_point'])}"
        lines.append(f"- quantized: {quantized}, cut off at {low} and {high}")
    lines.append(f"- output: {_tensor(made)}")
    if made.get("scale"):
        lines.append(f"- dequantized: (q{_plus(-made['zero_point'])}) * {made['scale']!r}")
    if made.get("standardization"):
        lines.append("- restored: y * std + mean, with those of the record's `output.standardization`")
    return lines + [f"- note: {escaped(note)}" for note in artefact.notes]


def _plus(number: int) -> str:
    return f" + {number}" if number >= 0 else f" - {-number}"


def _tensor(end: dict[str, Any]) -> str:
    shape = " x ".join("any" if size is None else str(size) for size in end.get("shape") or [])
    return f"{escaped(end.get('dtype', '?'))}, {shape}"


def _recipe(artefacts: Sequence[Artefact]) -> list[str]:
    recipe = artefacts[0].recipe
    lines = ["## Made by", ""]
    if recipe.get("command"):
        lines += ["    " + re.sub(r"\s+", " ", str(recipe["command"])), ""]
    versions = recipe.get("versions") or {}
    counts = {each.recipe["calibration"]["examples"] for each in artefacts if each.recipe.get("calibration")}
    known = ", ".join(f"{package} {version}" for package, version in versions.items() if version)
    return [*lines, f"With {escaped(known)}.", *(f"Calibrated on {count} examples." for count in sorted(counts))]

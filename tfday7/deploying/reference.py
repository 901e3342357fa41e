"""What each step makes of the test vectors on this machine: other languages and other runtimes are held against it.

A bundle says what goes in at the one end and comes out at the other. Code that does the steps between also needs the
file's own numbers: what LiteRT was fed, and what it gave.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.exporting.feeding import divided, restored, standardized
from tfday7.runtimes import open_artefact

if TYPE_CHECKING:
    from tfday7.deploying.bundle import Bundle

HINT = "export and deploy the model again"
INPUT_TYPES, OUTPUT_TYPES = ("float32", "int8", "int32"), ("float32", "int8")
TASKS = ("classification", "multilabel", "regression", "reconstruction")


@dataclasses.dataclass(frozen=True)
class Head:
    """One target of a model; most models have one.

    Attributes:
        name: "" where it is the only one.
        task: one of `TASKS`.
        meaning: "logits", "probabilities" or "values".
        first, last: its columns of the outputs, `last` being the first one behind them.
        labels: class names, one a column; empty where there are none.
    """

    name: str
    task: str
    meaning: str
    first: int
    last: int
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Reference:
    """The test vectors after each step, n of them.

    Attributes:
        raw: float32 or int32 [n, ...], what an app has.
        given: what the file takes, in its own numbers, [n, ...].
        made: what LiteRT gave for that, in the file's own numbers, [n, ...].
        values: float32 [n, ...], dequantized and denormalized.
        answers: float32 [n, ...], probabilities where there are classes or labels; else the values.
    """

    raw: np.ndarray
    given: np.ndarray
    made: np.ndarray
    values: np.ndarray
    answers: np.ndarray


def reference(bundle: Bundle) -> Reference:
    """Runs the test vectors through LiteRT.

    Raises:
        UserError: the model takes or gives numbers of a type, or answers of a kind, that no device code is for.
    """
    targets = heads(bundle.spec)
    given, made = (_end(bundle.spec, side) for side in ("input", "output"))
    runner = open_artefact(bundle.model, "litert")
    raw = read_vectors(bundle, "raw")
    fed = runner.quantize(standardized(divided(raw, given), given))
    outputs = []
    for i in range(len(fed)):
        runner.feed(fed[i : i + 1])
        runner.run()
        outputs.append(np.array(runner.read()))
    own = np.concatenate(outputs)
    values = restored(runner.output.dequantize(own), made)
    return Reference(raw, fed, own, values, answered(values, targets))


def heads(spec: Mapping[str, Any]) -> list[Head]:
    """Returns the targets of a model, in the order of their columns.

    Raises:
        UserError: a task or meaning that is not known, or not one label a column.
    """
    output, labels = spec["output"], tuple(map(str, spec.get("labels") or ()))
    width = columns(output)
    meaning = str(output.get("meaning", ""))
    if output.get("heads"):
        meanings = [part.strip() for part in meaning.split(",")]
        if len(meanings) != len(output["heads"]):
            raise UserError(f"{len(output['heads'])} targets with the meanings {meaning!r}; expected one each", HINT)
        found = [_head(entry, own) for entry, own in zip(output["heads"], meanings, strict=True)]
    else:
        found = [Head("", str(output.get("task")), meaning, 0, width, labels)]
    for head in found:
        _check_head(head, width, elements(output) // width)
    return found


def columns(end: Mapping[str, Any]) -> int:
    """Returns how many numbers one example has along the last axis; 1 for a scalar."""
    shape = end["shape"][1:]
    return int(shape[-1]) if shape else 1


def elements(end: Mapping[str, Any]) -> int:
    """Returns how many numbers one example has."""
    return math.prod(int(size) for size in end["shape"][1:])


def answered(values: np.ndarray, targets: list[Head]) -> np.ndarray:
    """Returns probabilities for logits of classes (softmax) and labels (sigmoid), anything else as it is; float32.

    Args:
        values: float32 [n, ..., outputs].
        targets: from `heads`.
    """
    found = values.astype(np.float64)
    for head in targets:
        part = found[..., head.first : head.last]
        if head.meaning == "logits" and head.task == "classification":
            powers = np.exp(part - part.max(axis=-1, keepdims=True))
            found[..., head.first : head.last] = powers / powers.sum(axis=-1, keepdims=True)
        elif head.meaning == "logits" and head.task == "multilabel":
            found[..., head.first : head.last] = 0.5 * (1.0 + np.tanh(0.5 * part))  # The sigmoid, without overflow.
    return found.astype(np.float32)


def read_vectors(bundle: Bundle, which: str) -> np.ndarray:
    """Returns the "raw", "expected" or "keras" vectors. Raises UserError when the file is not as bundle.json says."""
    described = bundle.spec["vectors"][which]
    path = bundle.folder / described["file"]
    try:
        found = np.frombuffer(path.read_bytes(), np.dtype(described["dtype"]).newbyteorder("<"))
        return found.astype(described["dtype"]).reshape(described["shape"])
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not the vectors that bundle.json describes ({error})", HINT) from error


def _head(entry: Mapping[str, Any], meaning: str) -> Head:
    first, last = (int(column) for column in entry["columns"])
    return Head(str(entry["name"]), str(entry["task"]), meaning, first, last, tuple(map(str, entry["labels"] or ())))


def _check_head(head: Head, width: int, rows: int) -> None:
    named = f"target {head.name!r}" if head.name else "the output"
    if head.task not in TASKS or head.meaning not in ("logits", "probabilities", "values"):
        raise UserError(f"{named} is {head.task!r} with {head.meaning!r}; expected one of {', '.join(TASKS)}", HINT)
    if not 0 <= head.first < head.last <= width:
        raise UserError(f"{named} has the columns {head.first} to {head.last} of {width}", HINT)
    decides = head.task in ("classification", "multilabel")
    if decides and rows > 1:
        raise UserError(f"{named} decides for each of {rows} rows; expected one decision an example")
    if decides and head.labels and len(head.labels) != head.last - head.first:
        raise UserError(f"{named} has {len(head.labels)} labels for {head.last - head.first} columns", HINT)


def _end(spec: Mapping[str, Any], side: str) -> dict[str, Any]:
    end: dict[str, Any] = spec[side]
    types = INPUT_TYPES if side == "input" else OUTPUT_TYPES
    if end["dtype"] not in types:
        hint = "export it as float32 or int8"
        raise UserError(f"the model's {side} is {end['dtype']}; expected {' or '.join(types)}", hint)
    affine = end.get("standardization")
    if affine:
        sizes = {len(affine["mean"]), len(affine["std"])}
        if sizes not in ({1}, {columns(end)}) or not np.isfinite([*affine["mean"], *affine["std"]]).all():
            raise UserError(f"the standardization of the {side} is not one finite mean and std a column", HINT)
    return end

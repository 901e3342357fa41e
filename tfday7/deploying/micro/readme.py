"""What a person has to know who puts the bundle into a firmware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfday7.core.units import format_bytes
from tfday7.deploying.guide import broken_line
from tfday7.deploying.micro.measuring import INSTALL
from tfday7.deploying.rendering import raw_values, shown
from tfday7.exporting.card import escaped
from tfday7.exporting.records import Artefact
from tfday7.exporting.tflite_contents import Summary

PROGRAM = "example"


def text(
    name: str,
    artefact: Artefact,
    spec: Mapping[str, Any],
    summary: Summary,
    arena: tuple[int, str, str],
    notes: list[str],
) -> str:
    """Returns README.md.

    Args:
        name: of the namespace, without its prefix.
        artefact: what is bundled.
        spec: bundle.json.
        summary: of the file.
        arena: its size in bytes, and two lines on where that is from.
        notes: what was found when the file was run here.
    """
    head = _head(name, artefact, spec)
    parts = [head, _memory(spec, arena, notes), _operators(summary), _numbers(artefact, spec), _build()]
    return "\n".join(part for part in parts if part)


def _head(name: str, artefact: Artefact, spec: Mapping[str, Any]) -> str:
    labels = "| `labels.h` | names of the outputs |\n" if spec["labels"] else ""
    words = ""
    if artefact.input.get("vocabulary"):
        how = "a backslash, line break or tab in it is written `\\\\`, `\\n`, `\\r` or `\\t`"
        words = f"| `vocabulary.txt` | the word of each token id; {how} |\n"
    return f"""# {shown(spec["name"])} for TFLite Micro
{broken_line(artefact)}
Everything is in the namespace `tfday7_{name}`.

| file | what it is |
|---|---|
| `model_data.h`, `model_data.cc` | the model ({format_bytes(spec["size_bytes"])}, {shown(spec["kind"])}) as a C array |
| `op_resolver.h` | the resolver with this model's operators and no others |
| `arena.h` | how much memory it works in |
{labels}{words}| `test_vectors.h` | inputs, and what LiteRT gives for them |
| `example_main.cc` | runs the test vectors |
| `bundle.json` | all numbers of the model |

The model's SHA-256 is {spec["sha256"]}.
"""


def _memory(spec: Mapping[str, Any], arena: tuple[int, str, str], notes: list[str]) -> str:
    command = escaped(INSTALL)  # To be copied, so it stands as code, without backslashes.
    listed = "".join(f"- {escaped(note).replace(command, f'`{INSTALL}`')}\n" for note in notes)
    return f"""## Memory

- Flash: {format_bytes(spec["size_bytes"])} for the model, and the operators' code.
- RAM: {format_bytes(arena[0])} for the arena. {arena[1]} {arena[2]}
{listed}
`example_main.cc` prints how much of the arena is used: make it smaller by that.
"""


def _operators(summary: Summary) -> str:
    rows = "".join(f"| {operator.name} | {operator.version} | {operator.count} |\n" for operator in summary.operators)
    return f"""## Operators

TFLite Micro has all of them.

| operator | version | how often |
|---|---|---|
{rows}"""


def _numbers(artefact: Artefact, spec: Mapping[str, Any]) -> str:
    given, made = spec["input"], spec["output"]
    steps = []
    if given["dtype"] == "int32":
        steps.append("token ids go in as they are")
    if (given.get("divisor") or 1.0) != 1.0:
        steps.append("x = raw / kInputDivisor")
    if given.get("standardization"):
        steps.append("x = (x - mean) / std, with `input.standardization` of bundle.json")
    if given.get("scale"):
        steps.append("q = round(x / kInputScale) + kInputZeroPoint, halves to even, cut off at -128 and 127")
    steps.append("Reset() and Invoke()" if spec["stateful"] else "Invoke()")
    if made.get("scale"):
        steps.append("y = (q - kOutputZeroPoint) * kOutputScale")
    if made.get("standardization"):
        steps.append("y = y * std + mean, with `output.standardization` of bundle.json")
    listed = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    state = "\nThe model keeps state: without `Reset()` the second answer is wrong.\n" if spec["stateful"] else ""
    said = f"{made.get('task')}, {made.get('meaning')}"
    return f"""## From raw values to answers

{raw_values(artefact.input)}
{listed}

The answers are: {shown(said)}.
{state}"""


def _build() -> str:
    return f"""## Build it

These files need TFLite Micro's headers and library (https://github.com/tensorflow/tflite-micro), and C++17 as it does:

    c++ -std=c++17 -I TFLITE_MICRO example_main.cc model_data.cc TFLITE_MICRO_LIBRARY -o {PROGRAM}

On a board, call what `main` calls where the board's own program starts.
"""

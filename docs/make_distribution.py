"""Writes the figures of docs/distribution.md from the record of benchmarks/distribution.py.

python docs/make_distribution.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RECORD = HERE.parent / "benchmarks" / "results" / "distribution.json"
PAGE = HERE / "distribution.md"
BEGIN, END = "<!-- figures: python docs/make_distribution.py -->\n", "<!-- end of figures -->\n"


def figures(record: dict[str, Any]) -> str:
    """Returns the section's text: a table of worlds, and a sentence for each other part that was measured."""
    cells, steps = record["equality"]["cells"], record["equality"]["steps"]
    worlds = list(next(iter(cells.values())))
    kinds = ("float32", "mixed_bfloat16", "mixed_float16")
    lines = [
        f"`benchmarks/distribution.py`, {record['date']}: the largest difference of any weight from one device after "
        f"{steps} steps,",
        f"over {len(cells)} cells of SGD, Adam and LAMB, with and without accumulation (4) and clipping, the last",
        "batches uneven. Mixed precision: one cell each; 16-bit sums round in another order.",
        "",
        "| | " + " | ".join(worlds) + " |",
        "|---|" + "---|" * len(worlds),
    ]
    for kind in kinds:
        row = [[found[world] for name, found in cells.items() if name.endswith(f", {kind}")] for world in worlds]
        lines.append(f"| {kind} | " + " | ".join(_worst(values) for values in row) + " |")
    lines += ["", *_sentences(record), "", _hardware(record), ""]
    return "\n".join(lines)


def _worst(values: list[Any]) -> str:
    if any(isinstance(value, str) for value in values):
        return "refused"
    return f"{max(values):.1e}"


def _sentences(record: dict[str, Any]) -> list[str]:
    found = []
    for world, held in record.get("memory", {}).items():
        found.append(
            f"- Memory, {world}: each device holds {held['share']:.2f} of a transformer's weights and Adam's state "
            f"({held['device_bytes']:,} of {held['whole_bytes']:,} bytes)."
        )
    if "overhead" in record:
        step, both = record["overhead"]["step"], record["overhead"]["step_and_pipeline"]
        low, high = step["quartiles"]
        found.append(
            f"- Time, mirrored 2: our step takes {step['median']:.2f} of Keras's own on the same batches (quartiles "
            f"{low:.2f} to {high:.2f}), with our pipeline {both['median']:.2f} of Keras's on a plain one."
        )
    for where, run in record.get("kills", {}).items():
        found.append(
            f"- SIGKILL at a random moment, {where}: {run['same_weights']} of {run['runs']} runs ended with the "
            "weights of the run that was not killed, bit for bit."
        )
    return found


def _hardware(record: dict[str, Any]) -> str:
    machine = record["hardware"]
    return (
        f"All on virtual devices and processes of one machine ({machine['cpu']}, {machine['cores']} cores): nothing "
        "here was run on GPUs or TPUs."
    )


def page(text: str, record: dict[str, Any]) -> str:
    """Returns the page with its figures as in the record."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + figures(record) + END + after


def main() -> None:
    """Brings the page up to date."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()

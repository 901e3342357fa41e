"""Writes the figures of docs/distribution.md from the record of benchmarks/distribution.py.

python docs/make_distribution.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from figures import HERE, between, bring_up_to_date, measured, table

PAGE = HERE / "distribution.md"
BEGIN = "<!-- figures: python docs/make_distribution.py -->\n"


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
    ]
    rows = []
    for kind in kinds:
        found = [[cell[world] for name, cell in cells.items() if name.endswith(f", {kind}")] for world in worlds]
        rows.append([kind, *map(_worst, found)])
    lines += [*table(["", *worlds], rows), "", *_sentences(record), "", _hardware(record), ""]
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
            f"{low:.2f} to {high:.2f}), with our pipeline {both['median']:.2f} of Keras's on a plain one. Of the "
            f"processor's time {record['overhead']['step_processor']['median']:.2f} and "
            f"{record['overhead']['step_and_pipeline_processor']['median']:.2f}."
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


def page(text: str) -> str:
    """Returns the page with its figures as in the record."""
    return between(text, BEGIN, figures(measured("distribution")))


if __name__ == "__main__":
    bring_up_to_date(PAGE, page)

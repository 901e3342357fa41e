"""Writes the figures of docs/compression.md from the record of benchmarks/compression.py.

python docs/make_compression.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from figures import HERE, between, bring_up_to_date, measured, table

PAGE = HERE / "compression.md"
BEGIN = "<!-- figures: python docs/make_compression.py -->\n"
HEAD = ("", "accuracy", "file, kB", "packed, kB", "time, of float32's", "the same with AMX")


def figures(record: Mapping[str, Any]) -> str:
    """Returns the section's text: a row for each artefact, ours and the peers', then what the rows say."""
    rows, seeds = record["resnet8"], record["seeds"]
    lines = [
        f"A ResNet-8 on Fashion-MNIST, {record['fine_tuning_epochs']} epochs of fine-tuning for every row, "
        f"{_seeds(seeds)} (`benchmarks/compression.py`, {record['date']},",
        f"{record['hardware']['cpu']}, one thread, one image at a time). Test accuracy; a kB is 1,000 bytes.",
        "",
    ]
    for who, title in (("peer", "TensorFlow's own kit"), ("tfday7", "tfday7")):
        own = {name: row for name, row in rows.items() if row["who"] == who and "accuracy" in row}
        lines += [*table((title, *HEAD[1:]), [_row(name, row) for name, row in own.items()]), ""]
    lines += [*_verdict(record["verdict"], rows), ""]
    for name, found in record["families"].items():
        lines += [*_family(name, found), ""]
    return "\n".join(lines)


def _seeds(seeds: list[int]) -> str:
    return f"medians of {len(seeds)} seeds" if len(seeds) > 1 else "one seed"


def _row(name: str, row: Mapping[str, Any]) -> list[str]:
    with_amx = row.get("latency_ratio_with_amx")
    return [
        f"`{name}`" if row["who"] == "tfday7" else name,
        f"{row['accuracy']:.4f}",
        f"{row['size_bytes'] / 1000:.1f}",
        f"{row['gzip_bytes'] / 1000:.1f}",
        f"{row['latency_ratio']:.2f}",
        "–" if with_amx is None else f"{with_amx:.2f}",
    ]


def _verdict(verdict: Mapping[str, Any], rows: Mapping[str, Any]) -> list[str]:
    single, beaten, beside = verdict.values()
    if single:
        free = [name for name in single if not beaten[name]]
        said = f"- Within a point of float32, at most 0.45 of its time, 20 kB packed and 40 kB: {_listed(single)}."
        found = [said + (f" No peer's row is better in all three than {_listed(free)}." if free else "")]
    else:
        found = ["- No single artefact is within a point of float32, 0.45 of its time, 20 kB packed and 40 kB."]
    matched = [name for name, mine in beside.items() if mine]
    found.append(
        f"- Of {len(beside)} rows of the kit {len(matched)} have one of ours beside them that is faster and smaller "
        "and has their accuracy, less 0.3 points at most."
    )
    for name in (name for name, mine in beside.items() if not mine):
        found.append(f"- Nothing of ours is beside {name} ({rows[name]['accuracy']:.4f}).")
    return found


def _family(name: str, found: Mapping[str, Any]) -> list[str]:
    rows = []
    for row in found["rows"]:
        title = f"`{row['name']}`"
        if row["failure"]:
            rows.append([title, *["–"] * 5])
            continue
        test = "–" if row["test_metric"] is None else f"{row['test_metric']:.4f}"
        size, packed = row["size_bytes"] / 1000, row["gzip_bytes"] / 1000
        rows.append([title, f"{row['metric']['value']:.4f}", test, f"{size:.1f}", f"{packed:.1f}"])
        rows[-1].append("–" if row["latency_ratio"] is None else f"{row['latency_ratio']:.2f}")
    head = (name, "validation", "test, of the frontier", *HEAD[2:5])
    failures = [f"- {row['failure']}." for row in found["rows"] if row["failure"]]
    return [f"The {name} on the words of the standard library, one seed:", "", *table(head, rows), "", *failures]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def page(text: str) -> str:
    """Returns the page with its figures as in the record."""
    return between(text, BEGIN, figures(measured("compression")))


if __name__ == "__main__":
    bring_up_to_date(PAGE, page)

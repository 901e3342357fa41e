"""How `budget` compares sets of files: each one's frontier by validation, and the volume behind it on the test split.

How much of a difference is luck of the test split is told by the same sets on examples drawn from it with repetition
(B. Efron, Bootstrap methods: another look at the jackknife, The Annals of Statistics 7(1), 1979). Files are timed
beside the float32 one in groups of a few, drawn at random, a process each: of 563 files in one process, the same file
took a sixth longer where it was opened late.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import compression as bench
import numpy as np

from tfday7.compression.search.hypervolume import hypervolume
from tfday7.compression.search.judging import REFERENCE
from tfday7.core import amx
from tfday7.data import Dataset
from tfday7.data.scoring import decisions
from tfday7.runtimes import open_artefact

Made = list[tuple[str, float, bytes]]  # (name, validation accuracy, file)
Place = tuple[float, float, float]  # Drop of the accuracy; packed size and time relative to the float32 file.
GROUP = 15  # Files that are timed in a process, beside the float32 one.
SAMPLES = 500  # Of the test split.
PERCENTILES = (2.5, 97.5)


def right(path: Path, dataset: Dataset, part: str) -> np.ndarray:
    """Returns which examples of a split a file names the class of, through LiteRT: bool [n]."""
    split = getattr(dataset, part)
    told = decisions(dataset.problem, open_artefact(path, "litert").predict(np.asarray(split.x[:])))
    return np.asarray(told == split.y)


def compared(
    whole: bytes, sets: Mapping[str, Made], chosen: str, dataset: Dataset, folder: Path, device: str
) -> dict[str, Any]:
    """Returns what each set has on its frontier, the volume behind it, and how sure the first one is ahead.

    Args:
        whole: the float32 file.
        sets: what each has made.
        chosen: the name of what the first set has chosen.
        dataset: scores.
        folder: for the files.
        device: that files are timed on; see `compression.ratios`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = [("", "float32", 0.0, whole), *((who, *one) for who, made in sets.items() for one in made)]
    paths = [folder / f"{at}.tflite" for at in range(len(listed))]
    for path, (*_, content) in zip(paths, listed, strict=True):
        path.write_bytes(content)
    times = ratios(paths, device if amx.is_there() else "cpu")
    packed = [len(gzip.compress(content, 9, mtime=0)) for *_, content in listed]
    before = float(np.mean(right(paths[0], dataset, "validation")))
    places = {at: (before - one[2], packed[at] / packed[0], times[at]) for at, one in enumerate(listed) if at}
    fronts = {who: list(frontier({at: places[at] for at in places if listed[at][0] == who})) for who in sets}
    first = next(iter(sets))
    mine = [at for at in places if listed[at][0] == first and listed[at][1] == chosen][:1]
    scored = {at: right(paths[at], dataset, "test") for at in {0, *mine}.union(*fronts.values())}

    def row(at: int) -> dict[str, Any]:
        figures = dict(zip(("drop", "gzip_ratio", "latency_ratio"), places[at], strict=True))
        return {"name": listed[at][1], **figures, "test_metric": float(scored[at].mean())}

    whole_split = np.arange(len(scored[0]))
    found: dict[str, Any] = {
        "float32": {"validation": before, "test": float(scored[0].mean()), "gzip_bytes": packed[0]},
        "chosen": row(mine[0]) if mine else None,
    }
    for who, volume in volumes(fronts, places, scored, whole_split).items():
        rows = [row(at) for at in fronts[who]]
        found[who] = {"made": len(sets[who]), "hypervolume": volume, "frontier": rows}
    return found | {"ahead": ahead(fronts, places, scored)}


def ratios(paths: list[Path], device: str) -> list[float]:
    """Returns each file's time relative to the first one's."""
    found = [1.0] * len(paths)
    order = 1 + np.random.default_rng(0).permutation(len(paths) - 1)
    for start in range(0, len(order), GROUP):
        group = order[start : start + GROUP].tolist()
        timed = bench.ratios({str(at): paths[at] for at in (0, *group)}, device)
        for at in group:
            found[at] = timed[str(at)]["latency_ratio"]
    return found


def frontier(places: Mapping[int, Place]) -> Iterator[int]:
    """Yields the numbers of what nothing else is better than, the first one of equals."""
    for at, place in places.items():
        rest = [other for number, other in places.items() if number != at and (other != place or number < at)]
        if not any(all(np.array(other) <= place) for other in rest):
            yield at


def volumes(
    fronts: Mapping[str, list[int]], places: Mapping[int, Place], scored: Mapping[int, np.ndarray], taken: np.ndarray
) -> dict[str, float]:
    """Returns the volume behind each frontier on these examples of the test split."""
    accuracy = {at: each[taken].mean() for at, each in scored.items()}
    return {
        who: hypervolume([(accuracy[0] - accuracy[at], *places[at][1:]) for at in front], REFERENCE)
        for who, front in fronts.items()
    }


def ahead(
    fronts: Mapping[str, list[int]], places: Mapping[int, Place], scored: Mapping[int, np.ndarray]
) -> dict[str, list[float]]:
    """Returns how far the first set is ahead of each other one: `PERCENTILES` of the difference of the volumes."""
    first, *others = fronts
    generator, count = np.random.default_rng(0), len(scored[0])
    drawn = [volumes(fronts, places, scored, generator.integers(count, size=count)) for _ in range(SAMPLES)]
    return {
        who: np.percentile([each[first] - each[who] for each in drawn], PERCENTILES).round(5).tolist() for who in others
    }

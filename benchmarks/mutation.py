"""Do the tests notice when the code is changed? Mutants of what proves the most: shrinking, verdicts, comparison.

    make mutation-tools
    .mutation/bin/python benchmarks/mutation.py [--mutants=40] [--seed=0] [--areas=shrink,diagnosis,parity]

Of each area as many mutants are drawn from all that cosmic-ray makes (another comparison, number, operator, condition,
exception; a loop that does not run; a decorator that is gone). Each is tried on a copy of the repository: it is killed
when the area's tests fail or do not end. A vertical bar is left alone, as it stands in annotations, which nothing
evaluates. Survivors are in the record with their difference, to be read: some change nothing that anyone could see.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7.core import environment
from tfday7.core.files import read_json, write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"
PYTHON = ROOT / ".venv" / "bin" / "python"
AREAS = {
    "shrink": ("tfday7/compression/shrink", ["tests/compression/shrink"]),
    "diagnosis": ("tfday7/diagnosis", ["tests/diagnosis"]),
    "parity": ("tfday7/exporting/parity.py", ["tests/exporting/test_parity.py"]),
}
TARGET = 0.8
WORKERS = 2
SECONDS = 600.0  # A mutant that takes longer does not end.
COPIED = shutil.ignore_patterns(".*", "runs", "build", "__pycache__")


def tests_of(area: str, module: Path) -> list[str]:
    """Returns what is run on a mutant of a module: the tests that mirror it first, as they know it best."""
    found = ROOT / "tests" / module.relative_to("tfday7").parent / f"test_{module.stem}.py"
    folder = ROOT / "tests" / module.relative_to("tfday7").parent
    nearest = [str(each.relative_to(ROOT)) for each in (found, folder) if each.exists()]
    return [*dict.fromkeys([*nearest, *AREAS[area][1]])]


def drawn(area: str, count: int, seed: int) -> list[Any]:
    """Returns a sample of all mutants of an area."""
    place = Path(AREAS[area][0])
    modules = [place] if place.suffix else sorted(place.rglob("*.py"))
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder, use_db(f"{folder}/db", WorkDB.Mode.create) as base:
        init(modules, base, {})
        items = sorted(base.work_items, key=lambda item: str(item.mutations[0]))
    usable = [item for item in items if "BitOr" not in item.mutations[0].operator_name]
    return random.Random(seed).sample(usable, min(count, len(usable)))


def begin(copies: Any) -> None:
    """Gives a worker a copy of the repository of its own."""
    copy = Path(copies.get())
    shutil.copytree(ROOT, copy, ignore=COPIED, dirs_exist_ok=True)
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def tried(asked: tuple[str, Any]) -> dict[str, Any]:
    """Returns what became of a mutant."""
    area, item = asked
    mutation = item.mutations[0]
    tests = " ".join(tests_of(area, mutation.module_path))
    started = time.monotonic()
    command = f"{PYTHON} -m pytest -x -q -p no:cacheprovider -p no:randomly {tests}"
    result = mutate_and_test(item.mutations, command, SECONDS)
    survived = result.test_outcome == TestOutcome.SURVIVED
    return {
        "area": area,
        "module": str(mutation.module_path),
        "line": mutation.start_pos[0],
        "operator": mutation.operator_name.removeprefix("core/"),
        "outcome": str(result.test_outcome.value if result.test_outcome else result.worker_outcome.value),
        "seconds": round(time.monotonic() - started, 1),
        "difference": [line for line in (result.diff or "").splitlines()[2:] if line[:1] in "+-"] if survived else [],
    }


def main() -> None:
    """Tries the mutants, and writes down what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=40, help="of each area")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--areas", default=",".join(AREAS))
    given = parser.parse_args()
    os.chdir(ROOT)
    asked = [(area, item) for area in given.areas.split(",") for item in drawn(area, given.mutants, given.seed)]
    record = read_json(RESULTS) if RESULTS.exists() else {"areas": {}}
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copies: Any = multiprocessing.SimpleQueue()
        for number in range(WORKERS):
            copies.put(f"{folder}/{number}")
        with multiprocessing.Pool(WORKERS, begin, (copies,)) as pool:
            rows = []
            for row in pool.imap(tried, asked):
                rows.append(row)
                print(len(rows), "of", len(asked), row, flush=True)
    for area, found in itertools.groupby(rows, key=lambda row: row["area"]):
        mutants = list(found)
        killed = sum(row["outcome"] == "killed" for row in mutants)
        record["areas"][area] = {"mutants": len(mutants), "killed": killed, "share": round(killed / len(mutants), 4)}
        record["areas"][area]["survivors"] = [row for row in mutants if row["outcome"] != "killed"]
        print(area, f"{killed} of {len(mutants)} killed")
    record |= {
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/mutation.py --mutants={given.mutants} --seed={given.seed}",
        "hardware": environment.hardware(),
    }
    write_json(RESULTS, record)
    missed = [area for area, found in record["areas"].items() if found["share"] < TARGET]
    if missed:
        sys.exit(f"fewer than {TARGET:.0%} killed: {', '.join(missed)}")


if __name__ == "__main__":
    main()

"""Do the tests notice when the code is changed? Mutants of what proves the most: shrinking, verdicts, comparison.

    make mutation-tools
    .mutation/bin/python benchmarks/mutation.py [--mutants=40] [--seed=0] [--areas=shrink,diagnosis,parity]
    .mutation/bin/python benchmarks/mutation.py --areas=shrink --survivors    # after tests were added

Of each area as many mutants are drawn from all that cosmic-ray makes (another comparison, number, operator, condition,
exception; a loop that does not run; a decorator that is gone). Each is tried on a copy of the repository: it is killed
when a test fails or does not end. The area's tests run once on the code as it is, where all have to pass, and
`mutation_seen` notes which tests run which lines: a mutant meets the tests that run its line, then the others of their
files, the fastest first; all of the area's where its line is none of a function's, which runs when a module is loaded.
What outlives them counts as a survivor. A vertical bar is left alone, as it stands in annotations, which nothing
evaluates. Survivors are in the record with their difference, to be read: some change nothing that anyone could see.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import difflib
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import forking

from tfday7.core import environment
from tfday7.core.files import read_json, write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "mutation.json"
PYTHON = ROOT / ".venv" / "bin" / "python"
AREAS = {
    "shrink": ("tfday7/compression/shrink", "tests/compression/shrink"),
    "diagnosis": ("tfday7/diagnosis", "tests/diagnosis"),
    "parity": ("tfday7/exporting/parity.py", "tests/exporting/test_parity.py"),
}
TARGET = 0.8
WORKERS = 2
SECONDS = 600.0  # A mutant that takes longer does not end.
COPIED = shutil.ignore_patterns(".*", "runs", "build", "__pycache__")
FAILED = (1, 2)  # pytest: a test failed, or a file of tests cannot be loaded.
NOT_FOUND = 4  # pytest: there is no such test.


def drawn(area: str, count: int, seed: int) -> list[Any]:
    """Returns a sample of all mutants of an area."""
    place = Path(AREAS[area][0])
    modules = [place] if place.suffix else sorted(place.rglob("*.py"))
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder, use_db(f"{folder}/db", WorkDB.Mode.create) as base:
        init(modules, base, {})
        items = sorted(base.work_items, key=lambda item: str(item.mutations[0]))
    usable = [item for item in items if "BitOr" not in item.mutations[0].operator_name]
    return random.Random(seed).sample(usable, min(count, len(usable)))


class Bench:
    """A worker's copy of the repository, and a process that has TensorFlow loaded and forks to run tests there."""

    def __init__(self, copy: Path) -> None:
        shutil.copytree(ROOT, copy, ignore=COPIED, dirs_exist_ok=True)
        os.chdir(copy)
        os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
        self.copy, self.server = copy, forking.Server(copy, str(PYTHON), modules=())

    def seen(self, area: str) -> dict[str, Any]:
        """Returns which of an area's tests run which lines; see `mutation_seen`. Raises where one of them fails."""
        out = self.copy / f"{area}.json"
        command = [
            PYTHON,
            "-P",
            "benchmarks/mutation_seen.py",
            out,
            AREAS[area][1],
        ]  # Tests import none of its neighbours.
        ended = subprocess.run(command, cwd=self.copy, env={**os.environ, "PYTHONPATH": "."}, capture_output=True)
        if ended.returncode:
            raise RuntimeError(f"{area}: a test fails on the code as it is\n{ended.stdout.decode()[-2000:]}")
        return dict(json.loads(out.read_text(encoding="utf-8")))

    def tried(self, area: str, mutation: Any, seen: dict[str, Any]) -> dict[str, Any]:
        """Returns what became of a mutant."""
        module, started = mutation.module_path, time.monotonic()
        operator = get_operator(mutation.operator_name)(**mutation.operator_args)
        tests = chosen(seen, module, mutation.start_pos[0], AREAS[area][1])
        with use_mutation(module, operator, mutation.occurrence) as (before, after):
            outcome = self._outcome(tests)
            if outcome == NOT_FOUND:  # The mutant has other parameters for its tests.
                outcome = self._outcome(list(dict.fromkeys(test.partition("::")[0] for test in tests)))
        if outcome not in (None, 0, *FAILED):
            raise RuntimeError(f"{module}:{mutation.start_pos[0]}: pytest ended with {outcome}")
        changed = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[3:]
        return {
            "area": area,
            "module": str(module),
            "line": mutation.start_pos[0],
            "operator": mutation.operator_name.removeprefix("core/"),
            "outcome": "survived" if outcome == 0 else "killed",
            "tests": len(tests),
            "seconds": round(time.monotonic() - started, 1),
            "difference": changed if outcome == 0 else [],
        }

    def _outcome(self, tests: list[str]) -> int | None:
        """Returns pytest's exit code; None where it did not end, 1 where it crashed."""
        try:
            code, _, _ = self.server.run(
                "pytest", ["-x", "-q", "-p", "no:cacheprovider", *tests], cwd=self.copy, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return None
        return FAILED[0] if code < 0 else code


def chosen(seen: dict[str, Any], module: Path, line: int, everything: str) -> list[str]:
    """Returns the tests that a mutant of this line meets, in their order.

    Args:
        seen: from `mutation_seen`.
        module: the module's path.
        line: where the mutant is.
        everything: the folder or file of all tests of the area.
    """
    ran = seen["lines"].get(str(module), {})
    those = {test for number in statement(module, line) for test in ran.get(str(number), [])}
    if not those:
        return [everything]
    seconds = seen["seconds"]
    files = {test.partition("::")[0] for test in those}
    mirror = f"test_{module.stem}.py"

    def order(test: str) -> tuple[bool, bool, str, float]:
        file = test.partition("::")[0]
        return test not in those, not file.endswith(mirror), file, seconds[test]

    return sorted((test for test in seconds if test.partition("::")[0] in files), key=order)


def statement(module: Path, line: int) -> range:
    """Returns the lines of the statement in a function's body that this line is part of, of a block those of its head.

    Empty where the line is in no function's body.
    """
    found = range(0)
    for function in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in (each for part in function.body for each in ast.walk(part)):
            if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
                lines = head(node)
                if line in lines and (not found or len(lines) <= len(found)):
                    found = lines
    return found


def head(node: Any) -> range:
    """Returns a statement's lines without those of the blocks that it holds."""
    first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
    inner = [each.lineno for name in ("body", "orelse", "finalbody") for each in getattr(node, name, [])[:1]]
    inner += [each.lineno for each in getattr(node, "handlers", [])[:1]]
    inner += [each.pattern.lineno for each in getattr(node, "cases", [])[:1]]
    last = node.body[-1].end_lineno if isinstance(node, ast.match_case) else node.end_lineno
    return range(first, min([last + 1, *(max(number, first + 1) for number in inner)]))


BENCH: Bench


def begin(copies: Any) -> None:
    """Gives a worker its bench."""
    global BENCH
    BENCH = Bench(Path(copies.get()))


def look(area: str) -> dict[str, Any]:
    """Returns `Bench.seen` of an area."""
    return BENCH.seen(area)


def attempt(asked: tuple[str, Any, dict[str, Any]]) -> dict[str, Any]:
    """Returns `Bench.tried` of a mutant."""
    return BENCH.tried(*asked)


def main() -> None:
    """Tries the mutants, and writes down what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=40, help="of each area")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--areas", default=",".join(AREAS))
    parser.add_argument("--survivors", action="store_true", help="try those of the record again")
    given = parser.parse_args()
    os.chdir(ROOT)
    areas = given.areas.split(",")
    mutants = {area: drawn(area, given.mutants, given.seed) for area in areas}
    record = read_json(RESULTS) if RESULTS.exists() else {"areas": {}}
    if given.survivors:
        for area in areas:
            known = {placed(row) for row in record["areas"][area]["survivors"]}
            mutants[area] = [item for item in mutants[area] if _place(item.mutations[0]) in known]
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copies: Any = multiprocessing.SimpleQueue()
        for number in range(WORKERS):
            copies.put(f"{folder}/{number}")
        with multiprocessing.Pool(WORKERS, begin, (copies,)) as pool:
            seen = dict(zip(areas, pool.map(look, areas, chunksize=1), strict=True))
            for area in areas:
                rows = []
                for row in pool.imap(attempt, [(area, item.mutations[0], seen[area]) for item in mutants[area]]):
                    rows.append(row)
                    print(area, len(rows), "of", len(mutants[area]), row, flush=True)
                record["areas"][area] = again(record["areas"][area], rows) if given.survivors else counted(rows, given)
                write_json(RESULTS, record)
                print(area, "{killed} of {mutants} killed".format_map(record["areas"][area]))
    missed = [area for area, found in record["areas"].items() if found["share"] < TARGET]
    if missed:
        sys.exit(f"fewer than {TARGET:.0%} killed: {', '.join(missed)}")


def placed(row: dict[str, Any]) -> tuple[str, int, str]:
    """Returns what tells a mutant of the record from others, as long as its module is the same."""
    return row["module"], row["line"], row["operator"]


def _place(mutation: Any) -> tuple[str, int, str]:
    return str(mutation.module_path), mutation.start_pos[0], mutation.operator_name.removeprefix("core/")


def again(before: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns an area's part of the record after its survivors met the tests that were added since."""
    known = {placed(row): row["difference"] for row in before["survivors"]}
    left = [row for row in rows if row["outcome"] != "killed" and row["difference"] == known[placed(row)]]
    killed = before["mutants"] - len(left)
    changed = {"killed": killed, "share": round(killed / before["mutants"], 4), "survivors": left}
    return {**before, **changed, "survivors_tried_again": datetime.date.today().isoformat()}


def counted(rows: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """Returns an area's part of the record."""
    killed = sum(row["outcome"] == "killed" for row in rows)
    return {
        "mutants": len(rows),
        "killed": killed,
        "share": round(killed / len(rows), 4),
        "survivors": [row for row in rows if row["outcome"] != "killed"],
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/mutation.py --mutants={given.mutants} --seed={given.seed}",
        "hardware": environment.hardware(),
    }


if __name__ == "__main__":
    main()

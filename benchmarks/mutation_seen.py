"""Which tests run which lines, and how long each test takes: what `mutation` chooses by. Run in the project's .venv.

    python benchmarks/mutation_seen.py OUT.json TESTS...

The file holds `{"seconds": {test: seconds}, "lines": {module: {line: [test, ...]}}}`; a test is a pytest node id, a
module a path from the folder that this runs in. Exits with pytest's code: a map of tests that fail is of no use.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

import coverage
import pytest


class Watch:
    """A plugin for pytest that tells coverage which test runs, and notes how long each takes."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begins a test, with the fixtures that it is the first to ask for."""
        self.measured.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Adds what a test's setup, call or teardown took."""
        self.seconds[report.nodeid] += report.duration


def main() -> int:
    """Runs the tests, writes the file, and returns pytest's exit code."""
    out, *tests = sys.argv[1:]
    measured = coverage.Coverage(data_file=None, config_file=False, source=["tfday7"])
    watch = Watch(measured)
    measured.start()
    code = pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[watch])
    measured.stop()
    data = measured.get_data()
    lines = {
        str(Path(module).relative_to(Path.cwd())): {
            line: [test for test in found if test] for line, found in data.contexts_by_lineno(module).items()
        }
        for module in data.measured_files()
    }
    Path(out).write_text(json.dumps({"seconds": watch.seconds, "lines": lines}), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())

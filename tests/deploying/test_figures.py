"""What a device measured becomes rows; what it makes up does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.deploying import figures
from tfday7.exporting.records import Artefact

ARTEFACT = Artefact("digits", "tflite", "int8", path="/models/digits.tflite", size_bytes=1234)
MACHINE = {
    "machine": "aarch64",
    "system": "Linux 6",
    "python": "3.11.2",
    "cpu": "Raspberry Pi 4",
    "cores": 4,
    "memory_bytes": 10**9,
}
MEASURED = {
    "latency_ms": {"p50": 1.5, "p90": 2.0, "p99": None}, "runs": 20, "threads": 2, "batch_size": 1, "load_ms": 3.25,
    "peak_memory_bytes": 5, "machine": MACHINE, "runtime": {"package": "tflite-runtime", "version": "2.14.0"},
}  # fmt: skip
PARITY = {"holds": True, "largest_difference": 0.0, "tolerance": 1e-4, "examples": 3, "same_decision": 1.0,
          "keras_largest_difference": 0.1, "keras_same_decision": None}  # fmt: skip


def test_a_row_says_on_what_it_was_measured() -> None:
    row = figures.row(MEASURED, ARTEFACT, "pi.local", PARITY, "pi@pi.local")
    assert row == {
        "artefact": "digits", "file": "digits.tflite", "runtime": "tflite_runtime", "runtime_version": "2.14.0",
        "device": "Raspberry Pi 4 (pi.local)", "threads": 2, "batch_size": 1,
        "latency_ms": {"p50": 1.5, "p90": 2.0, "p99": None}, "runs": 20, "load_ms": 3.25, "peak_memory_bytes": 5,
        "size_bytes": 1234, "metric": None, "parity": PARITY, "machine": MACHINE,
    }  # fmt: skip


def test_parity_is_what_check_printed() -> None:
    assert figures.parity({"parity": {**PARITY, "more": 1}}, "pi") == PARITY


@pytest.mark.parametrize(
    "said",
    [
        {}, {"parity": 3}, {"parity": {**PARITY, "holds": "yes"}}, {"parity": {**PARITY, "tolerance": "small"}},
        {"parity": {**PARITY, "largest_difference": float("nan")}}, {"parity": {**PARITY, "examples": True}},
    ],
)  # fmt: skip
def test_a_comparison_of_another_shape_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="not its figures"):
        figures.parity(said, "pi")


@pytest.mark.parametrize("text", ["", "no json", "[1]", "3", '{"a": 1} trailing'])
def test_an_answer_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="answered something that is not its figures"):
        figures.record(text, "pi")


@pytest.mark.parametrize(
    "changes",
    [{"latency_ms": None}, {"runs": "many"}, {"runtime": {"package": "other"}}, {"machine": {"cores": "four"}}],
)
def test_a_measurement_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="not its figures"):
        figures.row({**MEASURED, **changes}, ARTEFACT, "pi", PARITY, "pi")


def test_a_devices_names_are_text_for_a_terminal() -> None:
    found = figures.machine({"machine": {**MACHINE, "cpu": "\x1b[31mred\n"}}, "pi")
    assert found["cpu"] == "[31mred"


def test_rows_go_to_the_run_that_is_there_or_beside_the_artefact(tmp_path: Path) -> None:
    def place(run: str) -> Path:
        return figures.place(Artefact("a", "tflite", "int8", run=run, path=str(tmp_path / "a.tflite")))

    assert place("") == tmp_path / "benchmark.json"
    assert place(str(tmp_path / "run")) == tmp_path / "benchmark.json"
    (tmp_path / "run").mkdir()
    assert place(str(tmp_path / "run")) == tmp_path / "benchmark.json"  # A folder, but no run.
    (tmp_path / "run" / "flags.txt").write_text("")
    assert place(str(tmp_path / "run")) == tmp_path / "run" / "benchmark.json"
    assert place("./run") == tmp_path / "run" / "benchmark.json"  # Relative to the artefact's folder.
    assert place("run") == tmp_path / "benchmark.json"  # A name, and no path.

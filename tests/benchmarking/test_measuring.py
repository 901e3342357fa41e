"""Interleaved rounds: who runs when, when it ends, and what a cell that fails does to the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarking import made_artefacts

from tfday7.benchmarking import measuring
from tfday7.benchmarking.cells import Cell
from tfday7.benchmarking.figures import Round
from tfday7.benchmarking.measuring import Limits, time_group
from tfday7.benchmarking.process import CellError
from tfday7.benchmarking.subjects import Subject, subject
from tfday7.core.frameworks import keras
from tfday7.exporting.records import Artefact, Parity

MEGABYTE = 1_000_000


@dataclasses.dataclass
class Machine:
    """A clock that only runs of fake workers move, by their own time and the machine's slowness."""

    now: float = 0.0
    slowness: Callable[[float], float] = lambda now: 1.0
    log: list[str] = dataclasses.field(default_factory=list)

    def clock(self) -> float:
        """Returns the time in seconds."""
        return self.now

    def open(self, cell: Cell) -> FakeWorker:
        """Returns the worker of a cell named "3 run-4.tflite": 3 ms a run, and an error at its 4th round."""
        return FakeWorker(self, cell)


class FakeWorker:
    """Does what a worker does, without a process."""

    def __init__(self, machine: Machine, cell: Cell) -> None:
        self.machine, self.name = machine, cell.subject.path.stem
        self.milliseconds = float(self.name.split()[0])
        self.fails = self.name.partition(" ")[2]
        self.rounds = 0
        self.closed = False

    def _do(self, operation: str) -> None:
        assert not self.closed
        self.machine.log.append(f"{operation} {self.name}")
        if self.fails == operation:
            raise CellError(f"{operation} failed")

    def prepared(self) -> int:
        self._do("prepared")
        return 10 * MEGABYTE

    def load(self) -> float:
        self._do("load")
        return 5.0

    def warm(self) -> tuple[float, float]:
        self._do("warm")
        return 9.0, self.milliseconds

    def run(self, count: int) -> Round:
        self.rounds += 1
        self._do(f"run-{self.rounds}" if self.fails.startswith("run") else "run")
        times = []
        for _ in range(count):
            times.append(self.milliseconds * self.machine.slowness(self.machine.now))
            self.machine.now += times[-1] / 1000
        return Round(times, [False] * count)

    def peak_bytes(self) -> int:
        self._do("peak")
        return 30 * MEGABYTE

    def predict(self, inputs: Path, ends: Any) -> np.ndarray:
        raise NotImplementedError

    def close(self) -> None:
        if not self.closed:
            self.machine.log.append(f"close {self.name}")
        self.closed = True


def cells(*names: str) -> list[Cell]:
    return [Cell(Subject(Path(f"{name}.tflite"), name), "litert") for name in names]


def test_every_round_runs_every_cell_and_begins_with_another_one() -> None:
    machine = Machine()
    time_group(cells("1", "2", "3"), machine.open, Limits(max_rounds=4), clock=machine.clock)
    assert machine.log[:3] == ["prepared 1", "prepared 2", "prepared 3"]  # All are there before the first one loads.
    assert machine.log[3:9] == ["load 1", "warm 1", "load 2", "warm 2", "load 3", "warm 3"]
    runs = [entry.removeprefix("run ") for entry in machine.log if entry.startswith("run ")]
    assert "".join(runs) == "123" + "231" + "312" + "123"
    assert machine.log[-6:] == ["peak 1", "peak 2", "peak 3", "close 3", "close 2", "close 1"]


def test_the_figures_of_a_cell_are_kept() -> None:
    machine = Machine()
    (timed,) = time_group(cells("2"), machine.open, Limits(seconds=1.0, max_rounds=20), clock=machine.clock)
    assert [each.ms for each in timed.rounds] == [[2.0] * 25] * 20  # 1 s in 20 rounds of 50 ms.
    assert (timed.load_ms, timed.first_ms) == (5.0, 9.0)
    assert (timed.memory_before_bytes, timed.peak_memory_bytes) == (10 * MEGABYTE, 30 * MEGABYTE)
    assert timed.failure == ""


def test_a_machine_that_slows_down_changes_times_but_not_ratios() -> None:
    machine = Machine(slowness=lambda now: 1.0 + 3.0 * now)
    limits = Limits(seconds=2.0, max_runs=5)
    timed = time_group(cells("4", "6"), machine.open, limits, clock=machine.clock)
    rows = [measuring.row(each, timed[0], timed[0].cell) for each in timed]
    assert rows[0]["latency_spread"] > 0.3
    assert rows[1]["latency_ratio"] == pytest.approx(1.5, rel=0.02)


def test_a_round_holds_as_many_runs_as_fit_and_at_least_one() -> None:
    limits = Limits(seconds=3.0, max_rounds=60, max_runs=500)
    assert limits.runs(0.001) == 500
    assert limits.runs(10.0) == 5  # 3 s / 60 = 50 ms.
    assert limits.runs(1000.0) == 1
    assert limits.runs(0.0) == 500


def test_the_measurement_ends_when_every_cell_has_had_its_time() -> None:
    machine = Machine()
    slow, fast = time_group(cells("100", "1"), machine.open, Limits(seconds=3.0), clock=machine.clock)
    # A round is one run of 100 ms and 50 of 1 ms; 40 of them take the 2 x 3 s.
    assert len(slow.rounds) == len(fast.rounds) == 40
    assert [len(slow.rounds[0].ms), len(fast.rounds[0].ms)] == [1, 50]


def test_twenty_rounds_are_made_even_where_they_take_longer() -> None:
    machine = Machine()
    (timed,) = time_group(cells("250"), machine.open, Limits(seconds=3.0), clock=machine.clock)
    assert len(timed.rounds) == 20  # 5 s.


def test_a_model_that_takes_seconds_gets_fewer_rounds_but_three() -> None:
    for milliseconds, rounds in (("1000", 12), ("7000", 3)):  # 4 x 3 s are the most, unless three rounds take longer.
        machine = Machine()
        (timed,) = time_group(cells(milliseconds), machine.open, Limits(seconds=3.0), clock=machine.clock)
        assert len(timed.rounds) == rounds


@pytest.mark.parametrize("operation", ["prepared", "load", "warm", "run-4", "peak"])
def test_a_cell_that_fails_leaves_the_others_alone(operation: str) -> None:
    machine = Machine()
    listed = cells("1", f"2 {operation}", "3")
    first, failed, last = time_group(listed, machine.open, Limits(max_rounds=10), clock=machine.clock)
    assert failed.failure == f"{operation} failed"
    assert (first.failure, last.failure) == ("", "")
    assert len(first.rounds) == len(last.rounds) == 10
    closed = machine.log.index(f"close 2 {operation}")
    assert machine.log.index("peak 3") > closed or operation == "peak"  # At once: it may hang.


def test_nothing_is_measured_when_everything_fails() -> None:
    machine = Machine()
    timed = time_group(cells("1 load", "2 warm"), machine.open, Limits(), clock=machine.clock)
    assert [each.failure for each in timed] == ["load failed", "warm failed"]
    assert sum(entry.startswith("close") for entry in machine.log) == 2


def test_workers_end_when_the_measurement_is_interrupted() -> None:
    machine = Machine()

    def interrupt(now: float) -> float:
        if now > 0.5:
            raise KeyboardInterrupt
        return 1.0

    machine.slowness = interrupt
    with pytest.raises(KeyboardInterrupt):
        time_group(cells("1", "2"), machine.open, Limits(), clock=machine.clock)
    assert machine.log[-2:] == ["close 2", "close 1"]


def test_every_cell_is_visited_once_though_the_baseline_is_in_every_group() -> None:
    machine = Machine()
    listed = cells(*(str(1 + i / 100) for i in range(25)), "9 load")
    visited: list[str] = []
    found = measuring.time_all(
        listed, listed[4], machine.open, Limits(seconds=0.01, max_rounds=3, min_rounds=3),
        lambda key, **values: None, lambda timed, worker: visited.append(timed.cell.subject.name),
    )  # fmt: skip
    assert sorted(visited) == sorted(cell.subject.name for cell in listed if cell != listed[-1])
    assert set(found) == set(listed)
    assert all(baseline.cell == listed[4] for _, baseline in found.values())
    ratios = {cell.subject.name: measuring.row(*found[cell], listed[4])["latency_ratio"] for cell in listed[:-1]}
    assert ratios == {name: pytest.approx(float(name) / 1.04, rel=1e-3) for name in ratios}


def test_without_a_baseline_there_are_times_but_no_ratios() -> None:
    machine = Machine()
    timed = time_group(cells("1 load", "2"), machine.open, Limits(max_rounds=3), clock=machine.clock)
    failed, good = (measuring.row(each, timed[0], timed[0].cell) for each in timed)
    assert failed["latency_ms"] == {"p50": None, "p90": None, "p99": None}
    assert (failed["failure"], failed["runs"], failed["throughput_per_second"]) == ("load failed", 0, None)
    assert good["latency_ms"]["p50"] == 2.0
    assert (good["latency_ratio"], good["latency_ratio_range"], good["baseline"]) == (None, None, None)


def test_throughput_counts_examples() -> None:
    machine = Machine()
    (cell,) = cells("4")
    (timed,) = time_group([dataclasses.replace(cell, batch_size=8)], machine.open, Limits(), clock=machine.clock)
    assert measuring.row(timed, timed, timed.cell)["throughput_per_second"] == 2000.0  # 8 in 4 ms.


def _dense(path: Path, units: int) -> Path:
    inputs = keras.Input((16,))
    hidden = keras.layers.Dense(units, activation="relu")(inputs)
    return made_artefacts.tflite(path, keras.Model(inputs, keras.layers.Dense(3)(hidden)))


def test_real_files_are_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    small, large = (subject(_dense(tmp_path / f"{units}.tflite", units)) for units in (4, 20_000))
    listed = [Cell(small, "litert"), Cell(large, "litert"), Cell(large, "litert", batch_size=4)]
    rows = measuring.measure(listed, {small: None, large: None}, Limits(seconds=0.2))
    assert [(row["file"], row["batch_size"]) for row in rows] == [
        ("4.tflite", 1),
        ("20000.tflite", 1),
        ("20000.tflite", 4),
    ]
    for row, cell in zip(rows, listed, strict=True):
        assert row["failure"] == ""
        known = [value for value in row["latency_ms"].values() if value is not None]
        assert known == sorted(known)
        assert known[0] > 0
        assert (len(known) == 3) == (row["runs"] >= 100)
        assert row["rounds"] >= 3
        assert 0 <= row["interrupted_share"] <= 1
        assert row["size_bytes"] == cell.subject.path.stat().st_size
        assert 0 < row["memory_before_bytes"] < row["peak_memory_bytes"]
        assert row["load_ms"] > 0
    assert rows[0]["latency_ratio"] == 1.0
    assert rows[1]["latency_ratio"] > 5  # 380,000 multiplications against 76, and the call itself.
    assert rows[2]["latency_ratio"] > rows[1]["latency_ratio"]
    weights_bytes = 4 * 20_000 * (16 + 3)
    above = [row["peak_memory_bytes"] - row["memory_before_bytes"] for row in rows]
    assert above[1] - above[0] > weights_bytes  # Read, and repacked for the kernels.


def test_a_quick_measurement_is_what_training_shows(tmp_path: Path) -> None:
    path = made_artefacts.tflite(tmp_path / "linear_float32.tflite")
    parity = Parity("accuracy", 0.8, 0.75, 0.0, 0.0, 0.0, 1.0, [], 10, {}, [])
    artefact = made_artefacts.record(path, parity=parity)
    other = Artefact("linear", "onnx", "float32", path=str(tmp_path / "linear.onnx"))
    unmade = Artefact("linear_int8", "tflite", "int8", failure="not quantized")
    (row,) = measuring.quick([artefact, other, unmade], np.zeros((1, 3), np.float32))
    assert (row["artefact"], row["runtime"], row["threads"], row["batch_size"]) == ("linear_float32", "litert", 1, 1)
    assert (row["metric"], row["metric_name"]) == (0.75, "accuracy")
    assert row["latency_ms"]["p50"] > 0
    assert row["failure"] == ""
    assert measuring.quick([unmade], np.zeros((1, 3))) == []

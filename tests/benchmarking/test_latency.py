"""Latency in interleaved rounds."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from tfday7.benchmarking import latency
from tfday7.core.frameworks import keras, tf
from tfday7.exporting.records import Artefact


class FakeClock:
    """Counts what the fake models take; nothing else takes time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def perf_counter(self) -> float:
        """Returns the time in seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Replaces the clock and the runtime: invocation i of a model named "3.tflite" takes 3 + i / 1000 ms."""
    fake = FakeClock()

    class FakeModel:
        def __init__(self, path: Path, threads: int) -> None:
            self.path, self.calls = path, 0

        def quantize(self, x: np.ndarray) -> np.ndarray:
            return x

        def feed(self, x: np.ndarray) -> None:
            fake.now += 0.5 / 1000  # What feeding costs is not the model's latency.

        def run(self) -> None:
            fake.order.append(self.path.stem)
            fake.now += (float(self.path.stem) + self.calls / 1000) / 1000
            self.calls += 1

    monkeypatch.setattr(latency, "time", fake)
    monkeypatch.setattr(latency, "LiteRTModel", FakeModel)
    return fake


def _artefact(path: Path, **values: object) -> Artefact:
    return Artefact(path.stem, "tflite", "float32", path=str(path), **values)


def test_every_round_runs_every_artefact_once(clock: FakeClock) -> None:
    rows = latency.measure([_artefact(Path("1.tflite")), _artefact(Path("2.tflite"))], np.zeros((1, 2)))
    assert clock.order == ["1", "2"] * (latency.WARMUP_ROUNDS + latency.MAX_ROUNDS)
    assert [row["runs"] for row in rows] == [latency.MAX_ROUNDS] * 2


def test_percentiles_are_those_of_the_rounds_after_the_warm_up(clock: FakeClock) -> None:
    (row,) = latency.measure([_artefact(Path("3.tflite"))], np.zeros((1, 2)))
    first, last = 3 + 10 / 1000, 3 + 309 / 1000  # Linear in between.
    expected = {f"p{q}": first + (last - first) * q / 100 for q in (50, 90, 99)}
    assert row["latency_ms"] == pytest.approx(expected, abs=1e-5)


def test_slow_models_get_fewer_rounds(clock: FakeClock) -> None:
    (row,) = latency.measure([_artefact(Path("1000.tflite"))], np.zeros((1, 2)))
    assert 10 <= row["runs"] < 20
    assert row["latency_ms"]["p50"] == pytest.approx(1000, rel=0.01)
    assert row["latency_ms"]["p99"] is None  # A percentile of so few rounds would be one of them.


def test_rows_of_real_files(tmp_path: Path) -> None:
    artefacts = []
    for name, units in (("small", 4), ("large", 512)):
        inputs = keras.Input((16,))
        hidden = keras.layers.Dense(units)(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3)(hidden))
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        artefacts.append(_artefact(path, size_bytes=path.stat().st_size))
    rows = latency.measure(artefacts, np.zeros((1, 16), np.float32))
    assert [row["artefact"] for row in rows] == ["small", "large"]
    for row, artefact in zip(rows, artefacts, strict=True):
        times = row["latency_ms"]
        assert 0 < times["p50"] <= times["p90"] <= times["p99"]
        assert (row["runtime"], row["threads"], row["batch_size"]) == ("litert", 1, 1)
        assert row["device"] == platform.machine() or row["device"] in Path("/proc/cpuinfo").read_text()
        assert row["runs"] <= latency.MAX_ROUNDS
        assert row["size_bytes"] == artefact.size_bytes
        assert row["metric"] is None
        assert row["peak_memory_bytes"] is None

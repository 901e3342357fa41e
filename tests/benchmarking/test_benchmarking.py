"""From settings to benchmark.json, on real runtimes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarking import made_artefacts

from tfday7 import data
from tfday7.benchmarking import benchmarking
from tfday7.benchmarking.config import BenchmarkConfig
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.data.config import DataConfig

QUICK = {"seconds": 0.1, "profile": False}


@pytest.fixture
def folder(linear: Path, tmp_path: Path) -> Path:
    """A copy of the linear model's folder."""
    return Path(shutil.copytree(linear, tmp_path / "linear"))


def benchmark(run: RunFolder | None = None, **values: Any) -> dict[str, Any]:
    return benchmarking.benchmark(benchmarking.plan(BenchmarkConfig(**{**QUICK, **values}), run))


def test_every_runtime_without_tensorflow_gives_the_same_accuracy(folder: Path, table: Path) -> None:
    record = benchmark(artefacts=str(folder), runtimes="litert,onnxruntime,openvino")
    found = {(row["file"], row["runtime"]): row for row in record["rows"]}
    assert set(found) == {
        ("linear_float32.tflite", "litert"), ("linear_float32.tflite", "openvino"),
        ("linear_float32.onnx", "onnxruntime"), ("linear_float32.onnx", "openvino"),
    }  # fmt: skip
    for row in found.values():
        assert row["failure"] == ""
        assert (row["metric"], row["metric_name"]) == (made_artefacts.expected_accuracy(table), "accuracy")
        assert row["metric_note"] == ""
        assert (row["inputs"], row["inputs_note"]) == ("vectors", "")
        assert row["latency_ms"]["p50"] > 0
        assert row["baseline"] == record["baseline"]
        assert row["peak_memory_bytes"] > row["memory_before_bytes"]
    assert record["baseline"]["runtime"] == "litert"
    assert record["repeatability"]["rows"] == 4
    stored = json.loads((folder / "benchmark.json").read_text())
    assert stored == {"hardware": record["hardware"], "rows": record["rows"]}


def test_int8_files_are_fed_and_read_by_their_scale_in_every_runtime_that_takes_them(folder: Path, table: Path) -> None:
    train = data.load(DataConfig(data=str(table), target="label")).train
    path = made_artefacts.int8_tflite(folder / "linear_int8.tflite", np.asarray(train.x))
    made_artefacts.record(path, table, kind="int8")
    record = benchmark(artefacts=str(path), runtimes="litert,openvino")
    metrics = {row["runtime"]: row["metric"] for row in record["rows"]}
    assert metrics["litert"] == metrics["openvino"]
    assert metrics["litert"] == pytest.approx(made_artefacts.expected_accuracy(table), abs=0.05)


@pytest.mark.parametrize(
    ("runtimes", "suffix", "device"),
    [("onnxruntime,openvino", "onnx", "cpu"), ("litert", "tflite", "cpu"), ("litert", "tflite", "cpu_without_amx"),
     ("onnxruntime", "onnx", "cpu_without_amx")],
)  # fmt: skip
def test_the_slowest_row_has_a_profile_by_operators(folder: Path, runtimes: str, suffix: str, device: str) -> None:
    path = str(folder / f"linear_float32.{suffix}")
    record = benchmark(artefacts=path, runtimes=runtimes, profile=True, device=device)
    profile = record["profile"]
    slowest = max(record["rows"], key=lambda row: row["latency_ms"]["p50"])
    assert profile["failure"] == ""
    assert (profile["file"], profile["runtime"]) == (slowest["file"], slowest["runtime"])
    assert profile["instead_of"] is None
    assert profile["rows"]
    assert json.loads((folder / "benchmark.json").read_text())["profile"] == profile


def test_a_batch_that_a_file_does_not_take_is_a_row_with_a_reason(folder: Path) -> None:
    made_artefacts.record(made_artefacts.onnx_file(folder / "linear_one.onnx", batch=1))
    record = benchmark(artefacts=str(folder / "linear_one.onnx"), batch_sizes="1,8", metric=False)
    one, eight = record["rows"]
    assert one["failure"] == ""
    assert (one["metric"], one["metric_note"]) == (None, "not asked for")
    assert "made for batches of 1, not 8" in eight["failure"]
    assert eight["latency_ms"] == {"p50": None, "p90": None, "p99": None}
    assert eight["metric_note"] == ""


def test_a_file_alone_runs_on_random_inputs_and_says_so(folder: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(folder / "linear_float32.onnx", tmp_path / "foreign.onnx"))
    (row,) = benchmark(artefacts=str(path))["rows"]
    assert (row["inputs"], row["inputs_note"]) == ("random", "there is no record beside the file")
    assert (row["metric"], row["latency_ratio"]) == (None, 1.0)
    assert "no record beside the file" in row["metric_note"]
    assert (tmp_path / "benchmark.json").exists()


def test_vectors_that_are_gone_or_damaged_are_a_reason_too(folder: Path) -> None:
    (folder / "linear_vectors.npz").write_bytes(b"PK damaged")
    (row,) = benchmark(artefacts=str(folder / "linear_float32.tflite"))["rows"]
    assert row["inputs"] == "random"
    assert "linear_vectors.npz" in row["inputs_note"]
    assert row["metric_name"] == "accuracy"


def test_rows_go_to_the_run_that_the_record_names_if_it_is_there(folder: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    made_artefacts.record(folder / "linear_float32.onnx", run=str(run.path))
    config = BenchmarkConfig(artefacts=str(folder / "linear_float32.onnx"))
    assert benchmarking.plan(config).output == folder / "benchmark.json"
    run.path.mkdir()
    run.write_flags({"data": "digits"})
    job = benchmarking.plan(config)
    assert (job.output, job.run) == (run / "benchmark.json", run)
    elsewhere = benchmarking.plan(BenchmarkConfig(artefacts=config.artefacts, output=str(tmp_path / "out")))
    assert (elsewhere.output, elsewhere.run) == (tmp_path / "out" / "benchmark.json", None)


def test_rows_of_other_devices_stay(folder: Path) -> None:
    phone = {"artefact": "linear_float32", "runtime": "litert", "device": "phone", "threads": 1, "batch_size": 1}
    (folder / "benchmark.json").write_text(json.dumps({"hardware": {}, "rows": [phone]}))
    record = benchmark(artefacts=str(folder / "linear_float32.tflite"))
    assert json.loads((folder / "benchmark.json").read_text())["rows"] == [phone, *record["rows"]]


def test_nothing_is_written_when_nothing_can_be_measured(tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"TFL3 no more")
    with pytest.raises(UserError, match=r"nothing could be measured: .*broken\.tflite: LiteRT cannot load it"):
        benchmark(artefacts=str(tmp_path / "broken.tflite"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["broken.tflite"]


def test_a_broken_file_among_others_is_a_row_with_a_reason(folder: Path) -> None:
    (folder / "broken.onnx").write_bytes(b"\x08 no model")
    files = f"{folder / 'linear_float32.onnx'},{folder / 'broken.onnx'}"
    good, broken = benchmark(artefacts=files)["rows"]
    assert (good["failure"], good["latency_ratio"]) == ("", 1.0)
    assert "ONNX Runtime cannot load it" in broken["failure"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"runtimes": "tensorflow"}, "--runtimes=tensorflow: tensorflow takes none of the artefacts"),
        ({"runtimes": "openvino,onnxruntime"}, "onnxruntime takes none of the artefacts"),
        ({"device": "gpu", "runtimes": "litert"}, "--device=gpu contradicts --runtimes=litert"),
        ({"output": "/proc/nowhere"}, "--output=/proc/nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(folder: Path, values: Any, message: str) -> None:
    config = BenchmarkConfig(artefacts=str(folder / "linear_float32.tflite"), **values)
    with pytest.raises(UserError) as raised:
        benchmarking.plan(config)
    assert message in raised.value.message
    assert not (folder / "benchmark.json").exists()


def test_a_damaged_benchmark_json_is_refused_before_anything_runs(folder: Path) -> None:
    (folder / "benchmark.json").write_text("[]")
    with pytest.raises(UserError, match="not a record of a benchmark"):
        benchmarking.plan(BenchmarkConfig(artefacts=str(folder / "linear_float32.tflite")))


def test_an_artefact_that_none_of_the_runtimes_takes_is_left_out_with_a_note(folder: Path) -> None:
    job = benchmarking.plan(BenchmarkConfig(artefacts=str(folder), runtimes="litert"))
    assert [cell.subject.path.name for cell in job.cells] == ["linear_float32.tflite"]
    assert job.notes == ["linear_float32.onnx is left out: none of these runtimes takes it"]


def test_more_threads_than_cores_are_noted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarking.environment, "hardware", lambda: {"cores": 2})
    path = str(folder / "linear_float32.tflite")
    assert benchmarking.plan(BenchmarkConfig(artefacts=path, threads="1,2")).notes == []
    (note,) = benchmarking.plan(BenchmarkConfig(artefacts=path, threads="1,4")).notes
    assert note == "--threads=1,4: this machine gives 2 cores; more threads have to share them"


def test_repeatability_sums_up_the_rows() -> None:
    rows = [
        {"latency_drift": drift, "latency_spread": spread, "rounds": rounds, "runs": runs, "interrupted_share": share}
        for drift, spread, rounds, runs, share in (
            (0.1, 0.3, 60, 1000, 0.1), (0.2, 0.5, 20, 100, 0.5), (None, None, 1, 1, None), (0.6, 0.4, 30, 100, 0.0),
        )
    ]  # fmt: skip
    assert benchmarking.repeatability(rows) == {
        "drift": 0.2, "largest_drift": 0.6, "spread": 0.4, "interrupted_share": 0.125, "rounds": 20, "rows": 3,
    }  # fmt: skip
    assert benchmarking.repeatability(rows[2:3]) is None


@pytest.mark.slow
def test_tensorflow_and_xla_measure_a_saved_model(folder: Path, table: Path) -> None:
    made_artefacts.record(made_artefacts.saved_model(folder / "linear_saved_model"), table)
    record = benchmark(
        artefacts=f"{folder / 'linear_float32.tflite'},{folder / 'linear_saved_model'}",
        runtimes="litert,tensorflow,xla", batch_sizes="8", profile=True,
    )  # fmt: skip
    assert [(row["runtime"], row["batch_size"], row["failure"]) for row in record["rows"]] == [
        (runtime, 8, "") for runtime in ("litert", "tensorflow", "xla")
    ]
    assert {row["metric"] for row in record["rows"]} == {made_artefacts.expected_accuracy(table)}
    assert record["profile"]["runtime"] == "litert"  # TensorFlow's rows are slower, but have no profiler here.
    assert record["profile"]["instead_of"]["runtime"] in ("tensorflow", "xla")
    assert all(row["memory_before_bytes"] > 150_000_000 for row in record["rows"] if row["runtime"] != "litert")
    assert all(row["memory_before_bytes"] < 100_000_000 for row in record["rows"] if row["runtime"] == "litert")

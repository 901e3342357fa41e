"""A benchmark on the terminal: tables that fit, sentences for what the figures mean and for what is missing."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tfday7.core.errors import UserError
from tfday7.reporting.benchmark import benchmark_summary, labels
from tfday7.reporting.fitting_table import milliseconds, significant


def row(kind: str = "float32", runtime: str = "litert", p50: float | None = 0.04, **values: Any) -> dict[str, Any]:
    threads, batch = values.get("threads", 1), values.get("batch_size", 1)
    return {
        "artefact": f"quickstart_{kind}", "file": f"quickstart_{kind}.tflite", "runtime": runtime,
        "device": "Example CPU", "threads": threads, "batch_size": batch,
        "latency_ms": {"p50": p50, "p90": p50 and p50 * 1.1, "p99": p50 and p50 * 1.5}, "runs": 1000, "rounds": 60,
        "throughput_per_second": p50 and 1000 * batch / p50,
        "latency_ratio": p50 and p50 / 0.04, "latency_ratio_range": p50 and [p50 / 0.04 - 0.05, p50 / 0.04 + 0.05],
        "baseline": None, "latency_spread": 0.02, "latency_drift": 0.01, "load_ms": 12.5, "first_ms": 0.5,
        "peak_memory_bytes": 52_000_000, "memory_before_bytes": 40_000_000, "size_bytes": 94_640, "gzip_bytes": 80_000,
        "metric": 0.9808, "metric_name": "accuracy", "metric_note": "", "inputs": "vectors", "inputs_note": "",
        "failure": "", **values,
    }  # fmt: skip


def record(*rows: dict[str, Any], **values: Any) -> dict[str, Any]:
    baseline = {"file": "quickstart_float32.tflite", "runtime": "litert", "threads": 1, "batch_size": 1}
    repeatability = {"drift": 0.012, "largest_drift": 0.034, "spread": 0.051, "rounds": 60, "rows": len(rows)}
    return {
        "rows": list(rows),
        "baseline": baseline,
        "repeatability": repeatability,
        "profile": None,
        "notes": [],
        **values,
    }


def printed(found: dict[str, Any], lang: str = "en", width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(benchmark_summary(found, lang))
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


MANY = record(
    row(), row(p50=0.06, threads=2, batch_size=8), row("int8", p50=0.02), row("int8", "openvino", 0.5, metric=0.977),
    row("int8", "xla", None, failure="made for batches of 1"),
)  # fmt: skip


def test_the_tables_have_every_figure() -> None:
    text = printed(MANY, width=100)
    lines = [flat(line) for line in text.splitlines()]
    assert "float32.tflite litert 1 1 0.0400 0.0440 0.0600 25,000 1.00x ±5%" in lines
    assert "float32.tflite litert 2 8 0.0600 0.0660 0.0900 133,000 1.50x ±3%" in lines
    assert "int8.tflite litert 1 1 0.0200 0.0220 0.0300 50,000 0.500x ±10%" in lines
    assert "float32.tflite litert 12.5 ms 0.500 ms 12.0 MB 94.6 kB 80.0 kB 0.9808" in lines
    assert "int8.tflite openvino 12.5 ms 0.500 ms 12.0 MB 94.6 kB 80.0 kB 0.9770" in lines
    assert lines[0] == "Fastest: float32.tflite in litert, 2 threads, batch 8: 133,000 examples a second."


def test_it_says_what_the_figures_mean_and_how_far_to_trust_them() -> None:
    text = flat(printed(MANY))
    assert "Ratio: to float32.tflite in litert, 1 thread, batch 1." in text
    assert "differs by 1.2% for the middle row and by 3.4% at most" in text
    assert "spread over 5.1% (10–90%)" in text
    assert "That is a lot" not in text
    noisy = {"drift": 0.2, "largest_drift": 0.3, "spread": 0.4}
    assert "That is a lot" in flat(printed(record(row(), repeatability=noisy)))
    assert "took the processor away" not in text
    busy = {"drift": 0.01, "largest_drift": 0.3, "spread": 0.4, "interrupted_share": 0.25}
    assert "took the processor away in 25.0% of the runs" in flat(printed(record(row(), repeatability=busy)))


def test_what_is_missing_is_a_sentence() -> None:
    text = flat(printed(MANY))
    assert "int8.tflite in xla, 1 thread, batch 1: not measured: made for batches of 1" in text
    missing = {"metric": None, "metric_name": None, "metric_note": "no data", "inputs_note": "no record"}
    few = record(row(**missing, rounds=6), row("int8", **missing), notes=["m.plan is left out: nothing takes it"])
    text = flat(printed(few))
    assert "float32.tflite; int8.tflite: no metric: no data" in text
    assert "float32.tflite; int8.tflite: ran on random inputs: no record" in text
    assert "float32.tflite in litert, 1 thread, batch 1: 6 rounds instead of 20" in text
    assert "m.plan is left out: nothing takes it" in text
    assert "?" not in text


def test_a_benchmark_of_nothing_but_failures_has_no_table() -> None:
    text = printed(record(row(p50=None, failure="crashed"), repeatability=None))
    assert flat(text) == "quickstart_float32.tflite in litert, 1 thread, batch 1: not measured: crashed"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [70, 80, 100, 300])
def test_lines_fit_and_no_cell_is_cut(lang: str, width: int) -> None:
    text = printed(MANY, lang, width)
    assert "…" not in text
    assert "\x1b" not in text
    lines = text.splitlines()
    assert all(cell_len(line.rstrip()) <= width for line in lines)
    tables = [line for line in lines if line.startswith(("float32", "int8", "---"))]
    assert all(cell_len(line.rstrip()) <= min(width, 100) for line in tables if "：" not in line and ":" not in line)
    assert sum(line.startswith("float32.tflite") and "0.0400" in line for line in tables) == 1


def test_chinese_is_chinese() -> None:
    text = printed(MANY, "zh")
    assert "最快：float32.tflite（litert，2 线程，批大小 8），每秒 133,000 个样本。" in text
    assert "可重复性" in text
    assert "准确率" in text
    assert "未能测量：made for batches of 1" in text


def test_rows_of_several_devices_have_a_table_each() -> None:
    text = printed(record(row(), row("int8", device="NVIDIA T4")))
    assert text.count("Time of one run in ms, called from Python, on ") == 2


def test_names_cannot_steer_the_terminal() -> None:
    text = printed(record(row(file="\x1b[31m[bold]evil[/bold].tflite"), notes=["\x07"]), width=200)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]evil[/bold].tflite" in text


@pytest.mark.parametrize("damage", [{"rows": 3}, {"rows": [3]}, {"baseline": []}, {"repeatability": 1}])
def test_a_damaged_record_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        benchmark_summary({**record(row()), **damage})


def test_files_lose_the_name_that_all_of_them_have() -> None:
    def of(*files: str) -> list[str]:
        return list(labels([{"file": file} for file in files]).values())

    assert of("my_run_float32.tflite", "my_run_int8.tflite") == ["float32.tflite", "int8.tflite"]
    assert of("my_run_float32.tflite", "my_run_float32.onnx") == ["float32.tflite", "float32.onnx"]
    assert of("my_run.tflite", "my_run_int8.tflite") == ["run.tflite", "run_int8.tflite"]
    assert of("one_file.tflite") == ["one_file.tflite"]
    assert of("a.tflite", "b.onnx") == ["a.tflite", "b.onnx"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00148, "0.00148"), (0.0451, "0.0451"), (0.5, "0.500"), (2.345, "2.35"), (17.64, "17.6"), (99.96, "100"),
        (999.6, "1,000"), (1234.5, "1,230"), (7_771_234, "7,770,000"), (0.0, "0"), (None, "?"), (0.09996, "0.100"),
    ],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text
    assert milliseconds(value) == ("?" if value is None else f"{text} ms")

"""The settings are checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfday7.benchmarking.config import BenchmarkConfig, check_installed
from tfday7.core.errors import UserError
from tfday7.runtimes.table import PACKAGES


def test_lists_are_read() -> None:
    config = BenchmarkConfig(artefacts="a, b,", runtimes="litert,xla", threads="2, 1", batch_sizes="1,8", targets="x")
    assert config.paths() == ["a", "b"]
    assert config.runtime_names() == ["litert", "xla"]
    assert (config.thread_counts(), config.batches(), config.target_names()) == ([2, 1], [1, 8], ["x"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threads": "0"}, "--threads=0: expected a comma list of whole numbers from 1 to 1024"),
        ({"threads": "1025"}, "--threads=1025"),
        ({"threads": ""}, "--threads=: expected"),
        ({"threads": "1.5"}, "--threads=1.5"),
        ({"threads": "²"}, "--threads=²"),
        ({"threads": "9" * 5000}, "--threads=9"),
        ({"threads": "1,2,01"}, "--threads names 1 twice"),
        ({"batch_sizes": "-1"}, "--batch_sizes=-1"),
        ({"batch_sizes": "4097"}, "from 1 to 4096"),
        ({"runtimes": "litert,tflite"}, "unknown runtime 'tflite'"),
        ({"runtimes": "litert,litert"}, "--runtimes names litert twice"),
        ({"device": "npu"}, "--device=npu: expected one of cpu, cpu_without_amx, gpu"),
        ({"seconds": 0.0}, "--seconds=0.0"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        BenchmarkConfig(**values)
    assert message in raised.value.message
    assert raised.value.hint


def test_unknown_runtimes_list_the_known() -> None:
    with pytest.raises(UserError) as raised:
        BenchmarkConfig(runtimes="onnx_runtime")
    assert "did you mean onnxruntime?" in raised.value.hint
    assert all(name in raised.value.hint for name in PACKAGES)


def test_the_output_is_a_file_or_a_folder(tmp_path: Path) -> None:
    assert BenchmarkConfig().output_path() is None
    assert BenchmarkConfig(output=str(tmp_path)).output_path() == tmp_path / "benchmark.json"
    assert BenchmarkConfig(output="new").output_path() == Path("new/benchmark.json")
    assert BenchmarkConfig(output="new/rows.json").output_path() == Path("new/rows.json")


def test_a_runtime_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "openvino", ("no_such_package", "openvino"))
    check_installed(["litert"])
    with pytest.raises(UserError) as raised:
        check_installed(["litert", "openvino"])
    assert raised.value.message == "the runtime openvino is not installed"
    assert raised.value.hint == "pip install 'tfday7[openvino]'"

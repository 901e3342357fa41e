"""New rows take the place of old ones that measured the same, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tfday7.benchmarking import rows
from tfday7.core.errors import UserError


def row(p50: float, **values: Any) -> dict[str, Any]:
    cell = {
        "artefact": "m_int8",
        "file": "m_int8.tflite",
        "runtime": "litert",
        "device": "CPU",
        "threads": 1,
        "batch_size": 1,
    }
    return {**cell, "latency_ms": {"p50": p50, "p90": p50, "p99": None}, **values}


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def test_a_new_file_has_the_rows_and_the_hardware(tmp_path: Path) -> None:
    path = tmp_path / "new" / "benchmark.json"
    rows.merge(path, [row(1.0)], {"cpu": "CPU"})
    assert read(path) == {"hardware": {"cpu": "CPU"}, "rows": [row(1.0)]}


def test_an_equal_cell_is_replaced_where_it_was_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    old = [row(1.0, threads=2), row(2.0), row(3.0, device="Raspberry Pi 4"), row(4.0, file="m_int8.onnx")]
    path.write_text(json.dumps({"hardware": {"cpu": "old"}, "rows": old, "more": [1]}))
    rows.merge(path, [row(9.0), row(8.0, batch_size=8)])
    found = read(path)
    assert found["rows"] == [old[0], row(9.0), old[2], old[3], row(8.0, batch_size=8)]
    assert (found["hardware"], found["more"]) == ({"cpu": "old"}, [1])


@pytest.mark.parametrize("field", ["artefact", "file", "runtime", "device", "threads", "batch_size"])
def test_a_cell_is_another_one_if_any_of_what_tells_it_apart_differs(tmp_path: Path, field: str) -> None:
    path = tmp_path / "benchmark.json"
    rows.merge(path, [row(1.0)])
    rows.merge(path, [row(2.0, **{field: "other"})])
    assert len(read(path)["rows"]) == 2


def test_a_row_of_an_earlier_version_which_names_no_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    before = {name: value for name, value in row(1.0).items() if name != "file"}
    path.write_text(json.dumps({"hardware": {}, "rows": [before, {**before, "latency_ms": None}]}))
    rows.merge(path, [row(2.0)])
    assert read(path)["rows"] == [row(2.0)]


def test_a_profile_replaces_the_last_one_and_none_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    rows.merge(path, [row(1.0)], profile={"file": "a"})
    rows.merge(path, [row(1.0)])
    assert read(path)["profile"] == {"file": "a"}
    rows.merge(path, [row(1.0)], profile={"file": "b"})
    assert read(path)["profile"] == {"file": "b"}


@pytest.mark.parametrize("content", ["{", "[]", '{"rows": 3}', '{"rows": [3]}', "{}", "\xff\xfe"])
def test_a_damaged_file_is_refused_and_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "benchmark.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"benchmark\.json"):
        rows.merge(path, [row(1.0)])
    assert path.read_bytes() == content.encode("latin-1")
    assert [entry.name for entry in tmp_path.iterdir()] == ["benchmark.json"]

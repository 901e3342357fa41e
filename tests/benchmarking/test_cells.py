"""Which combinations are measured, what they are compared with, and which are alive together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.benchmarking import cells
from tfday7.benchmarking.cells import Cell
from tfday7.benchmarking.subjects import Subject
from tfday7.exporting.records import Artefact


def subject(file: str, kind: str = "float32", size_bytes: int = 1000) -> Subject:
    path = Path(file)
    return Subject(path, path.stem, Artefact(path.stem, path.suffix[1:], kind), size_bytes)


def test_every_combination_that_a_runtime_takes_is_a_cell() -> None:
    listed = cells.cells(
        [subject("m.tflite"), subject("m.onnx")], ["litert", "openvino", "onnxruntime"], [1, 2], [1, 8]
    )
    found = {(cell.subject.path.name, cell.runtime, cell.threads, cell.batch_size) for cell in listed}
    pairs = {("m.tflite", "litert"), ("m.tflite", "openvino"), ("m.onnx", "openvino"), ("m.onnx", "onnxruntime")}
    assert found == {(*pair, threads, size) for pair in pairs for threads in (1, 2) for size in (1, 8)}
    assert len(listed) == 4 * 2 * 2


def test_without_a_name_each_file_has_its_own_runtime(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    files = ["m.tflite", "m.onnx", "m.xml", str(tmp_path / "saved")]
    listed = cells.cells([subject(file) for file in files], [], [1], [1])
    assert [cell.runtime for cell in listed] == ["litert", "onnxruntime", "openvino", "tensorflow"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_baseline_is_the_float32_tflite_file_in_its_own_runtime(order: int) -> None:
    subjects = [subject("m_int8.tflite", "int8"), subject("m.onnx"), subject("m_float32.tflite")][::order]
    listed = cells.cells(subjects, ["openvino", "litert", "onnxruntime"], [2, 1], [8, 1])
    first = cells.baseline(listed)
    assert first.describe() == {
        "artefact": "m_float32", "file": "m_float32.tflite", "runtime": "litert", "threads": 2, "batch_size": 1,
    }  # fmt: skip


def test_without_a_float32_file_the_first_one_is_the_baseline() -> None:
    listed = cells.cells([subject("b_int8.tflite", "int8"), subject("a_int8.tflite", "int8")], [], [1], [4, 8])
    assert cells.baseline(listed) == listed[0]
    unknown = Subject(Path("x.tflite"), "x")
    assert cells.baseline([Cell(unknown, "litert")]) == Cell(unknown, "litert")


def test_groups_hold_every_cell_once_and_the_baseline_always() -> None:
    listed = cells.cells([subject(f"{i}.tflite") for i in range(30)], [], [1], [1])
    first = listed[3]
    parts = cells.groups(listed, first, available_bytes=None)
    assert all(part[0] == first and len(part) <= cells.MAX_ALIVE for part in parts)
    others = [cell for part in parts for cell in part[1:]]
    assert sorted(others, key=listed.index) == [cell for cell in listed if cell != first]
    assert len(parts) == -(-29 // (cells.MAX_ALIVE - 1))


def test_groups_fit_into_half_of_the_memory_where_they_can() -> None:
    listed = cells.cells([subject(f"{i}.tflite", size_bytes=50_000_000) for i in range(5)], [], [1], [1])
    each = cells.OTHER_BYTES + cells.COPIES * 50_000_000
    parts = cells.groups(listed, listed[0], available_bytes=2 * 3 * each)
    assert [len(part) for part in parts] == [3, 3]
    alone = cells.groups(listed, listed[0], available_bytes=1)
    assert [len(part) for part in alone] == [2, 2, 2, 2]  # The baseline beside each: less cannot be compared.


def test_one_cell_is_a_group() -> None:
    only = Cell(subject("m.tflite"), "litert")
    assert cells.groups([only], only, 10**9) == [[only]]

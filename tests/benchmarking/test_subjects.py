"""What --artefacts and --run_dir stand for."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tfday7.benchmarking import subjects
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder


@pytest.fixture
def folder(linear: Path, tmp_path: Path) -> Path:
    """A copy of the linear model's folder."""
    return Path(shutil.copytree(linear, tmp_path / "linear"))


def test_a_model_s_folder_stands_for_all_artefacts_with_a_record(folder: Path) -> None:
    (folder / "benchmark.json").write_text("{}")
    (folder / "stray.tflite").write_bytes(b"no record, so it is none of the model's")
    found, notes = subjects.find([str(folder)])
    assert [each.path.name for each in found] == ["linear_float32.onnx", "linear_float32.tflite"]
    assert all(each.record and each.name == "linear_float32" for each in found)
    assert notes == []


def test_what_no_runtime_takes_is_left_out_of_a_folder_with_a_note(folder: Path) -> None:
    (folder / "linear.plan").write_bytes(b"an engine")
    (folder / "linear.plan.json").write_text("{}")
    found, notes = subjects.find([str(folder)])
    assert len(found) == 2
    assert notes == ["linear.plan is left out: no runtime here takes such files"]


def test_sizes_are_the_record_s_or_measured(folder: Path) -> None:
    path = folder / "linear_float32.tflite"
    (with_record,), _ = subjects.find([str(path)])
    assert (with_record.size_bytes, with_record.gzip_bytes) == (path.stat().st_size, 100)
    (folder / "linear_float32.tflite.json").unlink()
    (bare,), _ = subjects.find([str(path)])
    assert bare.record is None
    assert bare.size_bytes == path.stat().st_size
    assert bare.gzip_bytes == len(gzip.compress(path.read_bytes(), 9))


def test_a_file_s_companions_and_a_folder_s_files_count(tmp_path: Path) -> None:
    (tmp_path / "m.xml").write_bytes(b"x" * 10)
    (tmp_path / "m.bin").write_bytes(b"b" * 100)
    (found,), _ = subjects.find([str(tmp_path / "m.xml")])
    assert found.size_bytes == 110
    saved = tmp_path / "saved"
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").write_bytes(b"p" * 7)
    (saved / "variables" / "variables.index").write_bytes(b"v" * 5)
    (found,), _ = subjects.find([str(saved)])
    assert (found.name, found.size_bytes) == ("saved", 12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["{folder}/none.tflite"], "no such file or folder"),
        (["{folder}/linear_vectors.npz"], "no runtime takes such a file"),
        (["{run}"], "is a run folder"),
        (["{empty}"], "no artefact with a record lies there"),
        (["{folder}/linear_float32.tflite", "{folder}/../linear/linear_float32.tflite"], "twice"),
        (["{folder}", "{folder}/linear_float32.onnx"], "twice"),
        (["{folder}/linear_float32.tflite", "{other}/linear_float32.tflite"], "have one name"),
    ],
)
def test_mistakes_are_named(folder: Path, tmp_path: Path, given: list[str], message: str) -> None:
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    shutil.copytree(folder, other)
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.write_flags({"data": "digits"})
    with pytest.raises(UserError, match=message):
        subjects.find([text.format(folder=folder, empty=empty, other=other, run=run.path) for text in given])


def test_a_file_that_is_not_its_record_s_is_refused(folder: Path) -> None:
    path = folder / "linear_float32.tflite"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UserError, match="SHA-256"):
        subjects.find([str(folder)])


def test_a_run_stands_for_what_it_has_exported(folder: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    with pytest.raises(UserError, match="has exported nothing"):
        subjects.of_run(run)
    entries = [{"name": "linear_float32", "path": str(folder / "linear_float32.tflite")}, {"name": "x", "path": None}]
    (run / "exports.json").write_text(json.dumps({"artefacts": entries}))
    found, _ = subjects.of_run(run)
    assert [each.path.name for each in found] == ["linear_float32.tflite"]
    (run / "exports.json").write_text(json.dumps({"artefacts": entries[1:]}))
    with pytest.raises(UserError, match="none of its exports was made"):
        subjects.of_run(run)
    shutil.rmtree(folder)
    (run / "exports.json").write_text(json.dumps({"artefacts": entries}))
    with pytest.raises(UserError, match="no longer there"):
        subjects.of_run(run)
    (run / "exports.json").write_text(json.dumps({"artefacts": 3}))
    with pytest.raises(UserError, match="has exported nothing"):
        subjects.of_run(run)

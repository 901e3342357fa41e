"""Records beside artefacts: read back, and held against the files."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.exporting import writing
from tfday7.exporting.records import Artefact, Parity, digest, read_artefact, record_path, relative_source, source_of
from tfday7.exporting.writing import place, remove

PARITY = Parity("accuracy", 0.9, 0.9, 0.1, 0.01, 0.02, 1.0, [{"example": 3, "difference": 0.1}], 10, {}, [])
HEAD = {"name": "a", "task": "regression", "columns": [0, 1], "labels": []}


def placed(folder: Path, *names: str) -> Artefact:
    """An artefact of files that hold their own names."""
    scratch = folder / "scratch"
    for name in names:
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_text(name, encoding="utf-8")
    path = folder / "models" / names[0].partition("/")[0]
    return place(Artefact("a", "tflite", "float32", parity=PARITY), scratch, path)


@pytest.mark.parametrize(
    "names", [("a.tflite",), ("a.xml", "a.bin"), ("a_saved_model/saved_model.pb", "a_saved_model/v/v.index")]
)
def test_an_artefact_is_read_back_as_it_was_placed(names: tuple[str, ...], tmp_path: Path) -> None:
    artefact = placed(tmp_path, *names)
    assert read_artefact(Path(str(artefact.path))) == artefact
    assert artefact.size_bytes == sum(len(name) for name in names)
    assert sorted(entry["name"] for entry in artefact.files) == sorted(names)


def test_the_digest_of_one_file_is_its_own_and_of_several_that_of_sha256sums_lines(tmp_path: Path) -> None:
    assert placed(tmp_path / "one", "a.tflite").sha256 == hashlib.sha256(b"a.tflite").hexdigest()
    lines = "".join(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("a.bin", "a.xml"))
    two = placed(tmp_path / "two", "a.xml", "a.bin")
    assert two.sha256 == hashlib.sha256(lines.encode()).hexdigest() == digest(reversed(two.files))


def test_a_file_that_changed_or_lost_a_part_is_not_what_the_record_describes(tmp_path: Path) -> None:
    path = Path(str(placed(tmp_path, "a.xml", "a.bin").path))
    path.with_suffix(".bin").write_text("other", encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.bin: not the file that its record describes"):
        read_artefact(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match=r"a\.bin belongs to it but is not there"):
        read_artefact(path)


def test_removing_takes_what_belongs_to_it_along(tmp_path: Path) -> None:
    for names in (("a.xml", "a.bin"), ("b_saved_model/saved_model.pb",)):
        shutil.rmtree(tmp_path / "scratch", ignore_errors=True)
        remove(Path(str(placed(tmp_path, *names).path)))
    assert list((tmp_path / "models").iterdir()) == []


def test_removing_takes_no_folder_that_is_not_the_artefacts(tmp_path: Path) -> None:
    path = Path(str(placed(tmp_path, "a.tflite").path)).with_name("mine")
    path.mkdir()
    (path / "kept").touch()
    record_path(path.with_name("a.tflite")).rename(record_path(path))
    remove(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["mine"]
    assert (path / "kept").exists()


def test_files_that_were_not_all_moved_are_not_what_the_new_record_describes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The record is there all the same, so that the next export knows them for its own."""
    path = Path(str(placed(tmp_path / "before", "a.xml", "a.bin").path))
    scratch, copy = tmp_path / "scratch", writing.shutil.copy
    scratch.mkdir()
    for name in ("a.xml", "a.bin"):
        (scratch / name).write_text(f"new {name}", encoding="utf-8")

    def stopped(source: Path, to: Path) -> Any:
        if source.name == "a.xml":
            raise KeyboardInterrupt
        return copy(source, to)

    monkeypatch.setattr(writing.shutil, "copy", stopped)
    with pytest.raises(KeyboardInterrupt):
        place(Artefact("a", "openvino", "float32"), scratch, path)
    assert path.with_suffix(".bin").read_text(encoding="utf-8") == "new a.bin"
    with pytest.raises(UserError, match=r"a\.xml: not the file that its record describes"):
        read_artefact(path)


def test_a_record_outlives_its_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = Path(str(placed(tmp_path, "b_saved_model/saved_model.pb").path))

    def stopped(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writing.shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            remove(path)
    assert record_path(path).exists()
    remove(path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name: input should be a valid string"),
        ({"files": [{"name": "../../etc/passwd", "sha256": "x"}]}, "files holds something that is no file beside it"),
        ({"files": [{"name": "/etc/passwd", "sha256": "x"}]}, "files holds something"),
        ({"files": [{"name": ".", "sha256": "x"}]}, "files holds something"),
        ({"path": ".."}, "path is no file"),
        ({"path": "models/a/.."}, "path is no file"),
        ({"path": None, "name": ""}, "path is no file"),
        ({"files": [{"name": "a\0b", "sha256": "x"}]}, "files holds something"),
        ({"path": 3}, "path: input should be a valid string"),
        ({"vectors": "../v.npz"}, "vectors is no file beside it"),
        ({"vectors": "."}, "vectors is no file beside it"),
        ({"input": []}, "input: input should be an object"),
        ({"input": {"divisor": 0}}, "input.divisor is no number above 0"),
        ({"input": {"divisor": 10**400}}, "a number of 401 digits"),
        ({"input": {"standardization": {"mean": [0.0]}}}, "input.standardization is not a mean and a std"),
        ({"input": {"standardization": {"mean": [0.0], "std": 1.0}}}, "input.standardization is not"),
        ({"output": {"standardization": {"mean": [], "std": [1.0]}}}, "output.standardization is not"),
        ({"output": {"standardization": [1.0]}}, "output.standardization is not"),
        ({"output": {"scale": "0.5", "zero_point": 0}}, "output.scale is no number above 0"),
        ({"output": {"scale": float("nan"), "zero_point": 0}}, "NaN is no finite number"),
        ({"input": {"scale": 0.5}}, "input.scale is no number above 0 beside a zero_point"),
        ({"output": {"heads": {"a": 1}}}, "output.heads is no list of targets"),
        ({"output": {"heads": [{"name": "a", "task": "regression", "labels": []}]}}, "output.heads is no list"),
        ({"output": {"heads": [{**HEAD, "columns": [1]}]}}, "output.heads is no list"),
        ({"output": {"heads": [{**HEAD, "columns": [2, 1]}]}}, "output.heads is no list"),
        ({"run": [1]}, "run: input should be a valid string"),
        ({"labels": "a"}, "labels: input should be a valid array"),
        (
            {"recipe": {"calibration": {"examples": [3]}}},
            "recipe: calibration.examples: input should be a valid integer",
        ),
        ({"recipe": {"calibration": {}}}, "recipe: calibration.examples: field required"),
        ({"recipe": {"data": "digits"}}, "recipe: data: input should be an object"),
        ({"recipe": {"versions": ["3.11"]}}, "recipe: versions: input should be an object"),
        ({"parity": {"metric": "accuracy"}}, "parity.keras_metric: field required"),
    ],
)
def test_a_damaged_record_is_refused_by_what_is_wrong(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = Path(str(placed(tmp_path, "a.tflite").path))
    record = json.loads(record_path(path).read_text(encoding="utf-8"))
    record_path(path).write_text(json.dumps({**record, **change}), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_artefact(path)


def test_a_record_of_several_targets_and_of_an_int8_file_is_read(tmp_path: Path) -> None:
    path = Path(str(placed(tmp_path, "a.tflite").path))
    record = json.loads(record_path(path).read_text(encoding="utf-8"))
    end = {"scale": 0.5, "zero_point": -3, "standardization": {"mean": [0.0], "std": [-1.5, 2]}, "heads": [HEAD]}
    record_path(path).write_text(json.dumps({**record, "output": end}), encoding="utf-8")
    assert read_artefact(path).output == end


def test_a_missing_file_and_a_missing_record_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_artefact(tmp_path / "a.tflite")
    (tmp_path / "a.tflite").write_bytes(b"x")
    with pytest.raises(UserError, match=r"there is no record a\.tflite\.json beside it"):
        read_artefact(tmp_path / "a.tflite")


@pytest.mark.parametrize("folder", ["models/a", "runs/a", "runs", "."])
def test_a_run_is_found_again_from_the_folder_wherever_both_have_moved(folder: str, tmp_path: Path) -> None:
    for root in (tmp_path / "here", tmp_path / "there"):
        run, artefacts = root / "runs" / "a", root / folder
        said = relative_source(str(run), artefacts)
        assert not Path(said).is_absolute()
        assert source_of(said, artefacts) == str(run)
    assert source_of(relative_source("keras.applications:VGG16", tmp_path), tmp_path) == "keras.applications:VGG16"

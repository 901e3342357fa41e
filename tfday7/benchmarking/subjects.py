"""Which artefacts: files, SavedModel folders, whole model folders, or what a run has exported."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Iterable
from pathlib import Path

from tfday7 import runtimes
from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import EXPORTS, RunFolder
from tfday7.exporting.records import Artefact, read_artefact, record_path
from tfday7.runtimes.table import PACKAGES

SAVED_MODEL = "saved_model.pb"
BESIDE = {".xml": ".bin"}  # OpenVINO keeps the weights in a second file.
EXAMPLE = "for example --artefacts=tflite_models/quickstart"


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """An artefact that is to be measured; each is equal to itself alone.

    Attributes:
        path: the file or folder.
        name: of the artefact, without suffix.
        record: None where there is none beside the file.
        size_bytes, gzip_bytes: of all its files.
    """

    path: Path
    name: str
    record: Artefact | None = None
    size_bytes: int | None = None
    gzip_bytes: int | None = None


def find(given: Iterable[str]) -> tuple[list[Subject], list[str]]:
    """Returns what paths stand for, and a note on each artefact of a folder that no runtime here takes.

    Args:
        given: files, SavedModel folders, or the folders of models, which stand for all artefacts with a record there.

    Raises:
        UserError: nothing lies there, a record is damaged or another file's, or something is named twice.
    """
    found: list[Subject] = []
    notes: list[str] = []
    for path in map(Path, given):
        if not path.exists():
            raise UserError(f"--artefacts={path}: no such file or folder", EXAMPLE)
        if RunFolder(path).exists():
            raise UserError(f"--artefacts={path} is a run folder", f"--run_dir={path} measures what it has exported")
        if path.is_dir() and not (path / SAVED_MODEL).exists():
            own, left_out = _of_folder(path)
            found, notes = found + own, notes + left_out
        else:
            runtimes.default_runtime(path)  # Refuses what no runtime takes.
            found.append(subject(path))
    _check_distinct(found)
    return found, notes


def of_run(folder: RunFolder) -> tuple[list[Subject], list[str]]:
    """Returns what a run has exported, and notes as of `find`. Raises UserError when nothing of it is there."""
    exports = files.read_json(folder / EXPORTS) if (folder / EXPORTS).exists() else {}
    entries = exports.get("artefacts") if isinstance(exports, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"--run_dir={folder.path}: the run has exported nothing", "python -m tfday7.export exports it")
    paths = [Path(entry["path"]) for entry in entries if isinstance(entry.get("path"), str)]
    if not paths:
        raise UserError(f"--run_dir={folder.path}: none of its exports was made", "its report says why")
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UserError(f"{missing[0]}: exported by {folder.path}, but no longer there", "export the model again")
    return _those_that_run(paths)


def subject(path: Path) -> Subject:
    """Returns one artefact with the record beside it, if there is one. Raises UserError as `read_artefact`."""
    if record_path(path).exists():
        record = read_artefact(path)
        return Subject(path, record.name, record, record.size_bytes, record.gzip_bytes)
    if not path.is_dir():
        files.check_plain(path)
    try:
        contents = [file.read_bytes() for file in _files_of(path)]
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error
    packed = sum(len(gzip.compress(content, 9, mtime=0)) for content in contents)
    name = path.name if path.is_dir() else path.stem
    return Subject(path, name, None, sum(map(len, contents)), packed)


def _of_folder(folder: Path) -> tuple[list[Subject], list[str]]:
    beside = (record.with_suffix("") for record in sorted(folder.glob("*.json")))
    paths = [path for path in beside if path.exists()]
    if not paths:
        hint = "export into it with python -m tfday7.export, or name the files"
        raise UserError(f"--artefacts={folder}: no artefact with a record lies there", hint)
    return _those_that_run(paths)


def _those_that_run(paths: list[Path]) -> tuple[list[Subject], list[str]]:
    can = [path for path in paths if any(runtimes.takes(name, path) for name in PACKAGES)]
    names = [path.name for path in paths if path not in can]
    return [subject(path) for path in can], [f"{name} is left out: no runtime here takes such files" for name in names]


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(entry for entry in path.rglob("*") if entry.is_file())
    beside = path.with_suffix(BESIDE.get(path.suffix, path.suffix))
    return [path] if beside == path or not beside.exists() else [path, beside]


def _check_distinct(found: list[Subject]) -> None:
    seen: dict[str, Path] = {}
    for entry in found:
        other = seen.setdefault(entry.path.name, entry.path)
        if other is entry.path:
            continue
        if other.resolve() == entry.path.resolve():
            raise UserError(f"--artefacts names {entry.path} twice", "name each file once")
        message = f"--artefacts: {other} and {entry.path} have one name; their rows could not be told apart"
        raise UserError(message, "measure them one after the other, or rename one")

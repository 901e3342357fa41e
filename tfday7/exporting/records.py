"""What is known of an exported file, as it goes to the record beside it and to exports.json."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfday7.core import files, records
from tfday7.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Parity:
    """How an artefact's outputs compare with the Keras model's on the same examples.

    Attributes:
        metric: its name; `keras_metric` and `artefact_metric` are its values on the test split; all of them None where
            examples have no labels.
        largest_difference, mean_difference: of the outputs, absolute; None where outputs are not finite.
        relative_difference: the largest difference over the largest absolute output of the Keras model; of values both
            are in deviations of the target from its mean, and the largest counts as one at least and four at most.
        agreement: share of examples with the same decision (on every label; of several targets, on the
            one that agrees least); None where nothing is decided.
        worst_examples: the examples of the largest differences, largest first: {"example": index in the test split,
            "difference": absolute}.
        examples: how many were compared.
        limits: what was allowed: relative_difference, metric_drop; and the least agreement.
        failures: why parity does not hold, in words; empty when it holds.
        relative_to: what `relative_difference` is over, a key of `parity.SCALES`.
    """

    metric: str | None
    keras_metric: float | None
    artefact_metric: float | None
    largest_difference: float | None
    mean_difference: float | None
    relative_difference: float | None
    agreement: float | None
    worst_examples: list[dict[str, Any]]
    examples: int
    limits: dict[str, float]
    failures: list[str]
    relative_to: str = "largest_output"

    @property
    def holds(self) -> bool:
        """Whether every limit was kept."""
        return not self.failures


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where an artefact comes from.

    Attributes:
        name: the model's name, the first part of every file name.
        run: the run folder or the model's file, absolute; another one's artefacts are not replaced without being asked.
        meaning: what the outputs are: "logits", "probabilities" or "values".
        data: the flags of the data that it is verified on; None where there is none, and inputs are made up.
        command: what makes it again, for people.
    """

    name: str
    run: str
    meaning: str
    data: Mapping[str, str] | None = None
    command: str = ""


@dataclasses.dataclass(frozen=True)
class Artefact:
    """One exported thing, a file or a folder, or the reason why it could not be made.

    Attributes:
        name: the file's name without suffix, for example "quickstart_int8".
        format, kind: for example "tflite" and "int8".
        run: the run folder or the model's file that it comes from, relative to the artefact's folder, so that both can
            move together; what has no file is named as it was given. See `source_of`.
        path: the file or folder; None when it was not made.
        failure: why it was not made; empty when it was.
        size_bytes, gzip_bytes: of all its files, and of each compressed as an app store would, added up.
        sha256: hexadecimal digest; of several files see `digest`.
        files: each file's name relative to the artefact's folder, size_bytes and sha256.
        input, output: dtype, shape, quantization and meaning, for people who feed the file. The file takes
            (raw / `divisor` - mean) / std, quantized, and gives y for which y * std + mean is the answer; where
            `standardization` is None, mean is 0 and std is 1.
        labels: class names in the order of the outputs.
        vectors: name of the file beside it with inputs and answers, for trying it elsewhere.
        recipe: what made it: the model's digest, data, calibration, converter, so that it can be made again.
        notes: what its user has to know: state that is kept between calls, what was not built and why.
        parity: None when it could not be measured.
        parting: where it parts from the Keras model, layer by layer; only where parity is broken.
    """

    name: str
    format: str
    kind: str
    run: str = ""
    path: str | None = None
    failure: str = ""
    size_bytes: int | None = None
    gzip_bytes: int | None = None
    sha256: str | None = None
    files: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    input: dict[str, Any] = dataclasses.field(default_factory=dict)
    output: dict[str, Any] = dataclasses.field(default_factory=dict)
    labels: list[str] = dataclasses.field(default_factory=list)
    vectors: str | None = None
    recipe: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    parity: Parity | None = None
    parting: dict[str, Any] | None = None

    @property
    def holds(self) -> bool:
        """Whether the file was made and gives the Keras model's answers."""
        return self.parity is not None and self.parity.holds

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(self)


def relative_source(source: str, folder: Path) -> str:
    """Returns what a record in a folder says of a source: an absolute path relative to the folder, a name as it is."""
    if not Path(source).is_absolute():
        return source
    relative = os.path.relpath(source, folder.resolve())
    return relative if relative.startswith(".") else f"./{relative}"


def source_of(run: str, folder: Path) -> str:
    """Returns the source that a record in a folder names, as `Origin.run` has it; the inverse of `relative_source`."""
    return str((folder / run).resolve()) if run.startswith((".", "/")) else run


def record_path(path: Path) -> Path:
    """Returns where the record of an artefact lies: `model_int8.tflite` has `model_int8.tflite.json` beside it."""
    return path.with_name(path.name + ".json")


def read_artefact(path: Path) -> Artefact:
    """Returns what the record beside an artefact says, with `path` as it is given here.

    Raises:
        UserError: there is no such file or no record, the record is damaged, or it is not that of this very file.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file", "give an artefact that tfday7.export or tfday7.train has written")
    if not record_path(path).exists():
        hint = "export the model with python -m tfday7.export, which writes the record, or copy it along"
        raise UserError(f"{path}: there is no record {record_path(path).name} beside it", hint)
    artefact = from_json(files.read_json(record_path(path)), record_path(path))
    if not any(Path(str(entry.get("name"))).parts[0] == path.name for entry in artefact.files):
        raise UserError(f"{record_path(path)}: not the record of {path.name}", "export the model again")
    if found := mismatch(artefact, path):
        raise UserError(found, "export the model again")
    return dataclasses.replace(artefact, path=str(path))


def mismatch(artefact: Artefact, path: Path) -> str:
    """Returns in what the files at `path` are not those of the record; "" where they are.

    An export that is killed leaves such files: their record is written before they are.
    """
    for entry in artefact.files:
        file = path.parent / str(entry.get("name"))
        if not file.is_file():
            return f"{path}: {entry.get('name')} belongs to it but is not there"
        try:
            content = file.read_bytes()
        except OSError as error:
            return f"{file}: cannot be read ({error.strerror})"
        if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
            return f"{file}: not the file that its record describes (SHA-256)"
    return ""


@dataclasses.dataclass(frozen=True)
class _Calibration:
    """What the model card says of `_Recipe.calibration`."""

    examples: int


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """What the model card says of `Artefact.recipe`."""

    data: dict[str, Any] | None = None
    calibration: _Calibration | None = None
    versions: dict[str, str | None] = dataclasses.field(default_factory=dict)


def from_json(record: Any, where: Path) -> Artefact:
    """Returns an artefact from its record. Raises UserError naming the file when it is not one."""
    hint = "export the model again"
    if isinstance(record, dict) and isinstance(record.get("parity"), dict):  # Earlier versions did not have these.
        record = {**record, "parity": {"worst_examples": [], **record["parity"]}}
    artefact = records.build(Artefact, record, where, hint)
    records.build(_Recipe, artefact.recipe, f"{where}: recipe", hint)
    if Path(artefact.path or artefact.name).name in ("", ".", ".."):
        raise UserError(f"{where}: path is no file", hint)
    if not all(_is_inside(entry.get("name")) for entry in artefact.files):
        raise UserError(f"{where}: files holds something that is no file beside it", hint)
    for side, end in (("input", artefact.input), ("output", artefact.output)):
        if problem := _problem(end):
            raise UserError(f"{where}: {side}.{problem}", hint)
    if artefact.parting is not None and not isinstance(artefact.parting.get("sentence", ""), str):
        raise UserError(f"{where}: parting.sentence is no text", hint)
    if artefact.vectors is not None and not _is_inside(artefact.vectors):
        raise UserError(f"{where}: vectors is no file beside it", hint)
    return artefact


def _problem(end: dict[str, Any]) -> str:
    """Returns what is wrong with what a record says of one end of a file; "" where nothing is."""
    divisor, scale, heads = end.get("divisor", 1.0), end.get("scale"), end.get("heads")
    if not _is_number(divisor) or divisor <= 0:
        return "divisor is no number above 0"
    if end.get("standardization") is not None and not _is_affine(end["standardization"]):
        return "standardization is not a mean and a std, as lists of numbers"
    if scale is not None and not (_is_number(scale) and scale > 0 and type(end.get("zero_point")) is int):
        return "scale is no number above 0 beside a zero_point"
    if heads is not None and not (isinstance(heads, list) and all(map(_is_head, heads))):
        return "heads is no list of targets, each with name, task, columns and labels"
    return ""


def _is_affine(scaling: Any) -> bool:
    parts = [scaling.get(name) for name in ("mean", "std")] if isinstance(scaling, dict) else [None]
    return all(isinstance(part, list) and part and all(map(_is_number, part)) for part in parts)


def _is_head(entry: Any) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in ("name", "task")):
        return False
    columns = entry.get("columns")
    if not isinstance(columns, list) or [type(column) for column in columns] != [int, int]:
        return False
    return 0 <= columns[0] < columns[1] and isinstance(entry.get("labels"), list)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_inside(name: Any) -> bool:
    """Returns whether a name is that of something in the folder that it is relative to."""
    if not isinstance(name, str) or "\0" in name:
        return False
    return bool(Path(name).parts) and not Path(name).is_absolute() and ".." not in Path(name).parts


def digest(entries: Iterable[dict[str, Any]]) -> str:
    """Returns the digest of an artefact: of its only file, or of the lines "SHA-256  name" of several, sorted by name.

    So `sha256sum FILES | sha256sum` gives it too, where the names are given in that order.
    """
    listed = sorted(entries, key=lambda entry: str(entry["name"]))
    if len(listed) == 1:
        return str(listed[0]["sha256"])
    lines = "".join(f"{entry['sha256']}  {entry['name']}\n" for entry in listed)
    return hashlib.sha256(lines.encode()).hexdigest()

"""What to export, and where to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.settings import Settings, setting
from tfday7.exporting.format import FORMATS, KINDS

MAX_BATCH, MAX_SIZE, MAX_NAME = 4096, 65_536, 200
DEFAULT_FOLDER = Path("tflite_models")
FORMATS_HELP = "tflite, onnx, openvino, tensorrt, saved_model, keras"
KINDS_HELP = (
    "Kinds of numbers, a comma list of: float32, float16, dynamic, int8, int16x8, weight_int8, weight_int4; "
    "each format makes those that it has. "
    "Default: each format's usual ones."
)


@dataclasses.dataclass(frozen=True)
class ExportConfig(Settings):
    """The settings of the export that a training run ends with."""

    export: str = setting("tflite", f"Formats to export to, a comma list of: {FORMATS_HELP}; empty for none.")
    kinds: str = setting("", KINDS_HELP)
    export_dir: str = setting("", "Folder for the exported files of this model; default: tflite_models/<run name>.")

    def formats(self) -> tuple[str, ...]:
        """Returns the formats asked for. Raises UserError listing the known ones for an unknown name."""
        return named("export format", self.export, FORMATS.names())

    def wanted(self) -> list[tuple[str, str]]:
        """Returns (format, kind) of each artefact to make. Raises UserError as `wanted` does."""
        return wanted(self.formats(), self.kinds)

    def check(self) -> None:
        """Raises UserError for an unknown format or kind, one whose runtime is missing, or a folder for none."""
        self.wanted()
        check_installed(self.formats())
        for flag in ("export_dir", "kinds"):
            if not self.formats() and getattr(self, flag):
                message = f"--{flag}={getattr(self, flag)} has no meaning with an empty --export"
                raise UserError(message, "leave one of them out")

    def folder(self, run_name: str) -> Path:
        """Returns the folder of this model's artefacts."""
        return Path(self.export_dir) if self.export_dir else DEFAULT_FOLDER / run_name


@dataclasses.dataclass(frozen=True)
class ModelExportConfig(Settings):
    """The settings of an export on its own: of a model, or of a run's model."""

    model: str = setting(
        "",
        "Model to export: a .keras or .h5 file, a SavedModel, keras.applications:NAME or python:MODULE:FUNCTION.",
    )
    run_dir: str = setting("", "Run folder whose model is exported, on the run's own data, into its record and report.")
    formats: str = setting("tflite", f"Formats to export to, a comma list of: {FORMATS_HELP}.")
    kinds: str = setting("", KINDS_HELP)
    batch: str = setting("1", "Examples a run of ONNX and OpenVINO files take: a number, or dynamic for any number.")
    input_shape: str = setting(
        "", "Shape of one example, as 224,224,3, for a model that leaves sizes open and without --data."
    )
    name: str = setting("", "First part of the files' names; default: the run's, or the model's file's.")
    export_dir: str = setting("", "Folder for the exported files of this model; default: tflite_models/<name>.")
    overwrite: bool = setting(False, "Replace the files of another run or model in the folder.")
    pretrained: bool = setting(
        False, "Give a model of keras.applications ImageNet's weights, from Keras's cache (~/.keras/models)."
    )
    allow_unsafe_model: bool = setting(
        False,
        "Run code of model files (Lambda layers) or of a run's data (python:); it can do anything that you can.",
    )

    def check(self) -> None:
        """Raises UserError for flags that contradict each other, or a name or number that is none."""
        if bool(self.model) == bool(self.run_dir):
            given = f"--model={self.model} contradicts --run_dir={self.run_dir}" if self.model else "--model is missing"
            raise UserError(given, "give a model's file with --model, or a run's folder with --run_dir")
        if not named("export format", self.formats, FORMATS.names()):
            raise UserError("--formats is empty", f"known: {FORMATS_HELP}")
        self.wanted()
        check_installed(named("export format", self.formats, FORMATS.names()))
        self.batch_size()
        self.shape()
        if self.name and not _starts_a_file_name(self.name):
            hint = f"printable characters without / and blanks at the ends, at most {MAX_NAME} bytes, no dot first"
            raise UserError(f"--name={self.name!r}: expected the first part of a file's name", hint)

    def wanted(self) -> list[tuple[str, str]]:
        """Returns (format, kind) of each artefact to make. Raises UserError as `wanted` does."""
        return wanted(named("export format", self.formats, FORMATS.names()), self.kinds)

    def batch_size(self) -> int | None:
        """Returns the examples a run; None for any number. Raises UserError for anything else."""
        if self.batch == "dynamic":
            return None
        if not self.batch.isdecimal() or not 1 <= int(self.batch) <= MAX_BATCH:
            raise UserError(f"--batch={self.batch}: expected a number from 1 to {MAX_BATCH:,}, or dynamic")
        return int(self.batch)

    def shape(self) -> tuple[int, ...] | None:
        """Returns the shape of one example, None when it is not given. Raises UserError when it is no shape."""
        if not self.input_shape:
            return None
        sizes = [size.strip() for size in self.input_shape.split(",")]
        if not all(size.isdecimal() and 1 <= int(size) <= MAX_SIZE for size in sizes):
            raise UserError(
                f"--input_shape={self.input_shape}: expected sizes up to {MAX_SIZE:,} with commas, as 224,224,3"
            )
        return tuple(int(size) for size in sizes)


def _starts_a_file_name(name: str) -> bool:
    is_plain = Path(name).name == name and name.isprintable() and name == name.strip() and not name.startswith(".")
    return is_plain and len(name.encode()) <= MAX_NAME


def named(what: str, given: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of a comma list, each once. Raises UserError for one that is not known."""
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise unknown_name(what, name, known)
    return names


def check_installed(formats: tuple[str, ...]) -> None:
    """Raises UserError where the runtime that verifies a format is not installed, and says what brings it."""
    for name in formats:
        FORMATS.get(name).check_installed()


def wanted(formats: tuple[str, ...], kinds: str) -> list[tuple[str, str]]:
    """Returns (format, kind) of each artefact: the kinds asked for that a format has, else its usual ones.

    Raises:
        UserError: an unknown kind, or one that none of the formats has.
    """
    asked = named("kind of numbers", kinds, KINDS)
    found = [
        (name, kind)
        for name in formats
        for kind in FORMATS.get(name).kinds
        if kind in (asked or FORMATS.get(name).usual)
    ]
    for kind in asked:
        if formats and kind not in {made for _, made in found}:
            have = "; ".join(f"{name}: {', '.join(FORMATS.get(name).kinds)}" for name in formats)
            raise UserError(f"--kinds={kinds}: none of {', '.join(formats)} has {kind}", f"they have {have}")
    without = [name for name in formats if name not in {made for made, _ in found}]
    if without:
        have = "; ".join(f"{name}: {', '.join(FORMATS.get(name).kinds)}" for name in without)
        raise UserError(f"--kinds={kinds}: nothing to make for {', '.join(without)}", f"they have {have}")
    return found

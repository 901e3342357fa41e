"""What a format has to know: which kinds of numbers it has, how it converts, and what its files must hold.

The conversion itself runs in a child process (`tfday7.exporting.child`): converters have been seen to kill theirs
without an exception. So a format is asked twice: in the parent for what the child needs, and in the child for the file.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tfday7.core.registry import Registry
from tfday7.runtimes import Runner, find, open_artefact

if TYPE_CHECKING:
    from tfday7.exporting.job import Job
    from tfday7.exporting.records import Artefact

FORMATS: Registry[Format] = Registry("export format", "tfday7.exporting.formats")
# What converters and savers raise on a model that they cannot take.
CONVERSION_ERRORS = (ValueError, RuntimeError, TypeError, NotImplementedError)
# Of numbers.
KINDS = ("float32", "float16", "dynamic", "int8", "int16x8", "weight_int8", "weight_int4")
# Those whose activations are integers: examples show their ranges.
CALIBRATED = ("int8", "int16x8")
# Those whose files leave the affine ends of a model out; see `tfday7.exporting.affine`.
WITHOUT_ENDS = (*CALIBRATED, "float16")


@dataclasses.dataclass(frozen=True)
class Request:
    """What a child process converts.

    Attributes:
        format, kind: names.
        saved_model: folder of the model, with one signature; its batch is `batch`.
        calibration: an `.npy` of inputs [n, ...], for kinds that need it.
        output: the file to write.
        batch: examples a run; None where the file takes any number.
        float_layers: names of layers that stay in float32; for a format that has `mixed_kinds`.
        sparse: whether zeros may be left out of the file.
    """

    format: str
    kind: str
    saved_model: str
    calibration: str | None
    output: str
    batch: int | None
    float_layers: Sequence[str] = ()
    sparse: bool = False


class Format(abc.ABC):
    """One format. `kinds` are those that it has, `usual` those that are made when none is asked for."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    usual: ClassVar[tuple[str, ...]]
    suffix: ClassVar[str]
    runtime: ClassVar[str]  # That verifies its files.
    needs_child: ClassVar[bool] = True
    needs_own_process: ClassVar[bool] = False  # Whether a fork of a process that has loaded TensorFlow will not do.
    fixed_batch: ClassVar[bool] = False  # Whether its files take one example at a time, whatever is asked for.
    mixed_kinds: ClassVar[tuple[str, ...]] = ()  # In which single layers can stay in float32.
    centered: ClassVar[bool] = False  # Whether layer normalizations are written as `normalization` says.
    attempts: ClassVar[int] = 1  # Conversions of a model before its file is refused, where they come out differently.
    keeps_batch: ClassVar[bool] = (
        False  # Whether its files take what the model itself takes alone, where that is fixed.
    )
    verified_batch: ClassVar[int | None] = None  # Of files that take any number, whatever is asked for.

    def file_name(self, model: str, kind: str) -> str:
        """Returns for example "quickstart_int8.tflite"."""
        return f"{model}_{kind}{self.suffix}"

    def artefact_name(self, model: str, kind: str) -> str:
        """Returns what tells the artefact from all others of its folder: its file's name, of a `.tflite` its stem."""
        return self.file_name(model, kind)

    def write(self, job: Job, kind: str, path: Path) -> list[str]:
        """Writes the artefact in this process, where `needs_child` is false; returns notes."""
        raise NotImplementedError(f"{self.name} converts in a child process")

    def convert(self, request: Request) -> list[str]:
        """Writes the artefact in the child process; returns notes for its user."""
        raise NotImplementedError(f"{self.name} needs no child process")

    def problems(self, path: Path, kind: str, float_layers: Sequence[str] = ()) -> list[str]:
        """Returns why a file does not deserve its kind, looking at the file itself; empty when it does.

        Args:
            path, kind: of the file.
            float_layers: those that were told to stay in float32, where the format has `mixed_kinds`.
        """
        return []

    def notes(self, path: Path, kind: str) -> list[str]:
        """Returns what the file's user has to know, looking at the file itself."""
        return []

    def batch(self, asked: int | None) -> int | None:
        """Returns how many examples a run its files take where so many are asked for; None for any number."""
        if self.fixed_batch:
            return 1
        return None if self.verified_batch else asked

    def open(self, path: Path, batch: int = 1, own_batch: int | None = None) -> Runner:
        """Returns the runner that verifies the file, for batches of the size that it is made for.

        Args:
            path: of the file.
            batch: that was asked for.
            own_batch: the only one that the model itself takes, where it does not leave it open.
        """
        kept = own_batch if self.keeps_batch else None
        size = kept or self.verified_batch or (1 if self.fixed_batch else batch)
        return open_artefact(path, self.runtime, batch_size=size)

    def judged_as(self, kind: str) -> str:
        """Returns the kind by whose limits the file is judged: that of the arithmetic in which it is verified."""
        return kind

    def check_installed(self) -> None:
        """Raises UserError where what makes or verifies the files is not installed, and says what brings it."""
        find(self.runtime)

    def complete(self, path: Path, artefact: Artefact) -> None:  # noqa: B027 - most formats have nothing to add.
        """Adds to the file what its users find in it, such as labels; called once all of the record is known."""

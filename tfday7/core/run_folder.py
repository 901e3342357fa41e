"""The run folder: one folder through which the stages of a run talk, and the rules for coming back to it.

The same command resumes an unfinished run; a finished one stays as it is; more epochs go on; any other difference of
flags is refused, naming them. Only folders that a run made are ever replaced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfday7.core import files, records, run_record
from tfday7.core.errors import InUseError, UserError
from tfday7.core.settings import defaults
from tfday7.core.user_code import PREFIX

FLAGS, RUN, METRICS, MODEL, REPORT = "flags.txt", "run.json", "metrics.jsonl", "model.keras", "report.html"
DIAGNOSIS, EXPORTS, BENCHMARK, CHECKPOINTS, TENSORBOARD = (
    "diagnosis.json", "exports.json", "benchmark.json", "checkpoints", "tensorboard",
)  # fmt: skip
TUNING, TRIALS, BEST_FLAGS = "tuning.json", "trials", "best.flags"
HEALTH, FIX, FIXED_FLAGS, FIXED_MODEL = "health.json", "fix.json", "fixed.flags", "fixed.keras"
FIX_TRIALS = "fix_trials"
COMPRESSION, COMPRESSION_WORK = "compression.json", "compression"
MADE_BY_A_RUN = (
    FLAGS, RUN, METRICS, MODEL, REPORT, DIAGNOSIS, EXPORTS, BENCHMARK, CHECKPOINTS, TENSORBOARD, TUNING, TRIALS,
    BEST_FLAGS, HEALTH, FIX, FIXED_FLAGS, FIXED_MODEL, FIX_TRIALS, COMPRESSION, COMPRESSION_WORK,
)  # fmt: skip
# What follows from training; it describes other weights as soon as training goes on.
RESULTS = (
    MODEL, DIAGNOSIS, EXPORTS, BENCHMARK, REPORT, FIX, FIXED_FLAGS, FIXED_MODEL, FIX_TRIALS, COMPRESSION,
    COMPRESSION_WORK,
)  # fmt: skip
LOCK = ".lock"


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """A run folder by its path; the names of what is in it are this module's constants."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def name(self) -> str:
        """The run's name, which its artefacts bear too."""
        return self.path.resolve().name

    def exists(self) -> bool:
        """Returns whether a run has been started here."""
        return (self / FLAGS).is_file()

    def flags(self) -> dict[str, str]:
        """Returns the flags of the run that was started here. Raises UserError when the file cannot be read."""
        files.check_plain(self / FLAGS, files.MOST_JSON_BYTES)
        try:
            lines = (self / FLAGS).read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self / FLAGS}: cannot be read ({error})", "--overwrite starts again") from error
        pairs = (line.removeprefix("--").partition("=") for line in lines if line.startswith("--"))
        return {name: value for name, _, value in pairs}

    def check_code(self, is_allowed: bool, *names: str) -> None:
        """Checks that what a command is about to carry out of flags.txt is no code: the folder may be from a stranger.

        Args:
            is_allowed: whether this very command allows code.
            names: the flags that it carries out.

        Raises:
            UserError: one of them names a function, or lets a model file bring code.
        """
        flags = self.flags() if not is_allowed else {}
        for name, value in flags.items():
            if name in names and (value.startswith(PREFIX) or (name == "allow_unsafe_model" and value == "true")):
                raise UserError(
                    f"{self / FLAGS} asks for code to be run: --{name}={value}",
                    "--allow_unsafe_model runs it, with your rights: for runs that you trust",
                )

    def record(self) -> dict[str, Any]:
        """Returns run.json, or {} before it is written. Raises UserError when it is damaged."""
        return self._read()[0]

    def known(self) -> run_record.Run:
        """Returns what stages read again of run.json. Raises UserError when it is damaged."""
        return self._read()[1]

    def _read(self) -> tuple[dict[str, Any], run_record.Run]:
        record: dict[str, Any] = files.read_json(self / RUN) if (self / RUN).exists() else {}
        return record, records.build(run_record.Run, record, self / RUN, "--overwrite starts again")

    def update(self, **values: Any) -> None:
        """Sets fields of run.json and writes it atomically."""
        files.write_json(self / RUN, {**self.record(), **values})

    def is_finished(self) -> bool:
        """Returns whether every stage of the run is done."""
        return self.record().get("status") == "finished"

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl, one record an epoch; a half-written last line is left out.

        Raises:
            UserError: it is no file.
        """
        files.check_plain(self / METRICS, files.MOST_JSON_BYTES)
        if not (self / METRICS).exists():
            return []
        records = []
        for line in (self / METRICS).read_bytes().splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(record, dict):
                break
            records.append(record)
        return records

    def write_flags(self, flags: Mapping[str, str]) -> None:
        """Writes flags.txt, which `--flagfile` takes. Raises UserError for a value that is no single line."""
        for name, value in flags.items():
            files.check_line(f"--{name}", value)
        files.write_text(self / FLAGS, "".join(f"--{name}={value}\n" for name, value in sorted(flags.items())))

    def check_reusable(self, flags: Mapping[str, str], overwrite: bool, may_grow: str = "epochs") -> None:
        """Checks whether a command with these flags may run here; changes nothing.

        Args:
            flags: the flags of the command, without those that only concern display.
            overwrite: whether an earlier run may be replaced.
            may_grow: the flag that may be larger than it was.

        Raises:
            UserError: the folder belongs to another run or to no run at all, or is in use.
        """
        try:
            if not self.path.exists():
                return
        except OSError as error:  # A name that is too long, or below a folder that may not be entered.
            raise UserError(f"--run_dir={self.path}: cannot be a folder ({error.strerror})") from error
        if not self.path.is_dir():
            raise UserError(f"--run_dir={self.path} is a file; expected a folder")
        if not self.exists():
            if any(not self._is_ours(entry.name) for entry in self.path.iterdir()):
                raise UserError(
                    f"--run_dir={self.path} holds files that no run made", "choose a new folder with --run_dir=FOLDER"
                )
            return
        if overwrite:
            return
        before, differing = self.flags(), self.differing(flags)
        if differing == [may_grow] and _is_larger(flags.get(may_grow, ""), before.get(may_grow, "")):
            return
        if differing:
            changes = ", ".join(f"--{n}={flags.get(n, '')} (was {before.get(n, '') or 'not set'})" for n in differing)
            raise UserError(
                f"--run_dir={self.path} holds another run; different: {changes}",
                "choose a new folder with --run_dir=FOLDER, or replace that run with --overwrite",
            )

    def differing(self, flags: Mapping[str, str]) -> list[str]:
        """Returns the names of the flags in which a command differs from the run that was started here, sorted.

        A flag that the run did not know, as it was started with an earlier version, had its default.
        """
        before = self.flags()
        before = {**{name: value for name, value in defaults().items() if name in flags}, **before}
        return sorted(name for name in {*flags, *before} if flags.get(name, "") != before.get(name, ""))

    def clear(self, names: tuple[str, ...] = MADE_BY_A_RUN) -> None:
        """Removes what an earlier run made here, and nothing else; the lock stays, as this process may hold it.

        flags.txt goes last: a kill in between leaves a folder that is still known to be that run's.
        """
        self.remove_partials()
        for name in sorted(names, key=lambda name: name == FLAGS):
            entry = self / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

    def remove_partials(self) -> None:
        """Removes what killed processes left half-written."""
        files.remove_partials(self.path)
        files.remove_partials(self / CHECKPOINTS)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; a folder that was made for it and stayed empty is removed again.

        Raises:
            InUseError: another process works in the folder.
            UserError: it cannot be made.
        """
        made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UserError(f"--run_dir={self.path}: cannot be written ({error.strerror})") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                hint = "wait for it, or choose another folder with --run_dir=FOLDER"
                raise InUseError(f"--run_dir={self.path} is in use by another process", hint) from None
            yield
        finally:
            os.close(lock)
            if made and self.path.exists() and [entry.name for entry in self.path.iterdir()] == [LOCK]:
                shutil.rmtree(self.path)

    @staticmethod
    def _is_ours(name: str) -> bool:
        return name in (*MADE_BY_A_RUN, LOCK) or name.startswith(files.PARTIAL)


def _is_larger(value: str, before: str) -> bool:
    return value.isdecimal() and before.isdecimal() and int(value) > int(before)

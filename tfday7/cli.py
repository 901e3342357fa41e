"""What all commands share: flags made from settings, exit codes, the console. Imports no TensorFlow.

A command file declares a `Command` with its settings and calls `command.run(main)`; everything that `main` does can be
called from Python through the libraries.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from logging import LogRecord
from pathlib import Path
from typing import Any, TypeVar

from absl import flags, logging
from rich.console import Console

from tfday7.core import files
from tfday7.core.errors import Interrupted, Tfday7Error, UserError
from tfday7.core.printing import printable_lines
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import Settings, describe_range, setting, typed_fields, words
from tfday7.core.signals import end_by_signals, lose_no_signals, stop_at_once_on_sigterm

S = TypeVar("S", bound=Settings)
MOST_FLAGFILE_BYTES = 1_000_000
BROKEN_PIPE = 141  # 128 + SIGPIPE, as shells report it.
MACHINE_LIMITS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)


@dataclasses.dataclass(frozen=True)
class RunConfig(Settings):
    """Where a run lives and how its results are shown; none of it changes the results."""

    run_dir: str = setting("", "Run folder; default: runs/<flagfile's name>, without a flagfile runs/<data>_<model>.")
    overwrite: bool = setting(False, "Replace an earlier run in the run folder.")
    describe: bool = setting(False, "Show what the run would cost (parameters, operations, memory, time), and stop.")


@dataclasses.dataclass(frozen=True)
class SearchRunConfig(Settings):
    """Where a search lives; none of it changes the results."""

    run_dir: str = setting("", "Folder of the search; default: runs/<flagfile's name or data_model>_tune.")
    overwrite: bool = setting(False, "Replace an earlier search in the folder.")


@dataclasses.dataclass(frozen=True)
class ExistingRunConfig(Settings):
    """Which run to work on."""

    run_dir: str = setting("", "Run folder that a training run has made.")


@dataclasses.dataclass(frozen=True)
class OutputConfig(Settings):
    """How results are shown."""

    json: bool = setting(False, "Print the record as JSON on stdout, and nothing else there.")
    lang: str = setting("en", "Language of verdicts, advice and reports.", choices=("en", "zh"))


class Command:
    """A command: its name, its help, and the settings that become its flags.

    Args:
        name: as in `python -m tfday7.NAME`.
        summary: the command module's docstring.
        settings: the classes whose fields are flags; each flag has the field's name.
        others: settings that a flagfile may hold for another command; there, and only there, they are passed over.

    Attributes:
        passed_over: the flags of a flagfile that were, in their order.
    """

    def __init__(
        self, name: str, summary: str, settings: Sequence[type[Settings]], others: Sequence[type[Settings]] = ()
    ) -> None:
        self.name = name
        self.summary = summary.strip()
        self.settings = tuple(settings)
        self.others = {field.name for group in others for field, _, _ in typed_fields(group)}
        self.passed_over: list[str] = []
        self.flags = self._define()
        self.flagfile = ""

    def run(self, main: Callable[[], None], argv: Sequence[str] | None = None) -> None:
        """Parses the flags, runs `main`, and exits the process with the right code."""
        lose_no_signals()
        code = self.execute(main, argv)
        end_by_signals()
        sys.exit(code)

    def execute(self, main: Callable[[], None], argv: Sequence[str] | None = None) -> int:
        """Parses the flags, runs `main`, and returns the exit code."""
        stop_at_once_on_sigterm()
        logging.get_absl_logger().addFilter(_plain)
        try:
            self.parse(sys.argv if argv is None else argv)
            if self.flags.help:
                sys.stdout.write(self.help())
            else:
                main()
            sys.stdout.flush()
            return 0
        except Tfday7Error as error:
            _complain(error.message, error.hint)
            return error.exit_code
        except Interrupted as stopped:
            _complain(stopped.message)
            return stopped.exit_code
        except KeyboardInterrupt:
            _complain("interrupted")
            return 130
        except BrokenPipeError:  # The reader of our output has gone, as `| head` does.
            _discard_stdout()
            return BROKEN_PIPE
        except Exception as error:  # noqa: BLE001 - the last resort: a bug is shown whole, with where to report it.
            return self._unexpected(error)

    def _unexpected(self, error: Exception) -> int:
        """Says what went wrong outside of our checks: the machine's limits are not our bugs."""
        if isinstance(error, OSError) and error.errno in MACHINE_LIMITS:
            where = f"{error.filename}: " if error.filename else ""
            _complain(f"{where}{error.strerror}", "free some space, or choose a folder that you may write to")
            return 2
        if (
            isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
        ):  # The latter TensorFlow's.
            _complain("out of memory", "use a smaller --batch_size, model or data set")
            return 2
        traceback.print_exc()
        _complain(f"this is a bug of tfday7 {self.name}", "please report it with the lines above")
        return 1

    def parse(self, argv: Sequence[str]) -> None:
        """Reads the command line and its flagfiles. Raises UserError for anything that is not a flag with a value."""
        self.passed_over.clear()
        self.flags = self._define()
        self.flagfile = _flagfile(argv)
        try:
            rest = self.flags(list(argv))
        except flags.Error as error:
            raise UserError(
                str(error).replace("\n", " "), f"python -m tfday7.{self.name} --help lists the flags"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--flagfile={self.flagfile}: cannot be read ({error})") from error
        if len(rest) > 1:
            raise UserError(f"unexpected {rest[1]!r}; expected flags, as --name=value")
        for name, value in self.flags.flag_values_dict().items():
            if isinstance(value, str) and " #" in value:
                raise UserError(f"--{name}={value}: holds ' #'", "in a flagfile a comment needs a line of its own")
            if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
                raise UserError(f"--{name}={value!a}: not UTF-8, as the records are", "rename the file")
            if isinstance(value, str):
                files.check_line(f"--{name}", value)

    def config(self, group: type[S]) -> S:
        """Returns the settings of one group as given on the command line. Raises UserError as the group does."""
        return group(**{field.name: self.flags[field.name].value for field, _, _ in typed_fields(group)})

    def given(self, *groups: type[Settings]) -> dict[str, str]:
        """Returns the flags of these groups as text, for flags.txt; a flag that is not set is left out."""
        values = {field.name: self.flags[field.name].value for group in groups for field, _, _ in typed_fields(group)}
        return {name: _as_text(value) for name, value in values.items() if value is not None}

    def help(self) -> str:
        """Returns the help: what the command does, then each flag with its range, default and meaning."""
        lines = [self.summary, "", "Flags (--flagfile=FILE reads them from a file; the last one given wins):", ""]
        for group in self.settings:
            for field, kind, _ in typed_fields(group):
                default = "" if field.default in (None, "") else f" (default: {_as_text(field.default)})"
                lines.append(f"  --{field.name}  {describe_range(field, kind)}{default}")
                lines.append(f"      {field.metadata['help']}")
        lines += ["  --only_check_args", "      Check the flags and stop.", "  --help", "      Show this help."]
        return "\n".join(lines) + "\n"

    def _is_passed_over(self, line: str) -> bool:
        """Returns whether a flagfile's line is for another command, and notes it."""
        words = line.lstrip("-").replace("=", " ").split() if line.startswith("-") else []
        for name in (words[0], words[0].removeprefix("no")) if words else ():
            if name in self.others and name not in self.flags:
                if name not in self.passed_over:
                    self.passed_over.append(name)
                return True
        return False

    def _define(self) -> flags.FlagValues:
        values = _Flags(self._is_passed_over)
        for group in self.settings:
            for field, kind, _ in typed_fields(group):
                text = str(field.metadata["help"])
                if words(field):
                    flags.DEFINE(_NumberOrWord(), field.name, field.default, text, values, flags.ArgumentSerializer())
                else:
                    _DEFINE[kind](field.name, field.default, text, flag_values=values)
        flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
        flags.DEFINE_bool("only_check_args", False, "Check the flags and stop.", flag_values=values)
        return values

    def console(self) -> Terminal:
        """Returns where people's output goes: stdout, or stderr when stdout belongs to `--json`."""
        return Terminal(stderr=bool(self.flags["json"].value), highlight=False, soft_wrap=False)


class _NumberOrWord(flags.ArgumentParser):
    """Reads a number, or one of the words that stand for one; which words there are, `Settings` checks."""

    syntactic_help = "a number or a word"

    def parse(self, argument: Any) -> Any:
        """Returns the number, or the text as it is where that is none."""
        try:
            return float(argument)
        except ValueError:
            return argument


class Terminal(Console):
    """A console whose reader may leave: training goes on, and what it says is discarded."""

    def say(self, sentence: str) -> None:
        """Prints a sentence as it is; names in it cannot steer the terminal."""
        self.print(printable_lines(sentence), soft_wrap=True, markup=False)

    def on_broken_pipe(self) -> None:
        """Stops writing to stdout; rich would end the process."""
        _discard_stdout()


def print_json(record: Any) -> None:
    """Prints a record for programs."""
    sys.stdout.write(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def run_path(config: RunConfig | SearchRunConfig, command: Command, otherwise: str, suffix: str = "") -> Path:
    """Returns the run folder: as given, else by the flagfile's name, else runs/`otherwise`; both with the suffix."""
    if config.run_dir:
        return Path(config.run_dir)
    return Path("runs") / ((Path(command.flagfile).stem if command.flagfile else otherwise) + suffix)


def existing_run(command: Command) -> RunFolder:
    """Returns the run folder that `--run_dir` names. Raises UserError when no run was started there."""
    path = command.config(ExistingRunConfig).run_dir
    if not path:
        raise UserError("--run_dir is missing", "give the folder of a run, for example --run_dir=runs/quickstart")
    folder = RunFolder(Path(path))
    if not folder.exists():
        raise UserError(f"--run_dir={path}: no run was started there", "train first: python -m tfday7.train")
    return folder


_DEFINE: dict[type, Callable[..., Any]] = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    bool: flags.DEFINE_bool,
}


class _Flags(flags.FlagValues):
    """absl's flags, which look at a flagfile, also at one that another names, before they read it.

    Args:
        is_passed_over: says of a flagfile's line whether it is for another command.
    """

    def __init__(self, is_passed_over: Callable[[str], bool]) -> None:
        super().__init__()
        self.__dict__["is_passed_over"] = is_passed_over  # Attributes of absl's class are flags.

    def _get_flag_file_lines(self, filename: str, parsed_file_stack: list[str] | None = None) -> list[str]:
        if filename in (parsed_file_stack or ()):
            raise UserError(f"--flagfile={filename}: names itself, directly or by another flagfile")
        if filename:
            try:
                files.check_plain(Path(filename), MOST_FLAGFILE_BYTES)
            except ValueError as error:  # A UserError, or a name that cannot be one.
                raise UserError(f"--flagfile={error}") from error
        lines = super()._get_flag_file_lines(filename, parsed_file_stack)
        return [line for line in lines if not self.__dict__["is_passed_over"](line)]


def _flagfile(argv: Sequence[str]) -> str:
    for before, argument in zip(["", *argv], argv, strict=False):
        if argument.lstrip("-").startswith("flagfile=") and argument.startswith("-"):
            return argument.partition("=")[2]
        if before in ("--flagfile", "-flagfile"):
            return argument
    return ""


def _discard_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _complain(message: str, hint: str = "") -> None:
    sys.stderr.write(printable_lines(f"error: {message}\n" + (f"hint: {hint}\n" if hint else "")))


def _plain(record: LogRecord) -> bool:
    """Takes from a warning what could steer a terminal, and lets it through."""
    record.msg, record.args = printable_lines(record.getMessage()), ()
    return True

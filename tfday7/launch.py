"""Start a group of training processes on this machine, or write the manifest that starts one on a cluster.

    python -m tfday7.launch --workers=2 -- --flagfile=configs/quickstart.flags
    python -m tfday7.launch --workers=4 --restarts=3 -- --data=digits --model=cnn --run_dir=runs/group
    python -m tfday7.launch --workers=4 --emit=slurm --gpus_per_worker=1 -- --data=digits --model=cnn

What follows -- goes to `python -m tfday7.train` unchanged, and is checked once before anything starts. Each process
learns of the others by TF_CONFIG (with --strategy=model_parallel or hybrid by the DTENSOR_ variables), on free ports of
this machine. Its output appears with its name before each line, and is kept whole in --log_dir. When one fails, the
others are stopped, and its exit code is passed on. SIGINT and SIGTERM are passed on to all, which save and end.

Exit codes: 0 all are done, 1 a process died by a signal, 2 a mistake in the flags, 130 interrupted, 143 preempted,
otherwise that of the process that failed first (75: it lost another one). docs/launching.md has more.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from tfday7.cli import Command
from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.distribution.launching import config as launching
from tfday7.distribution.launching import emitting, local, train_flags
from tfday7.distribution.launching.config import EmitConfig, LaunchConfig

COMMAND = Command("launch", __doc__, [LaunchConfig, EmitConfig])
TRAIN = (sys.executable, "-m", "tfday7.train")
LOGS = Path("runs") / "launch_logs"


def main(arguments: list[str] | None) -> None:
    """Checks everything, then starts the group or writes the manifest.

    Args:
        arguments: of training; None where no "--" was given.
    """
    if arguments is None:
        hint = "for example: python -m tfday7.launch --workers=2 -- --flagfile=configs/quickstart.flags"
        raise UserError("the flags of training are missing: expected them after --", hint)
    config, settings = COMMAND.config(LaunchConfig), COMMAND.config(EmitConfig)
    flags = train_flags.read(arguments)
    given = {name for name in launching.MEANING if COMMAND.flags[name].present}
    launching.check(config, settings, given, flags)
    if settings.emit != "none":
        return _emit(config, settings, arguments, flags)
    log_dir = Path(config.log_dir) if config.log_dir else _new_log_dir()
    files.check_writable(log_dir, "log_dir")

    def group() -> list[local.Member]:
        return local.members(config, flags.on_a_mesh, os.environ)

    local.check_flags([*TRAIN, "--only_check_args", *arguments], group()[0].environment)
    if COMMAND.flags.only_check_args:
        return None
    log_dir.mkdir(parents=True, exist_ok=True)
    _say(f"{config.workers + config.parameter_servers} processes; the output of each is kept in {log_dir}")
    job = local.Job([*TRAIN, *arguments], log_dir, config, _Console().write, _say, flags.strategy == "parameter_server")
    return local.run(job, group)


def _emit(config: LaunchConfig, settings: EmitConfig, arguments: list[str], flags: train_flags.TrainFlags) -> None:
    """Prints or writes the manifest. What this machine thinks of the flags is a warning: its files are others."""
    manifest = emitting.emit(config, settings, arguments, flags)
    target = Path(settings.emit_file)
    if settings.emit_file:
        files.check_writable(target.parent, "emit_file")
        if target.is_dir():
            raise UserError(f"--emit_file={target}: is a folder; expected a file")
    workers = 1 if settings.emit == "gcloud" else config.workers
    environment = local.members(
        LaunchConfig(workers=workers, parameter_servers=config.parameter_servers), flags.on_a_mesh, os.environ
    )[0].environment
    try:
        local.check_flags([*TRAIN, "--only_check_args", *arguments], environment)
    except (UserError, local.WorkerError) as error:
        _say(f"warning: on this machine the flags of training would not do: {error.message}")
    if COMMAND.flags.only_check_args:
        return
    if settings.emit_file:
        files.write_text(target, manifest)
    else:
        sys.stdout.buffer.write(manifest.encode())


def _new_log_dir() -> Path:
    """Returns a folder by the present time that does not exist yet."""
    name = time.strftime("%Y%m%d-%H%M%S")
    taken = (LOGS / name).exists()
    return LOGS / (f"{name}-{os.getpid()}" if taken else name)


def _say(sentence: str) -> None:
    try:
        sys.stderr.write(f"[launch] {sentence}\n")
        sys.stderr.flush()
    except OSError:  # The terminal has gone; the processes have not.
        return


class _Console:
    """Shows what the processes say, whole lines at a time; when nobody reads any more it is dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = True

    def write(self, lines: bytes) -> None:
        with self._lock:
            if not self._open:
                return
            try:
                sys.stdout.buffer.write(lines)
                sys.stdout.buffer.flush()
            except (OSError, ValueError):
                self._open = False


def _run() -> None:
    own, arguments = train_flags.split(sys.argv)
    COMMAND.run(lambda: main(arguments), own)


if __name__ == "__main__":
    _run()

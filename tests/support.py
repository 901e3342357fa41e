"""Helpers that tests import: running commands as a user does, and small examples."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import forking

ROOT = Path(__file__).resolve().parents[1]
# A small run that the tests of compression share: the fixture `digits_run`.
DIGITS_RUN = ("--data=digits", "--model=cnn", "--width=8", "--depth=2", "--epochs=3", "--learning_rate=0.01",
              "--export=")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def run_command(
    name: str, *arguments: str, cwd: Path | None = None, timeout: float = 300, fresh: bool = False
) -> Ended:
    """Runs `python -m tfday7.NAME` in a process of its own.

    Args:
        name: of the command.
        arguments: of the command.
        cwd: its folder; None for this project's.
        timeout: in seconds.
        fresh: whether Python starts anew, as for a user; else the process is a fork that has TensorFlow loaded already.
    """
    if fresh:
        return run_python("-m", f"tfday7.{name}", *arguments, cwd=cwd, timeout=timeout)
    return Ended(*_server().run(f"tfday7.{name}", list(arguments), cwd or ROOT, timeout))


def start_command(name: str, *arguments: str, cwd: Path) -> forking.Started:
    """Starts `python -m tfday7.NAME` as a fork that has TensorFlow loaded already."""
    return _server().start(f"tfday7.{name}", list(arguments), cwd)


def start_script(path: Path, *arguments: str, **environment: str) -> forking.Started:
    """Starts a script of the tests as a fork that has TensorFlow loaded, and may set its virtual devices still."""
    return _server().start(str(path), list(arguments), ROOT, **environment)


def start_fresh(name: str, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """Starts `python -m tfday7.NAME` as a user does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", f"tfday7.{name}", *arguments], cwd=cwd, env=environment, **pipes)


@functools.cache
def _server() -> forking.Server:
    return forking.Server()


def run_python(*arguments: str, cwd: Path | None = None, timeout: float = 300) -> Ended:
    """Runs a script or module with this package on its path."""
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        command, cwd=cwd or ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def load_script(path: Path, name: str = "") -> Any:
    """Returns a script as a module, which is in no package; its name is the file's where none is given."""
    spec = importlib.util.spec_from_file_location(name or path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Its dataclasses look for it there.
    spec.loader.exec_module(module)
    return module

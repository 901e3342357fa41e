"""Runs commands in forks of a process that has TensorFlow loaded and has used nothing of it.

Starting TensorFlow takes longer than most commands of these tests; a fork has it at once, and so it has what is under
the commands. The process is started by the first command of a test process and ends with it. A command sees the
environment, the folder and the arguments that it would see as `python -m tfday7.NAME`; only its imports are done before
it begins, and those of the processes that convert for it or that it launches, which are forks too. What it times it
times for a moment, and of the standard library's text it reads a twelfth: how good these figures are, and that all of
the library is read, tests of their own say.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = (
    "tfday7.stages", "tfday7.stage_compress", "tfday7.diagnosis", "tfday7.reporting", "tfday7.tuning.tuning",
    "tfday7.training.fitting", "tfday7.exporting.exporting", "tensorflow_model_optimization", "sklearn.linear_model",
    "sklearn.neighbors", "sklearn.datasets", "ai_edge_litert.interpreter", "jinja2", "pydantic", "rich._emoji_codes",
    "matplotlib.backends.backend_svg",
)  # fmt: skip
# All that is ours except the commands, which run as `__main__`, and what goes to devices.
PACKAGES = (
    *("benchmarking", "compression", "core", "data", "diagnosis", "distribution", "exporting", "models", "optimizers"),
    *("reporting", "runtimes", "training"),
)
# A process that measures; see `benchmarking.process`.
MEASURING = """import sys
from tfday7.benchmarking import worker
worker.WARM_UP_SECONDS = 0.03
del sys.argv[1]
worker.main()"""
WORKER = (sys.executable, "-c", MEASURING, "tfday7.benchmarking.worker")
CONVERTING = ("tfday7.train", "tfday7.export", "tfday7.compress")


class Server:
    """The parent's end: the process that forks, and how to ask it.

    Args:
        root: the copy of the project that commands are taken from.
        python: which Python runs them.
        modules: what commands find imported, beside TensorFlow.
    """

    def __init__(self, root: Path = ROOT, python: str = sys.executable, modules: Sequence[str] = LIBRARIES) -> None:
        self.root = root
        environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [python, str(root / "tests" / "forking.py"), *modules]
        self.process = subprocess.Popen(command, cwd=root, env=environment, **pipes)
        self.lock = threading.Lock()
        atexit.register(self.end)

    def start(self, module: str, arguments: list[str], cwd: Path, **more: str) -> Started:
        """Starts `python -m MODULE`, or a script of the tests by its path; `more` are variables of its environment."""
        folder = tempfile.TemporaryDirectory()
        written = [Path(folder.name) / name for name in ("out", "err")]
        asked = {
            "module": module,
            "arguments": arguments,
            "cwd": str(cwd),
            "environment": {**os.environ, "PYTHONPATH": str(self.root), "PYTHONWARNINGS": "ignore", **more},
            "files": list(map(str, written)),
        }
        return Started(self, self.ask(asked), folder, [module, *arguments])

    def run(self, module: str, arguments: list[str], cwd: Path, timeout: float) -> tuple[int, str, str]:
        """Runs `python -m MODULE` and returns its exit code and what it wrote. Raises as `Started.communicate` does."""
        started = self.start(module, arguments, cwd)
        out, err = started.communicate(timeout)
        assert started.returncode is not None
        return started.returncode, out, err

    def ask(self, asked: dict[str, Any]) -> int:
        """Returns the answer of the process to one request."""
        with self.lock:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
            return cast(int, json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        """Ends the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Started:
    """As much of `subprocess.Popen` as tests need, of a command that a server has forked.

    Args:
        server: its parent.
        pid: of the command, which leads a process group.
        folder: has its outputs in `out` and `err`.
        args: for messages.
    """

    def __init__(self, server: Server, pid: int, folder: tempfile.TemporaryDirectory[str], args: list[str]) -> None:
        self.server, self.pid, self.args = server, pid, args
        self.returncode: int | None = None
        self._folder = folder

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; None while there is none."""
        return self._ended(0)

    def wait(self, timeout: float) -> int:
        """Returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it did not end in time, in seconds; it has been killed with all it started.
        """
        if self._ended(timeout) is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._ended(None)
            raise subprocess.TimeoutExpired(self.args, timeout, *self._written())
        return cast(int, self.returncode)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Waits for the end, and returns what it wrote. Raises as `wait` does."""
        self.wait(timeout)
        return self._written()

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it is there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it, if it is there; not what it has started."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            handle = os.pidfd_open(self.pid)  # It stays a zombie until it is asked for.
            try:
                if select.select([handle], [], [], timeout)[0]:
                    self.returncode = self.server.ask({"ended": self.pid})
            finally:
                os.close(handle)
        return self.returncode

    def _written(self) -> tuple[str, str]:
        out, err = ((Path(self._folder.name) / name).read_text(encoding="utf-8") for name in ("out", "err"))
        return out, err


def serve() -> None:
    """Carries out one request a line of the standard input, until that ends."""
    from tfday7.core.frameworks import keras, keras3, tf

    before = dict(os.environ)
    assert tf.Module
    assert keras.layers.Dense
    assert keras3.layers.Dense
    for name in sys.argv[1:]:
        importlib.import_module(name)
    if sys.argv[1:] == list(LIBRARIES):
        _import_ours()
        _hurry()
    own = {name: value for name, value in os.environ.items() if before.get(name) != value}  # Set by the imports.
    gc.collect()
    gc.freeze()
    left = set[int]()
    try:
        for line in sys.stdin:
            asked = json.loads(line)
            if "ended" in asked:
                answer = os.waitstatus_to_exitcode(os.waitpid(asked["ended"], 0)[1])
                left.remove(asked["ended"])
            else:
                answer = os.fork()
                if answer == 0:
                    _become(asked, own)
                left.add(answer)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:  # The tests have ended, or were stopped.
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)


def _import_ours() -> None:
    for package in PACKAGES:
        found = importlib.import_module(f"tfday7.{package}")
        for module in pkgutil.walk_packages(found.__path__, f"{found.__name__}."):
            importlib.import_module(module.name)


def _hurry() -> None:
    from tfday7.benchmarking import measuring, process
    from tfday7.data.sources import stdlib_text
    from tfday7.training import batches, step_time

    class Hurried(process.Worker):
        """One that is soon warm."""

        def __init__(self, cell: Any, inputs: Any = None, command: Any = (), *more: Any, **named: Any) -> None:
            super().__init__(cell, inputs, WORKER, *more, **named)

    usual, measured, whole = measuring.Limits(), measuring.measure, stdlib_text.files

    def measure(listed: Any, inputs: Any, limits: Any = usual, *more: Any, **named: Any) -> Any:
        if limits.seconds <= usual.seconds:  # A test that asks for longer has a reason.
            limits = dataclasses.replace(limits, seconds=min(limits.seconds, 0.2))
        return measured(listed, inputs, limits, *more, **named)

    process.Worker, measuring.measure = Hurried, measure  # type: ignore[misc]
    stdlib_text.files = lambda folder: whole(folder)[::12]
    batches.TIMED_SECONDS, step_time.SECONDS = 0.05, 0.2


def _become(asked: dict[str, Any], own: dict[str, str]) -> None:
    """Is the command, and never returns."""
    try:
        os.setsid()
        for number, path in enumerate(asked["files"], start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(own | asked["environment"])
        os.chdir(asked["cwd"])
        sys.path[0] = asked["cwd"] if not asked["module"].endswith(".py") else str(Path(__file__).parent)
        sys.argv = [asked["module"], *asked["arguments"]]
        _run(asked["module"])
    finally:
        os._exit(1)


def _run(module: str) -> None:
    """Runs a command with the arguments that are in `sys.argv`, and ends the process."""
    code = 1
    try:
        if module in CONVERTING:
            _give_converter()
        if module == "tfday7.launch":
            _fork_workers()
        if module.endswith(".py"):
            runpy.run_path(module, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - what the interpreter would print.
        traceback.print_exc()
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _give_converter() -> None:
    """Lets the command find a converter that waits."""
    from tfday7.exporting import converters

    class Forked(converters.Converter):
        """One that is a fork of this process, and so has imported what it would import."""

        def __init__(self) -> None:
            self.stays, self._errors = True, tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it.
            self._process = cast("subprocess.Popen[bytes]", Fork(_convert, self._errors.fileno()))

    converters.KEPT.give(Forked())


def _fork_workers() -> None:
    """Lets a launcher fork its workers, which would load TensorFlow each; all else of them is as it would be."""
    from tfday7.distribution.launching import child, processes

    def start(command: list[str], env: dict[str, str], **pipes: Any) -> Any:
        reads, writes = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                for number, handle in enumerate((os.open(os.devnull, os.O_RDONLY), writes, writes)):
                    os.dup2(handle, number)
                # A thread of the launcher may have held those that there were.
                sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
                sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
                ctypes.CDLL(None).prctl(child.PR_SET_PDEATHSIG, signal.SIGKILL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.environ.clear()
                os.environ.update(env)
                module, *sys.argv[1:] = command[command.index("-m") + 1 :]
                _run(module)
            finally:
                os._exit(1)
        os.close(writes)
        wait = functools.partial(_wait, pid)
        return SimpleNamespace(pid=pid, stdout=os.fdopen(reads, "rb"), wait=wait)

    processes.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": start})  # type: ignore[assignment]


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _convert() -> None:
    from tfday7.exporting import child

    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    child.serve()


class Fork:
    """As much of `subprocess.Popen` as a converter needs, of a process that calls a function.

    Args:
        function: what it does.
        errors: where it complains.
    """

    def __init__(self, function: Callable[[], None], errors: int) -> None:
        (asked, asks), (answers, answered) = os.pipe(), os.pipe()
        self.args, self.returncode = function.__name__, cast("int | None", None)
        self.lock = threading.Lock()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                for number, handle in enumerate((asked, answered, errors)):
                    os.dup2(handle, number)
                for handle in (asked, asks, answers, answered):
                    os.close(handle)
                os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
                function()
                code = 0
            except BaseException:  # noqa: BLE001 - what the interpreter would print.
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(asked)
        os.close(answered)
        self.stdin, self.stdout = os.fdopen(asks, "wb"), os.fdopen(answers, "rb")

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal; None while there is none."""
        return self._waited(os.WNOHANG)

    def wait(self) -> int:
        """Waits for the end, and returns the exit code."""
        return cast(int, self._waited(0))

    def kill(self) -> None:
        """Kills the process, if it is there."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _waited(self, how: int) -> int | None:
        while self.returncode is None:  # One thread may wait while another kills; `waitid` lets both see the end.
            try:
                ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | how)
            except ChildProcessError:  # The other thread has it.
                continue
            if ended is None:
                break
            with self.lock:
                if self.returncode is None:
                    _, status = os.waitpid(self.pid, 0)
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


if __name__ == "__main__":
    serve()

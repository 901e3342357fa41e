"""Deploys a bundle through ssh: asked what the device is, copied beside its place, checked and measured there, moved.

Until the last step nothing that was there has changed, and whatever goes wrong before removes what was copied. A bundle
whose answers are not the expected ones is measured but not installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import secrets
import shlex
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from tfday7.core.errors import UserError
from tfday7.deploying import figures, probing
from tfday7.deploying.bundle import RUNNER, Bundle
from tfday7.deploying.config import DeployConfig
from tfday7.deploying.connection import Connection, Ended, Step, printable
from tfday7.deploying.scripts import ASK, CLEAN, INSTALL, PROBE, RUN, SEND, STAGING, STAGING_DIGITS

PARITY_BROKEN = 3
CLEANING_SECONDS = 20
SIGNAL_BASE = 128


@dataclasses.dataclass(frozen=True)
class Plan:
    """The steps of a deployment, each as it will be run.

    Attributes:
        connection: how to reach the device.
        target: the folder there, starting with "/" or "./".
        staging: the folder beside it that the bundle is copied to first.
        config: the settings.
    """

    connection: Connection
    target: str
    staging: str
    config: DeployConfig

    @property
    def parent(self) -> str:
        """The folder that holds the target."""
        return self.target.rpartition("/")[0] or "/"

    def probe(self) -> Step:
        """Asks what the device is."""
        seconds = self.config.timeout_seconds
        arguments = (self.target, self.config.interpreter(), str(math.ceil(seconds)), ASK.strip())
        return Step("asking the device what it is", PROBE, arguments, seconds)

    def send(self) -> Step:
        """Unpacks the bundle, which comes as a tar file on standard input."""
        return Step("copying the bundle", SEND, (self.staging, self.parent), self.config.timeout_seconds)

    def check(self) -> Step:
        """Compares the answers."""
        return self._run("checking its answers", self.config.timeout_seconds, "check")

    def benchmark(self, threads: int) -> Step:
        """Measures with a number of threads."""
        seconds = self.config.timeout_seconds + self.config.benchmark_seconds
        measuring = f"--seconds={self.config.benchmark_seconds:g}"
        return self._run(f"measuring it ({_threads(threads)})", seconds, "benchmark", f"--threads={threads}", measuring)

    def install(self) -> Step:
        """Moves the bundle to its place."""
        return Step("moving it into place", INSTALL, (self.staging, self.target), self.config.timeout_seconds)

    def clean(self, base: str) -> Step:
        """Removes what was copied, and the folders made for it below `base`."""
        return Step("removing what was copied", CLEAN, (self.staging, self.parent, base, self.target), CLEANING_SECONDS)

    def _run(self, name: str, seconds: float, *words: str) -> Step:
        command = (str(math.ceil(seconds)), self.config.interpreter(), f"{self.staging}/new/{RUNNER}", *words)
        return Step(name, RUN, command, seconds)


def plan(name: str, config: DeployConfig) -> Plan:
    """Returns the plan of an artefact's deployment. Raises UserError where the settings do not allow one."""
    target = config.remote_folder(name)
    staging = f"{target.rpartition('/')[0]}/{STAGING}{secrets.token_hex(STAGING_DIGITS // 2)}"
    return Plan(Connection(config.address(), config.ssh_config), target, staging, config)


def commands(planned: Plan) -> list[tuple[str, str]]:
    """Returns what would be run: each command as a shell here would take it, and what it does."""
    steps = [planned.probe(), planned.send(), planned.check()]
    steps += [planned.benchmark(threads) for threads in planned.config.thread_counts()]
    steps.append(planned.install())
    return [(step.name, shlex.join(planned.connection.command(step))) for step in steps]


def deploy(bundle: Bundle, config: DeployConfig, say: Callable[[str], Any]) -> dict[str, Any]:
    """Deploys a bundle and returns the record of it.

    Args:
        bundle: made on this machine.
        config: its device is an ssh address.
        say: called with what happens, a line at a time.

    Raises:
        UserError: anything that keeps the bundle from being installed; the device is then as it was before.
    """
    planned = plan(bundle.artefact.name, config)
    base = _sent(planned, bundle, say)
    try:
        record = _measured(planned, bundle, say)
        if record["installed"]:
            done(planned, planned.install())
            say(f"{planned.connection.address}: installed in {planned.target.removeprefix('./')}")
    except BaseException:  # An interruption, too, leaves nothing behind.
        _clean(planned, base, say)
        raise
    if not record["installed"]:
        _clean(planned, base, say)
    return record


@contextlib.contextmanager
def staged(planned: Plan, bundle: Bundle, say: Callable[[str], Any]) -> Iterator[None]:
    """Holds a bundle on the device, beside its place, while the block runs; nothing of it stays.

    Args:
        planned: the steps.
        bundle: made on this machine.
        say: told what is left on a device that has gone.

    Raises:
        UserError: the bundle cannot go there.
    """
    base = _sent(planned, bundle, lambda sentence: None)
    try:
        yield
    finally:
        _clean(planned, base, say)


def _sent(planned: Plan, bundle: Bundle, say: Callable[[str], Any]) -> str:
    """Copies a bundle to its staging folder, and returns the folder that was there before, for `_clean`."""
    where, config = str(planned.connection.address), planned.config
    say(f"{where}: {planned.probe().name}")
    probed = probing.read(done(planned, planned.probe()).out)
    sizes = [path.stat().st_size for path in bundle.folder.iterdir()]
    probing.check(probed, where, config.python, bundle.spec, sizes, config.overwrite)
    base = probed.one("base")
    try:
        say(f"{where}: {planned.send().name}")
        with _packed(bundle) as packed:
            done(planned, planned.send(), packed)
    except BaseException:  # An interruption, too, leaves nothing behind.
        _clean(planned, base, say)
        raise
    return base


def _measured(planned: Plan, bundle: Bundle, say: Callable[[str], Any]) -> dict[str, Any]:
    where, host = str(planned.connection.address), planned.connection.address.host
    say(f"{where}: {planned.check().name}")
    said = figures.record(done(planned, planned.check(), fine=(0, PARITY_BROKEN)).out, where)
    compared, rows = figures.parity(said, where), []
    for threads in planned.config.thread_counts():
        step = planned.benchmark(threads)
        say(f"{where}: {step.name}")
        rows.append(figures.row(figures.record(done(planned, step).out, where), bundle.artefact, host, compared, where))
    holds = bool(compared["holds"])
    return {
        "device": "ssh",
        "address": where,
        "folder": planned.target.removeprefix("./"),
        "installed": holds,
        "parity": compared,
        "runtime": figures.runtime(said, where),
        "machine": figures.machine(said, where),
        "rows": rows,
        "notes": [] if holds else ["it was not installed: its answers there are not the expected ones"],
    }


def done(planned: Plan, step: Step, stdin: IO[bytes] | None = None, fine: tuple[int, ...] = (0,)) -> Ended:
    """Runs a step, and returns how it ended. Raises UserError when that is another way than those that are fine."""
    ended = planned.connection.run(step, stdin)
    if ended.code in fine:
        return ended
    where = str(planned.connection.address)
    if "No space left on device" in ended.err or "Disk quota exceeded" in ended.err:
        raise UserError(
            f"{where}: the disk is full ({step.name})", "free some space there, or choose --remote_dir on another disk"
        )
    if step.script == RUN:
        raise _of_runner(where, step, ended, planned.config.python)
    raise UserError(f"{where}: {step.name} failed: {ended.last_line()}", "--dry_run shows the command")


def _of_runner(where: str, step: Step, ended: Ended, python: str) -> UserError:
    """Returns what run_model.py said, or how it was killed."""
    number = ended.code - SIGNAL_BASE
    if number == 9:
        return UserError(
            f"{where}: {step.name} was killed: out of memory?", "a smaller model, or a device with more memory"
        )
    if number > 0:
        name = probing.SIGNALS.get(ended.code, f"signal {number}")
        hint = f"another runtime may not: {python} -m pip install --upgrade ai-edge-litert"
        return UserError(f"{where}: {step.name}: the runtime crashed ({name})", hint)
    lines = [printable(line) for line in ended.err.splitlines()]
    message = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), ended.last_line())
    hint = next((line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")), "")
    return UserError(f"{where}: {message[:500]}", hint[:500])


def _clean(planned: Plan, base: str, say: Callable[[str], Any]) -> None:
    """Removes what was copied; says so where even that cannot be done, as the device is gone."""
    try:
        planned.connection.run(planned.clean(base))
    except UserError as error:
        left = f"{planned.staging} may be left there; a deployment removes it when it is a day old"
        say(f"{error.message}; {left}")


@contextlib.contextmanager
def _packed(bundle: Bundle) -> Iterator[IO[bytes]]:
    """Yields the bundle as a tar file that says nothing of this machine's users."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as packed:
            for path in sorted(bundle.folder.iterdir()):
                packed.add(path, path.name, filter=_plain)
        file.seek(0)
        yield file


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.name.endswith(".py") else 0o644
    return member


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"

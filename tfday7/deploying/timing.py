"""Times files on a device that ssh reaches, in rounds that each begin with another one; nothing of them stays there."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfday7.benchmarking.figures import Round, ratio
from tfday7.benchmarking.rows import UNMEASURED, UNRELATED
from tfday7.core.errors import UserError
from tfday7.deploying import bundle, figures, probing, ssh
from tfday7.deploying.config import DeployConfig

ROUNDS = 3
THREADS = 1


class RemoteTimer:
    """Measures `.tflite` files on a device.

    Args:
        config: names the device, its Python and ssh's configuration.
        say: told what happens to what was copied when the device is gone.

    Attributes:
        name: the device's CPU and host; before anything was measured, its address.
    """

    def __init__(self, config: DeployConfig, say: Callable[[str], Any] = lambda sentence: None) -> None:
        self.config = dataclasses.replace(config, overwrite=True, remote_dir="")  # Nothing is installed there.
        self.name = str(config.address())
        self._say = say

    def __call__(self, paths: Mapping[str, Path], seconds: float) -> dict[str, dict[str, Any]]:
        """Returns a row of figures for each file, as `benchmarking.measuring` has them for this machine.

        A file whose answers on the device are not the expected ones, or that the runtime there does not take, has a
        `failure` and no figures.

        Args:
            paths: of artefacts with their records; the first one is what the others are compared with.
            seconds: for measuring each.

        Raises:
            UserError: the device cannot be reached, or does not take the first file.
        """
        config = dataclasses.replace(self.config, benchmark_seconds=seconds / ROUNDS)
        first, failures = next(iter(paths)), dict[str, str]()
        said: dict[str, list[dict[str, Any]]] = {name: [] for name in paths}
        with tempfile.TemporaryDirectory(prefix="tfday7-") as folder, contextlib.ExitStack() as stack:
            placed: dict[str, _Placed] = {}
            for name, path in paths.items():
                with _noting(failures, name, first):
                    made = bundle.make(path, Path(folder) / name)
                    placed[name] = stack.enter_context(_on_device(made, config, self._say))
            for number in range(ROUNDS):
                order = [name for name in placed if name not in failures]
                start = number % len(order)
                for name in order[start:] + order[:start]:
                    with _noting(failures, name, first):
                        said[name].append(placed[name].measured())
        self.name = str(said[first][0]["device"])
        return {name: _row(said[name], said[first], failures.get(name, "")) for name in paths}

    def check(self) -> None:
        """Raises UserError where the device cannot be reached, or has no Python that runs files."""
        planned = ssh.plan("timing", self.config)
        probed = probing.read(ssh.done(planned, planned.probe()).out)
        probing.check_runs(probed, str(planned.connection.address), self.config.python)


@dataclasses.dataclass(frozen=True)
class _Placed:
    """A bundle on the device, whose answers there are right."""

    planned: ssh.Plan
    made: bundle.Bundle
    parity: Mapping[str, Any]

    def measured(self) -> dict[str, Any]:
        """Returns a row of benchmark.json."""
        address = self.planned.connection.address
        said = figures.record(ssh.done(self.planned, self.planned.benchmark(THREADS)).out, str(address))
        return figures.row(said, self.made.artefact, address.host, self.parity, str(address))


@contextlib.contextmanager
def _on_device(made: bundle.Bundle, config: DeployConfig, say: Callable[[str], Any]) -> Any:
    planned = ssh.plan(made.artefact.name, config)
    where = str(planned.connection.address)
    with ssh.staged(planned, made, say):
        ended = ssh.done(planned, planned.check(), fine=(0, ssh.PARITY_BROKEN))
        parity = figures.parity(figures.record(ended.out, where), where)
        if not parity["holds"]:
            raise UserError(f"{where}: its answers there are not the expected ones")
        yield _Placed(planned, made, parity)


@contextlib.contextmanager
def _noting(failures: dict[str, str], name: str, first: str) -> Any:
    """Takes an error for one file's, unless it is the first one's: then it is the device's."""
    try:
        yield
    except UserError as error:
        if name == first:
            raise
        failures[name] = error.message


def _row(rows: list[dict[str, Any]], beside: list[dict[str, Any]], failure: str) -> dict[str, Any]:
    runtime = beside[0]["runtime"]
    if failure:
        unknown = {"latency_ms": dict(UNMEASURED), **UNRELATED, "peak_memory_bytes": None}
        return {"runtime": runtime, **unknown, "failure": failure}
    peaks = [each["peak_memory_bytes"] for each in rows]
    own, other = ([Round([each["latency_ms"]["p50"]], [False]) for each in listed] for listed in (rows, beside))
    return {
        "runtime": runtime,
        "latency_ms": {"p50": statistics.median(each["latency_ms"]["p50"] for each in rows)},
        **ratio(own, other),
        "peak_memory_bytes": max((peak for peak in peaks if peak is not None), default=None),
        "failure": "",
    }

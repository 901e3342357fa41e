"""Several processes that share one search: keras-tuner's chief here, its workers in processes of their own.

The chief serves the oracle on the loopback interface; a local worker that ends badly ends the search. With
`--tuner_address=HOST:PORT` it serves there instead, and machines that see the search's folder on a shared disk join by
`python -m tfday7.tuning.workers FOLDER HOST:PORT`. That connection is neither encrypted nor authenticated: it is for a
network that you trust.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.data.config import DataConfig
from tfday7.distribution.launching import child
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig
from tfday7.training.config import TrainingConfig
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.job import Job
from tfday7.tuning.parameters import Parameter
from tfday7.tuning.search import Trial, finished, open_search
from tfday7.tuning.search import search as search_here
from tfday7.tuning.space import Space

REQUEST, LOG = "request.json", "worker{}.log"
LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.2
# How long a trial of another machine is awaited when all others have ended: so many seconds, or so many times what the
# longest trial took.
PATIENCE_SECONDS, PATIENCE_TRIALS = 600.0, 10.0
TOLD_SECONDS = 30.0  # So long after that it is said; between two trials, a worker of this machine has none either.


def search(
    job: Job,
    space: Space,
    config: TuningConfig,
    folder: Path,
    trials: int,
    seed: int,
    on_trial: Callable[[Trial], None],
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Trial]:
    """Runs a search in `config.tuner_workers` processes; arguments and result as of `search.search`.

    Raises:
        UserError: the address cannot be served, a worker refused its data, or one on another machine gives no more sign
            of life. Trials that have ended are kept.
        RuntimeError: a worker ended badly; the message shows the end of its log. Likewise.
    """
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    _write_request(folder / REQUEST, job, space, config, trials, seed)
    tuner = open_search(job, space, config, folder, trials, seed)
    tuner.save()  # Without its file the next call would not read the oracle's state back.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(tuner.oracle), server)
    address = config.tuner_address or f"{LOOPBACK}:0"
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise UserError(f"--tuner_address={address} cannot be served ({error})", "choose another port") from error
    server.start()
    if config.tuner_address:
        say(f"workers on other machines join by: python -m tfday7.tuning.workers {folder} {config.tuner_address}")
    host = config.tuner_address.rpartition(":")[0] or LOOPBACK
    local = [_start(folder, index, f"{host}:{port}") for index in range(config.tuner_workers)]
    try:
        _wait(local, folder, on_trial, tuner.oracle, say)
    finally:
        for worker in local:
            worker.kill()  # Does nothing to one that has ended; none may outlive the search.
            worker.wait()
        server.stop(grace=None)
    return finished(folder)


def _wait(
    children: list[subprocess.Popen[bytes]],
    folder: Path,
    on_trial: Callable[[Trial], None],
    oracle: Any,
    say: Callable[[str], None],
) -> None:
    """Waits for the workers, those of other machines too, and tells of each trial that has ended."""
    told = {trial.number for trial in finished(folder)}
    far = _FarTrials(folder, say)
    running = True
    while running:
        time.sleep(POLL_SECONDS)
        codes = [each.poll() for each in children]
        awaited = {worker: int(trial.trial_id) + 1 for worker, trial in dict(oracle.ongoing_trials).items()}
        running = None in codes or bool(awaited)
        for trial in finished(folder):
            if trial.number not in told:
                told.add(trial.number)
                on_trial(trial)
        failed = [index for index, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            raise _failure(folder / LOG.format(failed[0]), failed[0], int(codes[failed[0]] or 0))
        here = {_name(index) for index in range(len(children))}
        if awaited and (None not in codes or not here & set(awaited)):  # Hyperband's workers may wait for a far one.
            far.wait_for(awaited)
        else:
            far.forget()


class _FarTrials:
    """The trials of other machines, which may have gone without a word.

    Args:
        folder: of the search.
        say: told which trials are awaited.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        self._awaited: dict[str, int] = {}
        self._since = 0.0
        self._told = False

    def forget(self) -> None:
        """Somebody here has work, so that nobody is waited for."""
        self._awaited = {}

    def wait_for(self, awaited: dict[str, int]) -> None:
        """Notes which numbers are awaited of which workers. Raises UserError when they have been for too long."""
        names = ", ".join(f"trial {number} of {worker}" for worker, number in sorted(awaited.items()))
        if awaited != self._awaited:
            self._awaited, self._since, self._told = awaited, time.monotonic(), False
        waited = time.monotonic() - self._since
        if waited >= TOLD_SECONDS and not self._told:
            self._told = True
            self.say(f"no other trial is at work; waiting for {names}")
        longest = max((trial.outcome.seconds for trial in finished(self.folder)), default=0.0)
        if waited > max(PATIENCE_SECONDS, PATIENCE_TRIALS * longest):
            raise UserError(
                f"{names}: not ended {waited / 60:.0f} minutes after all others; its machine may have gone",
                "the same command goes on: trials that have ended are kept, and this one starts again",
            )


def _failure(log: Path, index: int, code: int) -> Exception:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1][:300] if lines else "no output"
    if code == UserError.exit_code:
        return UserError(f"tuner worker {index}: {said.removeprefix('error: ')}", f"its log is {log}")
    return RuntimeError(f"tuner worker {index} ended with {code}: {said}; its log is {log}")


def _name(index: int) -> str:
    """Returns what the oracle knows a worker of this machine by."""
    return f"worker{index}"


def _start(folder: Path, index: int, address: str) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    environment = {**os.environ, "KERASTUNER_TUNER_ID": _name(index), "PYTHONPATH": path}
    wrapper = [sys.executable, "-I", "-S", child.__file__, str(os.getpid())]  # A search that is killed takes it along.
    command = [*wrapper, sys.executable, "-m", "tfday7.tuning.workers", str(folder), address]
    with files.open_own(folder / LOG.format(index), "wb") as log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _write_request(path: Path, job: Job, space: Space, config: TuningConfig, trials: int, seed: int) -> None:
    optimizers = {name: dataclasses.asdict(optimizer) for name, optimizer in job.optimizers.items()}
    request = {
        "data": dataclasses.asdict(job.data),
        "model": dataclasses.asdict(job.model),
        "training": dataclasses.asdict(job.training),
        "optimizers": optimizers,
        "tuning": dataclasses.asdict(config),
        "space": [parameter.to_json() for parameter in space.parameters],
        "trials": trials,
        "seed": seed,
        "fingerprint": job.dataset.fingerprint,
    }
    files.write_json(path, request)


def main(folder: Path, address: str) -> None:
    """Works on a search until its chief says that it is over.

    Args:
        folder: of the search, with the chief's request in it.
        address: HOST:PORT of the chief.

    Raises:
        UserError: this machine's data are not those of the search.
    """
    from tfday7 import data

    os.environ["KERASTUNER_ORACLE_IP"], _, os.environ["KERASTUNER_ORACLE_PORT"] = address.rpartition(":")
    os.environ.setdefault("KERASTUNER_TUNER_ID", f"{socket.gethostname()}-{os.getpid()}")
    request: dict[str, Any] = files.read_json(folder / REQUEST)
    source = DataConfig(**request["data"])
    dataset = data.load(source)
    if dataset.fingerprint != request["fingerprint"]:
        raise UserError(f"the data here have the fingerprint {dataset.fingerprint}, not {request['fingerprint']}")
    optimizers = {name: OptimizerConfig(**values) for name, values in request["optimizers"].items()}
    model, training = ModelConfig(**request["model"]), TrainingConfig(**request["training"])
    job = Job(dataset, source, model, training, optimizers)
    space = Space(tuple(map(Parameter.from_json, request["space"])))
    search_here(job, space, TuningConfig(**request["tuning"]), folder, request["trials"], request["seed"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tfday7.tuning.workers FOLDER HOST:PORT")
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except UserError as mistake:
        sys.stderr.write(f"error: {mistake.message}\n")
        sys.exit(mistake.exit_code)

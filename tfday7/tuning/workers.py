"""Several processes that share one search: keras-tuner's chief here, its workers in processes of their own.

The chief serves the oracle on the loopback interface; a worker that ends badly ends the search. To bring in other
machines, give them the study's folder on a shared disk, set keras-tuner's own variables (KERASTUNER_ORACLE_IP,
KERASTUNER_ORACLE_PORT, KERASTUNER_TUNER_ID) and run `python -m tfday7.tuning.workers FOLDER` there.
"""

from __future__ import annotations

import dataclasses
import os
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


def search(
    job: Job,
    space: Space,
    config: TuningConfig,
    folder: Path,
    trials: int,
    seed: int,
    on_trial: Callable[[Trial], None],
) -> list[Trial]:
    """Runs a search in `config.tuner_workers` processes; arguments and result as of `search.search`.

    Raises:
        UserError: a worker ended badly; the message shows the end of its log. Trials that have ended are kept.
    """
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    _write_request(folder / REQUEST, job, space, config, trials, seed)
    oracle = open_search(job, space, config, folder, trials, seed).oracle
    oracle.ongoing_trials.clear()  # Of workers that were killed.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    children = [_start(folder, index, port) for index in range(config.tuner_workers)]
    try:
        _wait(children, folder, on_trial)
    finally:
        for child in children:
            child.kill()  # Does nothing to one that has ended; none may outlive the search.
            child.wait()
        server.stop(grace=None)
    return finished(folder)


def _wait(children: list[subprocess.Popen[bytes]], folder: Path, on_trial: Callable[[Trial], None]) -> None:
    """Waits for the workers and tells of each trial that has ended."""
    told = {trial.number for trial in finished(folder)}
    running = True
    while running:
        time.sleep(POLL_SECONDS)
        codes = [child.poll() for child in children]
        running = None in codes
        for trial in finished(folder):
            if trial.number not in told:
                told.add(trial.number)
                on_trial(trial)
        failed = [index for index, code in enumerate(codes) if code not in (None, 0)]
        if failed:
            log = folder / LOG.format(failed[0])
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise UserError(
                f"tuner worker {failed[0]} ended with {codes[failed[0]]}: {lines[-1][:300] if lines else 'no output'}",
                f"its log is {log}; the same command goes on with the trials that have ended",
            )


def _start(folder: Path, index: int, port: int) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    chief = {"KERASTUNER_ORACLE_IP": LOOPBACK, "KERASTUNER_ORACLE_PORT": str(port)}
    environment = {**os.environ, **chief, "KERASTUNER_TUNER_ID": f"worker{index}", "PYTHONPATH": path}
    with (folder / LOG.format(index)).open("wb") as log:
        command = [sys.executable, "-m", "tfday7.tuning.workers", str(folder)]
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
    }
    files.write_json(path, request)


def main(folder: Path) -> None:
    """Works on a search until its chief says that it is over."""
    from tfday7 import data

    request: dict[str, Any] = files.read_json(folder / REQUEST)
    source = DataConfig(**request["data"])
    optimizers = {name: OptimizerConfig(**values) for name, values in request["optimizers"].items()}
    model, training = ModelConfig(**request["model"]), TrainingConfig(**request["training"])
    job = Job(data.load(source), source, model, training, optimizers)
    space = Space(tuple(map(Parameter.from_json, request["space"])))
    search_here(job, space, TuningConfig(**request["tuning"]), folder, request["trials"], request["seed"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

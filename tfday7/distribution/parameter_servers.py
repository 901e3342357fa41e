"""Asynchronous training: parameter servers hold the weights, workers compute, and the chief hands out the steps.

Every worker reads the weights as they are, computes a gradient and adds its step, without waiting for the others ("A
parameter server for distributed machine learning", Li et al., OSDI 2014). So two runs never end alike, and none ends as
one device does. Importing this module loads no TensorFlow.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from tfday7.core.errors import Interrupted, UserError, WorkerLostError
from tfday7.core.frameworks import keras, tf
from tfday7.core.signals import sent_until_caught, stop_requests
from tfday7.distribution.cluster import Cluster, check_own_port, no_answer

if TYPE_CHECKING:
    from tfday7.data.dataset import Dataset

NAME = "parameter_server"
LOST_SECONDS = 15.0  # A process that accepts no connection for so long is lost.
POLL_SECONDS = 1.0
SAVING_SECONDS = 25.0  # So long a process serves after a signal; less than the launcher's --grace_seconds.
EPOCHS_APART = 1_000_000  # Worker k draws the batches of epochs k * EPOCHS_APART and later.
# What errors say, beside those whose class says it, when a process has gone or another one has come in its place. That
# they name a job says nothing: what a worker computes wrongly names it too.
LOST = (
    "failed to connect", "connection reset", "socket closed", "unknown device", "primary device is not remote",
    "unable to find the relevant tensor remote_handle",
    "neither a type of a primitive operation nor a name of a function",
)  # fmt: skip
HINT = "start with python -m tfday7.launch --workers=3 --parameter_servers=1 -- ..., or set TF_CONFIG with a ps"
STARTS_AGAIN = "see the other processes' logs; the same command on all of them goes on from the last checkpoint"


def check_cluster(cluster: Cluster | None) -> None:
    """Raises UserError where there is no chief with a worker and a parameter server."""
    if cluster is None:
        raise UserError(f"--strategy={NAME}: nothing says which processes there are", HINT)
    if not cluster.parameter_servers:
        raise UserError(f"--strategy={NAME}: the cluster has workers, but no parameter servers", HINT)
    if len(cluster.workers) < 2:
        raise UserError(f"--strategy={NAME}: the cluster has no worker beside its chief, which only hands out", HINT)
    if cluster.role == "evaluator":
        raise UserError(f"--strategy={NAME} has no evaluator: a worker validates", "leave it out of TF_CONFIG")


def check_training(training: Any) -> None:
    """Raises UserError for the first setting that counts on steps which come one after the other."""
    refused = {
        "accumulate_steps": (training.accumulate_steps > 1, "a larger --batch_size is the same, at each worker"),
        "micro_batch_size": (bool(training.micro_batch_size), "leave it out"),
        "deterministic": (training.deterministic, "which worker's step comes first is chance; leave it out"),
        "checkpoint_steps": (training.checkpoint_steps > 0, "checkpoints are written between epochs; leave it out"),
        "recoveries": (training.recoveries > 0, "nobody sees a single step's loss; leave it out"),
        "precision": (training.precision == "mixed_float16", "give --precision=mixed_bfloat16: it scales no loss"),
    }
    for name, (wrong, hint) in refused.items():
        if wrong:
            value = str(getattr(training, name)).lower()
            raise UserError(f"--{name}={value} contradicts --strategy={NAME}: its steps are asynchronous", hint)


def check_data(dataset: Dataset) -> None:
    """Raises UserError for examples that Python reads one by one: a worker runs TensorFlow's graph alone."""
    from tfday7.data.lazy import LazyInputs

    if any(isinstance(part.x, LazyInputs) for part in (dataset.train, dataset.validation)):
        raise UserError(
            f"--strategy={NAME} cannot train on {dataset.name}, which is read from files batch by batch",
            "give data that fit into memory, or --strategy=multiworker",
        )


def coordinates(strategy: Any) -> bool:
    """Returns whether this process hands out the steps of a strategy instead of computing them."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def open_strategy(cluster: Cluster, timeout_seconds: float) -> Any:
    """Returns the chief's `tf.distribute.ParameterServerStrategy`, once all others listen.

    Raises:
        UserError: one of them does not answer in time, or a worker has several GPUs.
    """
    check_own_port(cluster)
    end = time.monotonic() + timeout_seconds
    for address in (*cluster.parameter_servers, *cluster.workers[1:]):
        if failure := no_answer(address, end - time.monotonic()):
            raise UserError(
                f"{address} did not answer within {timeout_seconds:g} seconds ({failure})",
                "start all processes of the cluster, or wait longer with --cluster_timeout",
            )
    strategy = tf.distribute.ParameterServerStrategy(_resolver(cluster))
    if strategy.num_replicas_in_sync > 1:
        raise UserError(
            f"--strategy={NAME}: each worker has {strategy.num_replicas_in_sync} GPUs; expected one at most",
            "start a worker for each, with CUDA_VISIBLE_DEVICES",
        )
    return strategy


def serve(cluster: Cluster, timeout_seconds: float) -> None:
    """Computes, or holds weights, for the chief; returns when that has gone.

    Raises:
        Interrupted: a signal came, and the chief, which may need this process to save, did not end.
        UserError: the chief did not come in time.
    """
    check_own_port(cluster)
    server = tf.distribute.Server(
        _resolver(cluster).cluster_spec(), job_name=cluster.role, task_index=_task_index(cluster), protocol="grpc"
    )
    chief = cluster.workers[0]
    if failure := no_answer(chief, timeout_seconds):
        raise UserError(
            f"the chief at {chief} did not answer within {timeout_seconds:g} seconds ({failure})",
            "check that it was started and still runs; --cluster_timeout waits longer",
        )
    answered, asked = time.monotonic(), math.inf
    with stop_requests() as stop:  # A loop of our own: server.join() hears no signals.
        while time.monotonic() - answered < LOST_SECONDS:
            gone = no_answer(chief, POLL_SECONDS)
            answered = answered if gone else time.monotonic()
            asked = min(asked, time.monotonic()) if stop else math.inf
            if stop and gone:
                break
            if time.monotonic() - asked > SAVING_SECONDS:
                raise Interrupted("stopped, while the chief still trains", stop.exit_code or 1)
            time.sleep(POLL_SECONDS)
    del server


class Sequences:
    """Numbers the workers, so that each draws a sequence of batches of its own.

    They share one graph, which counts on a variable at the parameter servers how often it has been started.

    Args:
        strategy: any; with one that has no parameter servers there is one sequence, the first.
    """

    def __init__(self, strategy: Any) -> None:
        self._started: Any = None
        if coordinates(strategy):
            with strategy.scope():
                self._started = tf.Variable(0, dtype=tf.int64, trainable=False, name="sequences_started")

    def first_epoch(self) -> Any:
        """Returns the epoch that a pipeline's sequence begins with: 0, or a scalar int64 in a worker's graph."""
        return 0 if self._started is None else self._started.assign_add(1) * EPOCHS_APART


def per_worker(make: Callable[[], Any]) -> Any:
    """Returns what Keras's `fit` and `evaluate` take; each worker runs the pipeline that `make` returns."""
    return keras.utils.experimental.DatasetCreator(lambda context: make())


def is_wrapped(error: Exception) -> bool:
    """Returns whether it is one of the coordinator's own errors, which hold what has happened and are no OpErrors."""
    return hasattr(error, "original_exception")


def error_of(error: Exception) -> WorkerLostError | None:
    """Returns the error in words where TensorFlow says, in many, that a process of the cluster has gone."""
    error = getattr(error, "original_exception", error)  # Of what TensorFlow's coordinator wraps.
    said = str(error).lower()
    lost = isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError))
    if not lost and not any(sign in said for sign in LOST):
        return None
    return WorkerLostError("a parameter server or worker of the cluster was lost", STARTS_AGAIN)


@contextlib.contextmanager
def watched(cluster: Cluster | None) -> Iterator[None]:
    """Raises WorkerLostError in the main thread when a parameter server, or every worker, no longer listens.

    TensorFlow gives the steps of a lost worker to another, but waits forever when none is left.

    Args:
        cluster: the chief's; without one, or in another thread than the main one, nothing is watched.
    """
    if cluster is None or not cluster.parameter_servers or threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = threading.Event()
    lost: list[str] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise sent_until_caught(WorkerLostError(lost[0], STARTS_AGAIN), signal.SIGUSR1)

    def watch() -> None:
        groups = [
            (f"the parameter server at {address} no longer answers", [address]) for address in cluster.parameter_servers
        ]
        groups.append(("no worker answers any more", list(cluster.workers[1:])))
        answered = {name: time.monotonic() for name, _ in groups}
        while not ended.wait(POLL_SECONDS):
            for name, addresses in groups:
                if any(not no_answer(address, POLL_SECONDS) for address in addresses):
                    answered[name] = time.monotonic()
                elif time.monotonic() - answered[name] > LOST_SECONDS and not ended.is_set():
                    lost.append(name)
                    os.kill(os.getpid(), signal.SIGUSR1)
                    return

    before = signal.signal(signal.SIGUSR1, stop)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()  # So that its signal cannot come later.
        signal.signal(signal.SIGUSR1, before)


def _resolver(cluster: Cluster) -> Any:
    jobs = {"chief": cluster.workers[:1], "worker": cluster.workers[1:], "ps": cluster.parameter_servers}
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({job: list(addresses) for job, addresses in jobs.items()}),
        task_type=cluster.role,
        task_id=_task_index(cluster),
        rpc_layer="grpc",
    )


def _task_index(cluster: Cluster) -> int:
    return cluster.index - 1 if cluster.role == "worker" else cluster.index

"""Who the processes of a training run are, which of them this one is, and whether they can reach each other.

The sources are asked in order: the flags, TF_CONFIG, DTensor's variables, Slurm, Kubernetes. Whatever said it, the
answer is a `Cluster`; its first worker is always the chief, which writes the run folder. All that can be wrong is found
here, in sentences, before TensorFlow would wait for an address that nobody has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import ipaddress
import json
import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tfday7.core.errors import UserError
from tfday7.distribution.config import DistributionConfig
from tfday7.distribution.launching import dtensor_tasks, kubernetes_tasks, slurm_tasks

ROLES = ("chief", "worker", "ps", "evaluator")
EXPECTED = "expected HOST:PORT with a port from 1 to 65535"
TF_CONFIG_HINT = (
    'expected for example {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
)
# What may tell a process of a cluster; a launcher clears these before it tells of its own.
VARIABLES = (
    "TF_CONFIG", "SLURM_PROCID", "JOB_COMPLETION_INDEX", "TFDAY7_WORKERS", "DTENSOR_CLIENT_ID", "DTENSOR_NUM_CLIENTS",
    "DTENSOR_JOB_NAME", "DTENSOR_JOBS",
)  # fmt: skip
# Each returns the addresses of all and this one's place, or None; asked in this order, after the flags and TF_CONFIG.
SOURCES = {"DTENSOR_JOBS": dtensor_tasks.read, "Slurm": slurm_tasks.read, "TFDAY7_WORKERS": kubernetes_tasks.read}
RETRY_SECONDS, ATTEMPT_SECONDS = 0.2, 5.0
LOOPBACKS = ("127.0.0.1", "::1", "localhost")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of a run, and which of them this one is.

    Attributes:
        workers: "host:port" of each, the chief first.
        parameter_servers: likewise; empty but for `--strategy=parameter_server`.
        role: "chief", "worker", "ps" or "evaluator".
        index: the position among `workers` (the chief's is 0), or among the parameter servers or evaluators.
    """

    workers: tuple[str, ...]
    parameter_servers: tuple[str, ...] = ()
    role: str = "chief"
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief."""
        return self.role == "chief"

    @property
    def address(self) -> str:
        """The "host:port" on which this process listens; "" for an evaluator, which listens nowhere."""
        if self.role == "evaluator":
            return ""
        return (self.parameter_servers if self.role == "ps" else self.workers)[self.index]

    def tf_config(self) -> str:
        """Returns the value of TF_CONFIG for this process."""
        jobs = {"chief": self.workers[:1], "worker": self.workers[1:], "ps": self.parameter_servers}
        index = self.index - 1 if self.role == "worker" else self.index
        cluster = {job: list(addresses) for job, addresses in jobs.items() if addresses}
        return json.dumps({"cluster": cluster, "task": {"type": self.role, "index": index}})

    def dtensor_environment(self) -> dict[str, str]:
        """Returns the variables by which DTensor joins the workers of a mesh (tf.experimental.dtensor)."""
        return {
            "DTENSOR_CLIENT_ID": str(self.index),
            "DTENSOR_NUM_CLIENTS": str(len(self.workers)),
            "DTENSOR_JOB_NAME": "worker",
            "DTENSOR_JOBS": ",".join(self.workers),
        }


def find(config: DistributionConfig, environ: Mapping[str, str]) -> Cluster | None:
    """Returns the cluster that this process belongs to; None where nothing says that there are other processes.

    Args:
        config: `--cluster` and `--worker_index` win over everything else.
        environ: the environment variables: TF_CONFIG, then those that `SOURCES` read.

    Raises:
        UserError: what was given is incomplete, contradicts itself, or has an address that cannot be one.
    """
    if bool(config.cluster) != (config.worker_index is not None):
        given, missing = ("cluster", "worker_index") if config.cluster else ("worker_index", "cluster")
        raise UserError(f"--{given}={getattr(config, given)} needs --{missing}", "give both, or neither")
    if config.cluster and config.worker_index is not None:
        addresses = [part.strip() for part in config.cluster.split(",")]
        if config.worker_index >= len(addresses):
            raise UserError(
                f"--worker_index={config.worker_index}: expected less than the {len(addresses)} workers of --cluster"
            )
        return _workers_only(addresses, config.worker_index, "--cluster")
    if environ.get("TF_CONFIG", "").strip():
        return _from_tf_config(environ["TF_CONFIG"])
    for where, read in SOURCES.items():
        if found := read(environ):
            return _workers_only(*found, where)
    return None


def split_address(address: str, where: str) -> tuple[str, int]:
    """Returns host and port of "host:port" or "[IPv6]:port". Raises UserError, naming where the address stands."""
    host, colon, port = address.rpartition(":")
    if colon and re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65_535:
        if host.startswith("[") and host.endswith("]"):
            with contextlib.suppress(ValueError):
                return str(ipaddress.IPv6Address(host[1:-1])), int(port)
        elif _HOST.fullmatch(host):
            return host, int(port)
    raise UserError(f"{where}: {address!r} is no address; {EXPECTED}", "write an IPv6 address as [ADDRESS]:PORT")


def check_own_port(cluster: Cluster) -> None:
    """Checks that this process can listen on its address, without keeping the port.

    Raises:
        UserError: the port is in use or not allowed, or the host is another machine.
    """
    if not cluster.address:
        return
    host, port = split_address(cluster.address, "the cluster")
    _check_own_host(host, cluster)
    families = [(socket.AF_INET, "0.0.0.0")]  # noqa: S104 - TensorFlow listens on all interfaces, so this does too.
    if socket.has_ipv6:
        families.append((socket.AF_INET6, "::"))
    for family, everywhere in families:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind((everywhere, port))
                listener.listen(1)
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue  # This machine has no IPv6.
            if error.errno == errno.EADDRINUSE:
                hint = "is an earlier run still there? stop it, or give this worker another port"
                raise UserError(f"port {port} of {cluster.address} is in use", hint) from None
            hint = "choose a port of 1024 or above"
            raise UserError(f"cannot listen on port {port} of {cluster.address} ({error.strerror})", hint) from error


def _check_own_host(host: str, cluster: Cluster) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        if host.partition(".")[0] == socket.gethostname().partition(".")[0]:
            return  # This machine's name, which its network may learn late.
        hint = "give the worker the name or address under which the others reach this machine"
        raise UserError(f"{cluster.role} {cluster.index}: {host} cannot be resolved ({error})", hint) from error
    for family, kind, protocol, _, where in found:
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as listener:
            listener.bind(where)
            return
    raise UserError(
        f"{cluster.role} {cluster.index} is {cluster.address}, but {host} is not an address of this machine",
        f"start this command on {host}, or correct the worker's index",
    )


def wait_for_chief(cluster: Cluster, timeout_seconds: float) -> None:
    """Waits until the chief's port accepts a connection, so that a chief that never comes is an error in words.

    Returns at once where there is nothing to wait for: in the chief itself, in an evaluator, and beside parameter
    servers, whose coordinator listens nowhere.

    Args:
        timeout_seconds: how long; a host that cannot be resolved is tried again as well, as new names come late.

    Raises:
        UserError: the time is over; the message names the address and the last reason.
    """
    if cluster.role != "worker" or cluster.parameter_servers:
        return
    chief = cluster.workers[0]
    failure = no_answer(chief, timeout_seconds)
    if not failure:
        return
    raise UserError(
        f"the chief at {chief} did not answer within {timeout_seconds:g} seconds ({failure})",
        "check that worker 0 was started and still runs, that its address is the same for every worker, and that no "
        "firewall closes the port; --cluster_timeout waits longer",
    )


def meet(cluster: Cluster, timeout_seconds: float) -> None:
    """Returns when every worker has been there; DTensor itself would wait for those that never come for an hour.

    The others listen on their own addresses until the chief has called.

    Raises:
        UserError: one of them, or the chief, does not come in time.
    """
    end = time.monotonic() + timeout_seconds
    if cluster.is_chief:
        for address in cluster.workers[1:]:
            if failure := no_answer(address, end - time.monotonic()):
                raise UserError(
                    f"the worker {address} did not come within {timeout_seconds:g} seconds ({failure})",
                    "start all of them, or wait longer with --cluster_timeout",
                )
        return
    with _listener(*split_address(cluster.address, "the worker")) as listener:
        listener.settimeout(timeout_seconds)
        try:
            listener.accept()[0].close()
        except TimeoutError:
            raise UserError(
                f"the chief {cluster.workers[0]} did not call within {timeout_seconds:g} seconds",
                "start it, check that it reaches this machine, or wait longer with --cluster_timeout",
            ) from None


def _listener(host: str, port: int) -> socket.socket:
    """Returns a socket that listens to this machine alone, where that is its address, or to IPv4 and IPv6."""
    if host in LOOPBACKS:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # As where IPv6 is switched off; a port that is taken is so for both.
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def no_answer(address: str, timeout_seconds: float) -> str:
    """Returns why "host:port" accepted no connection in all the time, in words; "" as soon as it accepts one."""
    end, failure = time.monotonic() + timeout_seconds, "no answer"
    while (left := end - time.monotonic()) > 0:
        failure = _attempt(address, min(left, ATTEMPT_SECONDS), failure)
        if not failure:
            return ""
        time.sleep(max(0.0, min(RETRY_SECONDS, end - time.monotonic())))
    return failure


def _attempt(address: str, seconds: float, otherwise: str) -> str:
    """Tries to connect, in a thread as resolving a name has no time limit; returns why it failed, "" if it did not."""
    said: list[str] = []

    def connect() -> None:
        try:
            with socket.create_connection(split_address(address, "the chief"), timeout=seconds) as connection:
                # A port that nobody has may be lent to this very connection, which then reaches itself.
                itself = connection.getsockname() == connection.getpeername()
            said.append("connection refused" if itself else "")
        except socket.gaierror as error:
            said.append(f"its name cannot be resolved: {error.strerror}")
        except OSError as error:
            said.append((error.strerror or str(error)).lower())

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return said[0] if said else otherwise


def _workers_only(addresses: Sequence[str], index: int, where: str) -> Cluster | None:
    _check_addresses(addresses, where)
    if len(addresses) < 2:
        return None
    return Cluster(tuple(addresses), (), "worker" if index else "chief", index)


def _check_addresses(addresses: Sequence[str], where: str) -> None:
    """Raises UserError for the first address that is none, or that stands there twice."""
    seen: set[tuple[str, int]] = set()
    for address in addresses:
        host, port = split_address(address, where)
        if (host.lower(), port) in seen:
            raise UserError(f"{where}: {address} is there twice; expected one address per process")
        seen.add((host.lower(), port))


def _from_tf_config(text: str) -> Cluster | None:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"TF_CONFIG is not JSON ({error})", TF_CONFIG_HINT) from None
    if not isinstance(given, dict):
        raise UserError(f"TF_CONFIG={text}: expected an object", TF_CONFIG_HINT)
    if given.get("sparseCluster"):
        raise UserError(
            "TF_CONFIG has a sparseCluster: expected a cluster", "leave enableDynamicWorker out of the TFJob"
        )
    if not given.get("cluster"):
        return None
    jobs = _jobs(given["cluster"])
    role, index = _task(given.get("task"), jobs)
    chief, others, servers = jobs.get("chief", ()), jobs.get("worker", ()), jobs.get("ps", ())
    workers = (*chief, *others)
    if not workers:
        raise UserError("TF_CONFIG: its cluster has neither a chief nor a worker", TF_CONFIG_HINT)
    if len(workers) == 1 and not servers and role != "evaluator":
        return None
    if role == "worker":
        index += len(chief)
        role = "worker" if index else "chief"  # Without a chief the first worker is it, as in TensorFlow.
    return Cluster(workers, servers, role, index)


def _jobs(cluster: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(cluster, dict):
        raise UserError(f"TF_CONFIG: its cluster is {cluster!r}; expected an object", TF_CONFIG_HINT)
    for job, addresses in cluster.items():
        if job not in ROLES:
            raise UserError(f"TF_CONFIG: unknown task type {job!r} in its cluster", f"known: {', '.join(ROLES)}")
        if not isinstance(addresses, list) or not all(isinstance(each, str) for each in addresses):
            raise UserError(f"TF_CONFIG: {job} is {addresses!r}; expected a list of HOST:PORT", TF_CONFIG_HINT)
    if len(cluster.get("chief", ())) > 1:
        raise UserError(
            f"TF_CONFIG has two chiefs or more: {', '.join(cluster['chief'])}", "name one; others are workers"
        )
    _check_addresses([each for job in ROLES for each in cluster.get(job, ())], "TF_CONFIG")
    return {job: tuple(addresses) for job, addresses in cluster.items()}


def _task(task: Any, jobs: Mapping[str, tuple[str, ...]]) -> tuple[str, int]:
    """Returns type and index of the task in TF_CONFIG, as they stand there."""
    if not isinstance(task, dict) or not task:
        raise UserError("TF_CONFIG has a cluster but no task: expected type and index of this process", TF_CONFIG_HINT)
    role, index = task.get("type"), task.get("index")
    if role not in ROLES:
        raise UserError(f"TF_CONFIG: unknown task type {role!r}", f"known: {', '.join(ROLES)}")
    if isinstance(index, str) and re.fullmatch("[0-9]{1,6}", index):
        index = int(index)  # TensorFlow takes it as text too.
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise UserError(f"TF_CONFIG: the task's index is {index!r}; expected a number from 0", TF_CONFIG_HINT)
    count = len(jobs.get(role, ()))
    if index >= count and not (role == "evaluator" and not count):
        raise UserError(f"TF_CONFIG: {role} {index} is this process, but its cluster has {count} of that type")
    return role, index

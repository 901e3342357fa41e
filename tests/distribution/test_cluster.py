"""Who is in the cluster, from each source; every wrong value; and whether the processes can reach each other."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.distribution.cluster import (
    Cluster,
    _listener,
    check_own_port,
    find,
    meet,
    split_address,
    wait_for_chief,
)
from tfday7.distribution.config import DistributionConfig
from tfday7.distribution.launching.ports import free_ports

NOTHING = DistributionConfig()


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def tf_config(cluster: Any, kind: Any = "worker", index: Any = 0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def slurm(nodes: str, rank: int, **others: str) -> dict[str, str]:
    return {"SLURM_JOB_NODELIST": nodes, "SLURM_PROCID": str(rank), "SLURM_JOB_ID": "4007", **others}


def test_nothing_says_that_there_is_a_cluster() -> None:
    assert find(NOTHING, {}) is None
    assert find(NOTHING, {"SLURM_JOB_NODELIST": "a[1-2]"}) is None  # An allocation, but no task of it.
    assert find(NOTHING, {"JOB_COMPLETION_INDEX": "1", "HOSTNAME": "job-1"}) is None
    assert find(NOTHING, {"TF_CONFIG": "{}"}) is None
    assert find(NOTHING, tf_config({"worker": ["a:1"]})) is None
    assert find(NOTHING, tf_config({"chief": ["a:1"]}, "chief")) is None
    assert find(NOTHING, slurm("a", 0, SLURM_NTASKS="1")) is None


def test_the_flags_win_over_the_environment() -> None:
    config = DistributionConfig(cluster="a:1, b:2,[::1]:3", worker_index=2)
    found = find(config, {"TF_CONFIG": "broken"})
    assert found == Cluster(("a:1", "b:2", "[::1]:3"), (), "worker", 2)
    assert found.address == "[::1]:3"
    assert not found.is_chief
    chief = find(DistributionConfig(cluster="a:1,b:2", worker_index=0), {})
    assert chief is not None
    assert chief.is_chief


def test_the_sources_are_asked_in_order() -> None:
    environ = {**tf_config({"worker": ["t:1", "u:1"]}), **slurm("s[1-2]", 1), "TFDAY7_WORKERS": "2"}
    environ |= {"TFDAY7_SERVICE": "svc", "HOSTNAME": "pod-0"}
    for name, address in (("TF_CONFIG", "t:1"), ("SLURM_PROCID", "s2:12112"), ("TFDAY7_WORKERS", "pod-0.svc:2222")):
        found = find(NOTHING, environ)
        assert found is not None
        assert found.address == address
        del environ[name]
    assert find(NOTHING, environ) is None


def test_tf_config_with_and_without_a_chief() -> None:
    cluster = {"chief": ["c:1"], "worker": ["w:1", "w:2"], "ps": ["p:1"], "evaluator": ["e:1"]}
    workers = ("c:1", "w:1", "w:2")
    assert find(NOTHING, tf_config(cluster, "chief")) == Cluster(workers, ("p:1",), "chief", 0)
    assert find(NOTHING, tf_config(cluster, "worker", "1")) == Cluster(workers, ("p:1",), "worker", 2)
    server = find(NOTHING, tf_config(cluster, "ps"))
    assert server is not None
    assert (server.role, server.index, server.address) == ("ps", 0, "p:1")
    judge = find(NOTHING, tf_config({"chief": ["c:1"]}, "evaluator", 0))
    assert judge is not None
    assert (judge.role, judge.address) == ("evaluator", "")
    assert find(NOTHING, tf_config({"worker": ["a:1", "b:1"]}, "worker", 0)) == Cluster(("a:1", "b:1"))
    assert find(NOTHING, tf_config({"worker": ["a:1", "b:1"]}, "worker", 1)) == Cluster(("a:1", "b:1"), (), "worker", 1)


@pytest.mark.parametrize(("role", "index"), [("chief", 0), ("worker", 1), ("worker", 2), ("ps", 1), ("evaluator", 0)])
def test_what_tensorflow_reads_is_found_again(role: str, index: int) -> None:
    cluster = Cluster(("a:1", "b:1", "c:1"), ("p:1", "q:1"), role, index)
    assert find(NOTHING, {"TF_CONFIG": cluster.tf_config()}) == cluster
    written = json.loads(cluster.tf_config())
    assert written["cluster"] == {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["p:1", "q:1"]}
    if role in ("chief", "worker", "ps"):
        assert written["cluster"][role][written["task"]["index"]] == cluster.address


def test_what_dtensor_reads() -> None:
    cluster = Cluster(("a:1", "b:2"), (), "worker", 1)
    assert find(NOTHING, cluster.dtensor_environment()) == cluster
    assert find(NOTHING, Cluster(("a:1",)).dtensor_environment()) is None
    assert Cluster(("a:1", "b:2"), (), "worker", 1).dtensor_environment() == {
        "DTENSOR_CLIENT_ID": "1", "DTENSOR_NUM_CLIENTS": "2", "DTENSOR_JOB_NAME": "worker", "DTENSOR_JOBS": "a:1,b:2",
    }  # fmt: skip


TWO = {"worker": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TF_CONFIG": "{'cluster': 1}"}, "TF_CONFIG is not JSON"),
        ({"TF_CONFIG": "[" * 100_000}, "TF_CONFIG is not JSON"),
        ({"TF_CONFIG": "[]"}, "expected an object"),
        ({"TF_CONFIG": json.dumps({"cluster": ["a:1"]})}, "expected an object"),
        ({"TF_CONFIG": json.dumps({"cluster": TWO})}, "no task"),
        ({"TF_CONFIG": json.dumps({"cluster": TWO, "task": {}})}, "no task"),
        ({"TF_CONFIG": json.dumps({"sparseCluster": TWO, "task": {}})}, "sparseCluster"),
        (tf_config(TWO, "boss"), "unknown task type 'boss'"),
        (tf_config(TWO, None), "unknown task type None"),
        (tf_config(TWO, ["worker"]), r"unknown task type \['worker'\]"),
        (tf_config({**TWO, "master": ["m:1"]}), "unknown task type 'master' in its cluster"),
        (tf_config(TWO, "worker", 2), "worker 2 is this process, but its cluster has 2"),
        (tf_config(TWO, "worker", -1), "the task's index is -1"),
        (tf_config(TWO, "worker", True), "the task's index is True"),
        (tf_config(TWO, "worker", None), "the task's index is None"),
        (tf_config(TWO, "chief", 0), "chief 0 is this process, but its cluster has 0"),
        (tf_config({"chief": ["c:1"], **TWO}, "chief", None), "the task's index is None"),
        (tf_config({"chief": ["c:1", "d:1"], **TWO}), "two chiefs or more: c:1, d:1"),
        (tf_config({"worker": ["a:1", "A:1"]}), "A:1 is there twice"),
        (tf_config({"worker": ["a:1"], "ps": ["a:1"]}), "a:1 is there twice"),
        (tf_config({"worker": "a:1,b:1"}), "expected a list of HOST:PORT"),
        (tf_config({"ps": ["a:1", "b:1"]}, "ps"), "neither a chief nor a worker"),
        (tf_config({"worker": ["a:1", "b"]}), "'b' is no address"),
        (tf_config({"worker": ["a:1", "b:0"]}), "'b:0' is no address"),
        (tf_config({"worker": ["a:1", "b:65536"]}), "'b:65536' is no address"),
        (tf_config({"worker": ["a:1", "b: 1"]}), "'b: 1' is no address"),
        (tf_config({"worker": ["a:1", ":1"]}), "':1' is no address"),
        (tf_config({"worker": ["a:1", "::1:22"]}), "'::1:22' is no address"),
        (tf_config({"worker": ["a:1", "[::g]:22"]}), r"'\[::g\]:22' is no address"),
        (tf_config({"worker": ["a:1", "grpc://b:1"]}), "'grpc://b:1' is no address"),
        ({"DTENSOR_JOBS": "a:1,b:1"}, "DTENSOR_NUM_CLIENTS="),
        ({"DTENSOR_JOBS": "a:1,b:1", "DTENSOR_NUM_CLIENTS": "3"}, "DTENSOR_JOBS has 2 addresses"),
        ({"DTENSOR_JOBS": "a:1", "DTENSOR_NUM_CLIENTS": "1", "DTENSOR_CLIENT_ID": "1"}, "DTENSOR_CLIENT_ID=1"),
        ({"TFDAY7_WORKERS": "2", "HOSTNAME": "a-0"}, "TFDAY7_SERVICE="),
        ({"TFDAY7_WORKERS": "two", "HOSTNAME": "a-0"}, "TFDAY7_WORKERS=two"),
        ({"TFDAY7_WORKERS": "2", "TFDAY7_SERVICE": "s", "HOSTNAME": "a"}, "HOSTNAME=a: expected NAME-INDEX"),
        ({"TFDAY7_WORKERS": "2", "TFDAY7_SERVICE": "s", "HOSTNAME": "a-2"}, "has the index 2: expected less than"),
        ({"TFDAY7_WORKERS": "2", "TFDAY7_SERVICE": "s", "JOB_COMPLETION_INDEX": "0"}, "TFDAY7_NAME is missing"),
    ],
)
def test_a_wrong_value_is_the_users_mistake(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(NOTHING, environ)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DistributionConfig(worker_index=0), "--worker_index=0 needs --cluster"),
        (DistributionConfig(cluster="a:1,b:1"), "--cluster=a:1,b:1 needs --worker_index"),
        (DistributionConfig(cluster="a:1,b:1", worker_index=2), "--worker_index=2: expected less than the 2 workers"),
        (DistributionConfig(cluster="a:1,a:1", worker_index=0), "a:1 is there twice"),
        (DistributionConfig(cluster="a:1,", worker_index=0), "'' is no address"),
        (DistributionConfig(cluster="a,b", worker_index=0), "'a' is no address"),
    ],
)
def test_wrong_flags_are_the_users_mistake(config: DistributionConfig, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        find(config, {})
    assert raised.value.exit_code == 2


def test_kubernetes_names_the_pods_by_their_index() -> None:
    pod = {"TFDAY7_WORKERS": "3", "TFDAY7_SERVICE": "train.space.svc", "HOSTNAME": "my-job-2"}
    workers = tuple(f"my-job-{index}.train.space.svc:2222" for index in range(3))
    assert find(NOTHING, pod) == Cluster(workers, (), "worker", 2)
    indexed = {**pod, "HOSTNAME": "my-job-0-x7", "TFDAY7_NAME": "my-job", "JOB_COMPLETION_INDEX": "0"}
    assert find(NOTHING, indexed) == Cluster(workers, (), "chief", 0)
    other = find(NOTHING, {**pod, "TFDAY7_PORT": "4000"})
    assert other is not None
    assert other.address == "my-job-2.train.space.svc:4000"


def test_addresses_are_taken_apart() -> None:
    assert split_address("node-1.example:80", "x") == ("node-1.example", 80)
    assert split_address("[fe80::1]:65535", "x") == ("fe80::1", 65535)


@pytest.fixture
def listener() -> Any:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock


def own(port: int, host: str = "127.0.0.1") -> Cluster:
    return Cluster((f"{host}:{port}", "127.0.0.1:1"))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_free_port_passes_and_stays_free() -> None:
    port = free_port()
    check_own_port(own(port))
    check_own_port(own(port, "localhost"))
    check_own_port(Cluster(("x:1",), (), "evaluator", 0))


def test_a_port_in_use_is_said(listener: Any) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(UserError, match=f"port {port} of 127.0.0.1:{port} is in use") as raised:
        check_own_port(own(port))
    assert raised.value.hint


@pytest.mark.parametrize("host", ["192.0.2.7", "[2001:db8::7]"])  # Reserved for documentation: nobody has them.
def test_an_address_of_another_machine_is_said(host: str) -> None:
    with pytest.raises(UserError, match="is not an address of this machine"):
        check_own_port(own(2222, host))


def test_a_name_that_does_not_exist_is_said() -> None:
    with pytest.raises(UserError, match=r"does-not-exist\.invalid cannot be resolved"):
        check_own_port(own(2222, "does-not-exist.invalid"))


def waiting(chief: str) -> Cluster:
    return Cluster((chief, "127.0.0.1:1"), (), "worker", 1)


def test_a_chief_that_comes_late_is_found() -> None:
    port = free_port()
    with socket.socket() as late:
        late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def come() -> None:
            late.bind(("127.0.0.1", port))
            late.listen()

        timer = threading.Timer(0.5, come)
        timer.start()
        started = time.monotonic()
        wait_for_chief(waiting(f"127.0.0.1:{port}"), 30)
        timer.join()
    assert 0.4 < time.monotonic() - started < 10


def test_a_chief_that_never_comes_is_an_error_in_time() -> None:
    port, started = free_port(), time.monotonic()
    with pytest.raises(
        UserError, match=f"127.0.0.1:{port} did not answer within 1 seconds .connection refused"
    ) as said:
        wait_for_chief(waiting(f"127.0.0.1:{port}"), 1.0)
    assert 0.9 < time.monotonic() - started < 5
    assert "worker 0 was started" in said.value.hint


def test_a_chief_that_drops_connections_is_an_error_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*arguments: Any, **named: Any) -> None:  # As a resolver does.
        over.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", hang)
    started = time.monotonic()
    with pytest.raises(UserError, match="no answer"):
        wait_for_chief(waiting("10.0.0.1:1"), 0.5)
    assert time.monotonic() - started < 5
    over.set()


def test_a_name_that_cannot_be_resolved_is_tried_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fail(*arguments: Any, **named: Any) -> None:
        tried.append(arguments)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(UserError, match="its name cannot be resolved: Name or service not known"):
        wait_for_chief(waiting("pod-0.svc:1"), 0.7)
    assert len(tried) > 1


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(("192.0.2.7:1", "b:1")),
        Cluster(("192.0.2.7:1", "b:1"), (), "evaluator", 0),
        Cluster(("192.0.2.7:1", "b:1"), ("p:1",), "worker", 1),
    ],
)
def test_who_has_nothing_to_wait_for_does_not_wait(cluster: Cluster) -> None:
    started = time.monotonic()
    wait_for_chief(cluster, 60)
    assert time.monotonic() - started < 1


def test_no_tensorflow_is_loaded() -> None:
    code = "import sys, tfday7.distribution.cluster; print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=NEEDS_IPV6)])
def test_a_chief_on_loopback_listens_there_alone(host: str) -> None:
    with _listener(host, free_ports(1)[0]) as listening:
        assert listening.getsockname()[0] == host


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("[::1]", marks=NEEDS_IPV6)])
def test_the_chief_meets_the_workers_and_nobody_waits_for_ever(host: str) -> None:
    first, second = free_ports(2)
    workers = (f"{host}:{first}", f"{host}:{second}")
    chief, worker = Cluster(workers), Cluster(workers, role="worker", index=1)
    with ThreadPoolExecutor(1) as others:
        there = others.submit(meet, worker, 20.0)
        meet(chief, 20.0)
        there.result(timeout=20.0)
    for alone, said in ((chief, f"{host}:{second} did not come"), (worker, f"{host}:{first} did not call")):
        began = time.monotonic()
        with pytest.raises(UserError, match=re.escape(said)):
            meet(alone, 1.0)
        assert time.monotonic() - began < 10.0

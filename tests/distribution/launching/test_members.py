"""What each process of a local group is told, on which ports, and the check of the flags before any of them starts."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.distribution.cluster import find
from tfday7.distribution.config import DistributionConfig
from tfday7.distribution.launching import local, ports
from tfday7.distribution.launching.config import LaunchConfig
from tfday7.distribution.launching.local import WorkerError


def test_each_process_is_told_of_all_on_ports_of_their_own() -> None:
    config = LaunchConfig(workers=3, parameter_servers=2)
    inherited = {"PATH": "/bin", "DTENSOR_JOBS": "old:1", "SLURM_PROCID": "0", "TF_CONFIG": "old", "PYTHONPATH": "/x"}
    group = local.members(config, False, inherited)
    assert [member.name for member in group] == ["worker 0", "worker 1", "worker 2", "ps 0", "ps 1"]
    clusters = [find(DistributionConfig(), member.environment) for member in group]
    assert [cluster and (cluster.role, cluster.index) for cluster in clusters] == [
        ("chief", 0), ("worker", 1), ("worker", 2), ("ps", 0), ("ps", 1),
    ]  # fmt: skip
    assert len({cluster.address for cluster in clusters if cluster}) == 5
    assert len({cluster.workers for cluster in clusters if cluster}) == 1
    for member in group:
        assert member.environment["PATH"] == "/bin"
        assert member.environment["PYTHONPATH"].endswith(os.pathsep + "/x")
        assert not {"DTENSOR_JOBS", "SLURM_PROCID"} & set(member.environment)


def test_clients_of_a_mesh_are_told_by_dtensors_variables() -> None:
    group = local.members(LaunchConfig(workers=2), True, {"TF_CONFIG": "old"})
    first, second = (member.environment for member in group)
    assert (first["DTENSOR_CLIENT_ID"], second["DTENSOR_CLIENT_ID"]) == ("0", "1")
    assert first["DTENSOR_JOBS"] == second["DTENSOR_JOBS"]
    assert len(set(first["DTENSOR_JOBS"].split(","))) == 2
    assert (first["DTENSOR_NUM_CLIENTS"], first["DTENSOR_JOB_NAME"]) == ("2", "worker")
    assert "TF_CONFIG" not in first
    found = find(DistributionConfig(), second)
    assert found is not None
    assert (len(found.workers), found.index) == (2, 1)


@pytest.mark.parametrize(
    ("code", "kind", "exit_code", "message", "hint"),
    [
        ("print('error: --x=1: no\\nhint: do', file=sys.stderr); sys.exit(2)", UserError, 2, "--x=1: no", "do"),
        ("print('warned\\nerror: bad', file=sys.stderr); sys.exit(2)", UserError, 2, "bad", ""),
        ("print('Traceback', file=sys.stderr); sys.exit(1)", WorkerError, 1, "ended with exit code 1: Traceback", ""),
        ("import os; os.kill(os.getpid(), 9)", WorkerError, 1, "was killed by SIGKILL", ""),
    ],
)
def test_a_mistake_in_the_flags_is_said_once(code: str, kind: Any, exit_code: int, message: str, hint: str) -> None:
    with pytest.raises(kind) as raised:
        local.check_flags([sys.executable, "-c", "import sys\n" + code], os.environ)
    assert raised.value.exit_code == exit_code
    assert message in raised.value.message
    assert raised.value.hint == hint
    local.check_flags([sys.executable, "-c", "pass"], os.environ)


def test_ports_are_free_different_and_not_those_of_clients(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel = tmp_path / "range"
    monkeypatch.setattr(ports, "RANGE", kernel)
    kernel.write_text("11240\t60999\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(ports, "LOWEST", 10_240)
        found = ports.free_ports(50)
        assert len(set(found)) == 50
        assert all(10_240 <= port < 11_240 for port in found)
        assert not ports._is_free(taken.getsockname()[1])
    with pytest.raises(UserError, match="expected 2000"):
        ports.free_ports(2000)
    kernel.write_text("1024 65535")  # Clients may take nearly all: then any port must do.
    assert max(ports.free_ports(200)) > 11_240

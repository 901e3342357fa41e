"""Two processes that share a mesh train what one does."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from distribution.mesh import programs
from distribution.mesh import training_on_a_mesh as single

from tfday7.core.errors import UserError
from tfday7.distribution.mesh import device_mesh


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = sorted(each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    return ports


@pytest.mark.slow
@pytest.mark.parametrize(("axes", "devices"), [("model:2", 1), ("batch:2,model:2", 2)])
def test_two_processes_end_where_one_device_does(axes: str, devices: int, tmp_path: Path) -> None:
    jobs = ",".join(f"localhost:{port}" for port in free_ports(2))
    path = tmp_path / "weights.npz"
    processes = [
        programs.start(
            "client.py", axes, str(devices), str(path),
            DTENSOR_CLIENT_ID=str(index), DTENSOR_NUM_CLIENTS="2", DTENSOR_JOBS=jobs,
        )
        for index in range(2)
    ]  # fmt: skip
    first, second = (programs.result(process, timeout=300) for process in processes)
    assert first == second
    plain = single.mlp()
    start = plain.get_weights()
    whole = sum(array.nbytes for array in start)
    assert first["bytes"] < whole * devices
    single.compiled(plain, "adam", 0.5, None)
    fitted = plain.fit(single.ROWS, single.Y, batch_size=8, epochs=5, verbose=0, shuffle=False)
    with np.load(path) as arrays:
        ended = [arrays[name] for name in arrays.files]
    assert single.distance(start, ended) > 1e-2
    assert single.distance(plain.get_weights(), ended) < 1e-5
    assert first["loss"] == pytest.approx(fitted.history["loss"][-1], abs=1e-5)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DTENSOR_NUM_CLIENTS": "two"}, "expected a positive integer"),
        ({"DTENSOR_NUM_CLIENTS": "2"}, "needs DTENSOR_CLIENT_ID"),
        ({"DTENSOR_NUM_CLIENTS": "2", "DTENSOR_CLIENT_ID": "0", "DTENSOR_JOBS": "a:1"}, "which lists 1"),
    ],
)
def test_incomplete_variables_are_refused(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        device_mesh.clients()

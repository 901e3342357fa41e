"""Two real processes on loopback: the figures of one device, one checkpoint, one end."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forking import Started
from support import run_command, start_command, start_fresh

pytestmark = pytest.mark.slow
COMMON = ("--data=digits", "--model=mlp", "--width=8", "--depth=1", "--export=", "--batch_size=50", "--deterministic")
ACCUMULATED = ("--accumulate_steps=5", "--optimizer=adam", "--global_clipnorm=0.1")


def ports(count: int) -> list[int]:
    """Returns ports of loopback that nothing listens on."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return found


Process = Started | subprocess.Popen[str]


def start(folder: Path, *arguments: str, count: int = 2, fresh: bool = False) -> list[Process]:
    """Starts the workers of one training run; the first is the chief."""
    cluster = ",".join(f"127.0.0.1:{port}" for port in ports(count))
    flags = [*COMMON, f"--run_dir={folder}", f"--cluster={cluster}", "--cluster_timeout=100", *arguments]
    starting = start_fresh if fresh else start_command
    return [starting("train", *flags, f"--worker_index={index}", cwd=folder.parent) for index in range(count)]


def ended(workers: list[Process], timeout: float = 240) -> list[tuple[int | None, str, str]]:
    """Returns (exit code, stdout, stderr) of each."""
    try:
        found = [(worker.communicate(timeout=timeout), worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [(worker.returncode, *texts) for texts, worker in found]


def metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def without_time(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def wait_for_epochs(folder: Path, count: int, workers: list[Process]) -> None:
    for _ in range(2400):
        if len(metrics(folder)) >= count:
            return
        if any(worker.poll() is not None for worker in workers):
            raise AssertionError(ended(workers))
        time.sleep(0.05)
    raise AssertionError("training did not get that far")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the run folder of two workers that have trained for 3 epochs."""
    folder = tmp_path_factory.mktemp("group") / "two"
    assert [code for code, _, _ in ended(start(folder, "--epochs=3", *ACCUMULATED))] == [0, 0]
    return folder


def test_two_workers_train_as_one_device_does(finished: Path, tmp_path: Path) -> None:
    alone = run_command("train", *COMMON, "--epochs=3", *ACCUMULATED, f"--run_dir={tmp_path}/one", cwd=tmp_path)
    assert alone.code == 0, alone.err
    several, one = without_time(metrics(finished)), without_time(metrics(tmp_path / "one"))
    assert len(several) == 3
    for record, other in zip(several, one, strict=True):
        assert record == pytest.approx(other, abs=5e-6)
    record = json.loads((finished / "run.json").read_text(encoding="utf-8"))
    assert record["distribution"]["strategy"] == "multiworker"
    assert (record["distribution"]["replicas"], record["distribution"]["micro_batch_size"]) == (2, 5)
    assert record["status"] == "finished"


def test_two_workers_share_a_mesh_and_a_signal(tmp_path: Path) -> None:
    mesh = ("--strategy=model_parallel", "--mesh=model:2")
    workers = start(tmp_path / "mesh", "--epochs=400", *mesh)
    wait_for_epochs(tmp_path / "mesh", 2, workers)
    workers[1].send_signal(signal.SIGTERM)
    assert [code for code, _, _ in ended(workers)] == [143, 143]
    alone = run_command("train", *COMMON, "--epochs=2", f"--run_dir={tmp_path}/one", cwd=tmp_path)
    assert alone.code == 0, alone.err
    mine, one = (without_time(metrics(tmp_path / name)) for name in ("mesh", "one"))
    for record, other in zip(mine[:2], one, strict=True):
        assert record == pytest.approx(other, abs=5e-6)


def test_a_finished_group_is_left_alone_by_all(finished: Path) -> None:
    before = (finished / "metrics.jsonl").read_bytes()
    began = time.monotonic()
    assert [code for code, _, _ in ended(start(finished, "--epochs=3", *ACCUMULATED))] == [0, 0]
    assert time.monotonic() - began < 90
    assert (finished / "metrics.jsonl").read_bytes() == before


def test_a_signal_to_one_worker_stops_all_and_the_group_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    workers = start(tmp_path / "stopped", "--epochs=20")
    wait_for_epochs(tmp_path / "stopped", 3, workers)
    workers[1].send_signal(signal.SIGTERM)
    stopped = ended(workers)
    assert [code for code, _, _ in stopped] == [143, 143], stopped
    assert len(metrics(tmp_path / "stopped")) < 20
    assert [code for code, _, _ in ended(start(tmp_path / "stopped", "--epochs=20"))] == [0, 0]
    assert run_command("train", *COMMON, "--epochs=20", f"--run_dir={tmp_path}/one", cwd=tmp_path).code == 0
    stopped_then, one = (without_time(metrics(tmp_path / name)) for name in ("stopped", "one"))
    assert len(stopped_then) == 20
    for record, other in zip(stopped_then, one, strict=True):
        assert record == pytest.approx(other, abs=2e-5)


@pytest.mark.parametrize("victim", [0, 1])
def test_the_others_stop_soon_after_a_worker_dies(victim: int, tmp_path: Path) -> None:
    workers = start(tmp_path / "run", "--epochs=5000", fresh=victim == 1)
    wait_for_epochs(tmp_path / "run", 2, workers)
    workers[victim].kill()
    began = time.monotonic()
    code, _, said = ended([workers[1 - victim]], timeout=60)[0]
    assert time.monotonic() - began < 60
    assert code == 75, said[-2000:]
    assert "error: another worker of the group was lost" in said
    assert "Traceback" not in said


def test_a_worker_whose_chief_never_comes_says_so_in_time(tmp_path: Path) -> None:
    first, second = ports(2)
    flags = [f"--cluster=127.0.0.1:{first},127.0.0.1:{second}", "--worker_index=1", "--cluster_timeout=3"]
    alone = run_command("train", *COMMON, *flags, f"--run_dir={tmp_path}/run", cwd=tmp_path)
    assert alone.code == 2
    assert f"127.0.0.1:{first}" in alone.err
    assert "hint:" in alone.err
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_a_group_loads_on_one_device(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    more = run_command("train", *COMMON, "--epochs=4", *ACCUMULATED, f"--run_dir={run}", cwd=tmp_path)
    assert more.code == 0, more.err
    assert [record["epoch"] for record in metrics(run)] == [1, 2, 3, 4]
    with np.load(sorted((run / "checkpoints").iterdir())[-1]) as archive:
        assert any(name.startswith("optimizer/") for name in archive.files)

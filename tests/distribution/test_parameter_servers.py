"""Parameter servers: a real group on loopback learns, goes on and ends; what cannot work is refused by name."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import Ended, run_command
from tensorflow.python.distribute.coordinator import cluster_coordinator

from tfday7.core.errors import UserError, WorkerLostError
from tfday7.core.frameworks import tf
from tfday7.distribution import DistributionConfig, agreement, checking, parameter_servers
from tfday7.distribution.cluster import no_answer
from tfday7.training.config import TrainingConfig

TRAIN = ("--data=digits", "--model=mlp", "--batch_size=48", "--export=", "--strategy=parameter_server")
JOBS = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


def launch(folder: Path, *flags: str, fresh: bool = False) -> Ended:
    group = ("--workers=3", "--parameter_servers=1", f"--log_dir={folder}/logs")
    command = (*group, "--", *TRAIN, f"--run_dir={folder}/run", *flags)
    return run_command("launch", *command, cwd=folder, timeout=280, fresh=fresh)


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def tf_config(**jobs: Any) -> dict[str, str]:
    cluster = {name: addresses for name, addresses in {**JOBS, **jobs}.items() if addresses}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}})}


def processes_of(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            found.append(path.read_bytes().decode(errors="replace").replace("\0", " "))
    return [command for command in found if f"--run_dir={folder}" in command]


@pytest.mark.slow
def test_a_group_learns_goes_on_and_leaves_no_process(tmp_path: Path) -> None:
    ended = launch(tmp_path, "--epochs=3", "--optimizer=adam", "--learning_rate=0.002", fresh=True)
    assert processes_of(tmp_path) == []
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.out + ended.err
    assert [record["epoch"] for record in metrics(tmp_path)] == [1, 2, 3]
    assert metrics(tmp_path)[-1]["val_accuracy"] > 0.8
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    spread = record["distribution"]
    assert (spread["strategy"], spread["workers"], spread["parameter_servers"]) == ("parameter_server", 2, 1)
    assert spread["asynchronous"] is True
    assert record["status"] == "finished"
    assert (tmp_path / "run" / "model.keras").exists()
    examples = record["data"]["examples"]["validation"]
    for each in metrics(tmp_path):  # Every example was validated exactly once: a whole number of them is right.
        assert each["val_accuracy"] * examples == pytest.approx(round(each["val_accuracy"] * examples), abs=1e-3)
    before = metrics(tmp_path)

    more = launch(tmp_path, "--epochs=5", "--optimizer=adam", "--learning_rate=0.002")
    assert more.code == 0, more.err
    assert metrics(tmp_path)[:3] == before
    assert [each["epoch"] for each in metrics(tmp_path)] == [1, 2, 3, 4, 5]
    assert metrics(tmp_path)[3]["val_loss"] < before[0]["val_loss"]
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    with np.load(newest) as archive:  # 1,245 examples in batches of 48 are 26 steps, whoever computed them.
        assert int(archive["optimizer/00000"]) == 5 * 26


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"accumulate_steps": 2}, "--accumulate_steps=2"),
        ({"micro_batch_size": "auto"}, "--micro_batch_size=auto"),
        ({"deterministic": True}, "--deterministic=true"),
        ({"checkpoint_steps": 5}, "--checkpoint_steps=5"),
        ({"recoveries": 1}, "--recoveries=1"),
        ({"precision": "mixed_float16"}, "--precision=mixed_float16"),
    ],
)
def test_what_counts_on_steps_in_order_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        parameter_servers.check_training(TrainingConfig(**settings))
    assert said in error.value.message
    assert "parameter_server" in error.value.message
    assert error.value.hint


REMOTE = "error information from remote target /job:worker/replica:0/task:0"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (tf.errors.UnavailableError(None, None, f"Connection reset by peer; GRPC {REMOTE}"), True),
        (tf.errors.AbortedError(None, None, "Session is not found"), True),
        (tf.errors.InvalidArgumentError(None, None, f"/job:worker/task:0/device:CPU:0 unknown device; {REMOTE}"), True),
        (tf.errors.InvalidArgumentError(None, None, "Unable to find the relevant tensor remote_handle: Op ID 1"), True),
        (tf.errors.ResourceExhaustedError(None, None, "OOM on /job:worker/replica:0/task:0/device:CPU:0"), False),
        (tf.errors.InvalidArgumentError(None, None, f"Received a label value of 12; GRPC {REMOTE}"), False),
        (ValueError("shapes of /job:ps differ"), False),
    ],
)
def test_a_process_is_lost_where_it_has_gone_and_not_where_it_computed_wrongly(error: Exception, lost: bool) -> None:
    assert (parameter_servers.error_of(error) is not None) is lost


@pytest.mark.parametrize("wrapper", [cluster_coordinator.ClosureInputError, cluster_coordinator.ClosureAbortedError])
def test_what_the_coordinator_wraps_is_unwrapped_where_training_ends(wrapper: Any) -> None:
    gone = tf.errors.UnavailableError(None, None, f"Connection reset by peer; GRPC {REMOTE}")
    model = SimpleNamespace(distribute_strategy=SimpleNamespace())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameter_servers, "coordinates", lambda strategy: True)
        with pytest.raises(WorkerLostError), agreement.loss_of_workers(model):
            raise wrapper(gone)
        with pytest.raises(ValueError, match="of ours"), agreement.loss_of_workers(model):
            raise ValueError("of ours: connection reset by peer")


def test_the_command_refuses_it_before_training() -> None:
    alone = run_command("train", *TRAIN, "--only_check_args", "--run_dir=runs/never-made")
    assert (alone.code, "nothing says which processes" in alone.err) == (2, True)


@pytest.mark.parametrize(
    ("strategy", "environ", "said"),
    [
        ("parameter_server", {}, "nothing says which processes"),
        ("parameter_server", tf_config(ps=[]), "no parameter servers"),
        ("parameter_server", tf_config(worker=[]), "no worker beside its chief"),
        ("multiworker", tf_config(), "no use for"),
        ("auto", tf_config(), "no use for"),
    ],
)
def test_a_cluster_has_a_chief_a_worker_and_a_server(strategy: str, environ: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        checking.check(DistributionConfig(strategy=strategy), 48, 1, environ)


def test_a_whole_cluster_is_let_through() -> None:
    checking.check(DistributionConfig(strategy="parameter_server"), 48, 1, tf_config())
    parameter_servers.check_training(TrainingConfig())


def test_nobody_answers_at_a_port_that_is_closed_and_somebody_at_one_that_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        assert no_answer(address, 5.0) == ""
    assert no_answer(address, 0.3) == "connection refused"

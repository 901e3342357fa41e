"""`--describe` says what a run would cost, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import run_command

pytestmark = pytest.mark.slow

FLAGS = ("--data=digits", "--model=mlp", "--width=16", "--depth=1", "--batch_size=32", "--describe")


def test_the_record_is_arithmetic_and_a_measured_time(tmp_path: Path) -> None:
    ended = run_command("train", *FLAGS, "--freeze", "--json", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    record = json.loads(ended.out)
    assert record["parameters"] == (64 * 16 + 16) + (16 * 10 + 10)
    assert record["trainable_parameters"] == 16 * 10 + 10
    assert record["macs"] == 64 * 16 + 16 * 10
    assert record["macs_by_layer_type"] == {"Dense": 64 * 16 + 16 * 10}
    assert record["activation_bytes"] == 4 * (64 + 16 + 10)
    assert record["steps_per_epoch"] == -(-1245 // 32)
    assert 0 < record["step_ms"] < 1000
    assert 0 < record["input_ms"] < 1000
    slower = max(record["step_ms"], record["input_ms"])  # The pipeline works beside the model.
    assert record["epoch_seconds"] == pytest.approx(record["steps_per_epoch"] * slower / 1000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "Multiply-accumulates of one example"), ("zh", "单个样本的乘加次数")]
)
def test_people_get_a_table_in_their_language(tmp_path: Path, lang: str, words: str) -> None:
    ended = run_command("train", *FLAGS, f"--lang={lang}", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert words in ended.out
    assert "1,184" in ended.out
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_still_a_mistake(tmp_path: Path) -> None:
    ended = run_command("train", *FLAGS, "--batch_size=5000", cwd=tmp_path)
    assert ended.code == 2
    assert "--batch_size=5000" in ended.err


@pytest.mark.parametrize(
    ("flags", "replicas"),
    [
        (("--strategy=mirrored", "--virtual_devices=2", "--accumulate_steps=2"), 2),
        (("--strategy=model_parallel", "--mesh=model:2", "--virtual_devices=2"), 1),
    ],
)
def test_several_devices_are_measured_together(flags: tuple[str, ...], replicas: int, tmp_path: Path) -> None:
    ended = run_command("train", *FLAGS, *flags, "--json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert record["parameters"] == (64 * 16 + 16) + (16 * 10 + 10)
    assert record["devices"]["replicas"] == replicas
    assert len(record["devices"]["devices"]) == 2
    assert bool(record["device_plan"]) == (replicas == 1)
    assert record["accumulate_steps"] == (2 if replicas == 2 else 1)
    assert 0 < record["step_ms"] < 1000
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_is_shown_with_its_plan(tmp_path: Path) -> None:
    flags = ("--strategy=model_parallel", "--mesh=model:2", "--virtual_devices=2")
    ended = run_command("train", *FLAGS, *flags, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "dimension 1 / 2" in ended.out
    assert "model_parallel: CPU:0, CPU:1" in ended.out


def test_a_group_of_processes_is_not_described(tmp_path: Path) -> None:
    flags = ("--strategy=multiworker", "--cluster=localhost:1,localhost:2", "--worker_index=0")
    ended = run_command("train", *FLAGS, *flags, cwd=tmp_path)
    assert ended.code == 2
    assert ended.err.startswith("error: --describe looks at one process")

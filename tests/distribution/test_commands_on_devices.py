"""`tfday7.train` on several devices from the outside: the figures, the files and the errors of one device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import run_command

SMALL = ("--data=digits", "--model=mlp", "--width=8", "--depth=1", "--export=", "--batch_size=48", "--deterministic")
MESH = ("--strategy=hybrid", "--mesh=batch:2,model:2", "--virtual_devices=4")


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def train(folder: Path, *flags: str) -> list[dict[str, Any]]:
    ended = run_command("train", *SMALL, f"--run_dir={folder}", *flags, cwd=folder.parent)
    assert ended.code == 0, ended.err
    return metrics(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "devices",
    [("--strategy=mirrored", "--virtual_devices=2"), MESH],
    ids=["mirrored", "hybrid"],
)
def test_a_run_ends_as_on_one_device_and_goes_on_there(devices: tuple[str, ...], tmp_path: Path) -> None:
    one = train(tmp_path / "one", "--epochs=2", "--accumulate_steps=4", "--global_clipnorm=0.5")
    several = train(tmp_path / "run", "--epochs=1", "--accumulate_steps=4", "--global_clipnorm=0.5", *devices)
    assert several[0] == pytest.approx(one[0], abs=2e-6)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["distribution"]["replicas"] == 2
    assert record["distribution"]["micro_batch_size"] == 6
    assert (tmp_path / "run" / "model.keras").exists()
    assert json.loads((tmp_path / "run" / "health.json").read_text(encoding="utf-8"))["failure"] == ""
    more = train(tmp_path / "run", "--epochs=2", "--accumulate_steps=4", "--global_clipnorm=0.5")
    assert [record["epoch"] for record in more] == [1, 2]
    assert more[1] == pytest.approx(one[1], abs=5e-6)


@pytest.mark.slow
def test_memory_decides_how_much_is_accumulated_and_the_run_keeps_it(tmp_path: Path) -> None:
    train(tmp_path / "run", "--epochs=1", "--micro_batch_size=auto")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["distribution"]["accumulate_steps"] == 1
    train(tmp_path / "run", "--epochs=2", "--micro_batch_size=auto")


@pytest.mark.parametrize(
    ("flags", "said", "hint"),
    [
        (("--strategy=mirrored", "--virtual_devices=5"), "--batch_size=48 cannot be cut evenly", "--batch_size=45"),
        (("--strategy=hybrid", "--mesh=batch:2,model:2", "--virtual_devices=2"), "4 devices", "--virtual_devices=4"),
        (("--strategy=model_parallel", "--mesh=rows:2", "--virtual_devices=2"), "unknown axis", "--mesh="),
        (("--strategy=multiworker",), "nothing says which workers", "tfday7.launch"),
        (("--micro_batch_size=auto", "--accumulate_steps=2"), "contradicts", "leave one out"),
    ],
)
def test_a_mistake_ends_in_two_lines_and_leaves_nothing(
    flags: tuple[str, ...], said: str, hint: str, tmp_path: Path
) -> None:
    ended = run_command("train", *SMALL, f"--run_dir={tmp_path}/run", *flags, cwd=tmp_path)
    assert ended.code == 2
    assert said in ended.err
    assert hint in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--width=7",), "7"),  # A hidden width that two devices cannot share.
        (("--dropout=0.5",), "dropout"),
        (("--optimizer=rmsprop",), "rmsprop"),
        (("--precision=mixed_float16",), "mixed_float16"),
        (("--use_ema",), "use_ema"),
    ],
)
def test_what_a_mesh_cannot_do_is_refused_by_name(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    ended = run_command("train", *SMALL, f"--run_dir={tmp_path}/run", *MESH, *flags, cwd=tmp_path)
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "hint:" in ended.err
    assert not (tmp_path / "run").exists()

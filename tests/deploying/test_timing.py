"""Timing files on another device, which is an OpenSSH server on loopback; nothing of them stays there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploying import loopback
from deploying.loopback import Device
from support import run_command

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.deploying.config import DeployConfig
from tfday7.deploying.timing import RemoteTimer, _row
from tfday7.exporting import card

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(loopback.MISSING), reason=loopback.MISSING)]
Artefacts = Callable[..., Path]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with loopback.serving(tmp_path_factory.mktemp("device")) as device:
        yield device


def timer(there: Device, **changes: str) -> RemoteTimer:
    given = {"device": there.url, "ssh_config": str(there.config), "python": sys.executable}
    return RemoteTimer(DeployConfig(**{**given, **changes}))


def nobody() -> str:
    """Returns an address at which nobody listens."""
    return f"ssh://127.0.0.1:{loopback.free_port()}"


def test_files_are_timed_beside_the_first_one_and_nothing_stays(artefact: Artefacts, device: Device) -> None:
    made = timer(device)
    made.check()
    rows = made({"whole": artefact("cnn"), "again": artefact("cnn"), "other": artefact("multilabel")}, 0.6)
    assert list(rows) == ["whole", "again", "other"]
    assert (rows["whole"]["latency_ratio"], rows["whole"]["latency_ratio_range"]) == (1.0, [1.0, 1.0])
    for row in rows.values():
        low, high = row["latency_ratio_range"]
        assert low <= row["latency_ratio"] <= high
        assert row["latency_ms"]["p50"] > 0
        assert row["peak_memory_bytes"] > 10_000_000
        assert (row["runtime"], row["failure"]) == ("litert", "")
    assert 0.2 < rows["again"]["latency_ratio"] < 5  # The same file; the machine does other things meanwhile.
    assert made.name.endswith(" (127.0.0.1)")
    assert device.left() == []


def test_a_file_that_answers_otherwise_there_is_not_timed_and_the_others_are(
    copied: Artefacts, artefact: Artefacts, device: Device
) -> None:
    broken = copied("multilabel")
    record = broken.with_name(broken.name + ".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": "0" * 64}))
    rows = timer(device)({"whole": artefact("cnn"), "broken": broken}, 0.1)
    assert "not the file that its record describes" in rows["broken"]["failure"]
    assert rows["broken"]["latency_ratio"] is None
    assert rows["broken"]["latency_ms"]["p50"] is None
    assert rows["whole"]["latency_ms"]["p50"] > 0
    with pytest.raises(UserError, match="not the file that its record describes"):
        timer(device)({"broken": broken, "whole": artefact("cnn")}, 0.1)
    assert device.left() == []


@pytest.mark.parametrize(("peaks", "expected"), [([None, 7, 5], 7), ([None] * 3, None)])
def test_a_device_that_does_not_know_its_memory_is_timed_all_the_same(peaks: list[Any], expected: int | None) -> None:
    rows = [{"runtime": "litert", "latency_ms": {"p50": 2.0}, "peak_memory_bytes": peak} for peak in peaks]
    assert _row(rows, rows, "")["peak_memory_bytes"] == expected


def test_a_device_that_is_not_there_is_said_before_anything_is_made(device: Device) -> None:
    with pytest.raises(UserError, match="ssh: "):
        timer(device, device=nobody()).check()
    timer(device).check()
    with pytest.raises(UserError, match="there is no nowhere/python"):
        timer(device, python="nowhere/python").check()


def test_a_compression_is_timed_on_the_device(device: Device, tmp_path: Path) -> None:
    """The whole command, on a model that is not trained: what counts is where its files ran."""
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(keras.layers.Conv2D(16, 3, activation="relu")(inputs)))
    keras.Model(inputs, outputs).save(tmp_path / "mine.keras")
    x = np.random.default_rng(0).uniform(size=(90, 8, 8, 1)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=np.arange(90) % 10)
    flags = [f"--model={tmp_path}/mine.keras", f"--data={tmp_path}/mine.npz", f"--run_dir={tmp_path}/run", "--json"]
    flags += [f"--device={device.url}", f"--ssh_config={device.config}", f"--python={sys.executable}", "--seconds=0.3"]
    flags += [f"--export_dir={tmp_path}/files", "--recipe=int8", "--max_accuracy_drop=1"]
    ended = run_command("compress", *flags)
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert record["device"].endswith(" (127.0.0.1)")
    assert record["candidates"][0]["latency_ratio"] > 0
    assert record["baseline"]["latency_ratio"] == 1.0
    beside = json.loads((tmp_path / "files" / "int8" / card.COMPRESSED).read_text())
    assert beside["device"] == record["device"]
    assert device.left() == []
    elsewhere = {flags[2]: f"--run_dir={tmp_path}/other", f"--device={device.url}": f"--device={nobody()}"}
    ended = run_command("compress", *(elsewhere.get(flag, flag) for flag in flags))
    assert ended.code == 2
    assert "ssh: " in ended.err
    assert not (tmp_path / "other").exists()

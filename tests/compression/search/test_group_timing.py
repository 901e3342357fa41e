"""What groups save of the time, on a model with one layer that does nearly all of the work."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfday7.compression.compressing import Compression
from tfday7.compression.records import Candidate
from tfday7.compression.search import group_timing, groups
from tfday7.compression.search.group_timing import GroupTimer
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting.records import Origin


@pytest.mark.slow
def test_the_layer_that_does_the_work_saves_the_time(tmp_path: Path) -> None:
    inputs = keras.Input((48, 48, 3))
    large = keras.layers.Conv2D(64, 5, padding="same", activation="relu", name="large")(inputs)
    small = keras.layers.Dense(16, activation="relu", name="small")(keras.layers.GlobalAveragePooling2D()(large))
    model = keras.Model(inputs, keras.layers.Dense(2)(small))
    x = np.random.default_rng(0).uniform(size=(120, 48, 48, 3)).astype(np.float32)
    dataset = prepare(Raw(x, np.arange(120) % 2), "made")
    job = Compression(
        model, dataset, Origin("made", "made", "logits", {}), tmp_path / "work", tmp_path / "files",
        device="cpu_without_amx",
    )  # fmt: skip
    costs = groups.measure(model, dataset)
    found = {one.name: one for one in groups.with_times(model, costs, GroupTimer(job, 0.5))}
    assert set(found) == {"large", "small"}
    assert found["large"].latency_saved == pytest.approx(0.5, abs=0.25)
    assert abs(found["small"].latency_saved or 0.0) < 0.2
    assert found["large"].latency_saved > found["small"].latency_saved + 0.2
    assert not (tmp_path / "work" / "groups").exists()


def test_what_does_not_fit_into_the_time_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, made = [0.0], []

    def add(self: GroupTimer, name: str, model: Any) -> None:
        now[0] += 10.0
        made.append(name)
        self._files.append(Candidate(name))

    monkeypatch.setattr(GroupTimer, "add", add)
    monkeypatch.setattr(group_timing.time, "monotonic", lambda: now[0])
    dataset = prepare(Raw(np.arange(400.0, dtype=np.float32).reshape(200, 2), np.arange(200) % 2), "made")
    job = Compression(None, dataset, Origin("made", "made", "logits", {}), tmp_path / "work", tmp_path / "files")
    timer = GroupTimer(job, 2.0, limit_seconds=45.0)
    now[0] += 100.0  # What is measured before does not count.
    while timer.has_time():
        timer.add("group", None)
    # With three files 30 s are gone, the fourth would take 10 and timing them 8: 48 of 45.
    assert made == ["whole", "group", "group"]


def test_a_probe_that_cannot_be_made_is_not_timed_and_the_others_take_no_longer_than_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported(model: Any, *arguments: Any, **options: Any) -> Any:
        if model == "broken":
            raise UserError("its outputs hold NaN")
        return [SimpleNamespace(path=f"{model}.tflite", size_bytes=1, failure="")]

    def timed(job: Any, files: list[Candidate], seconds: float, patience: float) -> list[Candidate]:
        assert (seconds, patience) == (2.0, 1.0)
        return [dataclasses.replace(one, latency_ratio=None if one.failure else 0.75) for one in files]

    monkeypatch.setattr(group_timing.exporting, "export", exported)
    monkeypatch.setattr(group_timing, "timed", timed)
    dataset = prepare(Raw(np.arange(400.0, dtype=np.float32).reshape(200, 2), np.arange(200) % 2), "made")
    job = Compression("given", dataset, Origin("made", "made", "logits", {}), tmp_path / "work", tmp_path / "files")
    timer = GroupTimer(job, 2.0)
    assert timer.has_time()
    for name in ("broken", "other"):
        timer.add(name, name)
    assert timer.saved() == {"other": 0.25}

"""What groups save of the time, on a model with one layer that does nearly all of the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfday7.compression.compressing import Compression
from tfday7.compression.search import groups
from tfday7.compression.search.group_timing import GroupTimer
from tfday7.core.frameworks import keras
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting.records import Origin

pytestmark = pytest.mark.slow


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
    found = {one.name: one for one in groups.measure(model, dataset, timer=GroupTimer(job, 0.5))}
    assert set(found) == {"large", "small"}
    assert found["large"].latency_saved == pytest.approx(0.5, abs=0.25)
    assert abs(found["small"].latency_saved or 0.0) < 0.2
    assert found["large"].latency_saved > found["small"].latency_saved + 0.2
    assert not (tmp_path / "work" / "groups").exists()

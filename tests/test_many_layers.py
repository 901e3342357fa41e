"""A model of 2,000 layers: what looks at every layer of it takes seconds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from reporting.report_folders import complete, health_record

from tfday7.compression import shrink
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.diagnosis import diagnose, health
from tfday7.diagnosis.measuring.probing import Prober
from tfday7.models import describe
from tfday7.reporting.html import write_report

BRANCHES, BLOCKS = 4, 250  # Of a Dense and a ReLU; one chain of so many is beyond Keras, which walks by recursion.
LAYERS = 2 * BRANCHES * BLOCKS
SECONDS = 10.0  # Some five times what it takes on two free cores.


def _model() -> Any:
    inputs, ends = keras.Input((2,)), []
    for branch in range(BRANCHES):
        x = inputs
        for block in range(BLOCKS):
            x = keras.layers.Dense(4, name=f"dense_{branch}_{block}")(x)
            x = keras.layers.ReLU(name=f"relu_{branch}_{block}")(x)
        ends.append(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(keras.layers.Concatenate(name="ends")(ends)))


@pytest.mark.slow
def test_it_is_described_planned_and_probed_in_seconds(blobs: Dataset) -> None:
    model = _model()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    started = time.monotonic()
    assert describe.describe(model).parameters == model.count_params()
    plan = shrink.plan(model, ratio=0.5, round_to=1)
    assert time.monotonic() - started < SECONDS
    assert len(plan.groups) == BRANCHES * BLOCKS
    kept = BRANCHES * ((2 * 2 + 2) + (BLOCKS - 1) * (2 * 2 + 2)) + (BRANCHES * 2 * 2 + 2)  # Two of four units each.
    assert plan.parameters[1] == kept
    started = time.monotonic()
    probe = Prober(model, blobs).probe(0)
    assert time.monotonic() - started < SECONDS
    assert len(probe.layers) >= LAYERS


def test_it_is_diagnosed_and_reported_in_seconds(tmp_path: Path) -> None:
    folder = complete(tmp_path / "run", health=health_record(LAYERS, (0, 1, 2, 3, 5, 10, 20, 30)))
    started = time.monotonic()
    assert len(health.read(folder)[0].probes[-1].layers) == LAYERS
    assert diagnose(folder).verdict
    report = write_report(folder)
    assert time.monotonic() - started < SECONDS
    assert report.stat().st_size < 2_000_000

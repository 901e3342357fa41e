"""Which files are worth going on with, by their records."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tfday7.compression import judging
from tfday7.compression.records import NOT_FINITE, Candidate
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting.records import Artefact, Parity


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"relative_difference": 0.09}, ""),
        ({"artefact_metric": 0.8911}, "its file's outputs part from the Keras model's by 11.4%"),
        ({"artefact_metric": None}, "its file's outputs part from the Keras model's by 11.4%"),
        ({"relative_difference": 0.21}, "its file's outputs part from the Keras model's by 21%"),
        ({"relative_difference": None}, NOT_FINITE),
        ({"agreement": 0.99}, "its file's outputs part from the Keras model's by 11.4%"),  # Of 0.995 that are required.
    ],
)
def test_values_of_which_one_is_far_off_are_good_where_the_metric_is(changes: dict[str, Any], reason: str) -> None:
    limits = {"relative_difference": 0.1, "metric_drop": 0.005, "agreement": 0.995}
    parity = Parity("r2", 0.8980, 0.8993, 0.1, 0.01, 0.114, None, [], 150, limits, ["it parts"])
    assert judging.broken(Artefact("a", "tflite", "int16x8", parity=dataclasses.replace(parity, **changes))) == reason


@pytest.mark.parametrize(("value", "said"), [(0.75, True), (0.76, False), (0.2, True), (None, False)])
def test_a_given_model_that_is_no_better_than_guessing_is_said_to_be(value: float | None, said: bool) -> None:
    """As a model is that rescales its pixels itself, on bytes that are divided by 255 already."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 4, 4, 1), dtype=np.uint8)
    quarter = np.repeat([0, 0, 0, 1], 20)
    raw = Raw(pixels, quarter, validation=(255 - pixels[::2], quarter[::2]), test=(pixels[:4] // 2, quarter[:4]))
    dataset = prepare(raw, "pixels")
    given = Candidate("float32", None, metric={"name": "accuracy", "value": value})
    note = judging.no_better_than_guessing(given, dataset, dataset.validation)
    assert bool(note) == said
    if said:
        assert f"accuracy is {value:.4f}, no better than a constant answer's 0.7500" in note
        assert "The data are prepared as 'pixels / 255'." in note

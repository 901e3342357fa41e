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
        ({}, "its file's outputs part from the Keras model's by 15.5%"),
        ({"relative_difference": 0.15}, ""),
        ({"agreement": 0.99}, ""),
        ({"agreement": 0.94}, "its file's outputs part from the Keras model's by 15.5%"),
        ({"agreement": 0.99, "relative_difference": 0.31}, "its file's outputs part from the Keras model's by 31%"),
        ({"agreement": 0.99, "relative_difference": None}, NOT_FINITE),
    ],
)
def test_outputs_may_part_where_the_decisions_agree(changes: dict[str, Any], reason: str) -> None:
    limits = {"relative_difference": 0.15, "metric_drop": 0.005, "agreement": 0.95}
    parity = Parity("accuracy", 0.9, 0.8, 0.1, 0.01, 0.155, None, [], 150, limits, ["it parts"])
    assert judging.broken(Artefact("a", "tflite", "int8", parity=dataclasses.replace(parity, **changes))) == reason


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
        assert (
            f"accuracy is {value:.4f}, no better than a constant answer's 0.7500: perhaps it has learned nothing"
            in note
        )
        assert note.endswith("They are prepared as 'pixels / 255'.")

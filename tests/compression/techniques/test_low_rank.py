"""The step "low_rank": a new model, the record of what became of it, and settings that contradict each other."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building

LOW_RANK = TECHNIQUES.get("low_rank")


def test_it_puts_a_smaller_model_in_place_and_says_what_became_of_each_layer(blobs: Dataset) -> None:
    model = building.build(ModelConfig(model="mlp", width=24, depth=2), blobs.problem)
    work = Work(model, model, blobs)
    settings = read_settings(LOW_RANK, {"ratio": 0.5, "min_parameters": 500, "epochs": 0})
    record = LOW_RANK.apply(work, settings)
    (layer,) = record["layers"]
    rank = layer["rank"]
    assert layer["matrix"] == [24, 24]
    assert layer["parameters"] == [24 * 24, rank * 48]
    assert rank == 24 * 24 // 2 // 48
    assert record["parameters"] == [model.count_params(), model.count_params() - 24 * 24 + rank * 48]
    assert record["parameters"][1] == work.model.count_params()
    assert record["finetuning"] == {}
    assert work.model is not model
    assert np.isfinite(work.model.predict(blobs.test.x, verbose=0)).all()


def test_a_layer_that_is_left_alone_is_named(blobs: Dataset) -> None:
    model = building.build(ModelConfig(model="mlp", width=24, depth=2), blobs.problem)
    work = Work(model, model, blobs)
    LOW_RANK.apply(work, read_settings(LOW_RANK, {"energy": 0.99999, "min_parameters": 500, "epochs": 0}))
    ((technique, layer, reason),) = [(each.technique, each.layer, each.reason) for each in work.skipped]
    assert (technique, layer) == ("low_rank", next(each.name for each in model.layers if each.count_params() == 600))
    assert "would not save parameters" in reason


def test_energy_and_ratio_contradict_each_other() -> None:
    with pytest.raises(UserError, match=r"energy=0\.5 contradicts ratio=0\.5"):
        read_settings(LOW_RANK, {"energy": 0.5, "ratio": 0.5})

"""Every architecture of tfday7 shrinks: the smaller model computes what the masked one does."""

from __future__ import annotations

import numpy as np
import pytest
from compression.shrink.agreement import agree

from tfday7.data import Problem
from tfday7.models import ModelConfig, building, describe
from tfday7.models.architecture import ARCHITECTURES

CLASSES = ("a", "b", "c")


def standardized(size: int) -> dict[str, np.ndarray]:
    mean, std = np.arange(size, dtype=np.float32), np.full(size, 2.0, np.float32)
    return {"feature_mean": mean, "feature_std": std}


IMAGE = Problem("classification", "image", (16, 16, 3), 3, CLASSES)
SERIES = Problem("classification", "series", (6, 4), 3, CLASSES, **standardized(4))
TEXT = Problem("classification", "text", (6,), 3, CLASSES, ("", "one", "two", "three", "four"))
TABLE = Problem("classification", "tabular", (4,), 3, CLASSES, **standardized(4))
ITSELF = Problem(
    "reconstruction", "tabular", (40,), 40, **standardized(40),
    target_mean=np.zeros(40, np.float32), target_std=np.ones(40, np.float32),
)  # fmt: skip
FAMILIES = {
    "autoencoder": (ITSELF, {}),
    "cnn": (IMAGE, {"width": 8, "depth": 2}),
    "ds_cnn": (IMAGE, {"width": 8}),
    "gru": (SERIES, {"width": 8}),
    "lstm": (TEXT, {"width": 8, "depth": 2}),
    "mlp": (TABLE, {"width": 16, "depth": 2}),
    "mobilenet_v2": (IMAGE, {"width": 8}),
    "resnet8": (IMAGE, {"width": 8}),
    "transformer": (TEXT, {"width": 128, "depth": 1}),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_shrinks(name: str) -> None:
    problem, scale = FAMILIES[name]
    model = building.build(ModelConfig(model=name, **scale), problem)
    plan, smaller = agree(model, ratio=0.5)
    assert plan.parameters[1] < 0.75 * plan.parameters[0]
    assert plan.macs is not None
    assert plan.macs[0] == describe.describe(model).macs
    assert plan.macs[1] == describe.describe(smaller).macs


def test_every_family_with_channels_is_here() -> None:
    assert set(ARCHITECTURES.names()) - set(FAMILIES) == {"linear"}


def test_the_transformer_loses_heads_and_hidden_units_and_keeps_its_width() -> None:
    model = building.build(ModelConfig(model="transformer", width=128, depth=1), TEXT)
    plan, smaller = agree(model, ratio=0.5)
    assert {(one.group.name, one.group.kind): (one.before, one.after) for one in plan.groups} == {
        ("block_1_query", "heads"): (2, 1),
        ("block_1_hidden", "units"): (512, 256),
    }
    assert "LayerNormalization" in next(one.reason for one in plan.skipped if one.layer == "words")
    assert smaller.get_layer("block_1_output").kernel.shape == (64, 128)


def test_resnet8_has_its_parameters_by_arithmetic() -> None:
    model = building.build(ModelConfig(model="resnet8"), Problem("classification", "image", (32, 32, 3), 10))
    plan, _ = agree(model, ratio=0.5, round_to=8)
    half = building.build(ModelConfig(model="resnet8", width=8), Problem("classification", "image", (32, 32, 3), 10))
    assert plan.parameters[1] == half.count_params()
    assert plan.macs is not None
    assert plan.macs[1] == describe.describe(half).macs

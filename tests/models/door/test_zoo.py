"""A dozen of the architectures of keras.applications, and small models of other kinds that are trained in both Kerases.

The benchmark `benchmarks/keras3_zoo.py` does the same with all of them; its code is what runs here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from models.door.conftest import ROOT

from tfday7.core.frameworks import keras, keras3

DOZEN = (
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionV3", "MobileNet"),
    *("MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2", "Xception"),
)
KINDS = ("lstm", "gru", "bert_like", "vit_like", "unet", "siamese", "multi_output")


@pytest.fixture(autouse=True)
def _forget_models() -> None:
    keras.backend.clear_session()
    keras3.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("name", DOZEN)
def test_an_architecture_goes_in_and_out_with_the_same_bits(name: str, zoo: Any) -> None:
    record = zoo.compare(zoo.smallest(zoo.architectures()[name]), in_graph=False)
    assert (record["difference_in"], record["difference_out"]) == (0, 0)
    assert record["same_layer_names"]


@pytest.mark.parametrize("name", KINDS)
def test_a_model_computes_and_trains_the_same_in_both_kerases(name: str, zoo: Any) -> None:
    record = zoo.row(name, zoo.SMALL[name])
    assert max(record["difference_in"], record["difference_out"]) <= 1e-6
    assert record["loss_difference"] <= 1e-5
    assert record["loss_after"] < record["loss_before"]
    assert record["passed"]


def test_the_published_table_is_complete_and_passes(zoo: Any) -> None:
    table = json.loads((ROOT / "benchmarks" / "results" / "keras3_zoo.json").read_text())
    assert set(table["rows"]) >= {*zoo.architectures(), *zoo.SMALL}
    assert sum("full size" in name for name in table["rows"]) >= 10
    assert table["passed"] == table["total"] == len(table["rows"])

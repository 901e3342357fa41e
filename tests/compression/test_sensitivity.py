"""Which layers int8 hurts, on a model in which one layer is known to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.compression import sensitivity
from tfday7.compression.sensitivity import _fewest
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.data.dataset import Examples
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.options import QuantizationOptions
from tfday7.exporting.tflite_layers import computes
from tfday7.runtimes.litert import LiteRT

pytestmark = pytest.mark.slow


def without_a_test_split(dataset: Dataset) -> Dataset:
    """A data set whose test split cannot be read."""

    class Untouchable:
        def __len__(self) -> int:
            raise AssertionError("the test split was looked at")

        def __getitem__(self, item: Any) -> Any:
            raise AssertionError("the test split was looked at")

    return dataclasses.replace(dataset, test=Examples(Untouchable(), Untouchable()))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def hurt(blobs: Dataset) -> Any:
    """Separates the blobs by x0 + x1 in layers of small weights; "hurt" has one unit of huge weights that never fires.

    A dense layer has one int8 scale, so beside weights of 1,000 its others, of 1, are rounded to nothing.
    """
    inputs = keras.Input((2,))
    x = keras.layers.Dense(4, activation="relu", name="before")(inputs)
    x = keras.layers.Dense(3, activation="relu", name="hurt")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="after")(x))
    weights = {
        "before": [[[1, 0, 0.5, -1], [0, 1, 0.5, -1]], [3, 3, 3, 3]],
        "hurt": [[[1, 0.5, -1000], [1, 0.5, -1000], [0, 0.5, -1000], [0, -0.5, -1000]], [-6, 0, -1]],
        "after": [[[-1, 1], [0.1, -0.1], [0.1, 0.1]], [3, -3]],
    }
    for name, given in weights.items():
        model.get_layer(name).set_weights([np.array(each, np.float32) for each in given])
    return model


@pytest.fixture(scope="module")
def outcome(hurt: Any, blobs: Dataset) -> sensitivity.Outcome:
    return sensitivity.search(hurt, without_a_test_split(blobs), 0.01)


def test_the_layer_that_int8_ruins_comes_first(outcome: sensitivity.Outcome) -> None:
    assert {each.layer for each in outcome.layers} == {"before", "hurt", "after"}
    first, second, _ = outcome.layers
    assert first.layer == "hurt"
    assert first.difference > 10 * second.difference
    assert first.metric_drop > 0.2


def test_that_layer_alone_stays_in_float_until_the_gate_holds(outcome: sensitivity.Outcome) -> None:
    assert outcome.float_layers == ("hurt",)
    assert outcome.holds
    assert outcome.float_metric > 0.9
    assert outcome.int8_metric < outcome.float_metric - 0.2
    assert outcome.mixed_metric >= outcome.float_metric - 1.0 / outcome.examples
    assert outcome.to_json()["float_layers"] == ["hurt"]


def test_the_exported_file_has_exactly_that_layer_in_float(
    hurt: Any, blobs: Dataset, outcome: sensitivity.Outcome, tmp_path: Path
) -> None:
    origin = exporting.Origin("hurt", "/runs/hurt", "logits", data={})
    options = QuantizationOptions(float_layers=outcome.float_layers)
    (artefact,) = exporting.export(hurt, blobs, [("tflite", "int8")], tmp_path, origin, bisect=False, options=options)
    assert artefact.holds, artefact
    assert artefact.notes[0] == "these layers stay in float32: hurt"
    assert artefact.recipe["float_layers"] == ["hurt"]
    summary = tflite_file.read(Path(str(artefact.path)))
    dense = [node for node in summary.nodes if node.op == "FULLY_CONNECTED"]
    weights = {
        tuple(computes(summary, node, ("before", "hurt", "after"))): summary.inputs_of(node)[1] for node in dense
    }
    types = {layers[0]: tensor.dtype for layers, tensor in weights.items() if tensor is not None}
    assert types == {"before": "int8", "hurt": "float32", "after": "int8"}
    assert tflite_file.problems(summary, "int8", ("hurt",)) == []
    still_int8, others = tflite_file.problems(summary, "int8", ("after",))
    assert still_int8 == "after were to stay in float32, and are int8 all the same"
    assert "stay in floating point" in others
    assert "stay in floating point" in tflite_file.problems(summary, "int8")[0]
    runner = LiteRT(Path(str(artefact.path)))
    expected = hurt.predict(blobs.test.x, verbose=0)
    assert np.abs(runner.predict(blobs.test.x) - expected).max() < 0.05 * np.abs(expected).max()


def test_a_model_that_int8_does_not_hurt_keeps_no_layer(blobs: Dataset) -> None:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="only")(inputs))
    model.layers[-1].set_weights([np.array([[-1, 1], [-1, 1]], np.float32), np.array([3, -3], np.float32)])
    found = sensitivity.search(model, without_a_test_split(blobs), 0.01)
    assert (found.float_layers, found.holds, found.layers) == ((), True, ())


@pytest.mark.parametrize("least", [1, 2, 3, 4])
def test_halving_finds_the_fewest_layers_and_asks_for_few_metrics(least: int) -> None:
    asked: list[int] = []

    def metric(count: int) -> float:
        asked.append(count)
        return 0.9 if count >= least else 0.5

    metrics = [lambda count=count: metric(count) for count in range(1, 5)]
    assert _fewest(0.8, metrics) == (least, 0.9)
    assert len(asked) <= 3
    assert _fewest(0.95, metrics)[0] == 4
    assert _fewest(0.8, []) == (0, None)


def test_without_validation_examples_nothing_can_be_judged(blobs: Dataset, hurt: Any) -> None:
    empty = Examples(blobs.validation.x[:0], blobs.validation.y[:0])
    with pytest.raises(UserError, match="no validation examples"):
        sensitivity.per_layer(hurt, dataclasses.replace(blobs, validation=empty))

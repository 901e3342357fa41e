"""The step "qat": fine-tunes with rounding, keeps zeros and clusters, and says what it left."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tfday7.compression import constraints, qat
from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig

QAT = TECHNIQUES.get("qat")
LAYERS = keras.layers


def work_on(dataset: Dataset, model: Any) -> Work:
    return Work(model, model, dataset, optimizer=OptimizerConfig(learning_rate=0.05))


def perceptron(dataset: Dataset) -> Any:
    keras.utils.set_random_seed(0)
    return building.build(ModelConfig(model="mlp", width=8), dataset.problem)


def applied(work: Work, **given: Any) -> dict[str, Any]:
    return QAT.apply(work, read_settings(QAT, {"distil": "none", **given}))


def test_without_epochs_the_ranges_are_calibrated_and_the_weights_stay(blobs: Dataset) -> None:
    model = perceptron(blobs)
    work = work_on(blobs, model)
    record = applied(work, epochs=0)
    assert qat.is_quantized(work.model)
    assert not qat.is_quantized(model)
    assert record["training"] == {}
    assert record["metric_calibrated"] == record["metric_after"]
    known = constraints.weights(work.model)
    for path, weight in constraints.weights(model).items():
        if path.endswith("kernel"):
            np.testing.assert_array_equal(known[path].variable, weight.variable)


def test_training_with_rounding_learns(blobs: Dataset) -> None:
    work = work_on(blobs, perceptron(blobs))
    record = applied(work, epochs=5)
    right = work.model.predict(blobs.validation.x, verbose=0).argmax(axis=1) == blobs.validation.y
    assert record["metric_after"] == round(float(right.mean()), 6)
    assert record["metric_after"] > 0.9


@pytest.mark.parametrize(
    ("before", "rate"),
    [
        ([], 0.05),
        ([{"technique": "shrink", "finetuning": [{}, {}]}, {"technique": "prune", "finetuning": {}}], 0.05),
        ([{"technique": "shrink", "finetuning": [{}, {"epochs": 1}]}], 0.005),
        ([{"technique": "prune", "finetuning": {"epochs": 1}}], 0.005),
    ],
)
def test_after_training_the_rate_is_a_tenth(before: list[dict[str, Any]], rate: float, blobs: Dataset) -> None:
    for given, expected in (({}, rate), ({"learning_rate": 0.02}, 0.02)):
        work = dataclasses.replace(work_on(blobs, perceptron(blobs)), done=before)
        assert applied(work, epochs=1, **given)["training"]["learning_rate"] == pytest.approx(expected)


def test_zeros_are_still_zero_after_training_and_others_have_moved(blobs: Dataset) -> None:
    model = perceptron(blobs)
    layer = model.get_layer("hidden_2")
    kernel, bias = layer.get_weights()
    zeros = np.abs(kernel) < np.median(np.abs(kernel))
    layer.set_weights([np.where(zeros, 0, kernel), bias])
    work = work_on(blobs, model)
    work.kept = constraints.zeros(model)
    applied(work, epochs=2)
    trained = constraints.weights(work.model)["hidden_2/kernel"].variable.numpy()
    assert not trained[zeros].any()
    assert np.mean(trained[~zeros] != kernel[~zeros]) > 0.5


def test_clusters_before_a_normalization_stay_clusters(blobs: Dataset) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    x = LAYERS.ReLU()(LAYERS.BatchNormalization()(LAYERS.Dense(8, name="dense")(inputs)))
    model = keras.Model(inputs, LAYERS.Dense(2, name="logits")(x))
    kernel, bias = model.get_layer("dense").get_weights()
    model.get_layer("dense").set_weights([np.where(kernel > 0, 0.4, -0.3), bias])
    work = work_on(blobs, model)
    work.kept = constraints.clusters(model, ["dense/kernel"])
    applied(work, epochs=2)
    assert len(np.unique(constraints.weights(work.model)["dense/kernel"].variable)) == 2


def test_what_is_kept_in_a_nested_model_and_a_separable_convolution_is_found_again(pictures: Dataset) -> None:
    keras.utils.set_random_seed(0)
    inner_input = keras.Input((4, 4, 1))
    inner = keras.Model(inner_input, LAYERS.SeparableConv2D(8, 3, name="apart")(inner_input), name="inner")
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, LAYERS.Dense(2, name="logits")(LAYERS.Flatten()(inner(inputs))))
    apart = inner.get_layer("apart")
    depthwise, pointwise, bias = apart.get_weights()
    zeros = pointwise < 0
    apart.set_weights([depthwise, np.where(zeros, 0, pointwise), bias])
    work = work_on(pictures, model)
    work.kept = constraints.zeros(model)
    assert list(work.kept) == ["inner/apart/pointwise_kernel"]
    applied(work, epochs=1)
    assert list(work.kept) == ["apart/kernel"]
    assert not constraints.weights(work.model)["apart/kernel"].variable.numpy()[zeros].any()


def test_layers_that_are_left_are_in_the_record_with_a_reason(blobs: Dataset) -> None:
    work = work_on(blobs, perceptron(blobs))
    record = applied(work, epochs=0, skip="hidden_1, logits")
    assert [(each.technique, each.layer) for each in work.skipped] == [("qat", "hidden_1"), ("qat", "logits")]
    assert all(each.reason for each in work.skipped)
    assert record["left"] == 2


def test_a_mixed_precision_run_trains_in_float32_and_says_so(blobs: Dataset) -> None:
    work = work_on(blobs, perceptron(blobs))
    work.training = dataclasses.replace(work.training, precision="mixed_bfloat16")
    applied(work, epochs=1)
    assert work.notes == ["qat: trained in float32 instead of mixed_bfloat16"]


@pytest.mark.parametrize("given", [{"epochs": -1}, {"decay": 1.0}, {"learning_rate": 0.0}, {"distil": "yes"}])
def test_settings_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        read_settings(QAT, given)


def test_what_was_trained_with_rounding_trains_on_as_a_copy_and_keeps_its_zeros(blobs: Dataset) -> None:
    model = perceptron(blobs)
    layer = model.get_layer("hidden_2")
    kernel, bias = layer.get_weights()
    zeros = np.abs(kernel) < np.median(np.abs(kernel))
    layer.set_weights([np.where(zeros, 0, kernel), bias])
    work = work_on(blobs, model)
    work.kept = constraints.zeros(model)
    applied(work, epochs=0)
    before, weights = work.model, [weight.copy() for weight in work.model.get_weights()]
    TECHNIQUES.get("finetune").apply(work, read_settings(TECHNIQUES.get("finetune"), {"epochs": 2, "distil": "none"}))
    assert work.model is not before
    assert qat.is_quantized(work.model)
    for old, now in zip(weights, before.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    trained = constraints.weights(work.model)["hidden_2/kernel"].variable.numpy()
    assert not trained[zeros].any()
    assert np.abs(trained - kernel)[~zeros].max() > 1e-4


def test_a_model_with_rounding_is_no_keras_3_file(blobs: Dataset, tmp_path: Any) -> None:
    from tfday7 import models

    work = work_on(blobs, perceptron(blobs))
    applied(work, epochs=0)
    with pytest.raises(UserError, match="quantization-aware training"):
        models.save(work.model, tmp_path / "model.keras")
    assert not (tmp_path / "model.keras").exists()

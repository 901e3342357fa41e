"""Losses against NumPy, and the choice between logits and probabilities."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.data.loading import prepare
from tfday7.data.scoring import score
from tfday7.data.source import Raw
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.training.objective import (
    Accuracy,
    MicroF1,
    ReconstructionR2,
    SmoothedCrossentropy,
    StandardizedR2Score,
    StandardizedSquaredError,
    class_weights,
    gives_logits,
    objective,
    output_meaning,
)

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]], np.float32)
LABELS = np.array([0, 1])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_mixes_the_label_with_the_uniform_distribution(smoothing: float) -> None:
    target = (1 - smoothing) * np.eye(3)[LABELS] + smoothing / 3
    expected = -(target * log_softmax(LOGITS)).sum(axis=-1).mean()
    from_logits = SmoothedCrossentropy(3, smoothing, from_logits=True)(LABELS, LOGITS)
    probabilities = np.exp(log_softmax(LOGITS))
    from_probabilities = SmoothedCrossentropy(3, smoothing, from_logits=False)(LABELS, probabilities)
    assert float(from_logits) == pytest.approx(expected, rel=1e-5)
    assert float(from_probabilities) == pytest.approx(expected, rel=1e-5)


def test_without_smoothing_it_is_keras_own_cross_entropy() -> None:
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(LABELS, LOGITS)
    assert float(SmoothedCrossentropy(3, 0.0, from_logits=True)(LABELS, LOGITS)) == pytest.approx(float(expected))


def test_shares_of_classes_are_labels_too_and_accuracy_takes_the_largest() -> None:
    shares = np.array([[0.7, 0.3, 0.0], [0.0, 0.4, 0.6]], np.float32)
    expected = -(shares * log_softmax(LOGITS)).sum(axis=-1).mean()
    assert float(SmoothedCrossentropy(3, 0.0, from_logits=True)(shares, LOGITS)) == pytest.approx(expected, rel=1e-5)
    metric = Accuracy(3)
    metric.update_state(shares, LOGITS)  # Both right: classes 0 and 2.
    metric.update_state(LABELS[:, np.newaxis], LOGITS)  # One of two right: class 1 is not the largest output.
    assert float(metric.result()) == pytest.approx(3 / 4)


def test_the_regression_loss_is_one_for_predicting_the_mean() -> None:
    y = np.array([[1.0, 100.0], [3.0, 500.0], [5.0, 300.0]], np.float32)
    loss = StandardizedSquaredError(y.std(axis=0))
    assert float(loss(y, np.broadcast_to(y.mean(axis=0), y.shape))) == pytest.approx(1.0, rel=1e-6)
    assert float(loss(y, y)) == 0.0


def test_the_last_layer_decides_between_logits_and_probabilities(problem: Problem) -> None:
    inputs = keras.Input((4,))
    logits = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    fused = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(inputs))
    layer = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(3)(inputs)))
    activation = keras.Model(inputs, keras.layers.Activation("softmax")(keras.layers.Dense(3)(inputs)))
    assert [gives_logits(model) for model in (logits, fused, layer, activation)] == [True, False, False, False]
    assert output_meaning(problem, logits) == "logits"
    assert output_meaning(problem, fused) == "probabilities"
    assert objective(problem, fused)["loss"].get_config()["from_logits"] is False


def test_logits_that_happen_to_lie_between_0_and_1_are_logits(problem: Problem) -> None:
    inputs = keras.Input(problem.input_shape)
    outputs = keras.layers.Dense(3, kernel_initializer="zeros", name="logits")(inputs)
    model = keras.Model(inputs, outputs)
    model.layers[-1].set_weights([np.full((4, 3), 1e-3, np.float32), np.array([0.2, 0.3, 0.9], np.float32)])
    assert gives_logits(model)


def test_a_softmax_inside_a_nested_model_is_found_and_a_sigmoid_refused(problem: Problem) -> None:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    inputs = keras.Input((4,))
    assert not gives_logits(keras.Model(inputs, inner(inputs)))
    sigmoid = keras.Model(inputs, keras.layers.Dense(3, activation="sigmoid")(inputs))
    with pytest.raises(UserError, match="do not add up to 1"):
        objective(problem, sigmoid)
    zeros = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer="zeros")(inputs))
    assert gives_logits(zeros)


SETS = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], np.float32)
SET_LOGITS = np.array([[2.0, -1.0, -0.5], [0.0, 3.0, 1.0], [-1.0, -2.0, 0.1], [1.0, 0.2, -4.0]], np.float32)
SET_PROBLEM = Problem("multilabel", "tabular", (4,), 3, ("a", "b", "c"))


def several_labels(activation: str | None) -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(3, activation=activation)(inputs))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_several_labels_have_the_mean_binary_cross_entropy_of_their_sigmoids(smoothing: float) -> None:
    probabilities = 1 / (1 + np.exp(-SET_LOGITS.astype(np.float64)))
    target = SETS * (1 - smoothing) + smoothing / 2
    expected = -(target * np.log(probabilities) + (1 - target) * np.log(1 - probabilities)).mean()
    from_logits = objective(SET_PROBLEM, several_labels(None), smoothing)["loss"]
    from_probabilities = objective(SET_PROBLEM, several_labels("sigmoid"), smoothing)["loss"]
    assert float(from_logits(SETS, SET_LOGITS)) == pytest.approx(expected, rel=1e-5)
    assert float(from_probabilities(SETS, probabilities.astype(np.float32))) == pytest.approx(expected, rel=1e-5)


def test_f1_over_batches_is_scikit_learns_of_all_examples() -> None:
    metric = objective(SET_PROBLEM, several_labels(None))["metrics"][0]
    assert isinstance(metric, MicroF1)
    for start in range(0, 4, 3):
        metric.update_state(SETS[start : start + 3], SET_LOGITS[start : start + 3])
    assert float(metric.result()) == pytest.approx(f1_score(SETS, SET_LOGITS > 0, average="micro"))
    metric.reset_state()
    assert float(metric.result()) == 0.0
    from_probabilities = objective(SET_PROBLEM, several_labels("sigmoid"))["metrics"][0]
    from_probabilities.update_state(SETS, 1 / (1 + np.exp(-SET_LOGITS)))
    assert float(from_probabilities.result()) == pytest.approx(f1_score(SETS, SET_LOGITS > 0, average="micro"))


def test_a_sigmoid_is_for_several_labels_and_a_softmax_refused() -> None:
    assert output_meaning(SET_PROBLEM, several_labels(None)) == "logits"
    assert output_meaning(SET_PROBLEM, several_labels("sigmoid")) == "probabilities"
    nested = keras.Sequential([keras.Input((4,)), several_labels("sigmoid")])
    assert output_meaning(SET_PROBLEM, nested) == "probabilities"
    with pytest.raises(UserError, match="no two labels could both be likely"):
        output_meaning(SET_PROBLEM, several_labels("softmax"))


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_r2_in_float32_is_right_however_far_the_target_is_from_zero(offset: float) -> None:
    generator = np.random.default_rng(0)
    y = (offset + generator.normal(size=(1000, 1))).astype(np.float32)
    predicted = (y + generator.normal(scale=0.3, size=y.shape)).astype(np.float32)
    metric = StandardizedR2Score(y.mean(axis=0), y.std(axis=0))
    for start in range(0, 1000, 300):
        metric.update_state(y[start : start + 300], predicted[start : start + 300])
    y, predicted = y.astype(np.float64), predicted.astype(np.float64)
    expected = 1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2)
    assert float(metric.result()) == pytest.approx(expected, abs=1e-3)


def test_balanced_class_weights_are_those_of_scikit_learn() -> None:
    y = np.array([0] * 7 + [1] * 2 + [2] * 11)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    problem = Problem("classification", "tabular", (2,), 4, ("a", "b", "c", "never seen"))
    weights = class_weights("balanced", problem, y)
    assert weights is not None
    assert list(weights) == [0, 1, 2, 3]
    np.testing.assert_allclose([weights[label] for label in range(3)], expected)
    assert class_weights("none", problem, y) is None


@pytest.mark.parametrize("augment", ["", "mixup"])
def test_balancing_finds_the_rare_class(augment: str) -> None:
    """Two overlapping clouds, nine to one: unweighted, hardly any example of the rare class is found."""
    generator = np.random.default_rng(3)
    y = (np.arange(2000) % 10 == 0).astype(np.int64)
    dataset = prepare(Raw(generator.normal(size=(2000, 2)) + y[:, np.newaxis], y), "rare")
    found = {}
    for rule in ("none", "balanced"):
        model = building.build(ModelConfig(model="linear"), dataset.problem)
        training = TrainingConfig(epochs=20, class_weights=rule, augment=augment)
        fitting.fit(model, dataset, OptimizerConfig(learning_rate=0.02), training)
        guess = model.predict(dataset.test.x, verbose=0).argmax(axis=1)
        found[rule] = float(np.mean(guess[dataset.test.y == 1] == 1))
    assert found["none"] < 0.4 < 0.6 < found["balanced"]


def test_mixed_and_smoothed_label_sets_train_a_model_that_ends_in_a_sigmoid() -> None:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(400, 4))
    dataset = prepare(Raw(x, (x[:, :3] > 0).astype(int)), "sets")
    model = several_labels("sigmoid")
    training = TrainingConfig(epochs=15, augment="mixup", label_smoothing=0.1)
    records = fitting.fit(model, dataset, OptimizerConfig(learning_rate=0.05), training).records
    assert records[-1]["val_f1_score"] > 0.9 > records[0]["f1_score"]


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_a_reconstructions_r2_over_batches_is_the_score_and_its_loss_a_mean_in_deviations(offset: float) -> None:
    generator = np.random.default_rng(0)
    mean, std = np.array([offset, 5.0], np.float32), np.array([2.0, 0.5], np.float32)
    problem = Problem("reconstruction", "series", (3, 2), 6, target_mean=mean, target_std=std)
    x = (mean + std * generator.normal(size=(500, 3, 2))).astype(np.float32)
    outputs = (x + std * generator.normal(scale=0.5, size=x.shape)).astype(np.float32)
    metric = ReconstructionR2(problem)
    for start in range(0, 500, 300):
        metric.update_state(x[start : start + 300], outputs[start : start + 300])
    assert float(metric.result()) == pytest.approx(score(problem, outputs, x), abs=1e-4)
    expected = np.mean(np.square((x.astype(np.float64) - outputs) / std))
    assert float(StandardizedSquaredError(std)(x, outputs)) == pytest.approx(expected, rel=1e-4)


HEADS = (
    Problem("regression", "array", (), 1, name="price", target_mean=np.array([9.0]), target_std=np.array([4.0])),
    Problem("classification", "array", (), 2, ("a", "b"), name="city"),
)
MIXED = Problem("several", "tabular", (4,), 3, heads=HEADS)


def test_the_loss_of_several_targets_is_the_sum_of_each_in_deviations_and_nats() -> None:
    y = np.array([[5.0, 1, 0], [13.0, 0, 1]], np.float32)
    outputs = np.array([[7.0, 2.0, 1.0], [13.0, 0.0, 0.0]], np.float32)
    found = objective(MIXED, several_labels(None))
    squares = np.array([(2 / 4) ** 2, 0.0])
    nats = np.array([np.log(1 + np.exp(-1.0)), np.log(2.0)])
    assert float(found["loss"](y, outputs)) == pytest.approx(np.mean(squares + nats), rel=1e-5)
    for metric in found["metrics"]:
        metric.update_state(y, outputs)
    values = {metric.name: float(metric.result()) for metric in found["metrics"]}
    assert values == pytest.approx({"price_r2_score": 1 - 4 / 32, "city_accuracy": 0.5}, abs=1e-5)
    assert output_meaning(MIXED, several_labels(None)) == "values, logits"


def test_probabilities_for_one_of_several_targets_are_refused_by_its_name() -> None:
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(1)(inputs), keras.layers.Dense(2, activation="softmax")(inputs)]
    model = keras.Model(inputs, keras.layers.Concatenate()(outputs))
    with pytest.raises(UserError, match="outputs for the target 'city' lie between 0 and 1"):
        objective(MIXED, model)


def test_targets_whose_names_tensorflow_cannot_take_are_counted() -> None:
    heads = tuple(dataclasses.replace(head, name=name) for head, name in zip(HEADS, ("价格", "my city"), strict=True))
    found = objective(dataclasses.replace(MIXED, heads=heads), several_labels(None))
    assert [metric.name for metric in found["metrics"]] == ["target_1_r2_score", "mycity_accuracy"]

"""Zeros stay zero and clusters stay together, bit for bit, whatever trains the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7 import models
from tfday7.compression import constraints
from tfday7.compression.constraints import Keeping, Kept
from tfday7.core.frameworks import keras, tf
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset
from tfday7.optimizers import OptimizerConfig
from tfday7.training import fitting
from tfday7.training.config import TrainingConfig

LAYERS = keras.layers


def small(seed: int = 0) -> Any:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2,))
    hidden = LAYERS.Dense(6, activation="tanh", name="hidden")(inputs)
    return keras.Model(inputs, LAYERS.Dense(2, name="logits")(hidden))


def halves(model: Any) -> dict[str, Kept]:
    """Zeros in every second weight of "hidden", and of the others two clusters by their sign; three in "logits"."""
    hidden, logits = (model.get_layer(name).kernel.numpy() for name in ("hidden", "logits"))
    zeros = np.arange(hidden.size).reshape(hidden.shape) % 2 == 0
    return {
        "hidden/kernel": Kept(zeros, (hidden > 0).astype(np.int32)),
        "logits/kernel": Kept(None, np.arange(logits.size, dtype=np.int32).reshape(logits.shape) % 3),
    }


def check(model: Any, kept: dict[str, Kept]) -> None:
    for path, each in kept.items():
        layer, name = path.split("/")
        value = getattr(model.get_layer(layer), name).numpy()
        stays = np.ones(value.shape, bool)
        if each.zeros is not None:
            assert not value[each.zeros].any()
            stays = ~each.zeros
        if each.clusters is not None:
            for number in np.unique(each.clusters[stays]):
                assert len(np.unique(value[stays & (each.clusters == number)])) == 1


@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerConfig("adam", learning_rate=0.02),
        OptimizerConfig("sgd", learning_rate=0.05, momentum=0.9, weight_decay=0.01),
        OptimizerConfig("lamb", learning_rate=0.05, weight_decay=0.01),
        OptimizerConfig("muon", learning_rate=0.02),
        OptimizerConfig("adam", learning_rate=0.02, use_ema=True, ema_momentum=0.9),
        OptimizerConfig("adam", learning_rate=0.02, lookahead_steps=3),
        OptimizerConfig("schedule_free_adamw", learning_rate=0.02),
        OptimizerConfig("tfa_lamb", learning_rate=0.02),
    ],
    ids=lambda config: "_".join(
        [config.optimizer, *(["ema"] * config.use_ema), *(["look"] * bool(config.lookahead_steps))]
    ),
)
def test_any_optimizer_keeps_zeros_and_clusters_also_in_what_it_averages(
    blobs: Dataset, optimizer: OptimizerConfig
) -> None:
    model = small()
    kept = halves(model)
    constraints.attach(model, kept)
    before = [weight.copy() for weight in model.get_weights()]
    fit = fitting.fit(model, blobs, optimizer, TrainingConfig(epochs=1), callbacks=[Keeping()])
    assert fit.best_epoch
    check(model, kept)  # The weights of the best epoch: averages, where the optimizer has some.
    for old, new in zip(before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new)


def test_the_projection_is_the_mean_of_each_cluster_without_the_zeros() -> None:
    model = small()
    hidden = model.get_layer("hidden").kernel
    hidden.assign([[1.0, 2.0, 3.0, 4.0, 5.0, 9.0], [7.0, 7.0, 0.0, 1.0, 1.0, 1.0]])
    zeros = np.array([[True, False, False, False, False, False], [False] * 6])
    clusters = np.array([[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3]])
    constraints.attach(model, {"hidden/kernel": Kept(zeros, clusters)})
    expected = [[0, 2.5, 2.5, 6, 6, 6], [14 / 3, 14 / 3, 14 / 3, 1, 1, 1]]
    np.testing.assert_allclose(hidden.numpy(), expected, rtol=1e-6)


def test_a_projected_weight_projects_to_itself_even_with_very_many_equal_values() -> None:
    kept = Kept(clusters=np.zeros((1000, 300), np.int32))
    value = tf.fill((1000, 300), tf.constant(0.1, tf.float32))
    assert np.array_equal(constraints.Projection("w", kept).projected(value).numpy(), value.numpy())


def test_a_cluster_takes_adams_step_as_one_parameter_would(blobs: Dataset) -> None:
    """The first step of Adam is the learning rate against the sign of the gradient: of the cluster's mean gradient."""
    model = small()
    model.get_layer("hidden").kernel.assign(tf.fill((2, 6), 0.3))
    kept = {"hidden/kernel": Kept(clusters=np.zeros((2, 6), np.int32))}
    constraints.attach(model, kept)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = blobs.train.x[:32], blobs.train.y[:32]
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, tf.constant(y), model(x))
    gradient = tape.gradient(loss, model.get_layer("hidden").kernel).numpy()
    assert (gradient > 0).any()
    assert (gradient < 0).any()  # Taken by themselves, the weights would go apart, and their mean nowhere near as far.
    model.fit(x, y, epochs=1, verbose=0, callbacks=[Keeping()])
    moved = model.get_layer("hidden").kernel.numpy() - np.float32(0.3)
    np.testing.assert_allclose(moved, np.full((2, 6), -0.01 * np.sign(gradient.mean())), rtol=1e-3)


def test_a_constraint_of_the_layer_itself_goes_on_and_comes_back() -> None:
    inputs = keras.Input((2,))
    dense = LAYERS.Dense(3, kernel_constraint="non_neg", name="dense")
    model = keras.Model(inputs, dense(inputs))
    own = dense.kernel.constraint
    zeros = np.array([[True, False, False], [False, False, True]])
    constraints.attach(model, {"dense/kernel": Kept(zeros)})
    constraints.attach(model, {"dense/kernel": Kept(zeros)})
    projected = dense.kernel.constraint(tf.constant([[1.0, -1.0, 2.0], [3.0, 4.0, 5.0]])).numpy()
    assert projected.tolist() == [[0, 0, 2], [3, 4, 0]]
    constraints.detach(model)
    assert dense.kernel.constraint is own


def test_attaching_again_replaces_and_detaching_frees() -> None:
    model = small()
    kept = halves(model)
    for each in (kept, {"logits/kernel": kept["logits/kernel"]}):
        constraints.attach(model, each)
        assert [projection.path for _, projection in constraints.attached(model)] == list(each)
    constraints.detach(model)
    assert constraints.attached(model) == []
    assert model.get_layer("hidden").kernel.constraint is None


def test_neither_files_nor_copies_know_of_it(tmp_path: Path) -> None:
    model = small()
    config = model.get_config()
    constraints.attach(model, halves(model))
    assert model.get_config() == config
    models.save(model, tmp_path / "model.keras")
    for again in (models.load(model), models.load(tmp_path / "model.keras")):
        assert constraints.attached(again) == []
        for first, second in zip(model.get_weights(), again.get_weights(), strict=True):
            assert np.array_equal(first, second)


def test_what_the_model_has_not_is_an_error_not_a_loss() -> None:
    model = small()
    with pytest.raises(ValueError, match="gone/kernel has zeros or clusters to keep, but the model has no such weight"):
        constraints.attach(model, {"gone/kernel": Kept(np.zeros((2, 6), bool))})
    with pytest.raises(ValueError, match=r"hidden/kernel is \(2, 6\); what is to be kept of it is \(6, 2\)"):
        constraints.attach(model, {"hidden/kernel": Kept(np.zeros((6, 2), bool))})


def test_paths_are_the_same_in_a_copy_and_tell_all_variables_apart() -> None:
    inputs = keras.Input((8, 8, 3))
    x = LAYERS.SeparableConv2D(5, 3, name="separable")(inputs)
    nested = keras.Sequential([LAYERS.Conv2D(6, 1, name="conv"), LAYERS.BatchNormalization(name="norm")], name="nested")
    x = LAYERS.Reshape((36, 6))(nested(x))
    x = LAYERS.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = LAYERS.TimeDistributed(LAYERS.Dense(4), name="each")(x)
    x = LAYERS.Bidirectional(LAYERS.LSTM(3, return_sequences=True), name="both")(x)
    x = LAYERS.RNN([LAYERS.GRUCell(3), LAYERS.GRUCell(2)], name="stacked")(x)
    model = keras.Model(inputs, tf.nn.relu(x))
    paths = list(constraints.weights(model))
    assert len(paths) == len(model.variables)
    assert list(constraints.weights(models.load(model))) == paths
    assert {
        "separable/pointwise_kernel", "nested/conv/kernel", "attention/query/kernel", "each/kernel",
        "both/forward/recurrent_kernel", "both/backward/kernel", "stacked/kernel", "stacked/kernel_2",
    } <= set(paths)  # fmt: skip
    for weight in constraints.weights(model).values():
        assert any(weight.variable is variable for variable in model.variables)


@pytest.mark.slow
def test_inside_of_tfmots_wrappers_the_same_paths_are_kept(pictures: Dataset) -> None:
    import tensorflow_model_optimization as tfmot

    inputs = keras.Input((4, 4, 1))
    x = LAYERS.Flatten()(LAYERS.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    model = keras.Model(inputs, LAYERS.Dense(2, name="logits")(x))
    wrapped = tfmot.quantization.keras.quantize_model(model)
    assert set(constraints.weights(model)) <= set(constraints.weights(wrapped))
    shape = (3, 3, 1, 4)
    zeros = np.arange(36).reshape(shape) % 3 > 0
    kept = Kept(zeros, np.arange(36).reshape(shape) // 9)
    constraints.attach(wrapped, {"conv/kernel": kept})
    fitting.fit(wrapped, pictures, OptimizerConfig(learning_rate=0.01), TrainingConfig(epochs=1), callbacks=[Keeping()])
    ((kernel, _, _),) = wrapped.get_layer("quant_conv")._weight_vars
    value = kernel.numpy()
    assert not value[zeros].any()
    assert [len(np.unique(value[~zeros & (kept.clusters == number)])) for number in range(4)] == [1] * 4
    before = model.get_layer("conv").kernel.numpy()
    assert not np.isin(value[~zeros], before).any()


def test_training_in_half_precision_keeps_them_too(blobs: Dataset) -> None:
    from tfday7.compression.mixed import with_precision

    model = with_precision(small(), "mixed_float16")
    kept = halves(model)
    constraints.attach(model, kept)
    training = TrainingConfig(epochs=1, precision="mixed_float16")
    fitting.fit(model, blobs, OptimizerConfig(learning_rate=0.02), training, callbacks=[Keeping()])
    assert type(model.optimizer).__name__.startswith("LossScaleOptimizer")
    check(model, kept)


@pytest.mark.slow
def test_a_run_that_was_interrupted_ends_as_if_it_had_not_been(blobs: Dataset, tmp_path: Path) -> None:
    ended = []
    for stops in ((2,), (1, 2)):
        folder = RunFolder(tmp_path / str(len(stops)))
        for until in stops:
            model = small()
            kept = halves(model)
            constraints.attach(model, kept)
            training, optimizer = TrainingConfig(epochs=2), OptimizerConfig(learning_rate=0.02)
            fitting.fit(model, blobs, optimizer, training, folder, until=until, callbacks=[Keeping()])
            check(model, kept)
        ended.append(model.get_weights())
    for first, second in zip(*ended, strict=True):
        assert np.array_equal(first, second)


def test_zeros_and_clusters_of_a_model_are_found() -> None:
    model = small()
    kernel = np.array([[0, 0, 1, 2, 2, 2], [1, 1, 1, 1, 0, 1]], np.float32)
    model.get_layer("hidden").kernel.assign(kernel)
    zeros, clusters = constraints.zeros(model), constraints.clusters(model)
    assert list(zeros) == list(clusters) == ["hidden/kernel"]  # Biases are zero, too, but wait to be trained.
    assert np.array_equal(zeros["hidden/kernel"].zeros, kernel == 0)
    assert np.array_equal(clusters["hidden/kernel"].zeros, kernel == 0)
    assert clusters["hidden/kernel"].clusters.tolist() == kernel.tolist()


def test_merging_keeps_all_zeros_and_the_later_clusters() -> None:
    first = {"a": Kept(np.array([True, False, False])), "b": Kept(None, np.array([0, 1]))}
    second = {"a": Kept(np.array([False, False, True]), np.array([0, 0, 0])), "c": Kept(np.array([True]))}
    merged = constraints.merge(first, second)
    assert list(merged) == ["a", "b", "c"]
    assert merged["a"].zeros.tolist() == [True, False, True]
    assert merged["a"].clusters.tolist() == [0, 0, 0]
    assert merged["b"].clusters.tolist() == [0, 1]
    assert merged["b"].zeros is None

"""Masks beside arithmetic and beside TFMOT's own, and the ramp of zeros step by step."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from tfday7.compression import constraints, sparsity
from tfday7.compression.constraints import Keeping, Kept
from tfday7.compression.sparsity import Layout, Pattern, Ramp
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf

LAYERS = keras.layers
DENSE = Layout("dense", (1,), (), (0,))
CONVOLUTION = Layout("convolution", (3,), (0, 1), (2,))


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def layouts(*layers: Any) -> dict[str, Layout | None]:
    """Returns the layouts of the weights of layers that are called one after the other on [8, 8, 4]."""
    inputs = x = keras.Input((8, 8, 4))
    for layer in layers:
        x = layer(x)
    return {path: sparsity.layout_of(weight) for path, weight in constraints.weights(keras.Model(inputs, x)).items()}


def tfmot_mask(weight: np.ndarray, share: float, block: tuple[int, int] = (1, 1)) -> np.ndarray:
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl
    from tensorflow_model_optimization.sparsity.keras import ConstantSparsity

    variable = tf.Variable(weight)
    pruning = pruning_impl.Pruning(
        lambda: tf.constant(1), [(variable, None, None)], ConstantSparsity(share, 0), block, "AVG"
    )
    return pruning._maybe_update_block_mask(variable)[1].numpy().astype(bool)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 0.97])
def test_single_weights_are_those_that_tfmot_takes(share: float) -> None:
    weight = numbers(20, 30)
    pattern = Pattern()
    zero_units = pattern.zero_units(DENSE, weight.shape, share)
    assert zero_units == round(600 * share)
    stays = pattern.mask(weight, DENSE, zero_units).numpy()
    assert np.array_equal(stays, tfmot_mask(weight, share))


@pytest.mark.parametrize("block", [(1, 4), (4, 1), (2, 3)])
def test_blocks_of_outputs_and_inputs_are_tfmots_blocks_of_the_transposed_axes(block: tuple[int, int]) -> None:
    weight = numbers(24, 36)
    pattern = Pattern("block", block)
    stays = pattern.mask(weight, DENSE, pattern.zero_units(DENSE, weight.shape, 0.6)).numpy()
    assert np.array_equal(stays, tfmot_mask(weight, 0.6, block[::-1]))


def test_a_block_that_is_cut_at_the_edge_is_weighed_by_what_it_has() -> None:
    """TFMOT pads at both edges there, and zeroes other blocks than those that it has weighed."""
    weight = np.array([[1, 1, 1, 1, 5, 5], [3, 3, 3, 3, 2, 2]], np.float32).T  # Six inputs of two outputs.
    pattern = Pattern("block", (1, 4))
    assert pattern.units(DENSE, weight.shape) == 4
    zeros = ~pattern.mask(weight, DENSE, 2).numpy().T
    assert zeros.tolist() == [[True] * 4 + [False] * 2, [False] * 4 + [True] * 2]


def test_two_of_each_four_inputs_are_those_that_tfmot_takes() -> None:
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_utils

    pattern = Pattern("2:4")
    for weight, layout in ((numbers(16, 5), DENSE), (numbers(3, 3, 8, 4), CONVOLUTION)):
        masked = weight * pattern.mask(weight, layout).numpy()
        assert np.mean(masked == 0) == 0.5
        assert pruning_utils.is_pruned_m_by_n(tf.constant(masked), (2, 4), "C_OUT")
        rows = pruning_utils.weights_rearrange(tf.constant(weight))
        expected = pruning_utils.generate_m_by_n_mask(rows).numpy()
        assert np.array_equal(pruning_utils.weights_rearrange(tf.constant(masked)) != 0, expected != 0)


def test_a_short_group_of_four_keeps_two_of_what_it_has() -> None:
    weight = np.array([[9, 8, 7, 6, 1, 2, 3]], np.float32).T  # Seven inputs of one output.
    assert Pattern("2:4").mask(weight, DENSE).numpy()[:, 0].tolist() == [True, True, False, False, False, True, True]


def test_of_equal_weights_the_first_go_so_that_the_share_is_exact() -> None:
    stays = Pattern().mask(np.ones((2, 5), np.float32), DENSE, 3).numpy()
    assert stays.tolist() == [[False, False, False, True, True], [True] * 5]


def test_one_unit_stays_whatever_share_is_asked_for() -> None:
    assert Pattern().zero_units(DENSE, (3, 3), 0.99) == 8
    assert Pattern("block", (2, 2)).zero_units(DENSE, (3, 3), 0.99) == 3


def test_what_the_axes_of_each_kernel_are() -> None:
    found = layouts(
        LAYERS.Conv2D(6, (3, 1), name="conv"),
        LAYERS.Conv2DTranspose(5, 3, name="back"),
        LAYERS.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
        LAYERS.BatchNormalization(name="norm"),
        LAYERS.Reshape((48, 10)),
        LAYERS.LSTM(3, name="lstm"),
        LAYERS.Dense(2, name="dense"),
    )
    shapes = {"conv": (3, 1, 4, 6), "back": (3, 3, 5, 6), "depthwise": (3, 3, 5, 2), "lstm": (10, 12), "dense": (3, 2)}
    sizes = {
        path: layout.sizes(shapes[path.split("/")[0]])
        for path, layout in found.items()
        if layout is not None and "recurrent" not in path
    }
    assert sizes == {
        "conv/kernel": (6, 3, 4),
        "back/kernel": (5, 9, 6),
        "depthwise/depthwise_kernel": (10, 9, 1),
        "lstm/kernel": (12, 1, 10),
        "dense/kernel": (2, 1, 3),
    }
    assert not found["depthwise/depthwise_kernel"].has_rows
    assert all(found[path] is None for path in found if "bias" in path or "norm" in path)


def test_rows_are_what_a_dense_layer_sums_over_also_in_attention() -> None:
    inputs = keras.Input((5, 6))
    attention = LAYERS.MultiHeadAttention(2, 3, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    x = numbers(2, 5, 6)
    known = constraints.weights(model)
    query = known["attention/query/kernel"]
    layout = sparsity.layout_of(query)
    assert layout is not None
    rows = layout.rows(query.variable).numpy()[:, 0]
    np.testing.assert_allclose(attention._query_dense(x).numpy().reshape(2, 5, 6), x @ rows.T, rtol=1e-5, atol=1e-6)
    output = known["attention/attention_output/kernel"]
    layout = sparsity.layout_of(output)
    assert layout is not None
    heads = numbers(2, 5, 2, 3)
    expected = heads.reshape(2, 5, 6) @ layout.rows(output.variable).numpy()[:, 0].T
    np.testing.assert_allclose(attention._output_dense(heads).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", [DENSE, CONVOLUTION, Layout("convolution", (2,), (0, 1), (3,))])
def test_rows_come_back_as_the_kernel(layout: Layout) -> None:
    weight = numbers(*((3, 2, 5, 4) if len(layout.positions) else (5, 4)))
    assert np.array_equal(layout.back(layout.rows(weight), weight.shape).numpy(), weight)


@pytest.mark.parametrize(("pattern", "unit"), [(Pattern(), 1), (Pattern("block", (1, 4)), 4)])
@pytest.mark.parametrize("at_once", [1, 4])
def test_the_ramp_follows_its_schedule_in_each_step_and_what_is_zero_stays_zero(
    pattern: Pattern, unit: int, at_once: int
) -> None:
    """Zhu & Gupta: the share after step t of T is s (1 - (1 - t/T)^3), in whole units."""
    keras.utils.set_random_seed(0)
    dense = LAYERS.Dense(10, name="dense")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, dense(inputs))
    share, last = 0.75, 8
    constraints.attach(model, {"dense/kernel": Kept()})
    model.compile("adam", "mse", steps_per_execution=at_once)
    seen: dict[int, np.ndarray] = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen[int(self.model.optimizer.iterations)] = dense.kernel.numpy() == 0

    ramp = Ramp({"dense/kernel": (DENSE, share)}, pattern, last)
    x, y = numbers(96, 8), numbers(96, 10, seed=1)
    model.fit(x, y, batch_size=8, epochs=1, verbose=0, shuffle=False, callbacks=[Keeping(), ramp, Look()])
    assert list(seen) == list(range(at_once, 13, at_once))
    units = 80 // unit
    for step, zeros in seen.items():
        expected = int(units * share * (1 - (1 - step / last) ** 3) + 1e-5) if step < last else round(units * share)
        assert zeros.sum() == unit * expected
    steps = sorted(seen)
    for before, after in itertools.pairwise(steps):
        assert not np.any(seen[before] & ~seen[after])


def test_kernels_are_chosen_by_name_and_the_rest_has_a_reason() -> None:
    inputs = keras.Input((8, 8, 3))
    nested = keras.Sequential([LAYERS.Conv2D(4, 1, name="one"), LAYERS.Conv2D(4, 1, name="two")], name="nested")
    x = LAYERS.SeparableConv2D(5, 3, name="separable")(nested(inputs))
    x = LAYERS.LocallyConnected2D(2, 3, name="local")(x)
    model = keras.Model(inputs, LAYERS.Dense(2, name="dense")(LAYERS.GlobalAveragePooling2D()(x)))
    left: dict[str, str] = {}

    def leave(layer: str, reason: str) -> None:
        left[layer] = reason

    found = [each.weight.path for each in sparsity.kernels(model, "nested/one, dense", False, leave)]
    assert found == ["nested/two/kernel", "separable/pointwise_kernel"]
    assert list(left) == ["nested/one", "separable", "local", "dense"]
    assert left["dense"] == left["nested/one"] == "left out, as asked for"
    assert "depthwise=true" in left["separable"]
    assert left["local"] == "LocallyConnected2D: not known what the axes of its kernel are"
    everything = [each.weight.path for each in sparsity.kernels(model, "nested", True, leave)]
    assert everything == ["separable/depthwise_kernel", "separable/pointwise_kernel", "dense/kernel"]
    with pytest.raises(UserError, match="skip=onde: no layer with weights has that name") as error:
        sparsity.kernels(model, "onde", False, leave)
    assert "nested/one, nested/two, separable" in error.value.hint


def test_patterns_that_need_rows_say_where_there_are_none() -> None:
    table = Layout("table", (), (0, 1))
    assert Pattern().fits(table)
    assert not Pattern("2:4").fits(table)
    assert not Pattern("block", (1, 4)).fits(table)
    assert Pattern("2:4").fits(dataclasses.replace(table, inputs=(1,)))

"""The orthogonal update, and which kernels are taken for hidden matrices."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.frameworks import keras, tf
from tfday7.optimizers.matrices import hidden_matrices
from tfday7.optimizers.rules import muon


@pytest.mark.parametrize("shape", [(8, 8), (4, 9), (9, 4)])
def test_the_update_keeps_the_singular_vectors_and_evens_out_the_singular_values(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ muon.orthogonal(tf.constant(matrix)).numpy() @ vt.T
    values = np.diag(inside)
    np.testing.assert_allclose(inside, np.diag(values), atol=1e-3)
    big = s > 0.1 * s[0]  # Five steps lift what is not much smaller than the largest.
    assert np.all((values[big] > 0.6) & (values[big] < 1.25))


def test_a_zero_gradient_gives_a_zero_update() -> None:
    np.testing.assert_array_equal(muon.orthogonal(tf.zeros((3, 2))), np.zeros((3, 2)))


def test_hidden_matrices_leave_out_embeddings_depthwise_kernels_vectors_and_the_last_layer() -> None:
    ids = keras.Input((6,), dtype="int32")
    x = keras.layers.Embedding(10, 8)(ids)
    x = keras.layers.MultiHeadAttention(2, 3)(x, x)
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.Conv1D(4, 3)(x)
    x = keras.layers.LSTM(5, return_sequences=True)(x)
    x = keras.layers.Reshape((4, 5, 1))(x)
    x = keras.layers.DepthwiseConv2D(2)(x)
    x = keras.layers.Conv2D(7, 2)(x)
    x = keras.layers.Dense(6)(keras.layers.Flatten()(x))
    model = keras.Model(ids, keras.layers.Dense(3)(x))
    attention = [(8, 2 * 3)] * 3 + [(2 * 3, 8)]
    assert [shape for _, shape in hidden_matrices(model)] == [
        *attention, (3 * 8, 4), (4, 4 * 5), (5, 4 * 5), (2 * 2 * 1, 7), (2 * 3 * 7, 6),
    ]  # fmt: skip


def test_a_single_layer_is_the_last_one() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert hidden_matrices(model) == []

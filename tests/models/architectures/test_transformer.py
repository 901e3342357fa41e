"""The encoder against Keras's own attention, and what padding may not change."""

from __future__ import annotations

import numpy as np
import pytest

from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import ModelConfig, building
from tfday7.models.architectures.transformer import heads

VOCABULARY = ("[padding]", "[unknown]", *"abcdefghijklmnopqr")


def _build(length: int = 8, **config: int) -> keras.Model:
    problem = Problem("classification", "text", (length,), 3, ("a", "b", "c"), vocabulary=VOCABULARY)
    return building.build(ModelConfig(model="transformer", **config), problem)


def test_parameters_by_arithmetic() -> None:
    width, length, words, padding = 6, 8, 20 * 6, 2
    attention = 4 * (width * width + width)
    feed_forward = (width * 4 * width + 4 * width) + (4 * width * width + width)
    block = attention + feed_forward + 2 * 2 * width
    norms = 2 * 2 * width
    expected = words + length * width + padding + 3 * block + norms + (width * 3 + 3)
    assert _build(length, width=width, depth=3).count_params() == expected


@pytest.mark.parametrize(
    ("width", "expected"), [(4, 1), (64, 1), (128, 2), (256, 4), (512, 8), (768, 12), (200, 2), (127, 1)]
)
def test_heads_have_64_units_and_divide_the_width(width: int, expected: int) -> None:
    assert heads(width) == expected


@pytest.mark.parametrize("width", [8, 128])
def test_it_computes_what_kerass_own_attention_does(width: int) -> None:
    """The same weights in MultiHeadAttention, with Keras's own mask, around this model's other layers."""
    model, count = _build(width=width, depth=1), heads(width)
    generator = np.random.default_rng(0)
    model.set_weights(
        [
            w if "padding" in v.name else generator.normal(0, 0.3, w.shape)
            for v, w in zip(model.weights, model.get_weights(), strict=True)
        ]
    )
    ids = np.array([[2, 5, 9, 3, 4, 6, 7, 8], [11, 4, 17, 2, 9, 0, 0, 0]], np.int32)
    x = model.get_layer("words")(ids) + model.get_layer("positions")(np.arange(8))
    x = model.get_layer("embedded_norm")(x)
    attention = keras.layers.MultiHeadAttention(count, width // count)
    normalized = model.get_layer("block_1_attention_norm")(x)
    mask = np.repeat((ids != 0)[:, np.newaxis], 8, axis=1)
    attention(normalized, normalized, attention_mask=mask)
    projections = []
    for side in ("query", "key", "value"):
        kernel, bias = model.get_layer(f"block_1_{side}").get_weights()
        projections += [kernel.reshape(width, count, -1), bias.reshape(count, -1)]
    kernel, bias = model.get_layer("block_1_output").get_weights()
    attention.set_weights([*projections, kernel.reshape(count, -1, width), bias])
    x = x + attention(normalized, normalized, attention_mask=mask)
    hidden = model.get_layer("block_1_hidden")(model.get_layer("block_1_feed_forward_norm")(x))
    x = model.get_layer("norm")(x + model.get_layer("block_1_narrow")(hidden)).numpy()
    mean = np.stack([row[word != 0].mean(axis=0) for row, word in zip(x, ids, strict=True)])
    expected = model.get_layer("logits")(mean).numpy()
    given = model(ids).numpy()
    scale = np.abs(expected).max()
    np.testing.assert_allclose(given[0], expected[0], atol=1e-5 * scale)  # Without padding nothing is left of the mask.
    np.testing.assert_allclose(given[1], expected[1], atol=2e-3 * scale)


@pytest.mark.parametrize("name", ["transformer", "lstm", "gru", "linear", "mlp"])
def test_padding_changes_nothing(name: str) -> None:
    """Beyond 1/22,000 of a word for each padding."""

    def outputs(length: int) -> np.ndarray:
        problem = Problem("classification", "text", (length,), 3, ("a", "b", "c"), vocabulary=VOCABULARY)
        model = building.build(ModelConfig(model=name, width=8), problem)
        for layer in model.layers:
            if layer.name == "positions":
                table = np.random.default_rng(1).normal(size=(16, 8))
                layer.set_weights([table[:length]])
            elif layer.name == "words":
                layer.set_weights([np.random.default_rng(2).normal(size=(20, 8))])
        ids = np.zeros((1, length), np.int32)
        ids[0, :4] = [5, 9, 3, 7]
        return model(ids).numpy()

    np.testing.assert_allclose(outputs(6), outputs(12), atol=3e-3 * np.abs(outputs(6)).max())


def test_order_matters_to_it_and_not_to_a_bag_of_words() -> None:
    problem = Problem("classification", "text", (4,), 3, ("a", "b", "c"), vocabulary=VOCABULARY)
    there, back = np.array([[2, 3, 4, 5]], np.int32), np.array([[5, 4, 3, 2]], np.int32)
    for name, differs in (("transformer", True), ("lstm", True), ("linear", False), ("mlp", False)):
        model = building.build(ModelConfig(model=name, width=8), problem)
        assert (np.abs(model(there).numpy() - model(back).numpy()).max() > 1e-6) == differs, name

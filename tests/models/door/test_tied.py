"""Weights that an operation reads beside their layer, such as an embedding that makes the logits too, stay tied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.door.trips import difference

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door
from tfday7.models.door import tied

TOKENS = np.arange(12).reshape(2, 6) % 9


def language_model() -> Any:
    """Returns a tf_keras model whose embedding is also what its logits are made of."""
    tokens = keras.Input((6,), dtype="int32")
    embedding = keras.layers.Embedding(9, 4, name="embedding")
    x = keras.layers.Dense(4, name="dense")(embedding(tokens))
    return keras.Model(tokens, tf.matmul(x, embedding.embeddings, transpose_b=True))


def inside_another(model: Any) -> Any:
    tokens = keras.Input((6,), dtype="int32")
    return keras.Model(tokens, model(tokens))


@pytest.mark.parametrize("nested", [False, True])
def test_a_tied_embedding_stays_tied_and_is_the_new_models_own(nested: bool) -> None:
    given = inside_another(language_model()) if nested else language_model()
    new = door.load(given)
    (embeddings,) = [one for one in new.trainable_variables if "embeddings" in one.name]
    expected = given(TOKENS).numpy()
    assert difference(new(TOKENS), expected) == 0
    assert new.count_params() == given.count_params() == 9 * 4 + 4 * 4 + 4
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(new(TOKENS)))
    gradient = tape.gradient(loss, embeddings)
    assert {one.ref() for one in tape.watched_variables()} == {one.ref() for one in new.trainable_variables}
    assert np.any(tf.convert_to_tensor(gradient).numpy()[TOKENS.max() :] != 0)
    embeddings.assign(tf.zeros_like(embeddings))
    assert np.all(new(TOKENS).numpy() == 0)  # Through the logits too.
    assert difference(given(TOKENS), expected) == 0


def test_an_operation_inside_a_model_reads_a_weight_of_a_layer_outside() -> None:
    layer, inputs, inner = keras.layers.Dense(3, name="outside"), keras.Input((4,)), keras.Input((3,))
    x = layer(inputs)
    decoder = keras.Model(inner, tf.matmul(inner, layer.kernel, transpose_b=True), name="decoder")
    new = door.load(keras.Model(inputs, decoder(x)))
    new.get_layer("outside").kernel.assign(tf.zeros((4, 3)))
    assert np.all(new(np.ones((2, 4), "float32")).numpy() == 0)


def test_a_weight_of_a_layer_that_is_called_later_is_refused_by_name() -> None:
    inputs, layer = keras.Input((4,)), keras.layers.Dense(4, name="late")
    layer.build((None, 4))
    with pytest.raises(UserError, match="reads the weight 'kernel:0' of a layer that is called later"):
        door.load(keras.Model(inputs, layer(tf.matmul(inputs, layer.kernel))))


def test_a_variable_of_no_layer_is_a_number_like_others(tmp_path: Path) -> None:
    inputs, free = keras.Input((4,)), tf.Variable(tf.fill((4, 3), 0.5))
    model, x = keras.Model(inputs, tf.matmul(inputs, free)), np.ones((2, 4), "float32")
    tied.check_file(model)
    door.save(model, tmp_path / "m.keras")
    for new in (door.load(model), door.load(tmp_path / "m.keras")):
        assert difference(new(x), model(x)) == 0


def test_what_a_keras_file_would_untie_is_refused(tmp_path: Path) -> None:
    said = "reads the weight 'embedding/embeddings:0': a Keras file would hold its numbers there, no longer tied"
    for model in (language_model(), inside_another(language_model())):
        with pytest.raises(UserError, match=said) as caught:
            door.save(model, tmp_path / "m.keras")
        with pytest.raises(UserError, match=said):
            tied.check_file(model)
    assert "ReversibleEmbedding" in caught.value.hint
    assert not list(tmp_path.iterdir())
    tied.check_file(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))


def test_a_tied_operation_of_keras3_is_refused() -> None:
    tokens, embedding = keras3.Input((6,), dtype="int32"), keras3.layers.Embedding(9, 4, name="embedding")
    logits = keras3.ops.einsum("btd,vd->btv", embedding(tokens), embedding.embeddings)
    with pytest.raises(UserError, match=r"operation 'einsum\S*' reads the weight 'embedding/embeddings'"):
        door.load(keras3.Model(tokens, logits))


def test_the_layer_that_the_hint_names_goes_in_and_out_tied(tmp_path: Path) -> None:
    tokens, layer = keras3.Input((6,), dtype="int32"), keras3.layers.ReversibleEmbedding(9, 4, name="embedding")
    model = keras3.Model(tokens, layer(keras3.layers.Dense(4)(layer(tokens)), reverse=True))
    inside = door.load(model)
    door.save(inside, tmp_path / "m.keras")
    for new in (inside, door.load(tmp_path / "m.keras")):
        assert new.count_params() == model.count_params()
        assert difference(new(TOKENS), model(TOKENS)) == 0

"""How layers are put together: names, sharing, nesting, several inputs and outputs, flags, policies, masks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.door.trips import difference, random_input, random_weights

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door


def siamese() -> Any:
    layers = keras3.layers
    encoder = keras3.Sequential([keras3.Input((4,)), layers.Dense(3, name="d"), layers.ReLU()], name="encoder")
    a, b = keras3.Input((4,), name="a"), keras3.Input((4,), name="b")
    outputs = {"sum": layers.Add(name="s")([encoder(a), encoder(b)]), "first": layers.Dense(2, name="f")(encoder(a))}
    return keras3.Model({"a": a, "b": b}, outputs, name="siamese")


def test_names_sharing_nesting_and_structures_are_kept() -> None:
    model = siamese()
    inside = door.load(model)
    data = {"a": np.ones((2, 4), "float32"), "b": np.arange(8, dtype="float32").reshape(2, 4)}
    expected = model(data)
    for other in (inside, door.to_keras3(inside)):
        outputs = other(data)
        assert set(outputs) == {"sum", "first"}
        assert all(difference(outputs[key], expected[key]) == 0 for key in outputs)
        assert other.count_params() == model.count_params() == (4 * 3 + 3) + (3 * 2 + 2)
        assert sorted(layer.name for layer in other.layers) == ["a", "b", "encoder", "f", "s"]


def test_two_outputs_of_one_layer_keep_their_order(
    both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    model = functional(lambda x: keras3.layers.LSTM(3, return_state=True)(x)[::-1], (5, 2))
    assert both_ways(model).gap_out == 0


def translator(layers: Any, framework: Any, masked: bool, explicit: bool = False) -> Any:
    """Returns a model whose decoder starts from the states of its encoder, of either Keras."""
    words, others = layers.Input((6,), dtype="int32", name="words"), layers.Input((5,), dtype="int32", name="others")
    embedding = layers.Embedding(4, 3, mask_zero=masked)
    _, *states = layers.LSTM(3, return_state=True)(embedding(words))
    mask = {"mask": embedding.compute_mask(others)} if explicit else {}
    x = layers.LSTM(3, return_sequences=True, name="decoder")(embedding(others), initial_state=states, **mask)
    return framework.Model([words, others], layers.Dense(2)(x), name="translator")


@pytest.mark.parametrize("masked", [False, True])
def test_a_decoder_that_starts_from_states_goes_both_ways(masked: bool, both_ways: Callable[[Any], Any]) -> None:
    trip = both_ways(translator(keras3.layers, keras3, masked, explicit=masked))
    assert (trip.gap_in, trip.gap_out) == (0, 0)


def test_a_mask_that_keras3_passes_over_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"layer 'decoder' \(LSTM\).*whose mask Keras 3 does not use") as caught:
        door.load(translator(keras3.layers, keras3, masked=True))
    assert "mask=" in caught.value.hint


@pytest.mark.parametrize("masked", [False, True])
def test_a_decoder_of_tf_keras_goes_out_with_its_states_and_its_mask(masked: bool, tmp_path: Path) -> None:
    model = translator(keras.layers, keras, masked)
    random_weights(model)
    data = random_input(model, 4)
    door.save(model, tmp_path / "m.keras")
    for new in (door.to_keras3(model), keras3.models.load_model(tmp_path / "m.keras")):
        assert difference(new(data), model(data)) == 0
        assert difference(door.load(new)(data), model(data)) == 0


# Name of the test -> (maker of the layer, input shape, shapes of the states).
STATES: dict[str, tuple[Any, tuple[int, ...], list[Any]]] = {
    "GRU": (lambda n: n.GRU(3), (5, 2), [(3,)]),
    "SimpleRNN": (lambda n: n.SimpleRNN(3), (5, 2), [(3,)]),
    "bidirectional": (lambda n: n.Bidirectional(n.LSTM(3, return_state=True)), (5, 2), [(3,)] * 4),
    "stacked cells": (lambda n: n.RNN([n.LSTMCell(3), n.GRUCell(2)]), (5, 2), [[(3,), (3,)], (2,)]),
    "convolutional": (
        lambda n: n.ConvLSTM1D(2, 3, padding="same", recurrent_activation="sigmoid"),
        (3, 6, 2),
        [(6, 2), (6, 2)],
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_initial_states_of_tf_keras_go_out(name: str) -> None:
    make, shape, states = STATES[name]
    given = [[keras.Input(s) for s in one] if isinstance(one, list) else keras.Input(one) for one in states]
    inputs = keras.Input(shape)
    model = keras.Model([inputs, *tf.nest.flatten(given)], make(keras.layers)(inputs, initial_state=given))
    random_weights(model)
    data = random_input(model)
    assert difference(door.to_keras3(model)(data), model(data)) < 1e-6


def test_constants_of_a_recurrent_layer_are_refused_by_name() -> None:
    x, constant = keras.Input((5, 2)), keras.Input((2,))
    outputs = keras.layers.RNN([keras.layers.GRUCell(3)], name="odd")(x, constants=constant)
    model = keras.Model([x, constant], outputs)
    with pytest.raises(UserError, match=r"layer 'odd' \(RNN\): num_constants=1 exists in tf_keras only"):
        door.to_keras3(model)


def test_what_a_keras_raises_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise ValueError("\nnot such a thing\nand more")

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="odd")(inputs))
    monkeypatch.setattr(keras3.layers.Dense, "call", refuse)
    with pytest.raises(UserError, match=r"layer 'odd' \(Dense\) cannot be called in Keras 3.*: .+") as caught:
        door.to_keras3(model)
    assert "both Kerases" in caught.value.hint


def test_trainable_flags_are_kept_through_nesting() -> None:
    model = siamese()
    model.get_layer("f").trainable = False
    inside = door.load(model)
    assert [w.shape for w in inside.trainable_weights] == [(4, 3), (3,)]
    assert not inside.get_layer("f").trainable
    model.get_layer("encoder").trainable = False
    back = door.to_keras3(door.load(model))
    assert back.trainable_weights == []
    assert not back.get_layer("encoder").layers[0].trainable


def test_regularizers_initializers_and_constraints_are_kept() -> None:
    inputs = keras3.Input((4,))
    layer = keras3.layers.Dense(
        3,
        kernel_regularizer=keras3.regularizers.L1L2(0.1, 0.2),
        activity_regularizer="l2",
        bias_constraint=keras3.constraints.MaxNorm(2.0),
        kernel_initializer=keras3.initializers.HeNormal(seed=3),
    )
    inside = door.load(keras3.Model(inputs, layer(inputs)))
    new = inside.layers[1]
    assert new.kernel_regularizer.get_config() == pytest.approx({"l1": 0.1, "l2": 0.2})
    assert type(new.activity_regularizer).__name__ == "L2"
    assert new.bias_constraint.get_config()["max_value"] == 2.0
    assert new.kernel_initializer.get_config()["seed"] == 3
    again = door.to_keras3(inside).layers[1]
    assert again.kernel_regularizer.get_config() == pytest.approx({"l1": 0.1, "l2": 0.2})
    assert type(again.activity_regularizer).__name__ == "L2"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_mixed_precision_policies_are_kept(
    policy: str, both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    layers = keras3.layers
    model = functional(lambda x: layers.Dense(2, dtype="float32")(layers.Dense(3, dtype=policy)(x)), (4,))
    trip = both_ways(model)
    assert trip.inside.layers[1].dtype_policy.name == trip.back.layers[1].dtype_policy.name == policy
    assert (trip.gap_in, trip.gap_out) == (0, 0)


def test_a_given_policy_replaces_every_layers_own() -> None:
    model = door.load(siamese(), dtype_policy="mixed_bfloat16")
    assert model.get_layer("encoder").layers[1].dtype_policy.name == "mixed_bfloat16"
    assert model.get_layer("f").dtype_policy.name == "mixed_bfloat16"
    assert model.get_layer("f").kernel.dtype == "float32"


@pytest.mark.parametrize("framework_name", ["keras3", "tf_keras"])
def test_a_given_policy_reaches_the_layers_inside_of_layers(framework_name: str) -> None:
    layers = (keras3 if framework_name == "keras3" else keras).layers
    inputs = layers.Input((5, 3))
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(inputs)
    x = layers.TimeDistributed(layers.Dense(2))(x)
    outputs = layers.RNN([layers.GRUCell(2), layers.LSTMCell(2)])(x)
    model = (keras3 if framework_name == "keras3" else keras).Model(inputs, outputs)
    new = door.load(model, dtype_policy="mixed_bfloat16")
    around, timed, cells = new.layers[1:]
    inner = (around, around.forward_layer, around.backward_layer, timed, timed.layer, *cells.cell.cells)
    assert {layer.dtype_policy.name for layer in inner} == {"mixed_bfloat16"}


def test_a_tf_keras_model_comes_back_as_a_new_one() -> None:
    inputs = keras.Input((4, 4, 3))
    model = keras.Sequential([inputs, keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization()])
    new = door.load(model)
    x = np.ones((1, 4, 4, 3), "float32")
    assert new is not model
    assert isinstance(new, keras.Model)
    assert new.layers[1].kernel is not model.layers[0].kernel
    assert difference(new(x), model(x)) == 0


def test_masks_of_embeddings_reach_the_layers_that_use_them(
    both_ways: Callable[[Any], Any], functional: Callable[..., Any]
) -> None:
    layers = keras3.layers

    def call(tokens: Any) -> Any:
        x = layers.Dropout(0.1)(layers.Embedding(4, 3, mask_zero=True)(tokens))
        return layers.Concatenate()([layers.LSTM(3)(x), layers.GlobalAveragePooling1D()(x)])

    trip = both_ways(functional(call, (6,), dtype="int32"))
    assert (trip.gap_in, trip.gap_out) == (0, 0)
    assert {type(layer).__name__ for layer in trip.inside.layers}.isdisjoint({"KerasOperation"})


def test_dropout_is_active_in_training_after_the_way_in() -> None:
    inputs = keras3.Input((1000,))
    inside = door.load(keras3.Model(inputs, keras3.layers.Dropout(0.5)(inputs)))
    dropped = np.mean(inside(np.ones((1, 1000), "float32"), training=True) == 0)
    assert 0.4 < dropped < 0.6  # 1,000 coins: 0.5 +- 0.1 is six standard deviations.


def test_augmentation_is_off_outside_of_training() -> None:
    inputs = keras3.Input((8, 8, 3))
    augmented = keras3.layers.RandomErasing(value_range=(0, 1))(keras3.layers.RandomFlip()(inputs))
    inside = door.load(keras3.Model(inputs, augmented))
    x = np.random.default_rng(0).uniform(size=(4, 8, 8, 3)).astype("float32")
    assert difference(inside.predict(x, verbose=0), x) == 0
    assert difference(inside(x, training=True), x) > 0


def test_what_is_kept_from_keras3_trains_and_survives_cloning_and_saving(tmp_path: Any) -> None:
    inputs = keras3.Input((6, 4))
    outputs = keras3.layers.RMSNormalization()(inputs) * 2.0
    inside = door.load(keras3.Model(inputs, outputs))
    inside.compile("sgd", "mse")
    before = [w.numpy() for w in inside.trainable_weights]
    x = np.random.default_rng(0).normal(size=(8, 6, 4)).astype("float32")
    inside.fit(x, x, verbose=0)
    assert difference(before, [w.numpy() for w in inside.trainable_weights]) > 0
    clone = keras.models.clone_model(inside)
    clone.set_weights(inside.get_weights())
    assert difference(clone(x), inside(x)) == 0
    inside.save(tmp_path / "inside.keras")
    assert difference(door.load(tmp_path / "inside.keras")(x), inside(x)) == 0


def test_a_keras3_model_quantized_by_keras3_is_refused() -> None:
    inputs = keras3.Input((4,))
    model = keras3.Model(inputs, keras3.layers.Dense(3)(inputs))
    model.quantize("int8")
    with pytest.raises(UserError, match="quantized by Keras 3"):
        door.load(model)


def test_a_model_without_input_shape_is_refused_with_a_hint() -> None:
    with pytest.raises(UserError, match="no input shape yet") as caught:
        door.load(keras3.Sequential([keras3.layers.Dense(3)]))
    assert "call it once" in caught.value.hint


@pytest.mark.parametrize("thing", [3, None, object()])
def test_something_else_is_refused(thing: object) -> None:
    with pytest.raises(UserError, match="expected a path or a Keras model"):
        door.load(thing)


def test_an_activation_that_settings_cannot_name_is_said_with_its_layer() -> None:
    tensor = keras.Input((4,))
    model = keras.Model(tensor, keras.layers.Dense(2, activation=tf.nn.log_softmax, name="odd")(tensor))
    with pytest.raises(UserError, match=r"layer 'odd' \(Dense\) cannot be made again") as caught:
        door.load(model)
    assert "by name" in caught.value.hint


@pytest.mark.parametrize("parts", [1, 4])
def test_a_chain_that_keras_cannot_walk_is_refused_and_one_in_parts_is_not(parts: int, tmp_path: Path) -> None:
    def chain(links: list[Any]) -> Any:
        x = inputs = keras3.Input((2,))
        for link in links:
            x = link(x)
        return keras3.Model(inputs, x)

    def layers(count: int) -> list[Any]:
        return [keras3.layers.Activation("relu") for _ in range(count)]

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        links = layers(1200) if parts == 1 else [chain(layers(1200 // parts)) for _ in range(parts)]
        chain(links).save(tmp_path / "deep.keras")
    finally:
        sys.setrecursionlimit(limit)
    if parts == 1:
        with pytest.raises(UserError, match=r"deep\.keras: more layers follow each other than Keras can walk"):
            door.load(tmp_path / "deep.keras")
    else:
        assert door.load(tmp_path / "deep.keras")(np.ones((1, 2))).numpy().tolist() == [[1.0, 1.0]]

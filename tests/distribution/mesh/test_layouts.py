"""Plans: which weight is split how, and their bytes, against arithmetic."""

from __future__ import annotations

import json
from typing import Any

import pytest
from distribution.mesh import training_on_a_mesh as single

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.distribution.mesh import Axes, Plan
from tfday7.distribution.mesh.layouts import plan

FLOAT = 4


def splits(made: Plan) -> dict[str, int | None]:
    """Returns the divided dimension of each weight."""
    return {weight.name: weight.split for weight in made.weights}


def reasons(made: Plan) -> dict[str, str]:
    """Returns how each weight is held, or why."""
    return {weight.name: weight.reason for weight in made.weights}


def chain(*layers: Any, shape: tuple[int, ...] = (6,)) -> Any:
    """Returns a model of layers one after the other."""
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def dense(units: int, name: str, **settings: Any) -> Any:
    return keras.layers.Dense(units, name=name, **settings)


def test_a_transformer_has_the_layout_of_megatron() -> None:
    made = plan(single.transformer(), Axes(1, 2))
    found = splits(made)
    for side in ("query", "key", "value", "hidden"):
        assert (found[f"block_1_{side}/kernel"], found[f"block_1_{side}/bias"]) == (1, 0)
    for side in ("output", "narrow"):
        assert (found[f"block_1_{side}/kernel"], found[f"block_1_{side}/bias"]) == (0, None)
        assert reasons(made)[f"block_1_{side}/bias"] == "bias of a row-parallel layer"
    assert found["words/embeddings"] == found["positions/embeddings"] == 0
    assert reasons(made)["norm/gamma"] == "normalization"
    assert reasons(made)["logits/kernel"] == "output of 3 units, which 2 does not divide"
    width, hidden, words, places = 128, 512, 16, 20
    split = 4 * width * width + 2 * width * hidden + 3 * width + hidden + (words + places) * width
    whole = 2 * width + 8 * width + 3 * width + 3 + 2  # Biases, four norms, the last layer, padding.
    assert made.whole_bytes() == FLOAT * (split + whole)
    assert made.device_bytes() == FLOAT * (split // 2 + whole)
    assert made.device_bytes(slots=2) == 3 * made.device_bytes() - 2 * FLOAT * 2


def test_communication_of_a_pair_is_one_all_reduce_each_way() -> None:
    model = chain(
        dense(8, "up", activation="relu"), dense(4, "down"), keras.layers.LayerNormalization(), dense(3, "out")
    )
    made = plan(model, Axes(2, 2))
    found = [(each.operation, each.axis, each.what, each.formula(made.axes)) for each in made.communication]
    held = (6 * 8 + 8 + 8 * 4) // 2 + 4 + 2 * 4 + 4 * 3 + 3
    assert found == [
        ("all-reduce", "model", "gradient at the input of up", "B/2 x 24 B"),
        ("all-reduce", "model", "output of down", "B/2 x 16 B"),
        ("all-reduce", "batch", "gradients of what each device holds", f"{FLOAT * held} B"),
    ]
    assert made.communication_bytes(10) == 5 * 24 + 5 * 16 + FLOAT * held


@pytest.mark.parametrize(
    "between",
    [
        (),
        (("ReLU", {}), ("Dropout", {"rate": 0.5})),
        (("Reshape", {"target_shape": (2, 4)}), ("Permute", {"dims": (1, 2)}), ("Flatten", {})),
        (("Reshape", {"target_shape": (1, 8)}), ("Flatten", {})),
        (("Rescaling", {"scale": 0.5}), ("Activation", {"activation": "tanh"})),
    ],
)
def test_what_treats_features_apart_keeps_a_pair(between: tuple[tuple[str, dict[str, Any]], ...]) -> None:
    layers = [getattr(keras.layers, name)(**settings) for name, settings in between]
    made = plan(chain(dense(8, "up"), *layers, dense(3, "down")), Axes(1, 2))
    assert [way for _, way in made.ways if way] == ["columns", "rows"]


@pytest.mark.parametrize(
    ("between", "settings"),
    [
        ("LayerNormalization", {}),
        ("Softmax", {}),
        ("Rescaling", {"scale": [1.0] * 8}),
    ],
)
def test_what_mixes_features_ends_a_pair(between: str, settings: dict[str, Any]) -> None:
    layer = getattr(keras.layers, between)(**settings)
    made = plan(chain(dense(8, "up"), layer, keras.layers.Flatten(), dense(3, "down")), Axes(1, 2))
    assert [way for _, way in made.ways if way] == ["columns, output gathered"]


def test_an_activation_over_all_features_ends_a_pair() -> None:
    made = plan(chain(dense(8, "up", activation="softmax"), dense(4, "down")), Axes(1, 2))
    assert dict(made.ways)["up"] == dict(made.ways)["down"] == "columns, output gathered"


def test_heads_that_are_not_whole_on_a_device_end_a_pair() -> None:
    """Dimension 4 of (3, 4) follows 3, so that halves of 12 features would cut a head."""
    made = plan(
        chain(dense(12, "up"), keras.layers.Reshape((3, 4)), keras.layers.Flatten(), dense(2, "down")), Axes(1, 2)
    )
    assert dict(made.ways)["up"] == "columns, output gathered"


def test_convolutions_are_split_by_filters() -> None:
    made = plan(single.cnn(), Axes(1, 2))
    kernels = [weight for weight in made.weights if len(weight.shape) == 4]
    assert [weight.split for weight in kernels] == [3, 3]
    first = FLOAT * 3 * 3 * 2 * 4
    assert (kernels[0].size_bytes, kernels[0].device_bytes) == (first, first // 2)
    gathered = [each.fixed_bytes for each in made.communication if each.what.startswith("filters of")]
    assert gathered == [weight.size_bytes for weight in kernels]


def test_multi_head_attention_is_split_by_heads() -> None:
    inputs = keras.Input((5, 8))
    x = keras.layers.MultiHeadAttention(4, 2, name="attention")(inputs, inputs)
    made = plan(keras.Model(inputs, dense(3, "out")(x)), Axes(1, 4))
    found = splits(made)
    assert found["attention/query/kernel"] == 1
    assert found["attention/value/bias"] == 0
    assert found["attention/attention_output/kernel"] == 0
    assert found["attention/attention_output/bias"] is None


@pytest.mark.parametrize(
    ("layers", "shape", "message", "hint"),
    [
        ([("Dense", 9)], (6,), "the layer odd has 9 units", "model: 3, 9 would fit"),
        ([("Dense", 7)], (6,), "the layer odd has 7 units", "model: 7 would fit"),
        ([("Conv2D", 15, 1)], (4, 4, 1), "the layer odd has 15 filters", "model: 3, 5, 15 would fit"),
    ],
)
def test_a_hidden_width_that_does_not_divide_is_refused(
    layers: list[tuple[Any, ...]], shape: tuple[int, ...], message: str, hint: str
) -> None:
    made = [getattr(keras.layers, kind)(*arguments, name="odd") for kind, *arguments in layers]
    with pytest.raises(UserError) as caught:
        plan(chain(*made, keras.layers.Flatten(), dense(3, "out"), shape=shape), Axes(2, 2))
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="block_1_query makes 2 heads, which axis model:4 does not divide") as caught:
        plan(single.transformer(), Axes(1, 4))
    assert "model: 2 would fit" in caught.value.hint


def test_what_stays_whole_has_a_reason() -> None:
    shared = dense(4, "shared")
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(name="norm")(shared(shared(inputs)))
    x = keras.layers.Reshape((2, 2))(x)
    x = keras.layers.GRU(2, name="recurrent")(x)
    model = keras.Model(inputs, dense(1, "out")(x))
    found = reasons(plan(model, Axes(1, 2)))
    assert found["shared/kernel"] == "used more than once"
    assert found["norm/gamma"] == "normalization"
    assert found["out/kernel"] == "too small: one output"
    assert {value for key, value in found.items() if key.startswith("recurrent")} == {"recurrent"}


def test_an_odd_vocabulary_stays_whole() -> None:
    model = chain(keras.layers.Embedding(7, 4, name="words"), keras.layers.Flatten(), dense(2, "out"))
    assert reasons(plan(model, Axes(1, 2)))["words/embeddings"] == "vocabulary of 7, which 2 does not divide"


def test_a_class_of_its_own_is_refused() -> None:
    class Own(keras.Model):
        pass

    with pytest.raises(UserError, match="only functional and Sequential models"):
        plan(Own(), Axes(1, 2))


def test_a_plan_is_json_and_text() -> None:
    made = plan(single.mlp(), Axes(2, 2))
    record = json.loads(json.dumps(made.to_json()))
    assert record["mesh"] == "batch:2,model:2"
    assert sum(each["device_bytes"] for each in record["weights"]) == record["device_bytes"] == made.device_bytes()
    text = "\n".join(made.rows(slots=2, batch_size=8))
    for weight in made.weights:
        assert weight.name in text
    assert "all-reduce" in text
    assert "in a step with batch size 8" in text

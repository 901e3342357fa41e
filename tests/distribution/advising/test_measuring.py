"""What a model keeps for the way back: by hand for small ones, TensorFlow's own count and the formula for ours."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.core.texts import LANGUAGES
from tfday7.data import Problem
from tfday7.distribution.advising import memory
from tfday7.distribution.advising.advice import advise, describe
from tfday7.distribution.advising.hardware import Hardware, case
from tfday7.distribution.advising.measuring import kept_bytes, measure, sizes_of, with_sizes
from tfday7.distribution.advising.memory import Layout, Refusal
from tfday7.distribution.advising.transformer import Transformer
from tfday7.models import building
from tfday7.models.config import ModelConfig
from tfday7.optimizers import inspection
from tfday7.optimizers.situation import Situation

TEXT = Problem("classification", "text", (16,), 2, ("a", "b"), vocabulary=("a",) * 30)
WIDTH, DEPTH = 64, 2
SIZES = Transformer(DEPTH, WIDTH, 1, 16)


def transformer(precision: str = "float32") -> Any:
    return building.build(ModelConfig(model="transformer", width=WIDTH, depth=DEPTH), TEXT, precision)


def saved_by_tensorflow(model: Any, examples: int) -> int:
    """Returns the bytes that TensorFlow's forward function hands to its backward function, without variables."""
    inputs = model.inputs[0]
    spec = tf.TensorSpec((examples, *inputs.shape[1:]), inputs.dtype)
    function = tf.function(lambda batch: model(batch, training=True)).get_concrete_function(spec)
    forward, _ = function._delayed_rewrite_functions.forward_backward()
    buffers = {}
    for tensor in forward.graph.outputs if hasattr(forward, "graph") else forward.cached_graph.outputs:
        while tensor.op.type in ("Reshape", "StopGradient", "Identity"):  # Another name of the same buffer.
            tensor = tensor.op.inputs[0]
        if tensor.op.type not in ("ReadVariableOp", "Placeholder", "Const"):
            buffers[tensor.name] = tensor.shape.num_elements() * tensor.dtype.size
    return sum(buffers.values())


def test_a_small_model_keeps_what_can_be_counted_by_hand() -> None:
    kinds = keras.layers
    model = keras.Sequential([keras.Input((3,)), kinds.Dense(8, activation="relu"), kinds.Dense(2)])
    # ReLU's output serves its own gradient and the next kernel's; the loss squares the last output.
    assert kept_bytes(model, 5) == 5 * 4 * (8 + 2)
    found = measure(model)
    assert found.activations is not None
    assert (found.activations.example_bytes, found.activations.cast_bytes) == (40, 0)
    assert found.activations.origin == "kept"
    assert found.example_flops == 6 * (3 * 8 + 8 * 2)


def test_what_our_transformer_keeps_is_what_tensorflow_hands_to_its_backward_function() -> None:
    model = transformer()
    ours, theirs = kept_bytes(model, 4), saved_by_tensorflow(model, 4)
    assert ours is not None
    assert 0.9 < ours / theirs <= 1  # Its list is a little longer than what the gradient of the weights reads.


@pytest.mark.parametrize(("precision", "factor"), [("float32", 1.15), ("mixed_float16", 1.5)])
def test_the_formula_of_a_transformer_is_near_what_ours_keeps(precision: str, factor: float) -> None:
    found = measure(transformer(precision)).activations
    assert found is not None
    formula = SIZES.activation_bytes(half=precision != "float32")
    assert 1 / factor < found.example_bytes / formula < factor


def test_the_copies_of_matrices_in_16_bit_are_two_bytes_for_each_of_their_weights() -> None:
    found = measure(transformer("mixed_float16"))
    assert found.activations is not None
    assert found.activations.cast_bytes is not None
    assert found.activations.cast_bytes == pytest.approx(2 * SIZES.layer_weights, rel=0.01)
    asked = case(Hardware(accelerator="t4", precision="mixed_float16", sequence_length=16, layers=DEPTH,
                         hidden_size=WIDTH, attention_heads=1), Situation(parameters=120_000))  # fmt: skip
    workload = describe(asked)
    by_formula = memory.of(workload, Layout(workload.weights), "adam", True, 4, 1, accumulates=False).casts
    assert by_formula == 2 * SIZES.layer_weights


def test_a_layer_that_loops_keeps_nothing_that_is_known() -> None:
    series = Problem("classification", "series", (16, 3), 2, ("a", "b"))
    assert measure(building.build(ModelConfig(model="lstm", width=8), series)).activations is None


def test_batch_normalization_keeps_what_is_known() -> None:
    kinds = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 2)), kinds.Conv2D(3, 1), kinds.BatchNormalization(), kinds.Flatten()])
    found = measure(model).activations
    assert found is not None
    assert found.origin == "kept"
    # The convolution's output for the normalization, and the normalized output, squared by the loss.
    assert found.example_bytes == 2 * 4 * (4 * 4 * 3)


def test_where_the_graph_leaves_sizes_open_the_outputs_of_layers_count() -> None:
    kinds = keras.layers
    model = keras.Sequential([keras.Input((None, 3)), kinds.Conv1D(4, 1), kinds.GlobalAveragePooling1D()])
    found = measure(model).activations
    assert found is not None
    assert (found.origin, found.example_bytes) == ("layer_outputs", 4 * (1 * 4 + 4))  # An open size counts as 1.


def made(kind: str) -> Any:
    """Returns a model of each sort that is told otherwise."""
    kinds = keras.layers
    if kind == "transformer":
        return transformer()
    if kind == "dense":
        return keras.Sequential([keras.Input((8,)), kinds.Dense(8, activation="relu"), kinds.Dense(4)])
    layers = [kinds.Conv1D(4, 1), kinds.BatchNormalization(), kinds.GlobalAveragePooling1D()]
    return keras.Sequential([keras.Input((None, 3)), *layers])


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("transformer", {"formula.activations.kept", "formula.activations.split", "formula.tensor.layers"}),
        ("dense", {"formula.activations.kept", "formula.activations.whole", "formula.compute.layers"}),
        ("open", {"formula.activations.layer_outputs", "left_out.refused"}),
    ],
)
def test_a_model_that_was_looked_at_is_told_as_such(kind: str, told: set[str], lang: str) -> None:
    model = made(kind)
    sizes = sizes_of(ModelConfig(model="transformer", width=WIDTH, depth=DEPTH), TEXT) if kind == "transformer" else {}
    found, measured = inspection.inspect(model=model), measure(model, sizes)
    record = advise(Hardware(accelerator="t4"), Situation(devices=4), found, measured).to_json(lang)
    assert told <= {claim["id"] for claim in (*record["formulas"], *record["left_out"])}
    assert record["chosen"] is not None
    assert {name: record["origins"][name] for name in sizes} == dict.fromkeys(sizes, "found")
    little = Situation(devices=4, device_memory_gb=1e-9)
    nothing = advise(Hardware(), little, found, measured).to_json(lang)
    assert nothing["chosen"] is None
    assert nothing["relax"][-1]["fits"]


def test_the_layout_of_a_divided_model_is_that_of_the_mesh() -> None:
    found = measure(transformer())
    whole, half = 4 * sum(weight.numbers for weight in found.weights), found.divide(2)
    assert isinstance(half, Layout)
    own = 4 * sum(weight.numbers for weight in half.weights)
    assert whole / 2 < own < whole * 0.6  # All matrices and tables are divided; norms and some biases are not.
    # One output and three gradients (query, key, value) of attention, one of each in the feed-forward part.
    assert half.example_bytes >= DEPTH * 6 * 16 * WIDTH * 4


def test_a_model_that_no_mesh_trains_says_why() -> None:
    kinds = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 2)), kinds.Conv2D(4, 1), kinds.BatchNormalization(), kinds.Flatten()])
    found = measure(model).divide(2)
    assert isinstance(found, Refusal)
    assert "batch_normalization" in found.reason


def test_the_sizes_of_our_transformer_are_found_and_must_not_be_contradicted() -> None:
    config = ModelConfig(model="transformer", width=128, depth=3)
    sizes = sizes_of(config, TEXT)
    assert sizes == {"sequence_length": 16, "layers": 3, "hidden_size": 128, "attention_heads": 2}
    assert sizes_of(ModelConfig(model="lstm"), TEXT) == {"sequence_length": 16}
    found = measure(transformer(), sizes)
    assert with_sizes(Hardware(layers=3), found).hidden_size == 128
    with pytest.raises(UserError, match="--layers=4 contradicts the model, for which it is 3"):
        with_sizes(Hardware(layers=4), found)

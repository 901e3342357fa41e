"""Random functional graphs of supported layers: in equals out, whatever the graph."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import strategies as st
from models.door.trips import difference, random_input, random_weights

from tfday7.core.frameworks import keras3
from tfday7.models import door

# Each takes one image-shaped tensor (height and width at least 4) and returns another.
LAYERS: dict[str, Any] = {
    "conv": lambda n: n.Conv2D(3, 3, padding="same", activation="silu"),
    "depthwise": lambda n: n.DepthwiseConv2D(3, padding="same"),
    "separable": lambda n: n.SeparableConv2D(4, 3, padding="same"),
    "transposed": lambda n: n.Conv2DTranspose(2, 3, padding="same"),
    "dense": lambda n: n.Dense(3, activation="hard_silu"),
    "batch norm": lambda n: n.BatchNormalization(),
    "group norm": lambda n: n.GroupNormalization(1),
    "relu": lambda n: n.ReLU(6.0),
    "leaky": lambda n: n.LeakyReLU(0.1),
    "pool": lambda n: n.AveragePooling2D(2, 1, padding="same"),
    "dropout": lambda n: n.Dropout(0.5),
    "pad": lambda n: n.ZeroPadding2D(1),
    "rms norm": lambda n: n.RMSNormalization(),
    "softmax": lambda n: n.Softmax(),
    "rescaling": lambda n: n.Rescaling(0.5, 1.0),
}
OPERATIONS: dict[str, Any] = {
    "scale": lambda o, x: x * 0.5 + 1.0,
    "relu": lambda o, x: o.relu(x),
    "gelu": lambda o, x: o.gelu(x),
    "center": lambda o, x: x - o.mean(x, axis=(1, 2), keepdims=True),
    "flip": lambda o, x: o.flip(x, axis=2),
    "transpose": lambda o, x: o.transpose(x, (0, 2, 1, 3)),
    "slice": lambda o, x: x[:, 1:-1, 1:-1] if min(x.shape[1:3]) > 5 else x[:, ::-1],
}
JOINS: dict[str, Any] = {
    "add": lambda n, o, a, b: n.Add()([a, b]),
    "operator": lambda n, o, a, b: o.maximum(a, b) - a * b,
    "concatenate": lambda n, o, a, b: n.Concatenate()([a, b]),
}
STEP = st.one_of(
    st.tuples(st.just("layer"), st.sampled_from(sorted(LAYERS)), st.integers(0, 100)),
    st.tuples(st.just("operation"), st.sampled_from(sorted(OPERATIONS)), st.integers(0, 100)),
    st.tuples(st.just("again"), st.just(""), st.integers(0, 100)),
    st.tuples(st.just("join"), st.sampled_from(sorted(JOINS)), st.integers(0, 10_000)),
)


def graph(steps: list[tuple[str, str, int]], nested: bool) -> Any:
    """Returns the Keras 3 model that a list of (what, which, on which tensors) describes."""
    layers, ops = keras3.layers, keras3.ops
    inputs = [keras3.Input((6, 6, 3)), keras3.Input((6, 6, 3))]
    tensors: list[Any] = list(inputs)
    shared: dict[Any, Any] = {}
    for what, which, place in steps:
        x = tensors[place % len(tensors)]
        if what == "layer":
            layer = LAYERS[which](layers)
            tensors.append(layer(x))
            shared[tuple(x.shape)] = layer  # May be called again on a tensor of this shape.
        elif what == "operation":
            tensors.append(OPERATIONS[which](ops, x))
        elif what == "again" and tuple(x.shape) in shared:
            tensors.append(shared[tuple(x.shape)](x))
        elif what == "join":
            other = tensors[place // 100 % len(tensors)]
            if other.shape == x.shape:
                tensors.append(JOINS[which](layers, ops, x, other))
    outputs = [layers.GlobalAveragePooling2D()(tensors[-1]), layers.Flatten()(tensors[len(tensors) // 2])]
    model = keras3.Model(inputs, outputs)
    if nested:
        outer = [keras3.Input((6, 6, 3)), keras3.Input((6, 6, 3))]
        model = keras3.Model(outer, layers.Concatenate()([*model(outer), *model(outer[::-1])]))
    return model


@hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
@hypothesis.given(st.lists(STEP, min_size=1, max_size=10), st.booleans())
def test_any_graph_of_supported_layers_goes_in_and_out_with_the_same_bits(
    steps: list[tuple[str, str, int]], nested: bool
) -> None:
    model = graph(steps, nested)
    random_weights(model)
    data = random_input(model)
    expected = model(data, training=False)
    inside = door.load(model)
    assert difference(inside(data, training=False), expected) == 0
    assert difference(door.to_keras3(inside)(data, training=False), expected) == 0
    assert {layer.name for layer in model.layers} <= {layer.name for layer in inside.layers}

"""Random graphs: whatever layers follow each other, the smaller model computes what the masked one does."""

from __future__ import annotations

from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from compression.shrink.agreement import ALLOWED, gap, inputs_for, outputs, randomize

from tfday7.compression import shrink
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf

STEPS = ("conv", "strided", "bn", "relu", "add", "concat", "se", "depthwise", "grouped", "split", "pool", "operation")
STEP = st.tuples(st.sampled_from(STEPS), st.integers(0, 10), st.integers(2, 6))


def pixels(x: Any) -> int:
    return int(x.shape[1])


def step(kind: str, which: int, width: int, made: list[Any]) -> Any:
    """Returns what a step makes of one of the tensors so far, all of them images."""
    layers = keras.layers
    x = made[-1 - which % min(3, len(made))]
    alike = [one for one in made if one.shape[1:] == x.shape[1:]]
    of_size = [one for one in made if pixels(one) == pixels(x)]
    if kind == "conv":
        return layers.Conv2D(width, 3, padding="same", activation="tanh")(x)
    if kind == "strided":
        return layers.Conv2D(width, 2, strides=1 + (pixels(x) > 4), padding="same")(x)
    if kind == "bn":
        return layers.BatchNormalization()(x)
    if kind == "relu":
        return layers.PReLU(shared_axes=[1, 2])(x)
    if kind == "add":
        other = alike[which % len(alike)]
        return layers.Add()([x, other]) if which % 2 else layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1)(other)])
    if kind == "concat":
        return layers.Concatenate()([x, of_size[which % len(of_size)]])
    if kind == "se":
        scale = layers.Dense(width, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        return layers.Multiply()([x, layers.Dense(x.shape[-1], activation="sigmoid")(scale)])
    if kind == "depthwise":
        return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=1 + which % 2)(x)
    if kind == "grouped":
        groups = next(number for number in (3, 2, 1) if x.shape[-1] % number == 0)
        return layers.Conv2D(groups * width, 1, groups=groups)(x)
    if kind == "split":
        return x[..., : max(1, x.shape[-1] - which)]
    if kind == "pool":
        return layers.MaxPooling2D(2, strides=1, padding="same")(x)
    return tf.nn.relu(x - 0.1) + 0.5 * x


def graph(steps: list[tuple[str, int, int]], flat: bool) -> Any:
    """Returns a model of the steps: an image of 6x6 comes in, 3 numbers go out."""
    layers = keras.layers
    inputs = keras.Input((6, 6, 2))
    made = [layers.Conv2D(4, 3, padding="same")(inputs)]
    for kind, which, width in steps:
        made.append(step(kind, which, width, made))
    last = [one for one in made if pixels(one) == pixels(made[-1])][-3:]
    x = layers.Concatenate()(last) if len(last) > 1 else last[0]
    x = layers.Flatten()(x) if flat else layers.GlobalMaxPooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Dense(4, activation="relu")(x)))


@hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(
    st.lists(STEP, min_size=1, max_size=8),
    st.booleans(),
    st.sampled_from((0.3, 0.5, 0.8)),
    st.sampled_from(("local", "global")),
)
def test_the_smaller_graph_is_the_masked_one(
    steps: list[tuple[str, int, int]], flat: bool, ratio: float, scope: str
) -> None:
    keras.backend.clear_session()
    model = graph(steps, flat)
    randomize(model)
    x = inputs_for(model)
    plan = shrink.plan(model, ratio=ratio, scope=scope, round_to=1)
    smaller = plan.apply()
    assert gap(outputs(smaller, x), outputs(plan.masked(), x)) <= ALLOWED
    assert smaller.count_params() == plan.parameters[1] < plan.parameters[0] == model.count_params()


@hypothesis.settings(
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
@hypothesis.given(st.lists(STEP, min_size=1, max_size=6), st.floats(0.05, 1.0))
def test_a_budget_of_multiplications_is_met_or_refused(steps: list[tuple[str, int, int]], budget: float) -> None:
    keras.backend.clear_session()
    model = graph(steps, True)
    full = shrink.plan(model, macs_ratio=1.0, round_to=1)
    least = shrink.plan(model, counts={one.group.name: 1 for one in full.groups}).macs
    if least is not None and least[1] > budget * least[0]:
        with pytest.raises(UserError, match="the smallest is"):
            shrink.plan(model, macs_ratio=budget, round_to=1)
        return
    plan = shrink.plan(model, macs_ratio=budget, round_to=1)
    assert plan.macs is not None
    assert plan.macs[1] <= budget * plan.macs[0]
    assert full.parameters[0] == full.parameters[1]

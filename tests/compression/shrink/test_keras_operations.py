"""Functions of `keras.ops` in a model of Keras 3, that the door keeps as they are: followed, or left whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compression.shrink.agreement import agree

from tfday7 import models
from tfday7.core.frameworks import keras3
from tfday7.models import describe

ops = keras3.ops
COUNTED = np.arange(1.0, 9.0, dtype=np.float32)
Operation = Callable[[Any], Any]


def through_the_door(operation: Operation) -> Any:
    """Returns the tf_keras model of: 6 steps of 3, 8 channels, the operation, 6 units, 2 outputs."""
    keras3.backend.clear_session()
    inputs = keras3.layers.Input((6, 3))
    x = operation(keras3.layers.Dense(8, activation="tanh", name="first")(inputs))
    x = keras3.layers.Dense(6, name="free")(keras3.layers.Flatten()(x))
    return models.load(keras3.Model(inputs, keras3.layers.Dense(2, name="out")(x)))


def projected(x: Any, units: int) -> Any:
    return keras3.layers.Dense(units)(x)


def above_zero(x: Any) -> Any:
    return ops.square(x) + 1.0


FOLLOWED: dict[str, Operation] = {
    **{name: getattr(ops, name) for name in ("absolute", "ceil", "cos", "floor", "negative", "round", "sign", "sin")},
    **{name: getattr(ops, name) for name in ("erf", "square", "leaky_relu", "gelu", "elu", "copy")},
    **{
        name: lambda x, name=name: getattr(ops, name)(above_zero(x))
        for name in ("log", "log1p", "sqrt", "rsqrt", "reciprocal")
    },
    "cast": lambda x: ops.cast(x > 0.0, "float32") * x,
    "with a number": lambda x: 1.0 - ops.add(x, 3.0) / 2.0,
    "with one number in an array": lambda x: x * np.array([2.0], np.float32),
    "with another": lambda x: ops.divide(x, above_zero(projected(x, 8))),
    "with a number a step": lambda x: x * np.arange(6.0, dtype=np.float32)[:, np.newaxis],
    "one number spread by a constant": lambda x: projected(x, 1) * COUNTED,
    "mean of steps": lambda x: ops.mean(x, axis=1),
    "mean of steps that stays an axis": lambda x: ops.mean(x, axis=1, keepdims=True),
    "largest of steps": lambda x: ops.max(x, axis=-2),
    "least of steps": lambda x: ops.min(x, axis=1),
    "sum of steps": lambda x: ops.sum(x, axis=1),
    "sum of channels": lambda x: ops.sum(x, axis=-1, keepdims=True),
    "softmax of steps": lambda x: ops.softmax(x, axis=1),
    "clipped": lambda x: ops.clip(x, -0.5, 0.5),
    "where": lambda x: ops.where(x > 0.0, x, 0.1 * projected(x, 8)),
    "stacked": lambda x: ops.max(ops.stack([x, projected(x, 8)], axis=-1), axis=-1),
    "stacked, the new axis first": lambda x: ops.max(keras3.src.ops.numpy.Stack()([x, projected(x, 8)]), axis=0),
    "new axis": lambda x: ops.squeeze(ops.expand_dims(x, 1), axis=1),
    "new axis behind": lambda x: ops.squeeze(ops.expand_dims(x, -1), axis=-1),
    "swapped": lambda x: ops.swapaxes(x, 1, -1),
    "matmul over channels": lambda x: ops.matmul(x, ops.transpose(projected(x, 8), (0, 2, 1))),
    "matmul over steps": lambda x: ops.softmax(projected(x, 6)) @ x,
    "one step": lambda x: x[:, 0],
    "some steps": lambda x: x[:, 1:4],
    "turned twice": lambda x: ops.transpose(ops.transpose(x, (0, 2, 1)) * 2.0, (0, 2, 1)),
    "turned": lambda x: ops.transpose(x, (0, 2, 1)),
    "einsum over channels": lambda x: ops.einsum("btc,bsc->bts", x, projected(x, 8)),
    "einsum over steps": lambda x: ops.einsum("btc,btd->bcd", x, projected(x, 4)),
}


@pytest.mark.parametrize("operation", FOLLOWED.values(), ids=FOLLOWED)
def test_the_smaller_model_is_the_masked_one(operation: Operation) -> None:
    plan, smaller = agree(through_the_door(operation))
    assert any("first" in one.group.members for one in plan.groups)
    assert plan.macs is not None
    assert describe.describe(smaller).macs == plan.macs[1] < plan.macs[0]


WHOLE: dict[str, tuple[Operation, str]] = {
    "a constant of each channel": (lambda x: x * COUNTED, "joined to a constant in"),
    "mean of channels": (lambda x: ops.mean(x, axis=-1), "reduced to one number by"),
    "mean of all": (lambda x: ops.mean(x, axis=(1, 2), keepdims=True), "reduced to one number by"),
    "softmax of channels": (lambda x: ops.log_softmax(x), "normalized together by"),
    "einsum of three": (lambda x: ops.einsum("btc,btc,btc->bt", x, projected(x, 8), x), "read by the unknown layer"),
    "new axes": (lambda x: ops.squeeze(ops.expand_dims(x, (1, 2)), axis=(1, 2)), "read by the unknown layer"),
    "largest of channels": (lambda x: ops.max(x, axis=2), "reduced to one number by"),
    "some channels": (lambda x: x[..., 2:7], "cut by"),
    "one channel": (lambda x: x[:, :, 0], "picked by number in"),
    "matmul with a constant": (lambda x: ops.matmul(x, np.eye(8, 5, dtype=np.float32)), "multiplied by a constant in"),
    "einsum of one": (lambda x: ops.einsum("btc->bct", x), "read by the unknown layer"),
    "unknown function": (lambda x: ops.flip(x, axis=-1), "read by the unknown layer"),
}


@pytest.mark.parametrize(("operation", "reason"), WHOLE.values(), ids=WHOLE)
def test_what_needs_every_channel_keeps_them_and_says_why(operation: Operation, reason: str) -> None:
    plan, _ = agree(through_the_door(operation))
    assert [one.group.name for one in plan.groups] == ["free"]
    assert reason in next(one.reason for one in plan.skipped if one.layer == "first")

"""What the tests of shrinking share: random weights, and the proof that the smaller model is the masked one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.compression import shrink
from tfday7.core.frameworks import tf

ALLOWED = 1e-5


def randomize(model: Any, seed: int = 0) -> None:
    """Gives every weight a random value, biases, statistics and slopes too; variances and scales stay positive."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        name, shape = variable.name.split("/")[-1], tuple(variable.shape)
        if not variable.dtype.is_floating:
            continue
        fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 4
        value = generator.normal(0, 1.5 / np.sqrt(max(1, fan_in)), shape)
        variable.assign(np.abs(value) + 0.5 if "var" in name or "gamma" in name else value)


def inputs_for(model: Any, batch_size: int = 3) -> Any:
    """Returns one array per input: normal floats, or integers below 4; open sizes become 6."""
    generator = np.random.default_rng(1)
    arrays = []
    for tensor in model.inputs:
        shape = [batch_size, *(size or 6 for size in tensor.shape[1:])]
        floats = tensor.dtype.is_floating
        arrays.append(generator.normal(size=shape).astype("float32") if floats else generator.integers(0, 4, shape))
    return arrays[0] if len(arrays) == 1 else arrays


def outputs(model: Any, x: Any) -> list[np.ndarray]:
    """Returns all outputs of a model, in inference."""
    return [np.asarray(one) for one in tf.nest.flatten(model(x, training=False))]


def gap(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Returns the largest difference of any output over its largest value."""
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.max(np.abs(a - b)) / max(1e-30, np.max(np.abs(a)))) for a, b in pairs)


def agree(model: Any, random_weights: bool = True, **settings: Any) -> tuple[Any, Any]:
    """Shrinks a model and asserts that the smaller one computes what the masked one does, and that it is smaller.

    Args:
        model: a tf_keras model.
        random_weights: whether to give it some first.
        settings: of `shrink.plan`; half of every group by default, to the single channel.

    Returns:
        The plan and the smaller model.
    """
    if random_weights:
        randomize(model)
    if not {"ratio", "macs_ratio", "size_bytes", "counts"} & set(settings):
        settings["ratio"] = 0.5
    settings.setdefault("round_to", 1)
    x = inputs_for(model)
    given, weights = outputs(model, x), [np.array(variable) for variable in model.weights]
    plan = shrink.plan(model, **settings)
    smaller, masked = plan.apply(), plan.masked()
    ours, theirs = outputs(smaller, x), outputs(masked, x)
    assert all(np.isfinite(one).all() for one in theirs)
    assert gap(ours, theirs) <= ALLOWED
    assert gap(theirs, given) > 1e-4, "nothing that matters was masked"
    with plan.masking() as probe:
        assert gap(outputs(probe, x), theirs) <= ALLOWED
    assert masked.count_params() == model.count_params() == plan.parameters[0]
    assert smaller.count_params() == plan.parameters[1] < plan.parameters[0]
    assert gap(outputs(model, x), given) == 0
    assert all((np.asarray(now) == then).all() for now, then in zip(model.weights, weights, strict=True))
    assert {layer.name for layer in model.layers} == {layer.name for layer in smaller.layers}
    return plan, smaller

"""What goes wrong with a healthy run: 29 faults, and the findings that name each rightly.

Part of benchmarks/diagnosis.py.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnosis_tasks import Setup, dataset_of, problem

from tfday7.core.frameworks import keras
from tfday7.data import Examples, Problem
from tfday7.data.lazy import LazyInputs


def own_mlp(
    activation: str = "relu",
    depth: int = 2,
    width: int = 64,
    scale: float = 1.0,
    last: str | None = None,
    momentum: float | None = None,
    standardized: bool = True,
    bias: float = 0.0,
    coarse: bool = False,
) -> Callable[[Problem], Any]:
    """Returns a builder of a plain network, as users write them.

    `scale` multiplies its first weights; a `coarse` one sees three or four numbers of its inputs (of a text one).
    """

    def build(problem: Problem) -> Any:
        tensor = keras.Input(problem.input_shape, dtype="int32" if problem.vocabulary else "float32")
        x = tensor
        if problem.vocabulary:
            x = keras.layers.Embedding(len(problem.vocabulary), 1 if coarse else 32)(x)
            x = keras.layers.GlobalMaxPooling1D()(x) if coarse else keras.layers.GlobalAveragePooling1D()(x)
            x = keras.layers.Rescaling(30.0)(x)
        elif problem.feature_mean is not None and standardized:
            x = keras.layers.Normalization(mean=problem.feature_mean, variance=problem.feature_std**2)(x)
        x = keras.layers.Flatten()(x)
        if coarse:
            x = x[:, :: max(1, x.shape[1] // 3)]
        for _ in range(depth):
            start = keras.initializers.VarianceScaling(scale * scale * (2.0 if activation == "relu" else 1.0), "fan_in")
            x = keras.layers.Dense(width, kernel_initializer=start, bias_initializer=keras.initializers.Constant(bias))(
                x
            )
            if momentum is not None:
                x = keras.layers.BatchNormalization(momentum=momentum)(x)
            x = keras.layers.Activation(activation)(x)
        x = keras.layers.Dense(problem.outputs, activation=last)(x)
        if problem.target_std is not None:
            x = keras.layers.Rescaling(problem.target_std.tolist(), problem.target_mean.tolist())(x)
        return keras.Model(tensor, x)

    return build


def plain(setup: Setup, **changes: Any) -> Setup:
    """Returns a setup with other data, model, optimizer or training settings."""
    parts: dict[str, Any] = {}
    for name, value in changes.items():
        for part in ("model", "optimizer", "training"):
            config = parts.get(part, getattr(setup, part))
            if name in {field.name for field in dataclasses.fields(config)}:
                parts[part] = dataclasses.replace(config, **{name: value})
    return dataclasses.replace(setup, **parts)


def with_model(setup: Setup, **options: Any) -> Setup:
    """Returns a setup with a plain network of one's own."""
    return dataclasses.replace(setup, made=own_mlp(**options))


def with_parts(setup: Setup, change: Callable[[str, Examples], Examples]) -> Setup:
    """Returns a setup whose splits are changed; `change` is given a split's name and examples."""
    found = setup.dataset
    parts = {name: change(name, getattr(found, name)) for name in ("train", "validation", "test")}
    x, y = parts["train"].x, parts["train"].y
    if isinstance(x, LazyInputs):
        return dataclasses.replace(setup, dataset=dataclasses.replace(found, **parts))
    posed = problem(found.problem.task, found.problem.kind, x, y, found.problem.outputs, found.problem.vocabulary)
    return dataclasses.replace(setup, dataset=dataclasses.replace(found, problem=posed, **parts))


def shuffled_labels(setup: Setup, generator: np.random.Generator) -> Setup:
    """Labels of other examples, as after sorting one file only."""
    return with_parts(setup, lambda name, part: Examples(part.x, part.y[generator.permutation(len(part))]))


def constant_labels(setup: Setup, _generator: np.random.Generator) -> Setup:
    """A column that was filled with one value."""
    return with_parts(
        setup, lambda name, part: Examples(part.x, np.repeat(setup.dataset.train.y[:1], len(part), axis=0))
    )


def imbalance(setup: Setup, generator: np.random.Generator) -> Setup:
    """Of all classes but the first, three in a hundred examples are left; of values, one in a hundred is far off."""

    def change(_name: str, part: Examples) -> Examples:
        if setup.dataset.problem.task == "classification":
            keep = (part.y == 0) | (generator.random(len(part)) < 0.03)
            keep[np.flatnonzero(part.y > 0)[: 2 * setup.dataset.problem.outputs]] = True
            return Examples(part.x[keep], part.y[keep])
        far = generator.random(len(part)) < 0.01
        far[:2] = True
        return Examples(part.x, np.where(far[:, None], part.y + 100.0 * setup.dataset.problem.target_std, part.y))

    return with_parts(setup, change)


def leakage(setup: Setup, generator: np.random.Generator) -> Setup:
    """Validation examples that are training examples again, with a trace of noise where they are numbers."""
    train = setup.dataset.train

    def change(name: str, part: Examples) -> Examples:
        if name != "validation":
            return part
        chosen = generator.permutation(len(train))[: min(len(part), len(train) // 2)]
        x = train.x[chosen]
        if not setup.dataset.problem.vocabulary:
            x = (x + generator.normal(0, 1e-3, x.shape) * train.x.std(axis=0)).astype(np.float32)
        return Examples(x, train.y[chosen])

    return with_parts(setup, change)


def shift(setup: Setup, generator: np.random.Generator) -> Setup:
    """Validation from elsewhere: darker images, rarer words, columns in other units."""
    vocabulary = len(setup.dataset.problem.vocabulary)

    def change(name: str, part: Examples) -> Examples:
        if name == "train":
            return part
        if vocabulary:
            swapped = (generator.random(part.x.shape) < 0.5) & (part.x > 0)
            return Examples(np.where(swapped, vocabulary - part.x, part.x).astype(part.x.dtype), part.y)
        if setup.dataset.problem.kind == "image":
            return Examples((0.3 + 0.4 * part.x).astype(np.float32), part.y)
        moved = np.arange(part.x.shape[1]) % 3 == 0
        std = setup.dataset.train.x.std(axis=0)
        return Examples(np.where(moved, part.x + 2.0 * std, part.x).astype(np.float32), part.y)

    return with_parts(setup, change)


def small_validation(setup: Setup, _generator: np.random.Generator) -> Setup:
    """Twelve validation examples."""
    return with_parts(setup, lambda name, part: Examples(part.x[:12], part.y[:12]) if name == "validation" else part)


def unscaled(setup: Setup, _generator: np.random.Generator) -> Setup | None:
    """Inputs far from zero and large, into a network that does not standardize them."""
    if setup.dataset.problem.vocabulary:
        return None
    scaled = with_parts(setup, lambda name, part: Examples((part.x * 3000.0 + 2000.0).astype(np.float32), part.y))
    return with_model(scaled, standardized=False)


def few_examples(setup: Setup, _generator: np.random.Generator) -> Setup:
    """Sixty training examples (text: 200), a wide network, and many epochs without regularization."""
    count = 200 if setup.dataset.problem.vocabulary else 60
    short = with_parts(setup, lambda name, part: Examples(part.x[:count], part.y[:count]) if name == "train" else part)
    changed = plain(short, epochs=60, patience=0, schedule="constant", optimizer="adam", learning_rate=3e-3)
    return with_model(changed, width=256)


def wrong_labels(setup: Setup, generator: np.random.Generator) -> Setup:
    """Three in ten training labels are those of other examples, and a wide network learns them by heart."""

    def change(name: str, part: Examples) -> Examples:
        if name != "train":
            return part
        part = Examples(part.x[:400], part.y[:400])
        wrong = generator.random(len(part)) < 0.3
        return Examples(part.x, part.y[np.where(wrong, generator.permutation(len(part)), np.arange(len(part)))])

    changed = plain(with_parts(setup, change), epochs=40, patience=0, schedule="constant", learning_rate=3e-3)
    return with_model(plain(changed, optimizer="adam"), width=256)


class Slow(LazyInputs):
    """Inputs that take long to read."""

    finite = True

    def __init__(self, x: np.ndarray) -> None:
        super().__init__(x.shape, x.dtype)
        self.x = x

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Reads, slowly."""
        time.sleep(0.0012 * len(indices))
        return self.x[indices]


def slow_input(setup: Setup, _generator: np.random.Generator) -> Setup:
    """A pipeline that reads a batch in 40 milliseconds, a hundred times longer than the model takes."""
    shorter = plain(setup, epochs=5, patience=0)
    return with_parts(shorter, lambda name, part: Examples(Slow(part.x), part.y) if name == "train" else part)


def codes(setup: Setup, generator: np.random.Generator) -> Setup | None:
    """Classes that are taken for values: the wrong loss for the labels."""
    found = setup.dataset
    if found.problem.task != "classification" or found.problem.outputs < 3:
        return None
    order = generator.permutation(found.problem.outputs)
    parts = [
        (part.x, order[part.y][:, None].astype(np.float32)) for part in (found.train, found.validation, found.test)
    ]
    return dataclasses.replace(
        setup, dataset=dataset_of("regression", found.problem.kind, parts, found.problem.vocabulary)
    )


def set_kernels(value: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], None]:
    """Returns what changes all kernels of a model."""

    def change(model: Any) -> None:
        model.set_weights([value(w) if w.ndim > 1 else w for w in model.get_weights()])

    return change


def freeze(model: Any) -> None:
    """Freezes every layer but the last, or all where there are no more than two."""
    layers = [layer for layer in model.layers if layer.weights]
    for layer in layers[:-1] if len(layers) > 2 else layers:
        layer.trainable = False


Change = Callable[[Setup, np.random.Generator], "Setup | None"]
# Name -> (what it does, findings that name it rightly).
FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "rate_far_too_high": (lambda s, g: plain(s, optimizer="adam", learning_rate=10.0), ("rate_high", "diverged")),
    "rate_too_high_sgd": (
        lambda s, g: plain(s, optimizer="sgd", learning_rate=20.0, schedule="constant"), ("rate_high", "diverged"),
    ),
    "momentum_too_high": (
        lambda s, g: plain(s, optimizer="sgd", learning_rate=1.0, momentum=0.995, schedule="constant"),
        ("rate_high", "diverged"),
    ),
    "rate_too_low": (lambda s, g: plain(s, optimizer="adam", learning_rate=1e-6), ("rate_low",)),
    "gradients_clipped_away": (
        lambda s, g: plain(s, optimizer="sgd", learning_rate=0.01, global_clipnorm=1e-4), ("rate_low",),
    ),
    "zero_weights": (
        lambda s, g: dataclasses.replace(with_model(s), break_model=set_kernels(np.zeros_like)), ("zero_weights",),
    ),
    "huge_weights": (lambda s, g: with_model(s, scale=30.0, depth=3), ("initialization",)),
    "dead_units": (lambda s, g: with_model(s, bias=-30.0), ("dead_units",)),
    "saturated": (lambda s, g: with_model(s, activation="tanh", scale=50.0), ("saturated", "initialization")),
    "vanishing": (
        lambda s, g: plain(with_model(s, activation="sigmoid", depth=12), optimizer="sgd", learning_rate=0.01),
        ("vanishing",),
    ),
    "exploding": (lambda s, g: with_model(s, depth=10, scale=5.0), ("initialization", "diverged")),
    "dropout_too_strong": (
        lambda s, g: plain(s, dropout=0.97, l2=0.0) if s.model.model != "linear" else None,
        ("over_regularized",),
    ),
    "l2_too_strong": (lambda s, g: plain(s, l2=3.0), ("over_regularized",)),
    "shuffled_labels": (shuffled_labels, ("labels",)),
    "constant_labels": (constant_labels, ("constant_target",)),
    "imbalance": (imbalance, ("imbalance", "outliers")),
    "leakage": (leakage, ("leakage",)),
    "shifted_validation": (shift, ("shift",)),
    "small_validation": (small_validation, ("validation_small",)),
    "unscaled_input": (unscaled, ("input_scale",)),
    "wrong_last_activation": (lambda s, g: with_model(s, last="relu"), ("output_activation",)),
    "frozen": (lambda s, g: dataclasses.replace(with_model(s, depth=1), break_model=freeze), ("frozen",)),
    "too_small_a_model": (
        lambda s, g: plain(with_model(s, width=2, depth=1, coarse=True), optimizer="adam", learning_rate=2e-3),
        ("underfit", "unfinished"),
    ),
    "cut_short": (
        lambda s, g: plain(s, optimizer="adam", learning_rate=1e-4, epochs=5, patience=0, schedule="constant"),
        ("unfinished", "rate_low"),
    ),
    "few_examples": (few_examples, ("overfit", "gap")),
    "wrong_labels": (wrong_labels, ("overfit", "gap")),
    "slow_statistics": (lambda s, g: with_model(s, momentum=0.9999), ("batchnorm",)),
    "slow_input": (slow_input, ("input_bottleneck",)),
    "codes": (codes, ("codes",)),
}  # fmt: skip
OVERFIT = ("few_examples", "wrong_labels")
UNDERFIT = (
    "rate_too_low",
    "gradients_clipped_away",
    "dropout_too_strong",
    "l2_too_strong",
    "too_small_a_model",
    "cut_short",
)

"""Seeded runs of known health: 27 faults and many healthy runs on six tasks, each recorded with all its evidence.

Part of benchmarks/diagnosis.py. A run's evidence is kept in a file of its own, so that judging it again takes no
training, and the same command goes on where it was stopped.

Tasks: images, text and tables, each once with classes and once with values. Thresholds are set on one half of them
(`CALIBRATION`), and nothing is tuned on the other.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets as sklearn_datasets

from tfday7 import data
from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset, Examples, Problem
from tfday7.data.lazy import LazyInputs
from tfday7.diagnosis.evidence import Evidence, recorded
from tfday7.diagnosis.health import Health, from_json
from tfday7.diagnosis.measuring import inspection
from tfday7.diagnosis.watching import Watch
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig
from tfday7.training.batches import input_ms
from tfday7.training.fitting import fit
from tfday7.training.scores import scores

TASKS = ("image_class", "image_value", "text_class", "text_value", "table_class", "table_value")
CALIBRATION = ("image_class", "text_value", "table_class")
DIABETES = str(Path(__file__).resolve().parents[1] / "configs" / "data" / "diabetes.csv")
HEALTHY_RUNS = 24  # Of a task; 144 in all.


@dataclasses.dataclass
class Setup:
    """What is trained; a fault changes some of it."""

    dataset: Dataset
    model: ModelConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    made: Callable[[Problem], Any] | None = None  # A model of one's own, instead of `model`.
    break_model: Callable[[Any], None] = lambda model: None


# Data ---------------------------------------------------------------------------------------------------------------


def problem(task: str, kind: str, x: np.ndarray, y: np.ndarray, outputs: int, vocabulary: tuple[str, ...]) -> Problem:
    """Returns the problem that the training examples pose."""
    values = task == "regression"
    plain = kind == "tabular"
    return Problem(
        task,
        kind,
        tuple(x.shape[1:]),
        outputs,
        () if values else tuple(str(i) for i in range(outputs)),
        vocabulary,
        x.mean(axis=0, dtype=np.float64).astype(np.float32) if plain else None,
        deviations(x) if plain else None,
        target_mean=y.mean(axis=0, dtype=np.float64).astype(np.float32) if values else None,
        target_std=deviations(y) if values else None,
    )


def deviations(values: np.ndarray) -> np.ndarray:
    """Returns each column's deviation; 1 where it does not vary."""
    found = values.std(axis=0, dtype=np.float64)
    return np.where(found > 1e-6, found, 1.0).astype(np.float32)


def dataset_of(
    task: str, kind: str, parts: list[tuple[np.ndarray, np.ndarray]], vocabulary: tuple[str, ...] = ()
) -> Dataset:
    """Returns a data set of three splits."""
    x, y = parts[0]
    outputs = y.shape[1] if task == "regression" else int(max(part[1].max() for part in parts)) + 1
    examples = [Examples(x, y) for x, y in parts]
    return Dataset(kind, problem(task, kind, x, y, outputs, vocabulary), *examples, fingerprint="0" * 16)


def split(x: np.ndarray, y: np.ndarray, sizes: tuple[int, int], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns (x, y) of the splits: so many to train, so many to validate, the rest to test."""
    order = np.random.default_rng(seed).permutation(len(x))
    parts = np.split(order, np.cumsum(sizes))
    return [(x[part], y[part]) for part in parts]


def image_class(variant: int, seed: int) -> Dataset:
    """Digits, or a part of Fashion-MNIST."""
    if variant % 2:
        whole = whole_of("fashion_mnist")
        chosen = np.random.default_rng(seed).permutation(len(whole.train))[:2000]
        x, y = whole.train.x[chosen], whole.train.y[chosen]
    else:
        x, y = digits()
    return dataset_of("classification", "image", split(x, y, (1000, 350), seed))


def image_value(variant: int, seed: int) -> Dataset:
    """Of digits: where the ink lies on average, or how much there is in the upper half; values to three digits."""
    x, _ = digits()
    ink = x[..., 0]
    along = (ink * np.arange(8)[None, None, :]).sum(axis=(1, 2)) / ink.sum(axis=(1, 2))
    above = ink[:, :4].sum(axis=(1, 2)) / ink.sum(axis=(1, 2))
    y = (along, above)[variant % 2][:, None] * 10.0
    noise = np.random.default_rng(seed).normal(0, 0.15 * y.std(), y.shape)
    return dataset_of("regression", "image", split(x, (y + noise).astype(np.float32), (1000, 350), seed))


def text_class(variant: int, seed: int) -> Dataset:
    """Which part of the standard library a line is from; variants take different lines."""
    whole = whole_of("stdlib_text")
    generator = np.random.default_rng(seed + 100 * (variant % 2))
    parts = []
    for part, size in ((whole.train, 3000), (whole.validation, 800), (whole.test, 800)):
        chosen = generator.permutation(len(part))[:size]
        parts.append((np.asarray(part.x[chosen]), np.asarray(part.y[chosen])))
    return dataset_of("classification", "text", parts, whole.problem.vocabulary)


def text_value(variant: int, seed: int) -> Dataset:
    """Which share of a line's words are very common ones, of two kinds."""
    whole = whole_of("stdlib_text")
    chosen = np.random.default_rng(seed).permutation(len(whole.train))[:4000]
    x = np.asarray(whole.train.x[chosen])
    common = (x > 1) & (x < 30) & (x % 2 == variant % 2)
    y = common.sum(axis=1, keepdims=True) / np.maximum((x > 0).sum(axis=1, keepdims=True), 1)
    y = y + np.random.default_rng(seed).normal(0, 0.1 * y.std(), y.shape)
    return dataset_of("regression", "text", split(x, y.astype(np.float32), (3000, 500), seed), whole.problem.vocabulary)


def table_class(variant: int, seed: int) -> Dataset:
    """Breast cancer (30 measurements), or digits as a table of 64 columns."""
    if variant % 2:
        x, y = digits()
        x = x.reshape(len(x), -1)
        return dataset_of("classification", "tabular", split(x, y, (1000, 350), seed))
    found = sklearn_datasets.load_breast_cancer()
    x, y = found.data.astype(np.float32), found.target.astype(np.int64)
    return dataset_of("classification", "tabular", split(x, y, (340, 115), seed))


def table_value(variant: int, seed: int) -> Dataset:
    """Diabetes (10 columns, noisy), or Friedman's first function."""
    if variant % 2:
        x, y = sklearn_datasets.make_friedman1(1500, 10, noise=1.0, random_state=seed)
        return dataset_of(
            "regression", "tabular", split(x.astype(np.float32), y[:, None].astype(np.float32), (1000, 250), seed)
        )
    found = sklearn_datasets.load_diabetes(scaled=False)
    x, y = found.data.astype(np.float32), found.target[:, None].astype(np.float32)
    return dataset_of("regression", "tabular", split(x, y, (270, 86), seed))


@functools.cache
def whole_of(name: str) -> Dataset:
    """Returns a whole data set; reading one takes longer than a training here."""
    return data.load(data.DataConfig(data=name))


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and their digits."""
    found = sklearn_datasets.load_digits()
    return (found.images[..., None] / 16.0).astype(np.float32), found.target.astype(np.int64)


LOADERS = {
    "image_class": image_class, "image_value": image_value, "text_class": text_class,
    "text_value": text_value, "table_class": table_class, "table_value": table_value,
}  # fmt: skip


# Healthy runs -------------------------------------------------------------------------------------------------------

MODELS = {
    "image": (ModelConfig("cnn", width=8), ModelConfig("mlp", width=64, depth=1), ModelConfig("ds_cnn", width=16)),
    "text": (
        ModelConfig("mlp", width=16, depth=1, dropout=0.3), ModelConfig("linear"), ModelConfig("lstm", width=8),
        ModelConfig("transformer", width=16, depth=1, dropout=0.2),
    ),
    "tabular": (
        ModelConfig("mlp", width=32, depth=1), ModelConfig("mlp", width=16, depth=2, l2=1e-3), ModelConfig("linear"),
        ModelConfig("mlp", width=64, depth=1, dropout=0.2),
    ),
}  # fmt: skip
# With the rates and epochs that a careful user would take for them.
TRAINED = (("adam", 2e-3), ("sgd", 0.03), ("rmsprop", 1e-3), ("adamw", 2e-3), ("lamb", 5e-3))
EPOCHS = {"image": 18, "text": 6, "tabular": 40}


def healthy(task: str, variant: int, seed: int) -> Setup:
    """Returns a run that a careful user would start: early stopping, a rate that suits the optimizer."""
    dataset = LOADERS[task](variant, seed)
    kind = dataset.problem.kind
    model = MODELS[kind][variant % len(MODELS[kind])]
    name, rate = TRAINED[(variant // 2) % len(TRAINED)]
    if kind == "text":  # Embeddings are touched by few examples each: they take larger rates, and adaptive ones.
        name, rate = ("adamw", 4e-3) if name == "sgd" else (name, 2.0 * rate)
    if model.model == "linear":
        rate *= 3.0
    epochs = EPOCHS[kind] * (2 if kind == "tabular" and len(dataset.train) < 400 else 1)
    training = TrainingConfig(
        epochs=epochs,
        batch_size=32 if kind == "text" else (16, 32)[variant % 2],
        seed=seed,
        patience=max(2, epochs // 5),
    )
    return Setup(dataset, model, OptimizerConfig(name, learning_rate=rate, schedule="cosine"), training)


# Faults -------------------------------------------------------------------------------------------------------------


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


# Recording ----------------------------------------------------------------------------------------------------------


def cases(seeds: int) -> list[tuple[str, str, int]]:
    """Returns (task, fault or "healthy_<variant>", seed) of all runs; one task after the other, seed by seed."""
    found = []
    for seed in range(seeds):
        for task in TASKS:
            found += [(task, fault, seed) for fault in FAULTS]
            found += [(task, f"healthy_{v}", seed) for v in range(HEALTHY_RUNS) if v % seeds == seed]
    return found


def setup_of(task: str, name: str, seed: int) -> Setup | None:
    """Returns what a case trains; None where the fault does not exist on the task."""
    if name.startswith("healthy_"):
        return healthy(task, int(name.removeprefix("healthy_")), seed)
    order = list(FAULTS).index(name)
    base = healthy(task, order, seed)
    if base.model.model == "linear":  # It has no hidden layers to go wrong.
        base = dataclasses.replace(base, model=MODELS[base.dataset.problem.kind][0])
    return FAULTS[name][0](base, np.random.default_rng(1000 + seed))


def run(setup: Setup) -> Evidence:
    """Trains, and returns everything that was measured."""
    dataset, training = setup.dataset, setup.training
    keras.utils.set_random_seed(training.seed)
    model = (
        setup.made(dataset.problem) if setup.made else building.build(setup.model, dataset.problem, seed=training.seed)
    )
    setup.break_model(model)
    flags = {"epochs": str(training.epochs), "model": setup.model.model, "optimizer": setup.optimizer.optimizer}
    flags |= {"learning_rate": str(setup.optimizer.learning_rate)} if setup.optimizer.learning_rate else {}
    watch = Watch(model, dataset, training.epochs, flags)
    pipeline_ms = input_ms(dataset, training)
    fitted = fit(model, dataset, setup.optimizer, training, watchers=[watch])
    found, references = inspection.inspect(dataset)
    evidence = watch.evidence(fitted.records)
    metric = scores(dataset, model) if fitted.best_epoch else {}
    return dataclasses.replace(
        evidence,
        train_score=metric.get("train"),
        validation_score=metric.get("validation"),
        class_recall=tuple(metric.get("class_recall", ())),
        validation_examples=len(dataset.validation),
        stopped=fitted.stopped,
        step_ms=fitted.step_ms,
        input_ms=pipeline_ms,
        health=Health(found, references, tuple(watch.probes)),
    )


def to_json(evidence: Evidence) -> dict[str, Any]:
    """Returns plain JSON values; what is not finite is null."""
    record = dataclasses.asdict(evidence)
    for name in ("loss", "val_loss", "train_metric", "validation_metric"):
        record[name] = [float(v) if np.isfinite(v) else None for v in record[name]]
    return record


def evidence_of(record: dict[str, Any]) -> Evidence:
    """Returns the evidence that `to_json` gave."""
    curves = ("loss", "val_loss", "train_metric", "validation_metric")
    arrays = {name: recorded([{name: value} for value in record[name]], name) for name in curves}
    health = from_json(record["health"])
    return Evidence(**{**record, **arrays, "health": health, "class_recall": tuple(record["class_recall"])})


def record_all(folder: Path, seeds: int, tasks: tuple[str, ...] = TASKS) -> None:
    """Runs every case that is not in the folder yet."""
    todo = [case for case in cases(seeds) if case[0] in tasks]
    for done, (task, name, seed) in enumerate(todo):
        path = folder / task / f"{name}_{seed}.json"
        if path.exists():
            continue
        started = time.perf_counter()
        setup = setup_of(task, name, seed)
        try:
            record = {} if setup is None else to_json(run(setup))
        except UserError as error:  # The command would not have trained it.
            record = {"refused": error.message}
        files.write_json(path, record)
        keras.backend.clear_session()
        print(f"{done + 1}/{len(todo)} {task} {name} {seed}: {time.perf_counter() - started:.1f} s", flush=True)

"""Six tasks with variants, and the healthy run that a careful user would start on each.

Part of benchmarks/diagnosis.py. Images, text and tables, each once with classes and once with values. Thresholds are
set on one half of them (`CALIBRATION`), and nothing is tuned on the other.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import datasets as sklearn_datasets

from tfday7 import data
from tfday7.data import Dataset, Examples, Problem
from tfday7.models import ModelConfig
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig

TASKS = ("image_class", "image_value", "text_class", "text_value", "table_class", "table_value")
CALIBRATION = ("image_class", "text_value", "table_class")
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

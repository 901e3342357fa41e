"""What training minimizes and what it reports, decided by the problem and by what the model's last layer gives.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.data.heads import placed
from tfday7.data.lazy import Inputs
from tfday7.data.scoring import THRESHOLDS
from tfday7.distribution.agreement import mesh_of


class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with label smoothing (Szegedy et al., 2016, arXiv:1512.00567, section 7).

    Args:
        classes: number of classes.
        smoothing: share of each label that is spread evenly over all classes.
        from_logits: whether the model gives logits rather than probabilities.
    """

    def __init__(self, classes: int, smoothing: float, from_logits: bool) -> None:
        super().__init__(name="smoothed_crossentropy")
        self.classes = classes
        self.dense = keras.losses.CategoricalCrossentropy(from_logits, label_smoothing=smoothing, reduction="none")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]; labels are class indices [batch] or shares [batch, classes]."""
        return self.dense(_shares(y_true, self.classes), y_pred)


class Accuracy(keras.metrics.Mean):
    """Share of examples whose largest output is their class, or the largest share of a mixture.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int, name: str = "accuracy") -> None:
        super().__init__(name=name)
        self.classes = classes

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        right = tf.argmax(_shares(y_true, self.classes), axis=-1) == tf.argmax(y_pred, axis=-1)
        super().update_state(tf.cast(right, tf.float32), sample_weight)


class MicroF1(keras.metrics.Metric):
    """F1 over all decisions, example by label, at a probability of one half; the arithmetic of `scoring.micro_f1`.

    Args:
        meaning: "logits" or "probabilities".
    """

    def __init__(self, meaning: str) -> None:
        super().__init__(name="f1_score")
        self.threshold = THRESHOLDS[meaning]
        self.right = self.add_weight(name="right", initializer="zeros")
        self.said_and_true = self.add_weight(name="said_and_true", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; both are [batch, labels]. Labels may be shares, of which those above one half apply.

        Raises:
            ValueError: weights are given; a decision counts once.
        """
        if sample_weight is not None:
            raise ValueError("f1_score counts decisions; it takes no weights")
        applies, said = y_true > 0.5, y_pred > self.threshold
        right, true, yes = (tf.reduce_sum(tf.cast(each, tf.float32)) for each in (applies & said, applies, said))
        self.right.assign_add(right)
        self.said_and_true.assign_add(true + yes)

    def result(self) -> Any:
        """Returns the value of all batches so far."""
        return tf.math.divide_no_nan(2.0 * self.right, self.said_and_true)


class StandardizedSquaredError(keras.losses.Loss):
    """Mean squared error in units of the target's variance: 1 is what predicting the mean achieves, 0 is perfect.

    Args:
        std: float32 [outputs], the training split's standard deviations; of the last axis, where there are more.
    """

    def __init__(self, std: Any) -> None:
        super().__init__(name="standardized_squared_error")
        self.std = tf.constant(std, tf.float32)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]."""
        squares = tf.square((tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32)) / self.std)
        return tf.reduce_mean(squares, axis=list(range(1, len(squares.shape))))


def _shares(y_true: Any, classes: int) -> Any:
    """Returns labels as shares of the classes, [batch, classes] float32; augmentation may have done so already."""
    if len(y_true.shape) == 2 and y_true.shape[1] == classes and tf.as_dtype(y_true.dtype).is_floating:
        return tf.cast(y_true, tf.float32)
    return tf.one_hot(tf.cast(tf.reshape(y_true, [-1]), tf.int32), classes)


class StandardizedR2Score(keras.metrics.R2Score):
    """R2 of values brought to mean 0 and deviation 1 first.

    Keras's own metric adds squares in float32: with a target of 10,000 give or take 1 it shows values above 1.

    Args:
        mean, std: float32 [outputs], of the training split.
    """

    def __init__(self, mean: Any, std: Any, name: str = "r2_score") -> None:
        super().__init__(name=name)
        self.mean, self.std = tf.constant(mean, tf.float32), tf.constant(std, tf.float32)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; both are [batch, outputs]."""
        y_true, y_pred = ((tf.cast(y, tf.float32) - self.mean) / self.std for y in (y_true, y_pred))
        super().update_state(y_true, y_pred, sample_weight)


class SumOfLosses(keras.losses.Loss):
    """The sum of the losses of several targets, each on its own columns and in its own deviations or nats.

    Args:
        parts: (loss, columns) of each.
    """

    def __init__(self, parts: list[tuple[Any, slice]]) -> None:
        super().__init__(name="sum_of_losses")
        self.parts = parts

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]."""
        return tf.add_n([loss.call(y_true[:, columns], y_pred[:, columns]) for loss, columns in self.parts])


def _on_columns(metric: Any, columns: slice) -> Any:
    """Returns a metric that looks at some columns only; Keras, too, binds `update_state` to each object."""
    update = metric.update_state
    metric.update_state = lambda y_true, y_pred, sample_weight=None: update(
        y_true[:, columns], y_pred[:, columns], sample_weight
    )
    return metric


class ReconstructionR2(keras.metrics.Metric):
    """The arithmetic of `scoring.reconstruction_r2`, batch by batch.

    Args:
        problem: a reconstruction.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(name="r2_score")
        self.mean, self.std = (tf.constant(each, tf.float32) for each in (problem.target_mean, problem.target_std))
        self.sums = self.add_weight(name="sums", shape=problem.input_shape, initializer="zeros")
        self.squares, self.error, self.count = (
            self.add_weight(name=name, initializer="zeros") for name in ("squares", "error", "count")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; both are [batch, ...].

        Raises:
            ValueError: weights are given; an example counts once.
        """
        if sample_weight is not None:
            raise ValueError("the R2 of a reconstruction takes no weights")
        y_true, y_pred = ((tf.cast(y, tf.float32) - self.mean) / self.std for y in (y_true, y_pred))
        self.sums.assign_add(tf.reduce_sum(y_true, axis=0))
        self.squares.assign_add(tf.reduce_sum(tf.square(y_true)))
        self.error.assign_add(tf.reduce_sum(tf.square(y_true - y_pred)))
        self.count.assign_add(tf.cast(tf.shape(y_true)[0], tf.float32))

    def result(self) -> Any:
        """Returns the value of all batches so far."""
        total = self.squares - tf.math.divide_no_nan(tf.reduce_sum(tf.square(self.sums)), self.count)
        return 1.0 - tf.math.divide_no_nan(self.error, total)

    def reset_state(self) -> None:
        """Forgets all batches; Keras's own takes every variable for a number."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))


def class_weights(rule: str, problem: Problem, y: Inputs) -> dict[int, float] | None:
    """Returns the weight of each class in the loss, for Keras's `fit`; None when all count alike.

    Args:
        rule: "none", or "balanced": examples / (classes x examples of the class), as in scikit-learn.
        problem: the number of classes.
        y: int64 [n], the training labels. A class without examples has no weight to be found, and gets 1.
    """
    if rule == "none":
        return None
    counts = np.bincount(np.asarray(y[:]), minlength=problem.outputs)
    present = max(1, int(np.count_nonzero(counts)))
    return {label: len(y) / (present * count) if count else 1.0 for label, count in enumerate(counts.tolist())}


def gives_logits(model: Any, multilabel: bool = False) -> bool:
    """Returns whether a classifier gives logits rather than probabilities.

    Args:
        model: a tf_keras model.
        multilabel: whether an example may have several labels; each has a probability of its own then.

    A last Dense layer without activation gives logits. Others are asked on random inputs, not by their layers: a
    softmax may lie in a nested model, or in a layer of the user's. Rows of probabilities are not negative and add up to
    1, which those of logits do not.

    Raises:
        UserError: the outputs lie between 0 and 1 and are a sigmoid's where a softmax's are needed, or the reverse.
    """
    last = model.outputs[0].node.layer
    if isinstance(last, keras.layers.Dense) and last.activation is keras.activations.linear:
        return True  # An untrained one may give numbers between 0 and 1.
    outputs = _answers(model)
    if not ((outputs >= 0) & (outputs <= 1)).all():
        return True
    adds_up = np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-2)
    if multilabel:
        return _several_are_logits(outputs, adds_up)
    if adds_up:
        return False
    if np.ptp(outputs) == 0:  # Logits of a model whose last layer starts at zero.
        return True
    raise UserError(
        "the model's outputs lie between 0 and 1 but do not add up to 1, as those of a sigmoid do",
        "end the classifier in logits (no activation) or in a softmax",
    )


def _check_heads(problem: Problem, model: Any) -> None:
    """Raises UserError when a model ends in probabilities for one of several targets; their loss is of logits."""
    outputs = _answers(model)
    for head, columns in placed(problem):
        part = outputs[:, columns]
        if head.task == "classification" and np.ptp(part) > 0 and part.min() >= 0 and part.max() <= 1:
            raise UserError(
                f"the model's outputs for the target {head.name!r} lie between 0 and 1, as those of a softmax do",
                "where there are several targets, end that of classes in logits (no activation)",
            )


def _several_are_logits(outputs: np.ndarray, adds_up: bool) -> bool:
    """Returns `gives_logits` for outputs between 0 and 1 of several labels an example."""
    if adds_up and np.ptp(outputs) > 0:  # A sigmoid that starts at one half for each of two labels adds up, too.
        raise UserError(
            "the model's outputs add up to 1, as those of a softmax do: no two labels could both be likely",
            "end the model in logits (no activation) or in a sigmoid, or give --task=classification",
        )
    return bool(np.all(outputs == 0))  # Logits of a model whose last layer starts at zero.


def output_meaning(problem: Problem, model: Any) -> str:
    """Returns what the model's outputs are: "logits", "probabilities" or "values"; of several targets, each."""
    if problem.heads:
        return ", ".join("logits" if head.task == "classification" else "values" for head in problem.heads)
    if problem.task in ("regression", "reconstruction"):
        return "values"
    return "logits" if gives_logits(model, problem.task == "multilabel") else "probabilities"


def objective(problem: Problem, model: Any, label_smoothing: float = 0.0, mixes_labels: bool = False) -> dict[str, Any]:
    """Returns `loss` and `metrics` for `compile`, under Keras's names: accuracy, f1_score, or mae and r2_score.

    Args:
        problem: decides the task.
        model: its last layer decides between logits and probabilities.
        label_smoothing: share of each label that is spread over all classes; where an example may have several labels,
            over yes and no of each.
        mixes_labels: whether an augmentation turns class indices into shares of the classes.
    """
    if problem.heads:
        _check_heads(problem, model)
        return _sum_over_heads(problem, label_smoothing)
    if problem.task == "reconstruction":
        return {"loss": StandardizedSquaredError(problem.target_std), "metrics": [ReconstructionR2(problem)]}
    if problem.task == "regression":
        metrics = [
            keras.metrics.MeanAbsoluteError(name="mae"),
            StandardizedR2Score(problem.target_mean, problem.target_std),
        ]
        return {"loss": StandardizedSquaredError(problem.target_std), "metrics": metrics}
    meaning = output_meaning(problem, model)
    logits = meaning == "logits"
    if problem.task == "multilabel":
        loss = keras.losses.BinaryCrossentropy(logits, label_smoothing=label_smoothing)
        return {"loss": loss, "metrics": [MicroF1(meaning)]}
    if label_smoothing or mixes_labels:
        loss = SmoothedCrossentropy(problem.outputs, label_smoothing, logits)
        return {"loss": loss, "metrics": [Accuracy(problem.outputs)]}
    metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    return {"loss": keras.losses.SparseCategoricalCrossentropy(logits), "metrics": [metric]}


def _sum_over_heads(problem: Problem, label_smoothing: float) -> dict[str, Any]:
    losses: list[tuple[Any, slice]] = []
    metrics = []
    for (head, columns), name in zip(placed(problem), metric_names(problem), strict=True):
        if head.task == "classification":
            losses.append((SmoothedCrossentropy(head.outputs, label_smoothing, from_logits=True), columns))
            metrics.append(_on_columns(Accuracy(head.outputs, name), columns))
        else:
            losses.append((StandardizedSquaredError(head.target_std), columns))
            metrics.append(_on_columns(StandardizedR2Score(head.target_mean, head.target_std, name), columns))
    return {"loss": SumOfLosses(losses), "metrics": metrics}


def metric_names(problem: Problem) -> list[str]:
    """Returns for example "city_accuracy" for each of several targets; TensorFlow's names take letters and digits."""
    plain = [re.sub("[^A-Za-z0-9_]", "", head.name) for head in problem.heads]
    return [
        f"{name if name and plain.count(name) == 1 else f'target_{i + 1}'}_{head.metric}"
        for i, (name, head) in enumerate(zip(plain, problem.heads, strict=True))
    ]


def _answers(model: Any) -> np.ndarray:
    """Returns what a model says to eight random inputs."""
    if mesh_of(model) is not None:  # Its layers take no plain tensors; its own `predict` spreads them.
        return np.asarray(model.predict(_noise(model), verbose=0))
    return np.asarray(model(_noise(model), training=False))


def _noise(model: Any) -> Any:
    """Returns eight random inputs of a model."""
    (tensor,) = model.inputs
    shape = [8, *(size or 8 for size in tensor.shape[1:])]
    noise = np.random.default_rng(0).normal(size=shape)
    return tf.cast(np.abs(noise) if tensor.dtype.is_integer else noise, tensor.dtype)

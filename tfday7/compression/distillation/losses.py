"""The loss of distillation: (1 - alpha) x the loss of the true labels + alpha x the distance to the teachers' answers.

For classes the distance is T² KL(teacher, student) of the softmax at temperature T: T² keeps the size of the gradients
when T changes (Hinton et al., 2015, arXiv:1503.02531, section 2). For labels it is the same of each label's sigmoid,
averaged. For values it is the mean squared difference in the target's deviations, and several targets add up, as in
`training.objective`. Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem
from tfday7.data.heads import placed

SMALLEST = 1e-7  # Probability that a logit is taken of; Keras's cross-entropy has the same.


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where what a loss needs lies side by side, along the last axis of the targets.

    Attributes:
        label_count: columns of the true labels: 1 for class indices, or as many as the problem has outputs.
        weighted: whether the first column is the weight of the example.
    """

    label_count: int
    weighted: bool = False

    @property
    def labels(self) -> slice:
        """The true labels."""
        return slice(int(self.weighted), int(self.weighted) + self.label_count)

    @property
    def answers(self) -> slice:
        """The teachers' answers."""
        return slice(int(self.weighted) + self.label_count, None)


class DistilledLoss(keras.losses.Loss):
    """The mixture, of targets that hold labels and answers side by side.

    Args:
        problem: decides the distance.
        hard: the loss of the true labels; its `call` gives one number an example.
        meaning: what the student's outputs are, as of `objective.output_meaning`.
        columns: where labels and answers lie.
        temperature, alpha: as in `Distillation`.
    """

    def __init__(
        self, problem: Problem, hard: Any, meaning: str, columns: Columns, temperature: float, alpha: float
    ) -> None:
        super().__init__(name="distilled_loss")
        self.problem = problem
        self.hard = hard
        self.meaning = meaning
        self.columns = columns
        self.temperature = temperature
        self.alpha = alpha

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]; `y_true` is [batch, ..., columns]."""
        y_pred = tf.cast(y_pred, tf.float32)
        labels, answers = y_true[..., self.columns.labels], y_true[..., self.columns.answers]
        soft = distance(self.problem, answers, y_pred, self.meaning, self.temperature)
        loss = (1.0 - self.alpha) * self.hard.call(labels, y_pred) + self.alpha * soft
        return loss * y_true[:, 0] if self.columns.weighted else loss


def distance(problem: Problem, answers: Any, outputs: Any, meaning: str, temperature: float) -> Any:
    """Returns how far a student's outputs are from its teachers' answers, one number an example, [batch].

    Args:
        problem: decides how it is measured.
        answers: [batch, ...]; logits of classes and labels, whatever the teachers end in; values.
        outputs: the student's, [batch, ...].
        meaning: what those are: "logits", "probabilities" or "values".
        temperature: of classes and labels.
    """
    if problem.heads:
        parts = [
            distance(head, answers[:, columns], outputs[:, columns], "logits", temperature)
            for head, columns in placed(problem)
        ]
        return tf.add_n(parts)
    if problem.task == "classification":
        return _of_classes(answers, logits(problem, outputs, meaning), temperature)
    if problem.task == "multilabel":
        return _of_labels(answers, logits(problem, outputs, meaning), temperature)
    squares = tf.square((answers - outputs) / tf.constant(problem.target_std, tf.float32))
    return tf.reduce_mean(squares, axis=list(range(1, len(squares.shape))))


def logits(problem: Problem, outputs: Any, meaning: str) -> Any:
    """Returns a classifier's outputs as logits; of probabilities their logarithms, which have the same softmax."""
    if meaning == "logits":
        return outputs
    if problem.task == "multilabel":
        likely = tf.clip_by_value(outputs, SMALLEST, 1.0 - SMALLEST)
        return tf.math.log(likely) - tf.math.log1p(-likely)
    return tf.math.log(tf.maximum(outputs, SMALLEST))


def labels_only(metric: Any, columns: Columns) -> Any:
    """Returns a metric that looks at the true labels only; Keras, too, binds `update_state` to each object."""
    update = metric.update_state
    metric.update_state = lambda y_true, y_pred, sample_weight=None: update(
        y_true[..., columns.labels], y_pred, sample_weight
    )
    return metric


def _of_classes(teacher: Any, student: Any, temperature: float) -> Any:
    teacher, student = (tf.nn.log_softmax(each / temperature) for each in (teacher, student))
    return temperature**2 * tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)


def _of_labels(teacher: Any, student: Any, temperature: float) -> Any:
    teacher, student = teacher / temperature, student / temperature
    terms = [
        tf.sigmoid(sign * teacher) * (tf.math.log_sigmoid(sign * teacher) - tf.math.log_sigmoid(sign * student))
        for sign in (1.0, -1.0)
    ]
    return temperature**2 * tf.reduce_mean(tf.add_n(terms), axis=-1)

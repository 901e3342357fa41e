"""A student with its teachers inside the training step, for inputs that are never the same twice, and for features.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfday7.compression.distillation.features import Transfer
from tfday7.core.frameworks import keras, tf


class Distiller(keras.Model):
    """A model of the student's own layers, whose step asks the teachers first.

    What it learns and keeps is the student's (and, of hints, the regressors'); the teachers are functions to it, so
    that none of their weights is trained, saved or counted. `loss` and `val_loss` are those of the outputs; the
    features' loss is trained on but not reported, so that it cannot decide which epoch was the best.

    Args:
        student: a functional model with one input and one output.
        answers: from a batch of inputs to the teachers' answers, [batch, ...].
        transfer: of inner values; None for the answers alone.
    """

    logs_are_metrics = True  # For `training.loop`.

    def __init__(self, student: Any, answers: Callable[[Any], Any], transfer: Transfer | None = None) -> None:
        super().__init__(student.inputs, student.outputs, name=f"{student.name}_distilled")
        self._answers = lambda x: answers(x)  # Keras would take a model for a part of this one.
        self._transfer: Callable[..., Any] | None = None
        if transfer is not None:
            self.regressors = transfer.regressors  # Keras finds the weights of layers in an attribute.
            self._transfer = transfer.outputs_and_loss

    def train_step(self, data: Any) -> dict[str, Any]:
        """Returns the metrics after one optimizer step on a batch."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        answers = self._answers(x)
        with tf.GradientTape() as tape:
            if self._transfer is None:
                outputs, transferred = self(x, training=True), 0.0
            else:
                outputs, transferred = self._transfer(x)
            loss = self.compute_loss(x, _beside(y, answers), outputs, weight) + transferred
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return self.compute_metrics(x, y, outputs, weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Returns the metrics of a batch that validates."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        outputs = self(x, training=False)
        self.compute_loss(x, _beside(y, self._answers(x)), outputs, weight)
        return self.compute_metrics(x, y, outputs, weight)


def _beside(y: Any, answers: Any) -> Any:
    """Returns labels and answers along the last axis; class indices become a column."""
    y = tf.cast(y, tf.float32)
    return tf.concat([y[..., tf.newaxis] if y.shape.rank < answers.shape.rank else y, answers], axis=-1)

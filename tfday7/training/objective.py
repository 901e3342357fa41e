"""What training minimizes and what it reports, decided by the problem and by what the model's last layer gives.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.frameworks import keras, tf
from tfday7.data import Problem


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

    def __init__(self, classes: int) -> None:
        super().__init__(name="accuracy")
        self.classes = classes

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        right = tf.argmax(_shares(y_true, self.classes), axis=-1) == tf.argmax(y_pred, axis=-1)
        super().update_state(tf.cast(right, tf.float32), sample_weight)


class StandardizedSquaredError(keras.losses.Loss):
    """Mean squared error in units of the target's variance: 1 is what predicting the mean achieves, 0 is perfect.

    Args:
        std: float32 [outputs], the training split's standard deviations.
    """

    def __init__(self, std: Any) -> None:
        super().__init__(name="standardized_squared_error")
        self.std = tf.constant(std, tf.float32)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]."""
        return tf.reduce_mean(
            tf.square((tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32)) / self.std), axis=-1
        )


def _shares(y_true: Any, classes: int) -> Any:
    """Returns labels as shares of the classes, [batch, classes] float32; augmentation may have done so already."""
    if len(y_true.shape) == 2 and y_true.shape[1] == classes and tf.as_dtype(y_true.dtype).is_floating:
        return tf.cast(y_true, tf.float32)
    return tf.one_hot(tf.cast(tf.reshape(y_true, [-1]), tf.int32), classes)


def gives_logits(model: Any) -> bool:
    """Returns whether the model's last layer gives logits: anything but a softmax."""
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    return not (isinstance(last, keras.layers.Softmax) or activation is keras.activations.softmax)


def output_meaning(problem: Problem, model: Any) -> str:
    """Returns what the model's outputs are: "logits", "probabilities" or "values"."""
    if problem.task == "regression":
        return "values"
    return "logits" if gives_logits(model) else "probabilities"


def objective(problem: Problem, model: Any, label_smoothing: float = 0.0, mixes_labels: bool = False) -> dict[str, Any]:
    """Returns `loss` and `metrics` for `compile`, under Keras's names: accuracy, or mae and r2_score.

    Args:
        problem: decides the task.
        model: its last layer decides between logits and probabilities.
        label_smoothing: share of each label that is spread over all classes.
        mixes_labels: whether an augmentation turns class indices into shares of the classes.
    """
    if problem.task == "regression":
        metrics = [keras.metrics.MeanAbsoluteError(name="mae"), keras.metrics.R2Score(name="r2_score")]
        return {"loss": StandardizedSquaredError(problem.target_std), "metrics": metrics}
    logits = gives_logits(model)
    if label_smoothing or mixes_labels:
        loss = SmoothedCrossentropy(problem.outputs, label_smoothing, logits)
        return {"loss": loss, "metrics": [Accuracy(problem.outputs)]}
    metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    return {"loss": keras.losses.SparseCategoricalCrossentropy(logits), "metrics": [metric]}

"""The models that a student learns from: whether they fit the problem, and what they answer.

An answer is in logits for classes and labels and in values otherwise, whatever a teacher ends in. That of several
teachers is the mean of their probabilities, or of their values. Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfday7.compression.distillation.losses import logits
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import Problem, pipeline
from tfday7.data.dataset import Examples
from tfday7.data.heads import placed
from tfday7.exporting.job import weights_digest
from tfday7.training.objective import output_meaning

MOST_KNOWN, MOST_BYTES = 4, 2**28


@dataclasses.dataclass(frozen=True)
class _Answers:
    """What teachers have answered to a split, as long as that lives."""

    key: tuple[Any, ...]
    examples: weakref.ref[Examples]
    values: np.ndarray


_KNOWN: list[_Answers] = []


class Teachers:
    """One teacher or several.

    Args:
        models: tf_keras models; they are asked in inference mode and never changed.
        problem: what they have to answer.

    Raises:
        UserError: a teacher has other inputs or outputs than the problem, or there is none.
    """

    def __init__(self, models: Sequence[Any], problem: Problem) -> None:
        if not models:
            raise UserError("there is no teacher to learn from", "give a model, or leave distillation out")
        for model in models:
            check(model, problem)
        self.models = tuple(models)
        self.problem = problem
        self.meanings = [output_meaning(problem, model) for model in models]

    def answers(self, x: Any) -> Any:
        """Returns the teachers' answer to a batch, float32 [batch, ...]; works inside a graph."""
        given = [
            _as_answers(self.problem, tf.cast(model(x, training=False), tf.float32), meaning)
            for model, meaning in zip(self.models, self.meanings, strict=True)
        ]
        return tf.stop_gradient(given[0] if len(given) == 1 else mean(self.problem, given))

    def answers_to(self, examples: Examples) -> np.ndarray:
        """Returns the answers to all inputs of a split, float32 [n, ...], in order; lazy inputs are read in parts.

        The candidates of a compression ask the same of the same teachers, so the last answers are remembered.
        """
        digests = tuple((id(model), weights_digest(model)) for model in self.models)
        key = (self.problem.task, *self.meanings, *digests)
        known = next((each for each in _KNOWN if each.key == key and each.examples() is examples), None)
        if known is None:
            known = _Answers(key, weakref.ref(examples), self._asked(examples))
            _KNOWN[:] = [each for each in _KNOWN if each.examples() is not None][1 - MOST_KNOWN :]
            if known.values.nbytes <= MOST_BYTES:
                _KNOWN.append(known)
        return known.values

    def _asked(self, examples: Examples) -> np.ndarray:
        ask = tf.function(self.answers, reduce_retracing=True)
        with pipeline.user_errors(examples):
            return np.concatenate([ask(x).numpy() for x, _ in pipeline.evaluation_batches(examples)])


def check(model: Any, problem: Problem) -> None:
    """Raises UserError unless a teacher takes the problem's inputs and gives as many outputs as it asks for."""
    name = f"the teacher {getattr(model, 'name', type(model).__name__)!r}"
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        sides = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        raise UserError(f"{name} has {sides}; expected one of each")
    shape = tuple(model.inputs[0].shape[1:])
    fits = len(shape) == len(problem.input_shape)
    if not fits or any(have not in (None, want) for have, want in zip(shape, problem.input_shape, strict=True)):
        raise UserError(
            f"{name} takes inputs of shape {shape}; the examples have {problem.input_shape}",
            "teacher and student see the same inputs: give a teacher that was trained on this data",
        )
    expected = problem.input_shape if problem.task == "reconstruction" else (problem.outputs,)
    shape = tuple(model.outputs[0].shape[1:])
    if len(shape) != len(expected) or any(have not in (None, want) for have, want in zip(shape, expected, strict=True)):
        raise UserError(
            f"{name} gives outputs of shape {shape}; the data needs {expected}",
            "give a teacher that answers the same question: as many outputs, in the same order",
        )


def mean(problem: Problem, given: Sequence[Any]) -> Any:
    """Returns one answer for several: the logits of the mean probability, or the mean value.

    The mean of probabilities p has the logits log mean p: of classes log_softmax gives each log p exactly, and of
    labels log_sigmoid gives log p and log(1 - p).
    """
    if problem.heads:
        parts = [mean(head, [each[:, columns] for each in given]) for head, columns in placed(problem)]
        return tf.concat(parts, axis=-1)
    if problem.task == "classification":
        return _log_mean_exp([tf.nn.log_softmax(each) for each in given])
    if problem.task == "multilabel":
        yes, no = ([tf.math.log_sigmoid(sign * each) for each in given] for sign in (1.0, -1.0))
        return _log_mean_exp(yes) - _log_mean_exp(no)
    return tf.add_n(list(given)) / len(given)


def _log_mean_exp(values: Sequence[Any]) -> Any:
    return tf.reduce_logsumexp(tf.stack(values), axis=0) - float(np.log(len(values)))


def _as_answers(problem: Problem, outputs: Any, meaning: str) -> Any:
    classifies = problem.task in ("classification", "multilabel")
    return logits(problem, outputs, meaning) if classifies else outputs

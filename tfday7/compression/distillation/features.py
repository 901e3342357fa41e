"""Inner values as something to learn: hints and attention maps, for pairs of a student's and a teacher's layer.

- hint (FitNets, Romero et al., 2015, arXiv:1412.6550): a regressor, linear along the channels, guesses the teacher's
  values from the student's. The loss is its mean squared error in units of the teacher's mean square; the regressor is
  trained along and dropped afterwards.
- attention (Zagoruyko & Komodakis, 2017, arXiv:1612.03928, equation 2): a map of where a layer is active, the sum of
  squares over its channels, scaled to length 1. The loss is the squared distance of the two maps, halved. It has no
  weights, and the numbers of channels may differ.

The mean over the batch, summed over the pairs, counts `weight` times. Importing this module loads TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.models.door.graph import TF_KERAS


class Transfer:
    """The loss of the features of a student, beside its outputs.

    Args:
        student, teacher: functional models.
        kind: "hint" or "attention".
        pairs: (student's layer, teacher's layer); empty to choose by shape (`matching`).
        weight: of the loss.

    Attributes:
        pairs: those that are learned.
        regressors: layers to train along, one a pair; none for attention.

    Raises:
        UserError: there is no such layer, or two shapes cannot be compared.
    """

    def __init__(self, student: Any, teacher: Any, kind: str, pairs: Sequence[tuple[str, str]], weight: float) -> None:
        self.kind = kind
        self.weight = weight
        self.pairs = tuple(pairs) or matching(student, teacher, kind)
        ours, theirs = layer_outputs(student), layer_outputs(teacher)
        found = [(_output(ours, a, "student"), _output(theirs, b, "teacher")) for a, b in self.pairs]
        for pair, outputs in zip(self.pairs, found, strict=True):
            _check_shapes(pair, outputs, kind)
        self.regressors = [_regressor(ours, theirs) for ours, theirs in found] if kind == "hint" else []
        # A model of the student's own layers; the regressors stay outside of it.
        self._student = keras.Model(student.inputs, [student.outputs[0], *(ours for ours, _ in found)])
        self._teacher = keras.Model(teacher.inputs, [theirs for _, theirs in found])

    def outputs_and_loss(self, x: Any) -> tuple[Any, Any]:
        """Returns the student's outputs in training, [batch, ...], and the loss of its features, a number."""
        wanted = tf.nest.flatten(self._teacher(x, training=False))
        outputs, *features = self._student(x, training=True)
        losses: list[Any] = []
        for index, (ours, theirs) in enumerate(zip(features, wanted, strict=True)):
            theirs = tf.stop_gradient(tf.cast(theirs, tf.float32))
            if self.kind == "hint":
                losses.append(hint_loss(tf.cast(self.regressors[index](ours), tf.float32), theirs))
            else:
                losses.append(attention_loss(tf.cast(ours, tf.float32), theirs))
        return outputs, self.weight * tf.add_n(losses)


def hint_loss(guess: Any, wanted: Any) -> Any:
    """Returns the mean squared error over the batch in units of the mean square of what is wanted, a number."""
    return tf.math.divide_no_nan(tf.reduce_mean(tf.square(guess - wanted)), tf.reduce_mean(tf.square(wanted)))


def attention_loss(ours: Any, theirs: Any) -> Any:
    """Returns half the squared distance of two attention maps, the mean over the batch, a number."""
    squares = tf.square(attention_map(ours) - attention_map(theirs))
    return 0.5 * tf.reduce_mean(tf.reduce_sum(squares, axis=-1))


def attention_map(features: Any) -> Any:
    """Returns where features [batch, ..., channels] are active: [batch, positions], each of length 1."""
    activity = tf.reduce_sum(tf.square(features), axis=-1)
    return tf.math.l2_normalize(tf.reshape(activity, [tf.shape(activity)[0], -1]), axis=-1)


def layer_outputs(model: Any) -> dict[str, Any]:
    """Returns the output tensor of each layer of a functional model by its name; of a shared one that of its last call.

    Layers inside of a nested model are that model's own and are not listed.
    """
    return {call.layer.name: call.outputs[0] for call in TF_KERAS.calls(model) if len(call.outputs) == 1}


def matching(student: Any, teacher: Any, kind: str) -> tuple[tuple[str, str], ...]:
    """Returns pairs of layers by shape: for each size that both have, the last layer of it in either model.

    Sizes are those of positions (height and width, or steps). Without any, as in a model of Dense layers, hints take
    the last hidden layers.

    Raises:
        UserError: the two have nothing in common; the hint says how to name layers.
    """
    ours, theirs = _last_of_each_size(student), _last_of_each_size(teacher)
    pairs = tuple((ours[size], theirs[size]) for size in ours if size in theirs)
    if not pairs and kind == "hint":
        hidden = [_last_hidden(model) for model in (student, teacher)]
        pairs = ((hidden[0], hidden[1]),) if all(hidden) else ()
    if not pairs:
        raise UserError(
            f"no layer of the student {student.name!r} has positions of the same size as one of the teacher "
            f"{teacher.name!r}",
            'name the layers: "student_layer:teacher_layer,...", or leave features out',
        )
    return pairs


def _last_of_each_size(model: Any) -> dict[tuple[int, ...], str]:
    final = {id(tensor) for tensor in model.outputs}
    sizes = {}
    for name, output in layer_outputs(model).items():
        positions = tuple(output.shape[1:-1])
        if positions and all(size and size > 1 for size in positions) and id(output) not in final:
            sizes[positions] = name
    return sizes


def _last_hidden(model: Any) -> str:
    """Returns the last layer with features [batch, channels] before the outputs that has weights; "" without one."""
    final = {id(tensor) for tensor in model.outputs}
    calls = [call for call in TF_KERAS.calls(model) if call.layer.weights and id(call.outputs[0]) not in final]
    names = [call.layer.name for call in calls if len(call.outputs) == 1 and len(call.outputs[0].shape) == 2]
    return names[-1] if names else ""


def _output(outputs: dict[str, Any], name: str, whose: str) -> Any:
    if name not in outputs:
        raise UserError(f"the {whose} has no layer {name!r} with one output", f"it has {', '.join(outputs)}")
    return outputs[name]


def _check_shapes(pair: tuple[str, str], outputs: tuple[Any, Any], kind: str) -> None:
    shapes = [tuple(output.shape[1:]) for output in outputs]
    if kind == "attention" and len(shapes[0]) < 2:
        raise UserError(
            f"layer {pair[0]!r} gives {shapes[0]}: features without positions have no attention map",
            "use hints, or name a layer with height and width, or steps",
        )
    if shapes[0][:-1] != shapes[1][:-1] or None in (shapes[0][-1], shapes[1][-1]):
        raise UserError(
            f"layer {pair[0]!r} of the student gives {shapes[0]} and {pair[1]!r} of the teacher {shapes[1]}; their "
            "positions have to be the same",
            "pair layers of the same height and width, or number of steps",
        )


def _regressor(ours: Any, theirs: Any) -> Any:
    """Returns a built layer from one's channels to the other's."""
    layer = keras.layers.Dense(theirs.shape[-1], dtype="float32", name="tfday7_regressor")
    layer.build(ours.shape)
    return layer

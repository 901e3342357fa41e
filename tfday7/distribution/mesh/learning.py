"""What a step computes on the mesh: loss, gradients over all micro-batches, and one update by the optimizer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.distribution.mesh import operations
from tfday7.distribution.mesh.variables import layout, pack


def training_step(model: Any, mesh: Any) -> Callable[..., tuple[list[Any], Any]]:
    """Returns the function of one optimizer step, to be traced on the mesh.

    It takes the inputs, targets and example weights of each micro-batch and the number of real examples, and returns
    the outputs of each micro-batch, from before the update, and the penalty on the weights; both whole everywhere.

    The loss is the sum over examples of weight x loss, divided by the number of real examples, plus the penalty: what
    Keras's "sum over batch size" is on one device. Gradients of the micro-batches are added, and clipping sees the sum,
    also of an embedding. (On one device tf_keras clips an embedding's gradient before the rows of a word that occurs
    twice are added up, which is another norm.) A variable without a gradient is left as it is, as Keras leaves it.
    """
    loss = example_loss(model, mesh)

    def step(inputs: list[Any], targets: list[Any], weights: list[Any], count: Any) -> tuple[list[Any], Any]:
        trained = model.trainable_variables
        sums: list[Any] = [None] * len(trained)
        outputs, penalty = [], None
        for x, y, weight in zip(inputs, targets, weights, strict=True):
            with tf.GradientTape() as tape:
                output = model(x, training=True)
                value = tf.reduce_sum(loss(y, output) * weight) / count
                if penalty is None:
                    penalty = _penalty(model)
                    value += penalty
            outputs.append(_everywhere(output, mesh))
            sums = [_sum(*each) for each in zip(sums, tape.gradient(value, trained), strict=True)]
        moved = [(total, variable) for total, variable in zip(sums, trained, strict=True) if total is not None]
        model.optimizer.apply_gradients(
            [(tf.experimental.dtensor.relayout(total, _layout(variable)), variable) for total, variable in moved]
        )
        return outputs, penalty

    return step


def forward(model: Any, mesh: Any) -> Callable[[Any], tuple[Any, Any]]:
    """Returns the function from inputs to outputs and the penalty on the weights, both whole everywhere."""
    return lambda inputs: (_everywhere(model(inputs, training=False), mesh), _penalty(model))


def example_loss(model: Any, mesh: Any) -> Callable[[Any, Any], Any]:
    """Returns the function from targets and outputs to the loss of each example, float32 [examples].

    Raises:
        UserError: the model was compiled with several losses, weights of losses, or another reduction than the mean.
    """
    container = model.compiled_loss
    named = tf.nest.flatten(container._user_losses)
    if len(named) != 1 or container._user_loss_weights is not None:
        raise UserError("on a mesh a model has one loss, without a weight", "join the losses into one")
    loss = container._get_loss_object(named[0])
    means = (keras.losses.Reduction.AUTO, keras.losses.Reduction.SUM_OVER_BATCH_SIZE)
    if loss.reduction not in means:
        raise UserError(f"the loss {loss.name} is reduced by {loss.reduction}; on a mesh it must be the mean")
    loss = _on_mesh(loss, mesh)

    def of_examples(y: Any, output: Any) -> Any:
        if y.shape.rank == 1 and output.shape.rank == 2:  # As Keras's `compile` has it.
            y = y[:, tf.newaxis]
        if y.dtype.is_floating and output.dtype.is_floating:
            y = tf.cast(y, output.dtype)
        values = tf.cast(loss.call(y, output), tf.float32)
        return tf.reduce_mean(values, axis=list(range(1, values.shape.rank))) if values.shape.rank > 1 else values

    return of_examples


def _sum(total: Any, gradient: Any) -> Any:
    """Returns the sum of two gradients, of which either may be None; sparse ones become dense."""
    if gradient is None:
        return total
    gradient = tf.convert_to_tensor(gradient)
    return gradient if total is None else total + gradient


def _penalty(model: Any) -> Any:
    """Returns the sum of the regularizers' losses."""
    return tf.add_n(model.losses) if model.losses else tf.zeros(())


def _everywhere(tensor: Any, mesh: Any) -> Any:
    """Returns a tensor whole on every device."""
    return tf.experimental.dtensor.relayout(tensor, layout(mesh, [None] * tensor.shape.rank))


def _on_mesh(loss: Any, mesh: Any) -> Any:
    """Returns a loss whose constants are on the mesh."""
    moved = copy.copy(loss)
    for name, value in vars(loss).items():
        if operations.is_array(value):
            object.__setattr__(moved, name, pack(value.numpy(), layout(mesh, [None] * value.shape.rank)))
    return moved


def _layout(variable: Any) -> Any:
    """Returns a variable's layout; mixed precision wraps the variable."""
    return getattr(variable, "_variable", variable).layout

"""One optimizer step, exact over replicas and micro-batches: the gradient of the mean over all examples of the batch.

Keras averages the replicas' means, so a batch that does not divide evenly weighs its examples unequally; and it knows
no accumulation. Here each micro-batch counts by its examples, gradients are summed over micro-batches and then over
replicas, clipped after that, and applied once (what Keras gets wrong: addons#2260, keras#16633, tf-keras#107). Keras
also takes the norm of an embedding's gradient before the rows of a word that occurs twice are added up, which is
another norm; here it is that of the gradient.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data.pipeline import slice_bounds


def install(model: Any, accumulate_steps: int) -> None:
    """Gives a compiled model this step, where Keras's own would not do the same.

    Args:
        model: a compiled tf_keras model, made in the scope of its strategy.
        accumulate_steps: into how many micro-batches each replica cuts its part of a batch.

    Raises:
        UserError: the model has a training step of its own, which knows neither replicas nor micro-batches.
    """
    if isinstance(vars(model).get("train_step"), ExactStep):
        del model.train_step
    alone = accumulate_steps == 1 and model.distribute_strategy.num_replicas_in_sync == 1
    if type(model).train_step is not keras.Model.train_step:  # A distiller, for example, has a step of its own.
        if alone:
            return
        raise UserError(
            f"{type(model).__name__} has a training step of its own, which cannot be accumulated or spread",
            "train it with --accumulate_steps=1 on one device",
        )
    if alone and not (_clips(model.optimizer) and _looks_up(model)):
        return
    model.train_step = ExactStep(model, accumulate_steps)


class ExactStep:
    """What tf_keras calls for each step, in each replica.

    Micro-batches run one after the other, so that their activations are not held at the same time. BatchNormalization
    sees micro-batches, each over all replicas ("ghost batches", Hoffer et al., 2017, arXiv:1705.08741).

    Args:
        model: a compiled tf_keras model.
        accumulate_steps: micro-batches of a step.
    """

    def __init__(self, model: Any, accumulate_steps: int) -> None:
        self.model = model
        self.accumulate_steps = accumulate_steps

    def __call__(self, data: Any) -> dict[str, Any]:
        """Trains on one batch, [batch, ...] of this replica; returns the metrics so far."""
        model, variables = self.model, self.model.trainable_variables
        size = tf.shape(tf.nest.flatten(data)[0])[0]
        total = self._over_replicas(size)
        gradients: list[Any] = []
        begin: Any = 0
        for number in range(self.accumulate_steps):
            count = self._count(number, total)
            micro = self._micro_batch(data, begin, begin + count, gradients)
            begin += count
            found = self._gradients(micro, tf.cast(count, tf.float32) / tf.cast(total, tf.float32))
            gradients = found if not gradients else [_plus(a, b) for a, b in zip(gradients, found, strict=True)]
        self._apply(gradients, variables)
        return model.get_metrics_result()

    def _over_replicas(self, size: Any) -> Any:
        """Returns how many examples the batch has over all replicas."""
        if self.model.distribute_strategy.num_replicas_in_sync == 1:
            return size
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, size)

    def _count(self, number: int, total: Any) -> Any:
        """Returns how many examples this replica has of a micro-batch; `Parts` cuts them so."""
        replicas = self.model.distribute_strategy.num_replicas_in_sync
        low, high = slice_bounds(number, self.accumulate_steps, total)
        if replicas == 1:
            return high - low
        first, last = slice_bounds(tf.distribute.get_replica_context().replica_id_in_sync_group, replicas, high - low)
        return last - first

    def _micro_batch(self, data: Any, begin: Any, end: Any, before: list[Any]) -> Any:
        """Returns the examples from `begin` to `end`; it waits for the gradients of the micro-batch before."""
        if self.accumulate_steps == 1:
            return data
        dense = [each.values if isinstance(each, tf.IndexedSlices) else each for each in before if each is not None]
        with tf.control_dependencies(dense):
            return tf.nest.map_structure(lambda each: tf.identity(each[begin:end]), data)

    def _gradients(self, data: Any, share: Any) -> list[Any]:
        """Returns the gradients of this micro-batch's part of the loss, and updates the metrics.

        Args:
            data: (x, y) or (x, y, sample_weight).
            share: of all examples of the batch, scalar; the shares of all micro-batches and replicas add up to 1, so
                that what does not depend on examples (L2) counts once.
        """
        model = self.model
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        replicas = model.distribute_strategy.num_replicas_in_sync
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            # Keras divides by the number of replicas what it thinks of as a mean over a replica's batch.
            loss = model.compute_loss(x, y, outputs, weight)
            loss *= tf.cast(share * replicas, loss.dtype)
            scaled = loss if not _scales(model.optimizer) else model.optimizer.get_scaled_loss(loss)
        model.compiled_metrics.update_state(y, outputs, weight)
        return tape.gradient(scaled, model.trainable_variables)

    def _apply(self, gradients: list[Any], variables: list[Any]) -> None:
        """Sums over the replicas, clips, and moves the variables: once."""
        optimizer = self.model.optimizer
        if _scales(optimizer):
            gradients = optimizer.get_unscaled_gradients(gradients)
        if _clips(optimizer):  # Of an embedding: rows of an example that comes twice have to be added up first.
            gradients = [None if each is None else tf.convert_to_tensor(each) for each in gradients]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))


def _scales(optimizer: Any) -> bool:
    """Returns whether an optimizer scales the loss, against small gradients that vanish in float16."""
    return hasattr(optimizer, "get_scaled_loss")


def _clips(optimizer: Any) -> bool:
    """Returns whether an optimizer clips gradients."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return any(getattr(inner, name, None) for name in ("clipnorm", "global_clipnorm", "clipvalue"))


def _looks_up(model: Any) -> bool:
    """Returns whether a model has embeddings, whose gradients are rows of which some may be the same."""
    return any(isinstance(layer, keras.layers.Embedding) for layer in model.submodules)


def _plus(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return a if b is None else b
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)

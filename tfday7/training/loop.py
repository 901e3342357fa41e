"""The graph that runs many steps in one call, traced once.

Keras's own `train_function` reads the last step's logs out of a loop of AutoGraph's, which traces the body twice to
learn their shapes; and the first step makes the optimizer's slots, for which TensorFlow traces the whole once more. A
step of MobileNetV2 is traced four times so, for seconds each. Here the slots are made before, the loop hands nothing
from step to step, and the logs are what the metrics say after it, as they are in Keras after the last step. (Metrics
that `compile` got as names are still made in the first step; `objective` gives it metrics.)

Importing this module loads TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfday7.core.frameworks import keras, tf
from tfday7.distribution import parameter_servers
from tfday7.optimizers import state as optimizer_state

Call = Callable[[Any], dict[str, Any]]


def install(model: Any) -> None:
    """Gives a compiled model functions for `fit` and `evaluate` that run `steps_per_execution` steps a call.

    The logs are those of the model's metrics. A class with a step of its own may return others: it keeps Keras's loop
    unless its attribute `logs_are_metrics` says otherwise. Steps that parameter servers hand out stay Keras's, too.

    Args:
        model: a tf_keras model; `compile` may come before or after.
    """
    has_own = type(model).train_step is not keras.Model.train_step or type(model).test_step is not keras.Model.test_step
    returns_others = has_own and not getattr(model, "logs_are_metrics", False)
    if returns_others or parameter_servers.coordinates(model.distribute_strategy):
        return
    loop = _Loop(model)
    model.make_train_function, model.make_test_function = loop.make_train_function, loop.make_test_function


class _Loop:
    """The two functions of a model; each is made when Keras first asks for it, as after every `compile`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def make_train_function(self, force: bool = False) -> Call:
        """Returns a function that takes Keras's iterator, trains and returns the logs."""
        model = self.model
        if model.train_function is None or force:
            with model.distribute_strategy.scope():
                optimizer_state.build(model.optimizer, model.trainable_variables)
            model.train_function = self._several("train_step", model._train_counter)
            model.train_tf_function = model.train_function
        return model.train_function

    def make_test_function(self, force: bool = False) -> Call:
        """Returns a function that takes Keras's iterator, evaluates and returns the logs."""
        model = self.model
        if model.test_function is None or force:
            model.test_function = self._several("test_step", model._test_counter)
        return model.test_function

    def _several(self, name: str, counter: Any) -> Call:
        """Returns the traced function of many steps; each replica takes its part of a batch."""
        model = self.model

        def step(data: Any) -> None:
            done = [each for each in tf.nest.flatten(getattr(model, name)(data)) if tf.is_tensor(each)]
            with tf.control_dependencies(done):  # A step that fails, for want of a batch, does not count.
                counter.assign_add(1)

        def steps(iterator: Any) -> dict[str, Any]:
            def once_more(done: Any) -> list[Any]:
                model.distribute_strategy.run(step, args=(iterator.get_next(),))
                return [done + 1]

            def are_left(done: Any) -> Any:
                return done < (1 if model._steps_per_execution is None else model._steps_per_execution)

            tf.while_loop(are_left, once_more, [tf.constant(0, tf.int64)], parallel_iterations=1)
            return dict(model.get_metrics_result())

        return tf.function(steps, reduce_retracing=True)

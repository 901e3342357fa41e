"""Training, evaluation and prediction of a model on a mesh, inside tf_keras's own `fit`, `evaluate` and `predict`.

The model gets functions of its own for one step; callbacks, logs and History stay Keras's. Forward and backward pass
and the optimizer run on the mesh in one traced step; the outputs are gathered, and Keras's loss and metrics look at
them outside, at the real examples only. On a mesh a variable that was assigned and is then read in the same traced step
gives its old value, which is why only `RuleOptimizer` is taken: it assigns each variable once, last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.distribution.mesh import learning, operations, refusals, variables
from tfday7.distribution.mesh.batches import Spreader
from tfday7.optimizers import state as optimizer_state
from tfday7.optimizers.rule_optimizer import RuleOptimizer

Step = Callable[[Iterator[Any]], Any]


def prepare(model: Any, mesh: Any, accumulate_steps: int = 1) -> None:
    """Makes `fit`, `evaluate` and `predict` of a placed model work; call it before or after `compile`.

    Args:
        model: from `placing.place`.
        mesh: its mesh.
        accumulate_steps: micro-batches of one optimizer step; their gradients add up to those of the whole batch.
    """
    stepper = _Stepper(model, mesh, accumulate_steps)
    model.make_train_function = stepper.make_train_function
    model.make_test_function = stepper.make_test_function
    model.make_predict_function = stepper.make_predict_function


class _Stepper:
    """The three functions of a model; each is made when Keras first asks for it, as after every `compile`."""

    def __init__(self, model: Any, mesh: Any, accumulate_steps: int) -> None:
        self.model, self.mesh, self.accumulate_steps = model, mesh, accumulate_steps

    def make_train_function(self, force: bool = False) -> Step:
        """Returns a function that takes Keras's iterator, trains `steps_per_execution` steps and returns the logs."""
        model = self.model
        if model.train_function is None or force:
            refusals.check(model)  # Again: a callback may have raised a rate of dropout.
            _check_optimizer(model.optimizer)
            optimizer_state.build(model.optimizer, model.trainable_variables)
            self._adopt_optimizer()
            train = operations.traced(learning.training_step(model, self.mesh), self.mesh)
            record, spread = self._recorder(), Spreader(self.mesh, self.accumulate_steps)

            def one(data: Any) -> Any:
                batch = spread(data)
                with operations.refusals(f"a training step of {model.name}"):
                    outputs, penalty = train(batch.inputs, batch.targets, batch.weights, batch.count)
                model._train_counter.assign_add(1)
                return record(batch.y, _joined(outputs, batch.size), batch.sample_weight, _local(penalty))

            model.train_function = model.train_tf_function = self._several(one)
        return model.train_function

    def make_test_function(self, force: bool = False) -> Step:
        """Returns a function that takes Keras's iterator, evaluates as many batches and returns the logs."""
        model = self.model
        if model.test_function is None or force:
            self._adopt_optimizer()
            forward = operations.traced(learning.forward(model, self.mesh), self.mesh)
            record, spread = self._recorder(), Spreader(self.mesh)

            def one(data: Any) -> Any:
                batch = spread(data)
                with operations.refusals(f"an evaluation step of {model.name}"):
                    outputs, penalty = forward(batch.inputs[0])
                model._test_counter.assign_add(1)
                return record(batch.y, _joined([outputs], batch.size), batch.sample_weight, _local(penalty))

            model.test_function = self._several(one)
        return model.test_function

    def make_predict_function(self, force: bool = False) -> Step:
        """Returns a function that takes Keras's iterator and returns the outputs of as many batches, joined."""
        model = self.model
        if model.predict_function is None or force:
            forward = operations.traced(learning.forward(model, self.mesh), self.mesh)
            spread = Spreader(self.mesh)

            def one(data: Any) -> Any:
                batch = spread(data)
                with operations.refusals(f"a prediction of {model.name}"):
                    outputs, _ = forward(batch.inputs[0])
                model._predict_counter.assign_add(1)
                return _joined([outputs], batch.size)

            model.predict_function = self._several(one, joins=True)
        return model.predict_function

    def _several(self, one: Callable[[Any], Any], joins: bool = False) -> Step:
        """Returns a function that runs as many steps as Keras expects of a call; of their results the last, or all."""

        def run(iterator: Iterator[Any]) -> Any:
            steps = self.model._steps_per_execution
            results = [one(next(iterator)) for _ in range(1 if steps is None else int(steps.numpy()))]
            return tf.concat(results, axis=0) if joins else results[-1]

        return run

    def _recorder(self) -> Callable[..., Any]:
        """Returns the function that brings Keras's loss and metrics up to date, on one device, and returns the logs."""
        model = self.model

        def record(y: Any, outputs: Any, sample_weight: Any, penalty: Any) -> Any:
            model.compiled_loss(y, outputs, sample_weight, regularization_losses=[penalty])
            model.compiled_metrics.update_state(y, outputs, sample_weight)
            return model.get_metrics_result()

        return tf.function(record, reduce_retracing=True)

    def _adopt_optimizer(self) -> None:
        """Lets checkpoints read and write the optimizer's variables whole, and its averages leave the mesh."""
        for variable in optimizer_state.variables(self.model.optimizer):
            variables.adopt(variable)
        rate = getattr(self.model.optimizer, "_current_learning_rate", None)
        if rate is not None:
            variables.adopt(rate)
        if hasattr(self.model.optimizer, "averages"):
            self.model.optimizer.averages = _whole_averages(self.model.optimizer)


def _check_optimizer(optimizer: Any) -> None:
    """Raises UserError for an optimizer that would apply the previous step's update, or that scales the loss."""
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        raise UserError(
            "--precision=mixed_float16 cannot train on a mesh: the loss scale is assigned and read within a step",
            "--precision=float32",
        )
    if not isinstance(optimizer, RuleOptimizer) or optimizer._mesh is None:
        raise UserError(
            f"the optimizer {optimizer.name} was not made for a mesh", "tfday7.optimizers.catalog.build(..., mesh=mesh)"
        )
    optimizer.jit_compile = False  # XLA knows nothing of layouts.


def _whole_averages(optimizer: RuleOptimizer) -> Callable[[Any], list[Any] | None]:
    """Returns the `averages` of an optimizer on a mesh, as plain tensors."""

    def averages(trained: Any) -> list[Any] | None:
        found = RuleOptimizer.averages(optimizer, trained)
        return None if found is None else [tf.constant(variables.whole(each)) for each in found]

    return averages


def _joined(outputs: list[Any], size: int) -> Any:
    """Returns the outputs of all micro-batches as one plain tensor, without padding; they are whole everywhere."""
    return tf.concat([_local(each) for each in outputs], axis=0)[:size]


def _local(copies: Any) -> Any:
    """Returns a tensor that every device holds whole as a plain one."""
    return tf.experimental.dtensor.unpack(copies)[0]

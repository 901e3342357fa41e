"""Any rule of `optimizers/rules` as an optimizer of tf_keras: clipping, EMA, loss scaling and strategies are Keras's.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfday7.core.frameworks import keras, tf
from tfday7.optimizers import rules
from tfday7.optimizers.rules import Rule, Step


class RuleOptimizer(keras.optimizers.Optimizer):
    """Applies a rule to each variable; slots are read once, computed, and assigned once.

    Sparse gradients are made dense: all rows of an embedding move, as with tf_keras's Adam.

    Args:
        rule: the name of a module in `optimizers/rules`.
        learning_rate: a number or a schedule.
        settings: what the rule takes.
        common: arguments of every tf_keras optimizer (weight_decay, global_clipnorm, use_ema, ...).
    """

    def __init__(self, rule: str, learning_rate: Any, settings: Mapping[str, float], **common: Any) -> None:
        super().__init__(**{"name": rule, **common})
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.rule_name = rule
        self.settings = dict(settings)
        self._matrices: dict[Any, tuple[int, int]] = {}

    def use_matrices(self, matrices: Iterable[tuple[Any, tuple[int, int]]]) -> None:
        """Names the variables that are matrices of hidden layers, with their (rows, columns); before `build`."""
        self._matrices = {self._var_key(variable): shape for variable, shape in matrices}

    def build(self, var_list: Any) -> None:
        """Makes the slots of these variables."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)
        self._slots = [self._new_slots(variable) for variable in var_list]
        self._built = True

    def update_step(self, gradient: Any, variable: Any) -> None:
        """Assigns the new variable and the new slots."""
        slots = self._slots[self._index_dict[self._var_key(variable)]]
        new, new_slots = self._rule(variable).update(
            tf.convert_to_tensor(gradient),
            tf.convert_to_tensor(variable),
            {name: tf.convert_to_tensor(slot) for name, slot in slots.items()},
            self._step(variable),
            self.settings,
        )
        variable.assign(new)
        for name, value in new_slots.items():
            slots[name].assign(value)

    def averages(self, variables: Iterable[Any]) -> list[Any] | None:
        """Returns the averaged value of each variable, or None for a rule that keeps none."""
        average = getattr(rules.find(self.rule_name), "average", None)
        if average is None:
            return None
        slots = (self._slots[self._index_dict[self._var_key(variable)]] for variable in variables)
        return [average(variable, own, self.settings) for variable, own in zip(variables, slots, strict=True)]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; matrices are not part of it, as they belong to one model."""
        rate = self._serialize_hyperparameter(self._learning_rate)
        own = {"rule": self.rule_name, "learning_rate": rate, "settings": dict(self.settings)}
        return {**super().get_config(), **own}

    def _rule(self, variable: Any) -> Rule:
        rule = rules.find(self.rule_name)
        return rule if self._var_key(variable) in self._matrices else getattr(rule, "rest", rule)

    def _new_slots(self, variable: Any) -> dict[str, Any]:
        return {
            name: self.add_variable_from_reference(
                variable, name, shape=None if value is None else value.shape, initial_value=value
            )
            for name, value in self._rule(variable).slots(variable).items()
        }

    def _step(self, variable: Any) -> Step:
        return Step(
            number=tf.cast(self.iterations + 1, variable.dtype),
            learning_rate=tf.cast(self.learning_rate, variable.dtype),
            weight_decay=(self.weight_decay or 0.0) if self._use_weight_decay(variable) else 0.0,
            matrix=self._matrices.get(self._var_key(variable)),
        )

    def _apply_weight_decay(self, variables: Any) -> None:
        """Does nothing: decay is part of a rule, so that each variable is assigned once in a step."""

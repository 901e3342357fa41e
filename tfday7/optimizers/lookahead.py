"""Lookahead (Zhang et al., 2019, arXiv:1907.08610): every k steps, go back half of the way to where they began.

The inner optimizer moves the fast weights; the slow weights follow by half of the way and the fast ones restart there.
The slow weights are those to validate, save and export.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfday7.core.frameworks import tf

SLOW_STEP = 0.5  # The paper's alpha; it found 0.5 and 0.8 alike.


def with_lookahead(optimizer_class: type, steps: int) -> type:
    """Returns a subclass of a tf_keras optimizer class that looks ahead `steps` steps."""
    inner = optimizer_class.__name__
    return type(f"Lookahead{inner}", (_Lookahead, optimizer_class), {"lookahead_steps": steps})


class _Lookahead:
    """Adds slow weights to the optimizer class that follows it in the bases.

    As a subclass, not a wrapper: state, schedule and what Keras asks of an optimizer stay those of the inner one.
    """

    lookahead_steps: int
    _slow: list[Any]

    def build(self: Any, var_list: Any) -> None:
        """Makes the inner optimizer's slots and the slow weights, which start at the variables."""
        if getattr(self, "_built", False):
            return
        super().build(var_list)  # type: ignore[misc]
        self._slow = [self.add_variable_from_reference(each, "slow", initial_value=each) for each in var_list]

    def update_step(self: Any, gradient: Any, variable: Any) -> None:
        """Does the inner optimizer's step, and every so often joins slow and fast weights."""
        super().update_step(gradient, variable)  # type: ignore[misc]
        slow = self._slow[self._index_dict[self._var_key(variable)]]
        due = (self.iterations + 1) % self.lookahead_steps == 0
        joined = slow + tf.cast(SLOW_STEP, variable.dtype) * (variable - slow)
        slow.assign(tf.where(due, joined, slow))
        variable.assign(tf.where(due, joined, variable))

    def averages(self: Any, variables: Iterable[Any]) -> list[Any]:
        """Returns the slow weight of each variable."""
        return [self._slow[self._index_dict[self._var_key(variable)]] for variable in variables]

"""The averaged weights that an optimizer keeps beside those that it trains, whatever the way it averages.

An exponential moving average (`--use_ema`; Polyak & Juditsky, 1992), Lookahead's slow weights, or the schedule-free
average. Statistics of normalization layers are not averaged: they are those of the trained weights, which are close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def averages(optimizer: Any, variables: Sequence[Any]) -> list[Any] | None:
    """Returns the averaged value of each variable, or None when the optimizer keeps no averages.

    Args:
        optimizer: a tf_keras optimizer, or a loss scale around one; built.
        variables: what to return averages of; all known to the optimizer.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if getattr(inner, "use_ema", False):
        kept = inner._model_variables_moving_average
        return [kept[inner._index_dict[inner._var_key(variable)]] for variable in variables]
    return inner.averages(variables) if hasattr(inner, "averages") else None

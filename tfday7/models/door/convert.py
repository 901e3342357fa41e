"""The one entrance to the rebuild: it makes sure that the files that fill the tables of rules are loaded."""

from __future__ import annotations

from typing import Any

from tfday7.models.door import (
    applications,
    compression_wrappers,
    hard_sigmoid,
    layers,
    lookups,
    operations_out,
    tensorflow_calls,
    wrappers,
)
from tfday7.models.door.graph import Side
from tfday7.models.door.rebuild import Rebuild

FAMILIES = (
    applications,
    compression_wrappers,
    hard_sigmoid,
    layers,
    lookups,
    operations_out,
    tensorflow_calls,
    wrappers,
)


def convert(model: Any, source: Side, target: Side, dtype_policy: str | None = None) -> Any:
    """Returns a new model in the target Keras. Raises UserError naming the layer that cannot be carried over."""
    return Rebuild(source, target, dtype_policy).model(model)

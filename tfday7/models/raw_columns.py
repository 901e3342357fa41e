"""The delivered model of a table takes its raw columns: Keras's preprocessing layers in front of the trained core.

Training, compression and export work on the core, whose inputs are features; `model.keras` has one named input a column
(strings, or float32 for numbers and for dates as days since 2000-01-01), [batch, 1] each, NaN where an empty cell is
allowed. Plain Keras 3 opens it. The core is a model inside the model; its name carries the digest of the encoding, so
that `detach` can tell whether other data is encoded in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras3
from tfday7.data.table import UNKNOWN, Column, Encoding
from tfday7.models import door
from tfday7.models.door.graph import is_keras3

MARK = "core."  # Names of columns' inputs have no dot, so that a column may be called like the model.


def attach(core: Any, encoding: Encoding | None) -> Any:
    """Returns a Keras 3 model that takes the raw columns, as a dictionary; without an encoding the core itself.

    Args:
        core: a model of either Keras whose input are the encoded columns.
        encoding: how they are encoded.
    """
    if encoding is None:
        return core
    core, name = door.to_keras3(core), core.name
    inputs = {column.input: _input(column) for column in encoding.columns}
    if encoding.length:
        features = _token_ids(inputs[encoding.columns[0].input], encoding)
    else:
        parts = [_FRONTS[column.kind](inputs[column.input], column) for column in encoding.columns]
        features = keras3.layers.Concatenate(name="join.columns")(parts) if len(parts) > 1 else parts[0]
    core.name = MARK + encoding.digest()
    return keras3.Model(inputs, core(features), name=name)


def detach(model: Any, encoding: Encoding | None, file: str) -> Any:
    """Returns the core of a model that `attach` made; any other model as it is.

    Args:
        model: of either Keras, as it was read from a file.
        encoding: of the data that the core is to take.
        file: where the model comes from, for messages.

    Raises:
        UserError: the core takes columns that are encoded in another way, for example with other words.
    """
    core = core_inside(model)
    if core is model:
        return model
    if encoding is None or core.name != MARK + encoding.digest():
        raise UserError(
            f"--model={file} was trained on a table whose columns are encoded in another way than those of this data",
            "give the data and the flags that it was trained with: other training rows have other values and words",
        )
    core.name = model.name
    return core


def core_inside(model: Any) -> Any:
    """Returns the core of a model that `attach` made, whatever the data; any other model as it is."""
    if not is_keras3(model) or not isinstance(model.layers[-1], keras3.Model):
        return model
    core = model.layers[-1]
    return core if core.name.startswith(MARK) else model


def _input(column: Column) -> Any:
    dtype = "string" if column.kind in ("categorical", "text") else "float32"
    return keras3.Input((1,), dtype=dtype, name=column.input)


def _numeric(x: Any, column: Column) -> Any:
    if column.mean is None:
        return x
    filled, missing = _filled(x, column)
    return keras3.layers.Concatenate(name=f"encode.{column.input}")([filled, missing])


def _date(x: Any, column: Column) -> Any:
    ops = keras3.ops
    days, missing = (x, None) if column.mean is None else _filled(x, column)
    parts = [days]
    for period in column.periods:
        angle = ops.multiply(ops.mod(days, period), 2 * math.pi / period)
        parts += [ops.sin(angle), ops.cos(angle)]
    parts += [] if missing is None else [missing]
    return keras3.layers.Concatenate(name=f"encode.{column.input}")(parts)


def _filled(x: Any, column: Column) -> tuple[Any, Any]:
    missing = keras3.ops.isnan(x)
    return keras3.ops.where(missing, column.mean, x), keras3.ops.cast(missing, "float32")


def _categorical(x: Any, column: Column) -> Any:
    return keras3.layers.StringLookup(
        vocabulary=list(column.values), output_mode="one_hot", oov_token=UNKNOWN, name=f"encode.{column.input}"
    )(x)


def _text(x: Any, column: Column) -> Any:
    layer = keras3.layers.TextVectorization(
        vocabulary=list(column.values), output_mode="multi_hot", name=f"encode.{column.input}"
    )
    # Keras says [batch, 1, words] where it gives [batch, words].
    return keras3.ops.reshape(layer(x), (-1, column.width))


def _token_ids(x: Any, encoding: Encoding) -> Any:
    (column,) = encoding.columns
    ids = keras3.layers.TextVectorization(
        vocabulary=list(column.values),
        output_mode="int",
        output_sequence_length=encoding.length,
        name=f"encode.{column.input}",
    )(x)
    return keras3.ops.cast(ids, "int32")


_FRONTS: dict[str, Callable[[Any, Column], Any]] = {
    "numeric": _numeric, "date": _date, "categorical": _categorical, "text": _text,
}  # fmt: skip

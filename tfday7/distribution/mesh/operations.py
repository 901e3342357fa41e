"""What DTensor needs done differently than a plain layer does it; the numbers stay the same.

Lookups in a table that is split by rows: every device looks up the words that it has, takes zeros for the others, and
the devices add up (Shoeybi et al., 2019, arXiv:1909.08053, section 3). Written over a leading axis of parts, as DTensor
has no lookup in a split table. Convolutions gather their filters first, as DTensor has none with split ones.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.distribution.mesh.axes import BATCH, MODEL
from tfday7.distribution.mesh.plan import COLUMNS, FILTERS, GATHERED_COLUMNS, ROWS, VOCABULARY
from tfday7.distribution.mesh.variables import layout, pack


def adapt(layer: Any, way: str, mesh: Any) -> None:
    """Changes how a layer computes, in place.

    Args:
        layer: its variables are on the mesh.
        way: one of `plan.SPLIT_WAYS`, or empty for a layer that is not split.
        mesh: the mesh.
    """
    if way == VOCABULARY:
        layer.call = _lookup(layer, mesh)
    elif way == FILTERS:
        layer.convolution_op = _convolution(layer, mesh)
    elif way == GATHERED_COLUMNS:
        activate = layer.activation or (lambda x: x)
        layer.activation = lambda x: activate(relayout_examples(x, mesh))
    elif way in (COLUMNS, ROWS):
        call = layer.call
        last = MODEL if way == COLUMNS else None
        layer.call = lambda inputs: relayout_examples(call(inputs), mesh, last)


def unfuse(layer: Any) -> None:
    """Makes a LayerNormalization compute the same by single operations; DTensor lacks the fused one."""
    if isinstance(layer, keras.layers.LayerNormalization):
        layer._fused = False


def relayout_examples(tensor: Any, mesh: Any, last: str | None = None) -> Any:
    """Returns a tensor [batch, ...] divided by examples, and its last dimension over the given axis."""
    specs: list[str | None] = [BATCH, *[None] * (tensor.shape.rank - 1)]
    if last is not None:
        specs[-1] = last
    return _relayout(tensor, mesh, specs)


def traced(function: Callable[..., Any], mesh: Any) -> Callable[..., Any]:
    """Returns a `tf.function` whose constants are on the mesh, too."""
    compiled = tf.function(function)

    def call(*arguments: Any) -> Any:
        with tf.experimental.dtensor.default_mesh(mesh):
            return compiled(*arguments)

    return call


def is_array(value: Any) -> bool:
    """Returns whether a value is a plain tensor with more numbers than one, which DTensor does not spread by itself."""
    return isinstance(value, tf.Tensor) and not tf.is_symbolic_tensor(value) and value.shape.num_elements() > 1


@contextlib.contextmanager
def refusals(what: str) -> Iterator[None]:
    """Raises UserError, with the operation's name, where DTensor cannot compute something.

    Args:
        what: what was to be computed, for the message.
    """
    try:
        yield
    except (tf.errors.UnknownError, tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        message = str(error)
        if "dtensor" not in message.lower() and "layout" not in message.lower() and "SPMD" not in message:
            raise
        found = re.search(r'"?tf\.([A-Z]\w+)', message)
        operation = f"the operation {found[1]}" if found else "one of its operations"
        reason = message.split("error: ", 1)[-1].split("\n")[0]
        raise UserError(
            f"{what} cannot be computed on a mesh: DTensor cannot do {operation} ({reason})",
            "--strategy=mirrored or one_device can",
        ) from error


def _lookup(layer: Any, mesh: Any) -> Callable[[Any], Any]:
    """Returns the `call` of an Embedding whose table is split by rows.

    An index outside the vocabulary gives zeros, as on a GPU.
    """
    parts = mesh.dim_size(MODEL)
    rows, width = layer.input_dim // parts, layer.output_dim
    firsts = pack(np.arange(parts, dtype=np.int32) * rows, layout(mesh, [MODEL]))

    def call(inputs: Any) -> Any:
        ids = tf.reshape(tf.cast(inputs, tf.int32), (1, -1))
        table = _relayout(tf.reshape(layer.embeddings, (parts, rows, width)), mesh, [MODEL, None, None])
        local = _relayout(ids - tf.reshape(firsts, (parts, 1)), mesh, [MODEL, BATCH])
        here = tf.logical_and(local >= 0, local < rows)
        found = tf.gather(table, tf.where(here, local, 0), batch_dims=1)
        vectors = tf.reduce_sum(tf.where(here[..., tf.newaxis], found, tf.zeros((), found.dtype)), axis=0)
        vectors = tf.reshape(vectors, (*inputs.shape, width))
        return relayout_examples(tf.cast(vectors, layer.compute_dtype), mesh)

    return call


def _convolution(layer: Any, mesh: Any) -> Callable[[Any, Any], Any]:
    """Returns the `convolution_op` of a Conv2D whose filters are split.

    What comes in and goes out is held to a division by examples: DTensor would take over that of layers around it.
    """
    convolve = layer.convolution_op

    def call(inputs: Any, kernel: Any) -> Any:
        filters = _relayout(kernel, mesh, [None] * 4)
        return relayout_examples(convolve(relayout_examples(inputs, mesh), filters), mesh)

    return call


def _relayout(tensor: Any, mesh: Any, specs: Sequence[str | None]) -> Any:
    return tf.experimental.dtensor.relayout(tensor, layout(mesh, specs))

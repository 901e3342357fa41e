"""The plan of a model on a mesh: arithmetic over the plain model's graph, which needs no mesh yet.

Megatron's layout (Shoeybi et al., 2019, arXiv:1909.08053, section 3): of two Dense layers with nothing between them
that mixes features, the first is split by columns and the second by rows; so are the projections to attention heads and
the one behind them; embeddings are split by vocabulary. A Dense layer without partner is split by columns and its
output gathered. Everything else is held whole on every device, with the reason.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.distribution.mesh.axes import MODEL, Axes
from tfday7.distribution.mesh.flow import Blocked, Graph, ends
from tfday7.distribution.mesh.plan import (
    COLUMNS,
    FILTERS,
    GATHERED_COLUMNS,
    HEADS,
    ROWS,
    VOCABULARY,
    Communication,
    Plan,
    Weight,
    gradient_traffic,
)

FLOAT_BYTES = 4
# Of each way, the divided dimension by the name of the weight; of HEADS by the name of the inner layer and its weight.
DIVIDED: dict[str, dict[str, int]] = {
    COLUMNS: {"kernel": 1, "bias": 0},
    GATHERED_COLUMNS: {"kernel": 1, "bias": 0},
    ROWS: {"kernel": 0},
    VOCABULARY: {"embeddings": 0},
    FILTERS: {"kernel": 3},
    HEADS: {
        **{f"{side}/kernel": 1 for side in ("query", "key", "value")},
        **{f"{side}/bias": 0 for side in ("query", "key", "value")},
        "attention_output/kernel": 0,
    },
}
WHOLE_BIAS = {
    ROWS: "bias of a row-parallel layer",
    FILTERS: "bias of a layer whose output is whole",
    HEADS: "bias of a row-parallel layer",
}


def plan(model: Any, axes: Axes) -> Plan:
    """Returns how a model's variables lie on a mesh, and what travels in a training step.

    Args:
        model: a built tf_keras functional model (or Sequential) with plain variables.
        axes: of the mesh.

    Raises:
        UserError: the model is no graph of layers, or the width of a hidden layer cannot be divided over "model".
    """
    if not isinstance(model, keras.Model) or not getattr(model, "_is_graph_network", False):
        raise UserError(
            "only functional and Sequential models can be spread over a mesh; this one is a class of its own",
            "--strategy=mirrored takes any model",
        )
    ways = _Ways(model, axes)
    weights = tuple(_weights(model, axes, ways))
    traffic = tuple(each for layer, way in ways.of.items() for each in _traffic(layer, way))
    named = tuple((layer.name, ways.of.get(layer, "")) for layer in model.layers)
    return Plan(axes, weights, named, (*traffic, *gradient_traffic(axes, weights)))


class _Ways:
    """Which layer is split in which way, and why the others are not.

    Attributes:
        of: the way of each layer that is split.
        whole: the reason of each layer that was a candidate and is not.
    """

    def __init__(self, model: Any, axes: Axes) -> None:
        self.axes = axes
        self.graph = Graph.of(model)
        self.of: dict[Any, str] = {}
        self.whole: dict[Any, str] = {}
        shared = _shared_variables(model)
        self.single = []
        for layer in dict.fromkeys(node.layer for node in self.graph.nodes):
            if len(self.graph.calls(layer)) > 1 or any(id(each) in shared for each in layer.weights):
                self.whole[layer] = "used more than once"
            else:
                self.single.append(layer)
        rules: tuple[tuple[type, Callable[[Any], None]], ...] = (
            (keras.layers.Dense, self._dense),
            (keras.layers.Embedding, self._embedding),
            (keras.layers.Conv2D, self._conv2d),
            (keras.layers.MultiHeadAttention, self._attention),
        )
        for layer in self.single:
            for kind, rule in rules:
                if type(layer) is kind:  # Subclasses (DepthwiseConv2D, a user's own) may compute something else.
                    rule(layer)

    def _dense(self, layer: Any) -> None:
        if layer in self.of or layer in self.whole:
            return
        if layer.units == 1:
            self.whole[layer] = "too small: one output"
            return
        if not self._divides(layer, "units", layer.units):
            return
        siblings = [each for each in self._free() if self.graph.inputs(each) == self.graph.inputs(layer)]
        siblings = [each for each in siblings if each.units % self.axes.model == 0 and each.units > 1]
        blocked: list[Blocked] = []
        for starts in [siblings, [layer]] if len(siblings) > 1 else [[layer]]:
            try:
                able = [each for each in self._free() if each not in starts]
                found = ends(self.graph, starts, self.axes.model, able)
            except Blocked as error:
                blocked.append(error)
                continue
            if found:
                self.of.update(dict.fromkeys(starts, COLUMNS) | dict.fromkeys(found, ROWS))
                return
        for each in blocked:
            if each.heads is not None and len(siblings) > 1:  # Query, key and value.
                raise self._refusal(layer, f"makes {each.heads} heads", each.heads)
        self.of[layer] = GATHERED_COLUMNS

    def _embedding(self, layer: Any) -> None:
        if layer.output_dim == 1:
            self.whole[layer] = "too small: one number a word"
        elif layer.input_dim % self.axes.model:
            self.whole[layer] = f"vocabulary of {layer.input_dim}, which {self.axes.model} does not divide"
        elif layer.sparse or layer._use_one_hot_matmul:
            self.whole[layer] = "a lookup of another kind"
        else:
            self.of[layer] = VOCABULARY

    def _conv2d(self, layer: Any) -> None:
        if layer.filters == 1:
            self.whole[layer] = "too small: one filter"
        elif layer.groups > 1:
            self.whole[layer] = "a convolution in groups"
        elif self._divides(layer, "filters", layer.filters):
            self.of[layer] = FILTERS

    def _attention(self, layer: Any) -> None:
        if layer._num_heads % self.axes.model:
            raise self._refusal(layer, f"has {layer._num_heads} heads", layer._num_heads)
        self.of[layer] = HEADS

    def _free(self) -> list[Any]:
        dense = (layer for layer in self.single if type(layer) is keras.layers.Dense)
        return [layer for layer in dense if layer not in self.of and layer not in self.whole]

    def _divides(self, layer: Any, what: str, width: int) -> bool:
        """Returns whether a width divides; one of the model's last layer need not, one inside must (UserError)."""
        if width % self.axes.model == 0:
            return True
        if any(each.weights for each in self.graph.after(layer)):
            raise self._refusal(layer, f"has {width} {what}", width)
        self.whole[layer] = f"output of {width} {what}, which {self.axes.model} does not divide"
        return False

    def _refusal(self, layer: Any, what: str, width: int) -> UserError:
        fitting = ", ".join(str(size) for size in range(2, width + 1) if width % size == 0)
        return UserError(
            f"--mesh={self.axes}: the layer {layer.name} {what}, which axis {MODEL}:{self.axes.model} does not divide",
            f"{MODEL}: {fitting} would fit this layer; or choose another width" if width > 1 else "widen the layer",
        )


def _shared_variables(model: Any) -> set[int]:
    """Returns the variables that several layers hold."""
    holders = collections.Counter(id(each) for layer in model.layers for each in layer.weights)
    return {key for key, count in holders.items() if count > 1}


def _weights(model: Any, axes: Axes, ways: _Ways) -> list[Weight]:
    """Returns the entry of each of the model's variables, in their order."""
    entries: dict[int, Weight] = {}
    for layer in model.layers:
        for variable in layer.weights:
            name = variable.name.split(":")[0]
            short = name.removeprefix(f"{layer.name}/")
            split, reason = _entry(layer, short, ways)
            entries[id(variable)] = Weight(
                name=f"{layer.name}/{short}",
                shape=tuple(variable.shape),
                dtype=_stored(variable).name,
                item_bytes=_stored(variable).size,
                trainable=any(variable is each for each in layer.trainable_weights),
                split=split,
                parts=axes.model,
                reason=reason,
            )
    return [entries[id(variable)] for variable in model.variables]


def _entry(layer: Any, short: str, ways: _Ways) -> tuple[int | None, str]:
    """Returns the divided dimension of a weight and how, or None and why not."""
    way = ways.of.get(layer)
    if way is not None:
        split = DIVIDED[way].get(short)
        if split is None:
            return None, WHOLE_BIAS[way]
        own = COLUMNS if way == HEADS and not short.startswith("attention_output") else way
        return split, f"by {ROWS if way == HEADS and own == way else own}"
    return None, ways.whole.get(layer) or _why_whole(layer)


def _why_whole(layer: Any) -> str:
    """Returns why a layer without a rule is held whole."""
    kind = type(layer).__name__
    if "Normalization" in kind:
        return "normalization"
    if isinstance(layer, keras.layers.RNN):
        return "recurrent"
    return "inside a nested model" if isinstance(layer, keras.Model) else f"no rule for {kind}"


def _traffic(layer: Any, way: str) -> list[Communication]:
    """Returns what a split layer sends along the axis "model" in one step, forward and backward."""
    name = layer.name
    taken = _example_bytes(tf.nest.flatten(layer.input)[0])
    made = _example_bytes(tf.nest.flatten(layer.output)[0])
    output = Communication("all-reduce", MODEL, f"output of {name}", example_bytes=made)
    gradient = Communication("all-reduce", MODEL, f"gradient at the input of {name}", example_bytes=taken)
    if way in (ROWS, VOCABULARY):
        return [output]
    if way == COLUMNS:
        return [gradient]
    if way == GATHERED_COLUMNS:
        gathered = Communication("all-gather", MODEL, f"output of {name}", example_bytes=made)
        return [gathered, gradient]
    if way == HEADS:
        return [output, gradient]
    size = math.prod(layer.kernel.shape) * _stored(layer.kernel).size
    return [Communication("all-gather", MODEL, f"filters of {name}", fixed_bytes=size)]


def _example_bytes(tensor: Any) -> int:
    """Returns the bytes of one example of a tensor; a dimension that the model leaves open counts as 1."""
    size = tensor.dtype.size if tensor.dtype.is_floating else FLOAT_BYTES
    return math.prod(each or 1 for each in tensor.shape[1:]) * size


def _stored(variable: Any) -> Any:
    """Returns the dtype that a variable is held in, whatever it is cast to where it is read."""
    return getattr(variable, "true_dtype", variable.dtype)

"""Which Keras layers an operator of a `.tflite` file computes: their names are parts of its tensors' names.

The converter names what an operator gives, and what it reads, by the scopes of all that it stands for:
"resnet8/stem_relu/Relu;resnet8/stem_norm/FusedBatchNormV3;resnet8/stem_conv/Conv2D". The part behind the model is the
layer's; what follows it may be called as another layer is: "model/layer_normalization/add" is no part of a layer "add".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from tfday7.exporting.tflite_contents import Node, Summary, Tensor

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def computes(summary: Summary, node: Node, layers: Collection[str]) -> set[str]:
    """Returns which of these layers an operator computes, or is a part of."""
    if node.op in CONVERSIONS:
        return set()
    constants = [tensor for tensor in summary.inputs_of(node) if tensor is not None and tensor.is_constant]
    scopes = [scope for tensor in (*summary.outputs_of(node), *constants) for scope in tensor.name.split(";")]
    return {part for scope in scopes for part in scope.split("/")[1:2]} & set(layers)


def owners(summary: Summary, layers: Iterable[str]) -> dict[str, list[Node]]:
    """Returns the operators of each layer that has one, by the first layer that they compute.

    Args:
        summary: of a file.
        layers: names, in the order of the model: a convolution comes before the activation that is fused into it.
    """
    order = list(layers)
    found: dict[str, list[Node]] = {}
    for node in summary.nodes:
        mine = computes(summary, node, order)
        if mine:
            found.setdefault(min(mine, key=order.index), []).append(node)
    return {layer: found[layer] for layer in order if layer in found}


def operator_names(summary: Summary, layers: Collection[str]) -> set[str]:
    """Returns what the quantizer calls the operators of these layers.

    That is the name of what they give, before a number at its end told it from the same name of a constant.
    """
    names: set[str] = set()
    for node in summary.nodes:
        if computes(summary, node, layers):
            for tensor in summary.outputs_of(node):
                names |= {tensor.name, re.sub(r"(?<=\D)\d$", "", tensor.name)}
    return names


def without_float(summary: Summary, layers: Iterable[str]) -> list[str]:
    """Returns which of these layers have no operator that gives floating-point numbers."""
    found = []
    for layer in layers:
        given = [
            tensor for node in summary.nodes if computes(summary, node, (layer,)) for tensor in summary.outputs_of(node)
        ]
        if not any(tensor.is_floating for tensor in given):
            found.append(layer)
    return found


def touched_by_others(summary: Summary, layers: Collection[str]) -> list[Tensor]:
    """Returns the floating-point tensors that an operator of another layer reads or writes."""
    others: set[tuple[int, int]] = set()
    for node in summary.nodes:
        if node.op not in CONVERSIONS and not computes(summary, node, layers):
            others |= {(node.subgraph, index) for index in (*node.inputs, *node.outputs)}
    return [
        tensor
        for tensor in summary.tensors
        if tensor.is_floating and tensor.elements > 0 and (tensor.subgraph, tensor.index) in others
    ]

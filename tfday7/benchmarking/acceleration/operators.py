"""The operators of a file, each with its tensors at hand."""

from __future__ import annotations

import dataclasses

from tfday7.exporting.tflite_contents import Node, Summary, Tensor

UNPACKING = ("DEQUANTIZE", "DENSIFY")  # Of float16 and of sparse weights, once, when the file is loaded.
# Fused activations by their number in the schema.
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator with its tensors at hand.

    Attributes:
        node: its place and options.
        inputs: None for an optional one that is not there.
        outputs: what it writes.
    """

    node: Node
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]

    @property
    def op(self) -> str:
        """Its kind."""
        return self.node.op

    @property
    def runtime_inputs(self) -> list[Tensor]:
        """The inputs that are computed: no constants."""
        return [tensor for tensor in self.inputs if tensor is not None and not tensor.is_constant]

    @property
    def constants(self) -> list[Tensor]:
        """The inputs that the file holds."""
        return [tensor for tensor in self.inputs if tensor is not None and tensor.is_constant]

    @property
    def activation(self) -> str:
        """The activation that is fused into it."""
        number = self.node.options.get("fusedActivationFunction", 0)
        return ACTIVATIONS[number] if number < len(ACTIVATIONS) else str(number)

    def input(self, at: int) -> Tensor | None:
        """Returns an input; None where there is none."""
        return self.inputs[at] if at < len(self.inputs) else None

    def is_constant(self, at: int) -> bool:
        """Returns whether an input is held by the file."""
        tensor = self.input(at)
        return tensor is not None and tensor.is_constant


def operators(summary: Summary) -> list[Operator]:
    """Returns a file's operators in order. Weights that are unpacked from constants count as constants themselves."""
    unpacked = {
        (node.subgraph, output)
        for node in summary.nodes
        if node.op in UNPACKING and all(tensor and tensor.is_constant for tensor in summary.inputs_of(node))
        for output in node.outputs
    }

    def given(node: Node, index: int) -> Tensor | None:
        tensor = summary.by_place.get((node.subgraph, index))
        is_unpacked = tensor is not None and (node.subgraph, index) in unpacked
        return dataclasses.replace(tensor, is_constant=True) if tensor and is_unpacked else tensor

    return [
        Operator(node, tuple(given(node, index) for index in node.inputs), tuple(summary.outputs_of(node)))
        for node in summary.nodes
    ]

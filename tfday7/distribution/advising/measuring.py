"""What a built model says of itself: its variables, its arithmetic, and what it keeps for the way back.

What is kept is read from the graph of one gradient: the tensors of the forward half that its backward half reads,
without the variables, each buffer once. Two batch sizes tell what grows with the batch from what does not (copies of
weights in 16 bit). Where the graph leaves a shape open it is the sum of the outputs of all layers, as `--describe`
shows it; of a recurrent layer that loops nothing is known, since the lists of its steps have no size before it runs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import Problem
from tfday7.distribution.advising.hardware import Hardware
from tfday7.distribution.advising.memory import Activations, Layout, Refusal
from tfday7.distribution.advising.weights import Weight
from tfday7.distribution.mesh import layouts, refusals
from tfday7.distribution.mesh.axes import Axes
from tfday7.models.architecture import ARCHITECTURES
from tfday7.models.architectures.transformer import heads
from tfday7.models.config import ModelConfig
from tfday7.models.describe import describe, nodes
from tfday7.optimizers.inspection import RECURRENT
from tfday7.optimizers.matrices import hidden_matrices

BATCHES = (2, 3)  # To tell what grows with the batch from what does not.
ALIASES = {"Reshape", "Identity", "ExpandDims", "Squeeze", "StopGradient"}  # They share the buffer of their input.
NOT_KEPT = {"ReadVariableOp", "VarHandleOp", "Placeholder", "Const"}  # Variables, the batch itself, constants.
RESERVING = {"FusedBatchNormV3"}  # It has an output for cuDNN alone, of no known size.
MAC_FLOPS = 6  # A multiplication and an addition, once forward and twice backward.


@dataclasses.dataclass(frozen=True)
class Measured:
    """A built model.

    Attributes:
        weights: its variables.
        activations: what it keeps; None for layers that loop.
        example_flops: operations of one example, forward and backward; None where a layer has no rule.
        divide: gives the layout on so many devices as `distribution.mesh` has it, or why there is none.
        sizes: of a transformer of ours, as fields of `Hardware`: layers, hidden_size, attention_heads, sequence_length.
    """

    weights: tuple[Weight, ...]
    activations: Activations | None
    example_flops: float | None
    divide: Callable[[int], Layout | Refusal]
    sizes: dict[str, int]


def measure(model: Any, sizes: dict[str, int] | None = None) -> Measured:
    """Returns what a tf_keras functional model says of itself; the precision is the one it was built with."""
    hidden = {id(variable) for variable, _ in hidden_matrices(model)}
    trained = {id(variable) for variable in model.trainable_variables}
    weights = tuple(
        Weight(tuple(variable.shape), id(variable) in hidden, id(variable) in trained) for variable in model.variables
    )
    described = describe(model)
    activations = _kept(model)
    if activations is None and not {type(node.layer).__name__ for node in nodes(model)} & RECURRENT:
        activations = Activations(float(described.activation_bytes), None, "layer_outputs")
    flops = None if described.macs is None else float(MAC_FLOPS * described.macs)
    divide = functools.cache(functools.partial(_divided, model, weights))
    return Measured(weights, activations, flops, divide, sizes or {})


def sizes_of(config: ModelConfig, problem: Problem) -> dict[str, int]:
    """Returns the sizes of our own transformer as fields of `Hardware`; of another text model the sequence length."""
    found = {"sequence_length": problem.input_shape[0]} if problem.kind == "text" else {}
    if config.model != "transformer":
        return found
    made = ARCHITECTURES.get(config.model)
    width = config.width or made.width
    return {**found, "layers": config.depth or made.depth, "hidden_size": width, "attention_heads": heads(width)}


def with_sizes(devices: Hardware, measured: Measured | None) -> Hardware:
    """Returns the devices with the sizes that were found. Raises UserError where both are known and disagree."""
    if measured is None:
        return devices
    for name, value in measured.sizes.items():
        given = getattr(devices, name)
        if given not in (None, value):
            raise UserError(f"--{name}={given} contradicts the model, for which it is {value}", f"leave --{name} out")
    return dataclasses.replace(devices, **measured.sizes)  # type: ignore[arg-type]


def kept_bytes(model: Any, examples: int) -> int | None:
    """Returns the bytes that one gradient of a batch reads from its forward pass; None where the graph does not say."""
    marks: list[int] = []

    def step(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(model(inputs, training=True), "float32")))
        marks.append(len(tf.compat.v1.get_default_graph().get_operations()))
        return tape.gradient(loss, model.trainable_variables)

    (inputs,) = model.inputs
    graph = tf.function(step).get_concrete_function(tf.TensorSpec((examples, *inputs.shape[1:]), inputs.dtype)).graph
    operations = graph.get_operations()
    forward = {operation.name for operation in operations[: marks[-1]]}
    buffers: dict[str, Any] = {}
    for operation in operations[marks[-1] :]:
        for tensor in operation.inputs:
            if tensor.op.name in forward:
                root = _root(tensor)
                buffers[root.name] = root
    return _sum(buffers.values())


def _divided(model: Any, weights: Sequence[Weight], parts: int) -> Layout | Refusal:
    """Returns what the plan of the mesh says."""
    try:
        refusals.check(model)
        found = layouts.plan(model, Axes(1, parts))
    except UserError as error:
        return Refusal("refused", error.message)
    own = [
        dataclasses.replace(weight, divided=lying.split).split(parts)
        for weight, lying in zip(weights, found.weights, strict=True)
    ]
    sent = [(0.5 if each.operation == "all-gather" else 1.0, each) for each in found.communication]
    example_bytes = sum(share * each.example_bytes for share, each in sent)
    return Layout(tuple(own), example_bytes, sum(share * each.fixed_bytes for share, each in sent))


def _kept(model: Any) -> Activations | None:
    small, large = (kept_bytes(model, examples) for examples in BATCHES)
    if small is None or large is None or large <= small:
        return None
    example = (large - small) / (BATCHES[1] - BATCHES[0])
    return Activations(example, max(0.0, small - BATCHES[0] * example), "kept")


def _root(tensor: Any) -> Any:
    """Returns the tensor whose buffer this one is."""
    while tensor.op.type in ALIASES:
        tensor = tensor.op.inputs[0]
    return tensor


def _sum(tensors: Any) -> int | None:
    total = 0
    for tensor in tensors:
        if tensor.op.type in NOT_KEPT or (tensor.op.type in RESERVING and tensor.shape.rank is None):
            continue
        if tensor.dtype in (tf.variant, tf.resource) or tensor.shape.num_elements() is None:
            return None
        total += tensor.shape.num_elements() * tensor.dtype.size
    return total

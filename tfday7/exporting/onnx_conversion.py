"""From a SavedModel to ONNX by tf2onnx, and from float to int8 by ONNX Runtime; shared by all formats that pass there.

tf2onnx drops the quantization of a model's weights, so int8 comes afterwards: static quantization in the QDQ form
(QuantizeLinear and DequantizeLinear around float operators), per channel for weights, with the calibration of the int8
TFLite file. Runs in a child process.
"""

from __future__ import annotations

import dataclasses
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.frameworks import tf

OPSET = 18  # All runtimes here know it, and TensorRT since 8.6.
INPUT, OUTPUT = "input", "output"
# Their second input is a constant weight that integer arithmetic needs; whatever else stays in float is named.
# What may stand between a weight and its operator.
BETWEEN = ("DequantizeLinear", "Identity", "Reshape", "Transpose")
WITH_WEIGHTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


@dataclasses.dataclass(frozen=True)
class Quantization:
    """How ONNX is quantized.

    Attributes:
        symmetric: zero points of 0 throughout, and biases in float, as TensorRT asks for.
    """

    symmetric: bool = False


def to_onnx(saved_model: str, batch: int | None, opset: int = OPSET) -> Any:
    """Returns a checked ONNX model, one input "input" and one output "output", float or token ids.

    Raises:
        ValueError: an operator has no counterpart in ONNX, or the result is not valid.
    """
    import onnx
    import tf2onnx

    _teach_erfc()
    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        loaded = tf.saved_model.load(_inlining(Path(saved_model), Path(scratch)))
    signature = loaded.signatures["serving_default"]
    (given,) = signature.structured_input_signature[1].values()
    spec = tf.TensorSpec((batch, *given.shape[1:]), given.dtype, name=INPUT)
    function = tf.function(lambda x: tf.identity(signature(**{INPUT: x})[OUTPUT], name=OUTPUT), input_signature=[spec])
    model, _ = tf2onnx.convert.from_function(function, input_signature=[spec], opset=opset)
    _settle_captured(model, function.get_concrete_function().graph)
    _rename(model)
    foreign = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if foreign:
        raise ValueError(f"operators of {', '.join(sorted(foreign))} have no counterpart in ONNX")
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def quantized(model: Any, calibration: str, how: Quantization, batch: int | None = 1) -> Any:
    """Returns an int8 model in QDQ form.

    Args:
        model: a float ONNX model.
        calibration: an `.npy` of inputs [n, ...].
        how: see `Quantization`.
        batch: examples a run, as the model has them.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        start, prepared, end = (str(Path(scratch) / f"{name}.onnx") for name in ("start", "prepared", "end"))
        onnx.save(model, start)
        # Folds BatchNormalization and constants, so that scales are those of what runs.
        quant_pre_process(start, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            end,
            _Reader(np.load(calibration, allow_pickle=False), batch or 1),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": how.symmetric,
                "WeightSymmetric": True,
                "QuantizeBias": not how.symmetric,
            },
        )
        made = onnx.load(end)
    onnx.checker.check_model(made, full_check=True)
    return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)


def weight_problems(path: Path) -> list[str]:
    """Returns the weights of an int8 ONNX file that are not int8; sentences, empty when all are."""
    import onnx

    return weight_problems_of(onnx.load(str(path)))


def weight_problems_of(model: Any) -> list[str]:
    """Returns what `weight_problems` does, of a loaded ONNX model."""
    import onnx

    types = {each.name: each.data_type for each in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    types |= {name: node.attribute[0].t.data_type for name, node in made_by.items() if node.op_type == "Constant"}
    found, int8 = [], 0
    for node in model.graph.node:
        if node.op_type not in WITH_WEIGHTS or len(node.input) < 2:
            continue
        name = node.input[1]
        while name in made_by and made_by[name].op_type in BETWEEN:
            name = made_by[name].input[0]
        if name in types and types[name] == onnx.TensorProto.INT8:
            int8 += 1
        elif name in types:
            found.append(f"the weights of {node.name or node.op_type} are not int8")
    return found if int8 else ["not quantized: no weights are int8"]


def float_operators(path: Path) -> list[str]:
    """Returns the operators with weights of their own that stay in float in an int8 file, such as LSTM."""
    import onnx

    return sorted({node.op_type for node in onnx.load(str(path)).graph.node} & {"LSTM", "GRU", "RNN"})


def _inlining(model: Path, copy: Path) -> str:
    """Makes a copy of a SavedModel in which TensorFlow puts all functions into the graph that calls them.

    It spares those that XLA was to compile. tf_keras marks grouped convolutions so (ConvNeXt's); in ONNX a call is an
    operator that nobody knows.
    """
    for entry in model.iterdir():
        if entry.name != "saved_model.pb":
            (copy / entry.name).symlink_to(entry.resolve())
    saved = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    saved.ParseFromString((model / "saved_model.pb").read_bytes())
    for graph in saved.meta_graphs:
        library = graph.graph_def.library.function
        for marked in (*library, *graph.graph_def.node, *(node for function in library for node in function.node_def)):
            for name in ("_XlaMustCompile", "_noinline"):
                marked.attr.pop(name, None)
    (copy / "saved_model.pb").write_bytes(saved.SerializeToString())
    return str(copy)


def _settle_captured(model: Any, graph: Any) -> None:
    """Makes constants of inputs that are none: of tensors that the model holds beside its variables, as a range."""
    import onnx

    held = {inside.name: outside for outside, inside in graph.captures if outside.dtype != tf.resource}
    for extra in [each for each in model.graph.input if each.name in held]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(held[extra.name].numpy(), extra.name))
        model.graph.input.remove(extra)


def _rename(model: Any) -> None:
    """Gives the ends their names, whatever tf2onnx made of them ("input:0")."""
    names = {model.graph.input[0].name: INPUT, model.graph.output[0].name: OUTPUT}
    model.graph.input[0].name, model.graph.output[0].name = INPUT, OUTPUT
    for node in model.graph.node:
        for names_of in (node.input, node.output):
            for index, name in enumerate(names_of):
                names_of[index] = names.get(name, name)


class _Reader:
    """Gives ONNX Runtime's calibration one batch after the other; the last is filled with its last example."""

    def __init__(self, x: np.ndarray, batch: int) -> None:
        missing = -len(x) % batch
        filled = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) if missing else x
        self._rest: Iterator[np.ndarray] = iter(filled.reshape(-1, batch, *x.shape[1:]))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Returns the next batch by the input's name; None behind the last."""
        examples = next(self._rest, None)
        return None if examples is None else {INPUT: examples}


def _teach_erfc() -> None:
    """Teaches tf2onnx 1.17 the operator of exact `gelu`: erfc(x) = 1 - erf(x)."""
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, context: Any, node: Any, **_: Any) -> None:
            one = context.make_const(node.name + "_one", np.array(1.0, context_dtype(context, node))).output[0]
            shapes, dtypes = node.output_shapes, node.output_dtypes
            context.remove_node(node.name)
            erf = context.make_node("Erf", [node.input[0]])
            context.make_node("Sub", [one, erf.output[0]], outputs=node.output, shapes=shapes, dtypes=dtypes)


def context_dtype(context: Any, node: Any) -> Any:
    """Returns NumPy's name for the type of a node's input in tf2onnx."""
    from tf2onnx import utils

    return utils.map_onnx_to_numpy_type(context.get_dtype(node.input[0]))

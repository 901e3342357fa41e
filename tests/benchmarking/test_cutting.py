"""Operators that are cut out: alone they give what they give in the whole model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from exporting.tflite_samples import converted, examples, sample

from tfday7.benchmarking.cutting import CutError, Cutter, cut
from tfday7.core.frameworks import tf
from tfday7.exporting.tflite_file import read

CASES = [
    ("conv", "float32"),
    ("conv", "int8"),
    ("conv", "float16"),
    ("tokens", "int8"),
    ("lstm", "int8"),
    ("gru", "float32"),
]


def plain_run(content: bytes, x: np.ndarray) -> Any:
    """Returns an interpreter that has run without delegates and kept every tensor."""
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    settings = {"experimental_op_resolver_type": plain, "experimental_preserve_all_tensors": True}
    interpreter = Interpreter(model_content=content, **settings)
    return run(interpreter, [x])


def run(interpreter: Any, values: list[np.ndarray]) -> Any:
    for detail, value in zip(interpreter.get_input_details(), values, strict=True):
        if tuple(detail["shape"]) != value.shape:
            interpreter.resize_tensor_input(detail["index"], value.shape)
    interpreter.allocate_tensors()
    interpreter.reset_all_variables()
    for detail, value in zip(interpreter.get_input_details(), values, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return interpreter


def given(content: bytes, name: str, batch: int = 1) -> np.ndarray:
    (detail,) = Interpreter(model_content=content).get_input_details()
    x = examples(name, batch)
    scale, zero_point = detail["quantization"]
    return np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8) if scale else x


@pytest.mark.parametrize("case", CASES, ids="_".join)
def test_each_operator_alone_gives_what_it_gives_in_the_model(case: tuple[str, str]) -> None:
    content = sample(*case)
    whole, cutter, compared = plain_run(content, given(content, case[0])), Cutter(content), 0
    for node in read(content).nodes:
        if node.subgraph or node.op == "DEQUANTIZE":
            continue
        found = cutter.cut(0, node.index)
        alone = run(Interpreter(model_content=found.content), [whole.get_tensor(at) for at in found.inputs])
        for detail, at in zip(alone.get_output_details(), found.outputs, strict=True):
            if node.op == "WHILE" and at == found.outputs[-1]:
                continue  # Nobody reads it, and so it is nowhere.
            expected, made = whole.get_tensor(at), alone.get_tensor(detail["index"])
            step = 1 if made.dtype == np.int8 else 1e-4  # XNNPACK may round to the other side.
            np.testing.assert_allclose(made.astype(np.float64), expected.astype(np.float64), atol=step, rtol=0)
            compared += 1
    assert compared >= 3


def test_an_operator_keeps_the_weights_that_it_unpacks() -> None:
    content = sample("conv", "float16")
    node = next(node for node in read(content).nodes if node.op == "CONV_2D")
    alone = read(cut(content, 0, node.index).content)
    assert [(operator.name, operator.count) for operator in alone.operators] == [("CONV_2D", 1), ("DEQUANTIZE", 2)]
    assert [tensor.shape for tensor in alone.inputs] == [(1, 8, 8, 3)]
    assert set(alone.weight_bytes) == {"float16"}


def test_constants_lie_at_multiples_of_sixteen_bytes() -> None:
    content = cut(sample("conv"), 0, 0).content
    model, found = schema.Model.GetRootAs(content, 0), 0
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength():
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0
            found += 1
    assert found == 2  # The kernel and the biases.


def test_shapes_can_be_those_of_a_larger_batch() -> None:
    content = sample("conv")
    whole = plain_run(content, given(content, "conv", 3))
    shapes = {0: (3, 8, 8, 3), read(content).nodes[0].outputs[0]: (3, 4, 4, 8)}
    found = Cutter(content).cut(0, 0, shapes)
    alone = run(Interpreter(model_content=found.content), [whole.get_tensor(at) for at in found.inputs])
    np.testing.assert_allclose(
        alone.get_tensor(alone.get_output_details()[0]["index"]), whole.get_tensor(found.outputs[0]), atol=1e-5
    )


def test_operators_inside_of_a_loop_load_alone() -> None:
    content = sample("gru")
    node = next(node for node in read(content).nodes if node.op == "TANH")
    Interpreter(model_content=cut(content, node.subgraph, node.index).content).allocate_tensors()


def test_what_cannot_run_alone_says_why() -> None:
    spec = tf.TensorSpec((1, 4), tf.float32, name="input")
    with pytest.raises(CutError, match="FlexErf") as caught:
        cut(converted(lambda x: {"output": tf.math.erf(x)}, spec), 0, 0)
    assert caught.value.reason == "custom"
    with pytest.raises(CutError, match="DEQUANTIZE reads constants alone") as caught:
        cut(sample("conv", "float16"), 0, 0)
    assert caught.value.reason == "constant"

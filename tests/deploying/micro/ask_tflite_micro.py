"""Prints which of TFLite's builtin operators the installed TFLite Micro has, as a JSON list of names.

It is asked for a model of one such operator after the other, each time in a copy of this process: some kernels do not
survive a model that is none.
"""

from __future__ import annotations

import json
import os

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from tflite_micro import runtime

MISSING = b"Didn't find op for builtin opcode"


def model_of(code: int) -> bytes:
    """Returns a model of one operator from one float to one float, without options."""
    model = schema.ModelT()
    model.version = 3
    operator_code = schema.OperatorCodeT()
    operator_code.builtinCode, operator_code.deprecatedBuiltinCode = code, min(code, 127)
    model.operatorCodes, model.buffers = [operator_code], [schema.BufferT()]
    tensors = [schema.TensorT(), schema.TensorT()]
    for tensor in tensors:
        tensor.shape = [1]
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0], [1]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [1], [operator]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def has(code: int) -> bool:
    """Returns whether TFLite Micro knows the operator, whatever else it says of the model."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.dup2(writing, 2)
        try:
            runtime.Interpreter.from_bytes(model_of(code), arena_size=2**16)
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.wait()
    return MISSING not in said


codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
print(json.dumps([name for name, code in codes.items() if name != "CUSTOM" and has(code)]))  # noqa: T201

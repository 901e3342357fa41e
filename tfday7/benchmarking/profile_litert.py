"""The profile of a `.tflite` file: its operators, each cut out and timed alone, by LiteRT with XNNPACK as in an app.

What each is fed with comes from one run of the whole file by TFLite's plain kernels, which keep every tensor; under
XNNPACK the tensors between delegated operators do not exist. Inside of a loop nothing is cut: the loop is one row.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.benchmarking.acceleration.judgement import Remark
from tfday7.benchmarking.cutting import CutError, Cutter
from tfday7.benchmarking.profiling import Profile, Row, rows_of
from tfday7.benchmarking.rounds import medians
from tfday7.core.errors import UserError
from tfday7.core.native_logs import without_notes
from tfday7.exporting import tflite_file
from tfday7.exporting.tflite_contents import Node, Summary

# Each loaded operator has threads of its own, so that not all of a large model's are loaded at once.
GROUP = 32


@dataclasses.dataclass(frozen=True)
class _Loaded:
    """An operator that is loaded alone, or the whole model: what resets its state, and what runs it."""

    reset: Callable[[], None]
    run: Callable[[], None]


def profile(path: Path, x: np.ndarray, threads: int) -> Profile:
    """See `profiling.profile`."""
    summary = tflite_file.read(path)
    content = path.read_bytes()
    try:
        plain = _run_plainly(content, x)
        whole = _load(content, {None: x}, threads)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path}: LiteRT cannot run it ({error})") from error
    nodes = [node for node in summary.nodes if node.subgraph == 0]
    cutter = Cutter(content)
    # In a larger batch, the tensors' shapes are not the file's.
    shapes = {int(detail["index"]): detail["shape"] for detail in plain.get_tensor_details()}
    empty = _load(_smallest_file(), {0: np.zeros(1, np.float32)}, threads)
    timed: list[Row] = []
    whole_times, call_times, rounds = [], [], []
    for start in range(0, len(nodes), GROUP):
        group = [_cut_out(cutter, node, plain, shapes, threads) for node in nodes[start : start + GROUP]]
        loaded = [entry for entry in group if isinstance(entry, _Loaded)]
        every = [whole, empty, *loaded]
        (whole_ms, call_ms, *each), count = medians([entry.run for entry in every], [entry.reset for entry in every])
        whole_times.append(whole_ms)
        call_times.append(call_ms)
        rounds.append(count)
        times = iter(each)
        for node, entry in zip(nodes[start : start + GROUP], group, strict=True):
            timed.append(_row(node, summary, entry, times))
    rows, total = rows_of(timed)
    call_ms = round(statistics.median(call_times), 5)
    note = Remark("profile.note.alone", {"call_ms": call_ms})
    whole_ms = round(statistics.median(whole_times), 5)
    return Profile("litert", rows, total, whole_ms, min(rounds), call_ms, (note,))


def _row(node: Node, summary: Summary, entry: _Loaded | Remark, times: Iterator[float]) -> Row:
    name = summary.outputs_of(node)[0].name if node.outputs else ""
    if isinstance(entry, Remark):
        return Row(node.op, name, None, reason=entry)
    return Row(node.op, name, next(times))


def _cut_out(
    cutter: Cutter, node: Node, plain: Any, shapes: Mapping[int, Sequence[int]], threads: int
) -> _Loaded | Remark:
    """Returns an operator that is loaded alone and fed, or why it cannot be."""
    try:
        found = cutter.cut(node.subgraph, node.index, shapes)
        feeds = {place: plain.get_tensor(tensor) for place, tensor in enumerate(found.inputs)}
        return _load(found.content, feeds, threads)
    except CutError as error:
        return Remark(f"profile.{error.reason}", {"op": error.detail if error.reason == "custom" else node.op})
    except (ValueError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        return Remark("profile.failed", {"op": node.op, "error": said})


def _run_plainly(content: bytes, x: np.ndarray) -> Any:
    """Returns an interpreter that has run and kept every tensor."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with without_notes():
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        _feed(interpreter, {None: x})
    interpreter.invoke()
    return interpreter


def _load(content: bytes, feeds: dict[Any, np.ndarray], threads: int) -> _Loaded:
    """Returns a file that is loaded, fed, and has run once. `feeds` is by the place of the input; None for the only."""
    from ai_edge_litert.interpreter import Interpreter

    with without_notes():
        interpreter = Interpreter(model_content=content, num_threads=threads)
        _feed(interpreter, feeds)
    interpreter.invoke()
    return _Loaded(interpreter.reset_all_variables, interpreter.invoke)


def _feed(interpreter: Any, feeds: dict[Any, np.ndarray]) -> None:
    details = interpreter.get_input_details()
    for place, value in feeds.items():
        detail = details[place or 0]
        if tuple(detail["shape"]) != value.shape:
            interpreter.resize_tensor_input(detail["index"], value.shape, strict=False)
    interpreter.allocate_tensors()
    interpreter.reset_all_variables()
    for place, value in feeds.items():
        interpreter.set_tensor(details[place or 0]["index"], value)


def _smallest_file() -> bytes:
    """Returns a file that negates one number: what calling any operator costs at least."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.NEG
    code.version = 1
    tensors = [schema.TensorT([1], schema.TensorType.FLOAT32, 0, name) for name in (b"input", b"output")]
    node = schema.OperatorT(inputs=[0], outputs=[1])
    graph = schema.SubGraphT(tensors, [0], [1], [node], b"main")
    model = schema.ModelT(tflite_file.SCHEMA_VERSION, [code], [graph], b"", [schema.BufferT()])
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), tflite_file.IDENTIFIER)
    return bytes(builder.Output())

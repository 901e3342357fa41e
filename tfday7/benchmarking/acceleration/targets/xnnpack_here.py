"""XNNPACK as it is on this machine: LiteRT loads the file, and its list of nodes tells which ones the delegate took.

After loading, the list holds the file's own nodes and behind them one node a delegated part, with the tensors where
that part begins and ends. What lies between them was taken. Loops are looked into by asking for each of their operators
alone, since the list shows the outermost level only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfday7.benchmarking.acceleration.judgement import TARGETS, Judgement, OpVerdict, Remark, judgement
from tfday7.benchmarking.acceleration.operators import Operator, operators
from tfday7.benchmarking.acceleration.rules import CONTROL, needs_tflite, verdict
from tfday7.benchmarking.acceleration.targets import xnnpack
from tfday7.benchmarking.cutting import CutError, cut
from tfday7.core import environment
from tfday7.core.errors import UserError
from tfday7.core.native_logs import without_notes
from tfday7.exporting.tflite_contents import Summary

DELEGATE = "DELEGATE"


@TARGETS.register("xnnpack_here")
def judge(path: Path, summary: Summary | None) -> Judgement:
    """See `judgement`. Raises UserError when LiteRT cannot load the file."""
    summary = needs_tflite(path, summary, xnnpack.TITLE)
    content = path.read_bytes()
    try:
        taken = taken_nodes(content)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path}: LiteRT cannot load it ({error})") from error
    verdicts = [_verdict(operator, content, taken) for operator in operators(summary)]
    machine = environment.hardware()
    note = Remark("note.xnnpack_here", {"cpu": machine["cpu"] or machine["machine"]})
    return judgement("xnnpack_here", verdicts, measured=True, notes=[note])


def taken_nodes(content: bytes) -> set[int]:
    """Returns the indices of the nodes in the first subgraph that XNNPACK takes.

    Raises:
        ValueError, RuntimeError: LiteRT cannot load the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    with without_notes():
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        nodes = interpreter._get_ops_details()
    makers = {output: node for node in nodes if node["op_name"] != DELEGATE for output in node["outputs"]}
    taken: set[int] = set()
    for node in nodes:
        if node["op_name"] == DELEGATE:
            taken |= _between(node["inputs"], node["outputs"], makers)
    return taken


def _between(begin: Sequence[int], end: Sequence[int], makers: dict[int, dict[str, Any]]) -> set[int]:
    """Returns the nodes that lead from some tensors to others."""
    found: set[int] = set()
    waiting, known = list(end), {*begin, -1}  # -1 stands for an optional tensor that is not there.
    while waiting:
        tensor = waiting.pop()
        if tensor in known:
            continue
        known.add(tensor)
        if tensor in makers:
            found.add(int(makers[tensor]["index"]))
            waiting += list(makers[tensor]["inputs"])
    return found


def _verdict(operator: Operator, content: bytes, taken: set[int]) -> OpVerdict:
    node = operator.node
    if node.subgraph == 0 and node.index in taken:
        return verdict(operator, None)
    if node.subgraph != 0 and not node.custom and operator.op not in CONTROL and _is_taken_alone(content, operator):
        return verdict(operator, None)
    return verdict(operator, _why(operator))


def _is_taken_alone(content: bytes, operator: Operator) -> bool:
    try:
        return bool(taken_nodes(cut(content, operator.node.subgraph, operator.node.index).content))
    except (CutError, ValueError, RuntimeError):
        return False  # What cannot be loaded alone is not taken alone.


def _why(operator: Operator) -> Remark:
    """Returns the rule that explains it, or that there is none: then the rules are not the whole truth here."""
    if operator.node.custom:
        return Remark("reason.flex" if operator.op.startswith("Flex") else "reason.custom", {"op": operator.op})
    if operator.op in CONTROL:
        return Remark("reason.control", {"op": operator.op})
    return xnnpack.rule(operator) or Remark("reason.not_taken", {"op": operator.op, "target": xnnpack.TITLE})

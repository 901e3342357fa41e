"""The parts that a delegate gets: what it takes is handed over in pieces that depend on nothing it does not take."""

from __future__ import annotations

from collections.abc import Sequence

from tfday7.benchmarking.acceleration.operators import Operator


def partitions(operators: Sequence[Operator], taken: Sequence[bool]) -> list[list[int]]:
    """Returns which of the operators make up each part that the delegate gets, in the order of execution.

    TFLite goes through the graph in rounds: everything that is ready and of the same side (taken or not) joins the
    round, until nothing more is ready; then comes the other side.

    Args:
        operators: of one subgraph, in their order.
        taken: whether the delegate takes each.

    Source: `PartitionGraphIntoIndependentNodeSubsets`, tflite/graph_info.cc.
    """
    makers = {tensor.index: at for at, operator in enumerate(operators) for tensor in operator.outputs}
    needs = [
        {makers[tensor.index] for tensor in operator.runtime_inputs if tensor.index in makers} for operator in operators
    ]
    waiting, done, parts = list(range(len(operators))), set[int](), list[list[int]]()
    side: bool | None = None
    while waiting:
        ready = [at for at in waiting if needs[at] <= done]
        if not ready:
            break  # A circle: not a graph that any runtime would run.
        if side is None or not any(taken[at] is side for at in ready):
            side = taken[ready[0]]
            parts.append([])
        at = next(at for at in ready if taken[at] is side)
        parts[-1].append(at)
        waiting.remove(at)
        done.add(at)
    return [part for part in parts if taken[part[0]]]

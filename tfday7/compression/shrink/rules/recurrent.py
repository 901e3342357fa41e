"""Recurrent layers: the units of a layer, in every gate at once.

A cell's kernel is [inputs, gates x units] and its recurrent kernel [units, gates x units], so the same labels stand in
the columns once a gate and in the rows of the recurrent one, which is an input side too: units that stay must not hear
of those that go.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfday7.compression.shrink.atoms import Vector
from tfday7.compression.shrink.labels import Labels
from tfday7.compression.shrink.propagation import unknown
from tfday7.compression.shrink.visit import Visit, rule

GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1, "LSTMCell": 4, "GRUCell": 3, "SimpleRNNCell": 1}


@rule("LSTM", "GRU", "SimpleRNN")
def _recurrent(visit: Visit) -> list[Labels]:
    return _unrolled(visit, visit.layer.cell, GATES[type(visit.layer).__name__])


@rule("RNN")
def _around_a_cell(visit: Visit) -> list[Labels]:
    cell = visit.layer.cell
    gates = GATES.get(type(cell).__name__)
    if gates is None or not type(cell).__module__.startswith("tf_keras."):
        return unknown(visit, f"read by the unknown cell {type(cell).__name__} of")
    visit.path = (*visit.path, "cell", "config")
    return _unrolled(visit, cell, gates)


def _unrolled(visit: Visit, cell: Any, gates: int) -> list[Labels]:
    layer = visit.layer
    if layer.time_major:
        return unknown(visit)
    units = _units(visit, cell, gates)
    steps: Labels = [None, None, units] if layer.return_sequences else [None, units]
    states = len(visit.outputs) - 1 if layer.return_state else 0
    return [steps, *([None, units] for _ in range(states))]


def _units(visit: Visit, cell: Any, gates: int) -> Vector:
    """Says a cell's weights; returns the labels of its units. Further inputs are initial states."""
    x = visit.only(visit.inputs[0], -1, "moved over by")
    units = visit.produce("units", cell.units, "units")
    columns = np.tile(units, gates)
    last = len(visit.inputs[0]) - 1
    visit.weight(cell.kernel, [x[-1], columns], consumed=(0,), produced=(1,), source=(0, last))
    visit.weight(cell.recurrent_kernel, [units, columns], consumed=(0,), produced=(1,))
    if cell.bias is not None:
        visit.weight(cell.bias, [None] * (len(cell.bias.shape) - 1) + [columns])
    visit.set("units", units)
    for name in ("activation", "recurrent_activation"):
        visit.activated(getattr(cell, name, None), [None, units])
    for state in visit.inputs[1:]:
        visit.join(units, state[-1], "set to start from what cannot go by")
    for variable in (cell.kernel, cell.recurrent_kernel):
        visit.cost(visit.shapes[0][1:-1], [None] * (len(visit.shapes[0]) - 2), variable)
    return units


@rule("Bidirectional")
def _bidirectional(visit: Visit) -> list[Labels]:
    layer = visit.layer
    pair = []
    sides = (("layer", layer.forward_layer), ("backward_layer", layer.backward_layer))
    if len(visit.inputs) != 1 or layer.return_state or any(type(side).__name__ not in GATES for _, side in sides):
        return unknown(visit)
    for key, side in sides:
        inside = visit.inside(side, (key, "config"), visit.inputs, visit.shapes, visit.outputs)
        pair.append(_units(inside, side.cell, GATES[type(side).__name__]))
    forward, backward = pair
    if layer.merge_mode is None:
        return [[*[None] * (len(visit.outputs[0]) - 1), units] for units in pair]
    units = np.concatenate(pair) if layer.merge_mode == "concat" else visit.join(forward, backward)
    return [[*[None] * (len(visit.outputs[0]) - 1), units]]


@rule("TimeDistributed")
def _each_step(visit: Visit) -> list[Labels]:
    from tfday7.compression.shrink.visit import LAYERS

    inner = visit.layer.layer
    found = LAYERS.get(type(inner).__name__)
    labels, shape = visit.inputs[0], visit.shapes[0]
    if found is None or not type(inner).__module__.startswith("tf_keras.") or len(visit.inputs) != 1:
        return unknown(visit)
    visit.fix(labels[1], "moved over by")
    inside = visit.inside(
        inner,
        ("layer", "config"),
        [[labels[0], *labels[2:]]],
        [(shape[0], *shape[2:])],
        [(out[0], *out[2:]) for out in visit.outputs],
    )
    return [[one[0], None, *one[1:]] for one in found(inside)]

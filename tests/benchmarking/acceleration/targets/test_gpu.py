"""The GPU delegate's rules, on the files that the converter makes and on operators made up by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarking.acceleration.operator_samples import many, operator, tensor
from exporting.tflite_samples import sample

from tfday7.benchmarking.acceleration import Judgement
from tfday7.benchmarking.acceleration.operators import Operator
from tfday7.benchmarking.acceleration.targets import gpu
from tfday7.exporting.tflite_file import read

GIVEN, MADE = tensor(0, (1, 8, 8, 4)), tensor(1, (1, 8, 8, 4))


def judged(name: str, kind: str = "float32") -> Judgement:
    return gpu.judge(Path("model.tflite"), read(sample(name, kind)))


def reasons(found: Judgement) -> dict[str, str]:
    return {verdict.op: verdict.reason.id for verdict in found.not_accelerated if verdict.reason}


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_a_convolutional_model_runs_on_the_gpu_whole(kind: str) -> None:
    found = judged("conv", kind)
    assert found.share_of_operators == 1.0
    assert found.share_of_macs == 1.0
    assert [note.id for note in found.notes] == ["note.rules"] + (["note.gpu_int8"] if kind == "int8" else [])


def test_recurrent_layers_and_loops_do_not() -> None:
    assert reasons(judged("lstm"))["UNIDIRECTIONAL_SEQUENCE_LSTM"] == "reason.operator"
    found = reasons(judged("gru"))
    assert found["WHILE"] == "reason.control"
    assert found["TANH"] == "reason.loop"


def test_of_several_parts_the_gpu_takes_the_largest() -> None:
    """A reshape before the loop and a dense layer behind it: two parts of one operator each."""
    found = judged("gru")
    assert [verdict.op for verdict in found.accelerated] == ["RESHAPE"]
    (part,) = found.by_reason()["reason.part"]
    assert part.op == "FULLY_CONNECTED"
    assert part.reason is not None
    assert part.reason.values["parts"] == 2


def test_what_the_list_of_operators_leaves_out_is_named() -> None:
    found = gpu.judge(Path("model.tflite"), read(many("float32")))
    assert {verdict.op for verdict in found.by_reason()["reason.operator"]} >= {"LOG_SOFTMAX", "ARG_MAX"}
    assert {"CONV_2D", "SOFTMAX", "MEAN", "PAD", "GELU"} <= {verdict.op for verdict in found.accelerated}


AXIS = tensor(5, (1,), "int32", constant=True)
REFUSED = {
    "picked": (operator("GATHER", [GIVEN, tensor(2, (2, 3), "int32")], [MADE]), "reason.option"),
    "integers": (operator("ADD", [tensor(0, dtype="int32"), tensor(2)], [MADE]), "reason.type"),
    "five axes": (operator("RELU", [tensor(0, (1, 2, 3, 4, 5))], [tensor(1, (1, 2, 3, 4, 5))]), "reason.rank"),
    "outer product": (operator("MUL", [tensor(0, (1, 8, 1)), tensor(2, (1, 1, 8))], [MADE]), "reason.shapes"),
    "ranks": (operator("ADD", [GIVEN, tensor(2, (8, 4))], [MADE]), "reason.shapes"),
    "three": (operator("ADD_N", [GIVEN, GIVEN, GIVEN], [MADE]), "reason.many_inputs"),
    "shrinking": (operator("STRIDED_SLICE", [GIVEN, AXIS, AXIS, AXIS], [MADE], shrinkAxisMask=1), "reason.option"),
    "flat slice": (operator("SLICE", [tensor(0, (1, 4)), AXIS, AXIS], [tensor(1, (1, 2))]), "reason.option"),
    "computed axis": (operator("SUM", [GIVEN, tensor(2, (1,), "float32")], [MADE]), "reason.not_constant"),
    "softer": (operator("SOFTMAX", [GIVEN], [MADE], beta=0.5), "reason.option"),
    "padding": (operator("PAD", [GIVEN, tensor(2, (5, 2), "int32", constant=True)], [MADE]), "reason.option"),
    "open": (operator("RELU", [tensor(0, (1, 4), signature=(-1, 4))], [MADE]), "reason.open_size"),
}
ACCEPTED = {
    "per channel": operator("ADD", [GIVEN, tensor(2, (4,), constant=True)], [MADE]),
    "picture and row": operator("MUL", [GIVEN, tensor(2, (1, 4))], [MADE]),
    "one row": operator("GATHER", [GIVEN, tensor(2, (3,), "int32")], [MADE]),
    "condition": operator("SELECT", [tensor(2, (1, 8, 8, 4), "bool"), GIVEN, GIVEN], [MADE]),
    "comparison": operator("GREATER", [GIVEN, tensor(2, (), constant=True)], [tensor(1, dtype="bool")]),
    "tanh": operator("CONV_2D", [GIVEN, tensor(2, (4, 3, 3, 4), constant=True)], [MADE], fusedActivationFunction=4),
}


@pytest.mark.parametrize("case", REFUSED)
def test_conditions_beside_the_list(case: str) -> None:
    entry, expected = REFUSED[case]
    found = gpu.rule(entry)
    assert found is not None
    assert found.id == expected
    assert found.text("en")
    assert found.text("zh")


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_keeps_the_conditions_is_taken(case: str) -> None:
    entry: Operator = ACCEPTED[case]
    assert gpu.rule(entry) is None

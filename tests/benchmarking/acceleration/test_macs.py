"""Multiply-accumulates against visible arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarking.acceleration.operator_samples import operator, tensor
from exporting.tflite_samples import sample

from tfday7.benchmarking.acceleration.macs import macs_of
from tfday7.benchmarking.acceleration.operators import operators
from tfday7.exporting.tflite_file import read


def counts(name: str, kind: str = "float32") -> dict[str, list[int | None]]:
    found: dict[str, list[int | None]] = {}
    for entry in operators(read(sample(name, kind))):
        found.setdefault(entry.op, []).append(macs_of(entry))
    return found


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_convolutions_and_dense_layers(kind: str) -> None:
    assert counts("conv", kind) == {
        "CONV_2D": [4 * 4 * 8 * (3 * 3 * 3), 4 * 4 * 16 * (1 * 1 * 8)],
        "DEPTHWISE_CONV_2D": [4 * 4 * 8 * (3 * 3)],
        "MEAN": [0],
        "FULLY_CONNECTED": [16 * 3],
    }


def test_a_recurrent_layer_applies_its_matrices_in_every_step() -> None:
    steps, channels, units = 6, 4, 8
    assert counts("lstm")["UNIDIRECTIONAL_SEQUENCE_LSTM"] == [steps * 4 * (channels * units + units * units)]


def test_what_a_loop_does_is_not_known() -> None:
    found = counts("gru")
    assert found["WHILE"] == [None]
    assert found["TANH"] == [None]
    assert found["FULLY_CONNECTED"][0] == 8 * 2  # Outside of the loop.


def test_transposed_convolutions_count_what_each_input_reaches() -> None:
    size, kernel = tensor(0, (4,), "int32", constant=True), tensor(1, (8, 3, 3, 4), constant=True)
    given, made = tensor(2, (1, 5, 5, 4)), tensor(3, (1, 10, 10, 8))
    assert macs_of(operator("TRANSPOSE_CONV", [size, kernel, given], [made])) == 5 * 5 * 4 * 3 * 3 * 8


@pytest.mark.parametrize(("shape", "options"), [((2, 8, 16), {}), ((2, 16, 8), {"adjX": True})])
def test_products_of_matrices(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    made = operator("BATCH_MATMUL", [tensor(0, shape), tensor(1, (2, 16, 4))], [tensor(2, (2, 8, 4))], **options)
    assert macs_of(made) == 2 * 8 * 4 * 16

"""Which operators and types TFLite Micro takes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploying.made_bundles import convert, dense
from deploying.micro.conftest import needs_tflite_micro
from support import run_python

from tfday7.core.frameworks import keras
from tfday7.deploying.bundle import Bundle
from tfday7.deploying.micro import ops
from tfday7.exporting import tflite_file
from tfday7.exporting.tflite_contents import Operator, Summary
from tfday7.exporting.weight_only import with_integer_weights


@pytest.fixture(scope="module")
def summary(bundles: dict[str, Bundle]) -> Summary:
    return tflite_file.read(bundles["cnn_int8"].model)


def wide() -> Any:
    """Returns a layer of 32 * 32 weights: the converter quantizes no weights with fewer than 1,024 elements."""
    inputs = keras.Input((32,))
    return keras.Model(inputs, keras.layers.Dense(32)(inputs))


@needs_tflite_micro
def test_the_table_is_what_the_installed_tflite_micro_has() -> None:
    ended = run_python(str(Path(__file__).parent / "ask_tflite_micro.py"))
    assert ended.code == 0, ended.err
    assert set(json.loads(ended.out)) == set(ops.METHODS)


def test_methods_add_exactly_the_operators_of_a_file(summary: Summary) -> None:
    assert ops.methods(summary) == ["AddConv2D", "AddFullyConnected", "AddMaxPool2D", "AddReshape"]
    assert ops.METHODS["UNIDIRECTIONAL_SEQUENCE_LSTM"] == "AddUnidirectionalSequenceLSTM"
    assert ops.METHODS["SPACE_TO_BATCH_ND"] == "AddSpaceToBatchNd"
    assert ops.METHODS["RESIZE_NEAREST_NEIGHBOR"] == "AddResizeNearestNeighbor"


def test_nothing_is_said_against_what_runs(bundles: dict[str, Bundle]) -> None:
    assert [ops.problems(tflite_file.read(bundle.model)) for bundle in bundles.values()] == [[]] * len(bundles)


def test_missing_and_custom_operators_are_named(summary: Summary) -> None:
    added = (
        Operator("TILE", 1, 1, custom=False, flex=False),
        Operator("GELU", 1, 1, custom=False, flex=False),
        Operator("Mine", 1, 1, custom=True, flex=False),
        Operator("VAR_HANDLE", 1, 1, custom=False, flex=False),
    )
    changed = dataclasses.replace(summary, operators=(*summary.operators, *added))
    assert ops.problems(changed) == [
        "custom operators: Mine",
        "operators that TFLite Micro does not have: GELU, TILE",
        "resource variables (VAR_HANDLE), which this bundle does not set up",
    ]


def test_a_float16_file_is_refused_by_its_type() -> None:
    content = convert(dense(4, 3), np.zeros((1, 4), np.float32), "float16")
    assert ops.problems(tflite_file.read(content)) == ["numbers of types that its kernels do not take: float16"]


def test_dynamic_range_weights_are_refused() -> None:
    content = convert(wide(), np.zeros((1, 32), np.float32), "dynamic")
    (problem,) = ops.problems(tflite_file.read(content))
    assert problem == "dynamic-range weights: FULLY_CONNECTED with int8 weights and float32 inputs"


@pytest.mark.parametrize(
    ("bits", "problem"),
    [
        (8, "DEQUANTIZE of weights with a scale for each channel, of which its kernel takes one for all"),
        (4, "DEQUANTIZE of int4, which its kernel does not take"),
    ],
)
def test_files_of_weights_alone_are_refused(bits: int, problem: str) -> None:
    """Of 8 bits TFLite Micro computes with the first channel's scale, and answers wrong without a word."""
    content = with_integer_weights(convert(wide(), np.zeros((1, 32), np.float32)), bits)
    assert ops.problems(tflite_file.read(content)) == [problem]


def test_weights_with_one_scale_for_all_are_unpacked() -> None:
    read = tflite_file.read(with_integer_weights(convert(wide(), np.zeros((1, 32), np.float32)), 8))
    tensors = tuple(dataclasses.replace(t, scales=min(t.scales, 1)) for t in read.tensors)
    assert ops.problems(dataclasses.replace(read, tensors=tensors)) == []


def test_open_sizes_and_sparse_weights_are_refused(summary: Summary) -> None:
    first, *others = summary.tensors
    for changes, problem in (
        ({"signature": (-1, *first.shape[1:])}, "tensors whose size is open until it runs"),
        ({"is_sparse": True}, "sparse weights"),
    ):
        changed = dataclasses.replace(summary, tensors=(dataclasses.replace(first, **changes), *others))
        assert ops.problems(changed) == [problem]

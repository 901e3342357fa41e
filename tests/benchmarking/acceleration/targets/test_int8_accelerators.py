"""NNAPI and the Edge TPU: int8 from end to end, and what they refuse even then."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from benchmarking.acceleration.operator_samples import operator, tensor, weights
from exporting.tflite_samples import sample

from tfday7.benchmarking.acceleration import Judgement
from tfday7.benchmarking.acceleration.targets import edgetpu, nnapi
from tfday7.core.frameworks import tf
from tfday7.exporting.tflite_file import read

BOTH = pytest.mark.parametrize("target", [nnapi, edgetpu], ids=["nnapi", "edgetpu"])
GIVEN, MADE = tensor(0, (1, 8, 8, 4), "int8"), tensor(1, (1, 8, 8, 4), "int8")


def reasons(found: Judgement) -> dict[str, str]:
    return {verdict.op: verdict.reason.id for verdict in found.not_accelerated if verdict.reason}


@functools.cache
def per_tensor_dense() -> bytes:
    """Returns an int8 dense layer with one scale for all of its weights."""
    module = tf.Module()
    spec, matrix = tf.TensorSpec((1, 8), tf.float32, name="input"), weights(8, 4)
    module.serve = tf.function(lambda x: {"output": tf.matmul(x, matrix)}, input_signature=[spec], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.eye(8, dtype=np.float32)[i : i + 1]] for i in range(8))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter.convert()


@BOTH
def test_floating_point_is_refused_operator_by_operator(target: object) -> None:
    for kind in ("float32", "float16"):
        found = target.judge(Path("m.tflite"), read(sample("conv", kind)))
        assert found.share_of_operators == 0
        assert set(reasons(found).values()) == {"reason.not_int8"}


@BOTH
def test_int8_convolutions_are_taken_and_a_dense_layer_with_a_scale_per_channel_is_not(target: object) -> None:
    found = target.judge(Path("m.tflite"), read(sample("conv", "int8")))
    assert {verdict.op for verdict in found.accelerated} == {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN"}
    assert reasons(found) == {"FULLY_CONNECTED": "reason.per_channel"}


@BOTH
def test_a_dense_layer_with_one_scale_is_taken(target: object) -> None:
    found = target.judge(Path("m.tflite"), read(per_tensor_dense()))
    assert [verdict.op for verdict in found.accelerated] == ["FULLY_CONNECTED"]


def test_an_int8_lstm_has_kernels_on_the_edge_tpu_alone() -> None:
    summary = read(sample("lstm", "int8"))
    assert reasons(nnapi.judge(Path("m.tflite"), summary))["UNIDIRECTIONAL_SEQUENCE_LSTM"] == "reason.operator_int8"
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in {v.op for v in edgetpu.judge(Path("m.tflite"), summary).accelerated}


def test_behind_a_refused_operator_the_edge_tpu_takes_nothing() -> None:
    """It has no GATHER, with which a model of token ids begins; NNAPI has."""
    summary = read(sample("tokens", "int8"))
    found = reasons(edgetpu.judge(Path("m.tflite"), summary))
    assert (found["GATHER"], found["MEAN"]) == ("reason.operator", "reason.behind")
    assert {"GATHER", "MEAN"} <= {verdict.op for verdict in nnapi.judge(Path("m.tflite"), summary).accelerated}


STRIDES = {values: tensor(3, (2,), "int32", constant=True, values=values) for values in ((1, 1), (1, 2))}
KERNEL = tensor(2, (4, 3, 3, 4), "int8", constant=True)
BATCH_PADDING, PADDING = (
    tensor(2, (4, 2), "int32", constant=True, values=values) for values in ((1, *[0] * 7), (0, 0, 1, 1, 0, 0, 0, 0))
)
EDGE_TPU = [
    (operator("CONV_2D", [GIVEN, KERNEL], [MADE], dilationHFactor=2), "reason.option"),
    (operator("MAX_POOL_2D", [GIVEN], [MADE], fusedActivationFunction=1), "reason.activation"),
    (operator("STRIDED_SLICE", [GIVEN, GIVEN, GIVEN, STRIDES[1, 2]], [MADE]), "reason.option"),
    (operator("STRIDED_SLICE", [GIVEN, GIVEN, GIVEN, STRIDES[1, 1]], [MADE]), None),
    (operator("SOFTMAX", [GIVEN], [tensor(1, (1, 20_000), "int8")]), "reason.option"),
    (operator("SOFTMAX", [GIVEN], [tensor(1, (1, 10), "int8")]), None),
    (operator("RELU", [tensor(0, (2, 8, 8, 4), "int8")], [MADE]), "reason.rank"),
    (operator("RELU", [tensor(0, (1, 8), "int8", signature=(-1, 8))], [MADE]), "reason.open_size"),
    (operator("PAD", [GIVEN, BATCH_PADDING], [MADE]), "reason.option"),
    (operator("PAD", [GIVEN, PADDING], [MADE]), None),
    (operator("GELU", [GIVEN], [MADE]), "reason.operator"),
]  # fmt: skip
NNAPI = [
    (operator("CONCATENATION", [GIVEN, GIVEN], [MADE], fusedActivationFunction=1), "reason.activation"),
    (operator("MEAN", [GIVEN, STRIDES[1, 1]], [tensor(1, (), "int8")]), "reason.option"),
    (operator("SOFTMAX", [tensor(0, (1, 1, 1, 1, 4), "int8")], [MADE]), "reason.rank"),
    (operator("TRANSPOSE", [GIVEN, tensor(2, (4,), "int8")], [MADE]), "reason.not_constant"),
    (operator("EXP", [GIVEN], [MADE]), "reason.operator_int8"),
    (operator("GELU", [GIVEN], [MADE]), "reason.operator"),
    (operator("SOFTMAX", [GIVEN], [MADE]), None),
]


@pytest.mark.parametrize("place", range(len(EDGE_TPU)))
def test_conditions_of_the_edge_tpu(place: int) -> None:
    entry, expected = EDGE_TPU[place]
    found = edgetpu.rule(entry)
    assert (found.id if found else None) == expected


@pytest.mark.parametrize("place", range(len(NNAPI)))
def test_conditions_of_nnapi(place: int) -> None:
    entry, expected = NNAPI[place]
    found = nnapi.rule(entry)
    assert (found.id if found else None) == expected

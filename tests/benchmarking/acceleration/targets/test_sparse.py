"""When zeros save time: a small network of the shape that sparse kernels are for, and what spoils it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.benchmarking.acceleration import Judgement
from tfday7.benchmarking.acceleration.targets import sparse
from tfday7.core.frameworks import tf
from tfday7.exporting.tflite_file import read


def kernel(*shape: int, zeros: float = 0.0) -> Any:
    values = np.random.default_rng(3).normal(size=shape)
    kept = np.random.default_rng(4).permutation(values.size) >= zeros * values.size
    return tf.constant(values * kept.reshape(shape), tf.float32)


@functools.cache
def network(zeros: float, stride: int = 2, sparse_storage: bool = True, kind: str = "float32") -> bytes:
    """Returns a 3x3 stem, a depthwise and a 1x1 convolution, and a mean; `zeros` of the 1x1's weights are 0."""
    pointwise = kernel(1, 1, 16, 32, zeros=zeros)
    stem, depthwise = kernel(3, 3, 3, 16), kernel(3, 3, 16, 1)

    def serve(x: Any) -> dict[str, Any]:
        x = tf.nn.relu(tf.nn.conv2d(x, stem, stride, "SAME"))
        x = tf.nn.relu(tf.nn.depthwise_conv2d(x, depthwise, (1, 1, 1, 1), "SAME"))
        return {"output": tf.reduce_mean(tf.nn.conv2d(x, pointwise, 1, "SAME"), (1, 2))}

    module = tf.Module()
    spec = tf.TensorSpec((1, 8, 8, 3), tf.float32, name="input")
    module.serve = tf.function(serve, input_signature=[spec], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    if sparse_storage:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    if kind == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        examples = np.random.default_rng(5).normal(size=(8, 1, 8, 8, 3)).astype(np.float32)
        converter.representative_dataset = lambda: ([example] for example in examples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def judged(folder: Path, **settings: Any) -> Judgement:
    path = folder / "model.tflite"
    path.write_bytes(network(**settings))
    return sparse.judge(path, read(path))


def test_the_pointwise_convolution_gets_faster_and_what_is_around_it_may_stay(tmp_path: Path) -> None:
    found = judged(tmp_path, zeros=0.9)
    (pointwise,) = found.accelerated
    assert pointwise.op == "CONV_2D"
    assert pointwise.macs == 4 * 4 * 16 * 32
    assert set(found.by_reason()) <= {"reason.sparse_between", "reason.sparse_operator"}


def test_zeros_that_are_stored_save_no_time(tmp_path: Path) -> None:
    found = judged(tmp_path, zeros=0.9, sparse_storage=False)
    assert found.accelerated == ()
    (pointwise,) = found.by_reason()["reason.sparse_stored_dense"]
    assert pointwise.reason is not None
    assert pointwise.reason.text().startswith("90% of the weights of this CONV_2D are zeros")


def test_half_of_the_weights_is_too_few(tmp_path: Path) -> None:
    found = judged(tmp_path, zeros=0.5, sparse_storage=False)
    assert set(found.by_reason()) == {"reason.sparse_few_zeros"}
    reason = found.not_accelerated[0].reason
    assert reason is not None
    assert reason.values["share"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"kind": "int8", "sparse_storage": False}, "reason.sparse_int8"), ({"stride": 1}, "reason.sparse_no_stem")],
)
def test_int8_and_another_stem_have_no_sparse_kernels(settings: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert set(judged(tmp_path, zeros=0.9, **settings).by_reason()) == {expected}

"""Profiles by operators, of every runtime that has one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting.tflite_samples import converted, examples, sample

from tfday7.benchmarking import profile_litert
from tfday7.benchmarking.profiling import Profile, profile
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf


def written(content: bytes, folder: Path) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def matrix(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32)


def lopsided() -> bytes:
    """Returns a file with one product of 256 * 512 numbers beside one of 512 * 2."""
    spec = tf.TensorSpec((8, 256), tf.float32, name="input")
    large, small = tf.constant(matrix(256, 512)), tf.constant(matrix(512, 2))
    return converted(lambda x: {"output": tf.matmul(tf.nn.relu(tf.matmul(x, large)), small)}, spec)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """The same as ONNX."""
    onnx = pytest.importorskip("onnx")
    value, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            node("MatMul", ["x", "large"], ["a"], "first"),
            node("Relu", ["a"], ["b"], "middle"),
            node("MatMul", ["b", "small"], ["y"], "last"),
        ],
        "g",
        [value("x", onnx.TensorProto.FLOAT, [8, 256])],
        [value("y", onnx.TensorProto.FLOAT, [8, 2])],
        [
            onnx.numpy_helper.from_array(matrix(256, 512), "large"),
            onnx.numpy_helper.from_array(matrix(512, 2), "small"),
        ],
    )
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def is_whole(found: Profile) -> None:
    """Checks what holds for every profile."""
    times = [row.ms for row in found.rows if row.ms is not None]
    assert all(time >= 0 for time in times)
    assert found.sum_ms == pytest.approx(sum(times), abs=1e-4)
    assert sum(row.share for row in found.rows if row.share is not None) == pytest.approx(1, abs=0.01)
    assert found.whole_ms > 0
    assert found.rounds > 0
    assert all((row.ms is None) == (row.reason is not None) for row in found.rows)
    assert all(note.text("en") and note.text("zh") for note in found.notes)
    assert json.loads(json.dumps(found.to_json()))["sum_ms"] == found.sum_ms


@pytest.mark.parametrize(
    ("name", "kind", "operators"),
    [
        ("conv", "int8", ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED"]),
        ("lstm", "float32", ["UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "FULLY_CONNECTED"]),
        ("gru", "float32", ["RESHAPE", "WHILE", "STRIDED_SLICE", "FULLY_CONNECTED"]),
    ],
)
def test_litert_times_every_operator_alone(name: str, kind: str, operators: list[str], tmp_path: Path) -> None:
    x = examples(name, 1).astype(np.int8 if kind == "int8" else np.float32)
    found = profile(written(sample(name, kind), tmp_path), "litert", x, 1)
    is_whole(found)
    assert [row.op for row in found.rows] == operators
    assert all(row.ms for row in found.rows)
    assert found.call_ms is not None
    assert found.call_ms < 1


def test_the_larger_product_takes_the_larger_share(tmp_path: Path) -> None:
    found = profile(written(lopsided(), tmp_path), "litert", matrix(8, 256), 1)
    first, last = found.rows
    assert (first.op, last.op) == ("FULLY_CONNECTED", "FULLY_CONNECTED")
    assert first.share is not None
    assert first.share > 0.6


def test_unpacking_has_a_reason_instead_of_a_time(tmp_path: Path) -> None:
    found = profile(written(sample("conv", "float16"), tmp_path), "litert", examples("conv", 1), 1)
    is_whole(found)
    reasons = {row.op: row.reason.id for row in found.rows if row.reason}
    assert reasons == {"DEQUANTIZE": "profile.constant"}
    assert sum(row.op == "CONV_2D" and row.ms is not None for row in found.rows) == 2


def test_a_batch_and_threads_are_taken(tmp_path: Path) -> None:
    found = profile(written(sample("conv"), tmp_path), "litert", examples("conv", 4), 2)
    is_whole(found)
    assert not any(row.reason for row in found.rows)


def test_shares_and_sums_are_those_of_the_medians(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(runs: list[Callable[[], None]], prepare: Any) -> tuple[list[float], int]:
        assert len(runs) == len(prepare)
        return [9.0, 0.5, *(float(at + 1) for at in range(len(runs) - 2))], 7  # The whole, an empty call, operators.

    monkeypatch.setattr(profile_litert, "medians", fake)
    monkeypatch.setattr(profile_litert, "GROUP", 2)
    found = profile(written(sample("conv"), tmp_path), "litert", examples("conv", 1), 1)
    assert [row.ms for row in found.rows] == [1.0, 2.0, 1.0, 2.0, 1.0]  # Groups of two, two and one.
    assert found.sum_ms == 7.0
    assert [row.share for row in found.rows] == [round(ms / 7, 4) for ms in (1, 2, 1, 2, 1)]
    assert (found.whole_ms, found.call_ms, found.rounds) == (9.0, 0.5, 7)


def test_onnx_runtime_tells_of_its_nodes(onnx_file: Path) -> None:
    found = profile(onnx_file, "onnxruntime", matrix(8, 256), 1)
    is_whole(found)
    assert found.call_ms is None
    products = [row for row in found.rows if "MatMul" in row.op]
    assert len(products) == 2
    assert max(found.rows, key=lambda row: row.ms or 0.0) == products[0]
    assert sorted(entry.name for entry in onnx_file.parent.iterdir()) == ["model.onnx"]  # No profile is left behind.


@pytest.mark.parametrize("batch", [8, 2])
def test_openvino_tells_of_its_layers(onnx_file: Path, batch: int) -> None:
    found = profile(onnx_file, "openvino", matrix(8, 256)[:batch], 1)
    is_whole(found)
    assert {row.op for row in found.rows} >= {"FullyConnected"}


def test_a_runtime_without_a_profile_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tensorflow") as caught:
        profile(written(sample("conv"), tmp_path), "tensorflow", examples("conv", 1), 1)
    assert "litert" in caught.value.hint


def test_files_that_cannot_be_loaded_are_user_errors(tmp_path: Path) -> None:
    spec = tf.TensorSpec((1, 4), tf.float32, name="input")
    flex = written(converted(lambda x: {"output": tf.math.erf(x)}, spec), tmp_path)
    with pytest.raises(UserError, match="LiteRT cannot run it"):
        profile(flex, "litert", matrix(1, 4), 1)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(UserError, match="ONNX Runtime cannot load it"):
        profile(broken, "onnxruntime", matrix(1, 4), 1)
    with pytest.raises(UserError, match="OpenVINO cannot load it"):
        profile(broken, "openvino", matrix(1, 4), 1)

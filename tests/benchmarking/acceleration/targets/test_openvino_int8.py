"""OpenVINO compiles the file here and tells each layer's precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exporting.tflite_samples import sample

from tfday7.benchmarking.acceleration import TARGETS, Judgement
from tfday7.core.errors import UserError
from tfday7.exporting.tflite_file import read


def judged(content: bytes, folder: Path) -> Judgement:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return TARGETS.get("openvino_int8")(path, read(path))


def test_an_int8_file_runs_its_convolutions_in_int8_and_a_float_one_does_not(tmp_path: Path) -> None:
    int8 = judged(sample("conv", "int8"), tmp_path)
    assert int8.measured
    assert "Convolution" in {verdict.op for verdict in int8.accelerated}
    floating = judged(sample("conv"), tmp_path)
    assert floating.accelerated == ()
    assert set(floating.by_reason()) == {"reason.openvino_precision"}
    assert {verdict.reason.values["precision"] for verdict in floating.not_accelerated if verdict.reason} <= {
        "f32", "bf16", "f16",
    }  # fmt: skip


def test_a_file_that_it_cannot_read_is_not_accelerated_and_the_reason_is_its_own_words(tmp_path: Path) -> None:
    found = judged(sample("lstm", "int8"), tmp_path)
    assert found.accelerated == ()
    assert set(found.by_reason()) == {"reason.openvino_unreadable"}
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in found.notes[-1].text()


def test_an_onnx_file_needs_no_summary(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", onnx.TensorProto.FLOAT, [1, 4])],
        [value("y", onnx.TensorProto.FLOAT, [1, 3])],
        [onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "w")],
    )
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    found = TARGETS.get("openvino_int8")(path, None)
    assert [verdict.op for verdict in found.not_accelerated] == ["FullyConnected"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"OpenVINO takes \.tflite, \.onnx, \.xml"):
        TARGETS.get("openvino_int8")(tmp_path / "model.h5", None)

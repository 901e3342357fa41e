"""What a file holds, against the interpreter and arithmetic; damaged files; whether a file deserves its kind."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from exporting.tflite_samples import converted, model, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.exporting import tflite_file
from tfday7.exporting.tflite_file import Summary, constant, float_islands, notes, problems, read

KINDS = ("float32", "float16", "dynamic", "int8", "int16x8")
SAMPLES = [(name, kind) for name in ("conv", "dense", "tokens") for kind in KINDS]
SAMPLES += [("lstm", "float32"), ("lstm", "int8")]


def summary(name: str, kind: str = "float32") -> Summary:
    return read(sample(name, kind))


@pytest.mark.parametrize(("name", "kind"), SAMPLES)
def test_tensors_are_those_that_the_interpreter_reports(name: str, kind: str) -> None:
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=sample(name, kind), experimental_op_resolver_type=plain)
    found = {tensor.index: tensor for tensor in summary(name, kind).tensors}
    reported = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    assert set(found) <= set(reported)  # The runtime adds scratch tensors of its own.
    for index, tensor in found.items():
        detail = reported[index]
        assert tensor.name == detail["name"]
        assert tensor.dtype == np.dtype(detail["dtype"]).name
        assert tensor.shape == tuple(detail["shape"])
        assert tensor.scales == len(detail["quantization_parameters"]["scales"])
        assert (tensor.scale or 0.0) == pytest.approx(detail["quantization"][0])
    given_names = [tensor.name for tensor in summary(name, kind).inputs]
    assert given_names == [detail["name"] for detail in interpreter.get_input_details()]


def test_operators_are_counted_and_their_options_read() -> None:
    found = summary("conv")
    counts = {operator.name: operator.count for operator in found.operators}
    assert counts == {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 1, "MEAN": 1, "FULLY_CONNECTED": 1}
    assert not any(operator.custom or operator.flex for operator in found.operators)
    first = next(node for node in found.nodes if node.op == "CONV_2D")
    assert (first.options["strideH"], first.options["strideW"]) == (2, 2)
    assert found.inputs_of(first)[0] == found.inputs[0]
    assert found.outputs_of(first)[0].shape == (1, 4, 4, 8)


def test_weights_are_counted_in_bytes_by_their_type() -> None:
    weights, biases = 32 * 32 + 32 * 3, 32 + 3
    assert summary("dense").weight_bytes == {"float32": 4 * (weights + biases)}
    assert summary("dense", "float16").weight_bytes == {"float16": 2 * (weights + biases)}
    assert summary("dense", "int8").weight_bytes == {"int8": weights, "int32": 4 * biases}
    # Only the larger matrix has the 1,024 elements from which on the converter quantizes.
    assert summary("dense", "dynamic").weight_bytes == {"int8": 32 * 32, "float32": 4 * (32 * 3 + biases)}


def test_per_channel_and_per_tensor_scales_are_told_apart() -> None:
    found = summary("conv", "int8")
    (kernel,) = [tensor for tensor in found.tensors if tensor.shape == (8, 3, 3, 3)]
    assert kernel.is_per_channel
    assert kernel.scales == 8
    assert kernel.constant_bytes == 8 * 3 * 3 * 3
    assert found.inputs[0].is_per_tensor
    assert not found.inputs[0].is_constant
    assert not any(tensor.is_quantized for tensor in summary("conv").tensors)


def test_the_values_of_axes_and_of_weights_can_be_read() -> None:
    content = sample("conv")
    found = read(content)
    mean = next(node for node in found.nodes if node.op == "MEAN")
    axes = found.inputs_of(mean)[1]
    assert axes is not None
    assert axes.values == (1, 2)
    (kernel,) = [tensor for tensor in found.tensors if tensor.shape == (8, 3, 3, 3)]
    assert kernel.values is None
    given = model("conv").layers[1].get_weights()[0]  # [height, width, channels, filters]
    assert np.array_equal(constant(content, kernel), np.transpose(given, (3, 0, 1, 2)))
    with pytest.raises(ValueError, match="no constant"):
        constant(content, found.inputs[0])


def test_signatures_and_metadata_are_named() -> None:
    found = summary("conv")
    (signature,) = found.signatures.values()
    assert signature.inputs == {"input": found.inputs[0].index}
    assert signature.outputs == {"output": found.outputs[0].index}
    assert "min_runtime_version" in found.metadata
    assert found.min_runtime_version is not None
    assert [int(part) for part in found.min_runtime_version.split(".")] > [1, 0]


def test_a_fused_lstm_keeps_state_and_a_loop_has_subgraphs() -> None:
    assert summary("lstm").is_stateful
    assert not summary("conv").is_stateful
    loop = summary("gru")
    assert loop.subgraphs == 3  # The model, the condition, and the body.
    assert {node.subgraph for node in loop.nodes if node.op == "TANH"} == {2}


@pytest.mark.parametrize(("name", "kind"), SAMPLES)
def test_what_the_converter_makes_deserves_its_kind(name: str, kind: str) -> None:
    assert problems(summary(name, kind), kind) == []


def test_a_float32_file_deserves_no_other_kind() -> None:
    found = summary("dense")
    assert problems(found, "float32") == []
    assert problems(found, "float16") == ["it holds no float16 weights"]
    (dynamic,) = problems(found, "dynamic")
    assert "no int8 weights" in dynamic
    assert "1,024 elements" in dynamic
    int8 = problems(found, "int8")
    assert "not quantized at all" in int8[0]
    assert " and " in int8[1]
    assert "more stay in floating point" in int8[1]
    assert "input" in int8[2]
    assert "float32, not int8" in int8[2]
    assert "output" in int8[3]


def test_a_file_that_is_int8_between_float_ends_is_not_int8_throughout() -> None:
    """The converter leaves both ends in float32 where nobody asks for int8 ones."""
    spec = tf.TensorSpec((1, 8), tf.float32, name="input")
    weights = tf.constant(np.random.default_rng(0).normal(size=(8, 8)), tf.float32)
    content = _int8_with_float_ends(lambda x: {"output": tf.matmul(x, weights)}, spec)
    islands = float_islands(read(content))
    assert len(islands) == 2
    found = problems(read(content), "int8")
    assert any(islands[0] in sentence and islands[1] in sentence for sentence in found)
    assert sum("float32, not int8" in sentence for sentence in found) == 2


def _int8_with_float_ends(function: object, spec: object) -> bytes:
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[spec], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.eye(8, dtype=np.float32)[i : i + 1]] for i in range(8))
    return converter.convert()


def test_the_empty_float_tensors_of_a_fused_lstm_are_no_islands_and_full_ones_are() -> None:
    found = summary("lstm", "int8")
    empty = [tensor for tensor in found.tensors if tensor.is_floating]
    assert len(empty) == 4
    assert all(tensor.elements == 0 for tensor in empty)
    assert float_islands(found) == []
    full = [dataclasses.replace(tensor, shape=()) if tensor in empty else tensor for tensor in found.tensors]
    assert len(float_islands(dataclasses.replace(found, tensors=tuple(full)))) == 4  # Scalars hold one number each.


def test_int8_and_int16x8_are_told_apart() -> None:
    narrow, wide = problems(summary("conv", "int8"), "int16x8"), problems(summary("conv", "int16x8"), "int8")
    assert any("is int8, not int16" in sentence for sentence in narrow)
    assert any(sentence.startswith("activations of 8 bits") for sentence in narrow)
    assert any("is int16, not int8" in sentence for sentence in wide)
    (floating, *_) = problems(summary("conv"), "int16x8")
    assert "not quantized at all" in floating
    assert "not for speed" in notes(summary("conv", "int16x8"), "int16x8")[0]


def test_token_ids_are_no_island_of_an_int8_file() -> None:
    found = summary("tokens", "int8")
    assert found.inputs[0].dtype == "int32"
    assert problems(found, "int8") == []


def test_a_model_too_small_for_dynamic_is_told_so_and_not_failed() -> None:
    small = summary("conv", "dynamic")
    assert "int8" not in small.weight_bytes
    assert problems(small, "dynamic") == []
    assert any("fewer than 1,024 elements" in note for note in notes(small, "dynamic"))
    assert notes(summary("dense", "dynamic"), "dynamic") == []


def test_the_state_of_a_file_is_noted() -> None:
    assert any("state" in note for note in notes(summary("lstm"), "float32"))


def test_operators_that_no_plain_runtime_has_are_named() -> None:
    spec = tf.TensorSpec((1, 4), tf.float32, name="input")
    content = converted(lambda x: {"output": tf.math.digamma(tf.math.erf(x))}, spec)
    found = read(content)
    flex, custom = problems(found, "float32")
    assert flex == "it needs the Flex delegate: FlexErf"
    assert custom.endswith(": Digamma")
    with pytest.raises(RuntimeError, match="FlexErf"):
        Interpreter(model_content=content).allocate_tensors()


def test_an_unknown_kind_is_a_user_error() -> None:
    with pytest.raises(UserError, match="int9"):
        problems(summary("conv"), "int9")


def test_a_path_reads_like_its_content_and_a_missing_one_is_a_user_error(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(sample("conv"))
    assert read(path) == summary("conv")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "other.tflite")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0\0\0\0TFL3", b"PK\x03\x04 a zip archive", b"\x08\0\0\0ONNX" * 9])
def test_what_is_no_model_is_a_user_error(content: bytes) -> None:
    with pytest.raises(UserError, match="TFLite model"):
        read(content)


@pytest.mark.parametrize("name", ["conv", "lstm"])
def test_a_file_that_was_cut_off_is_a_user_error(name: str) -> None:
    content = sample(name, "int8")
    for length in range(0, len(content) - 16, 61):
        with pytest.raises(UserError):
            read(content[:length])


def test_what_follows_the_flatbuffer_does_not_matter() -> None:
    assert dataclasses.replace(read(sample("conv") + b"PK anything"), size_bytes=0) == dataclasses.replace(
        summary("conv"), size_bytes=0
    )


def _ends_soon_and_well(content: bytes) -> None:
    started = time.perf_counter()
    with contextlib.suppress(UserError):  # Anything else that is raised fails the test.
        for kind in tflite_file.KINDS:
            problems(read(content), kind)
    assert time.perf_counter() - started < 2


@settings(deadline=None, max_examples=150)
@given(data=st.data(), name=st.sampled_from(["conv", "lstm", "gru"]))
def test_flipped_bits_end_in_a_summary_or_a_user_error(data: st.DataObject, name: str) -> None:
    content = bytearray(sample(name, "float32" if name == "gru" else "int8"))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(8, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    _ends_soon_and_well(bytes(content))


@settings(deadline=None, max_examples=100)
@given(noise=st.binary(min_size=0, max_size=4096))
def test_noise_behind_the_identifier_ends_in_a_user_error_or_a_summary(noise: bytes) -> None:
    _ends_soon_and_well(b"\x1c\0\0\0TFL3" + noise)


def test_lists_that_claim_more_than_the_file_holds_end_soon() -> None:
    """Every length in the file made huge, one after the other: whatever is a list's then claims 4 billion entries."""
    content = sample("conv")
    for place in range(8, 1500, 8):
        _ends_soon_and_well(content[:place] + b"\xff\xff\xff\x7f" + content[place + 4 :])


def test_weights_that_do_not_fill_their_shape_are_named() -> None:
    content = bytearray(sample("conv"))
    shape = np.array([3, 16], np.int32).tobytes()
    at = content.index(shape)
    content[at : at + 8] = np.array([3, 17], np.int32).tobytes()
    with pytest.raises(UserError, match=r"bytes; its shape needs 204"):
        read(bytes(content))

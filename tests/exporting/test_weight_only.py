"""Integer weights that are unpacked to float32, against arithmetic and against LiteRT with and without XNNPACK."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from exporting.tflite_samples import examples, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.exporting import tflite_file, weight_only
from tfday7.exporting.tflite_editing import Editor
from tfday7.exporting.weights_report import stored_numbers, weights_report

RESOLVERS = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def outputs(content: bytes, name: str, resolver: OpResolverType = OpResolverType.AUTO) -> np.ndarray:
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    found = []
    for example in examples(name, 10):
        interpreter.reset_all_variables()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], example[np.newaxis])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.concatenate(found)


@pytest.mark.parametrize(("bits", "most"), [(8, 127), (4, 7)])
def test_each_channel_has_its_own_scale_and_is_rounded_to_the_nearest_step(bits: int, most: int) -> None:
    weights = np.array([[1.0, -0.5, 0.26], [100.0, 50.0, -26.0]], np.float32)
    numbers, scales = weight_only.quantized(weights, bits, axis=0)
    np.testing.assert_array_equal(numbers[0], numbers[1] * [1, -1, -1])
    np.testing.assert_allclose(scales[1] / scales[0], 100.0, rtol=1e-6)
    assert np.abs(numbers).max() == most
    assert (np.abs(numbers * scales[:, np.newaxis] - weights) <= most * scales[:, np.newaxis] * 0.51 / most).all()
    along_columns, _ = weight_only.quantized(weights.T, bits, axis=1)
    np.testing.assert_array_equal(along_columns.T, numbers)


def test_four_bits_take_the_scale_of_the_least_squared_error() -> None:
    weights = np.concatenate([np.random.default_rng(0).normal(size=999), [6.0]]).reshape(1, -1).astype(np.float32)
    numbers, scales = weight_only.quantized(weights, 4, axis=0)
    chosen = np.sum((numbers * scales[0] - weights) ** 2)
    plain = np.sum((np.rint(weights / (6.0 / 7)) * (6.0 / 7) - weights) ** 2)
    assert chosen < 0.7 * plain


def test_a_channel_of_zeros_stays_one() -> None:
    numbers, scales = weight_only.quantized(np.zeros((2, 3), np.float32), 4, axis=0)
    assert not numbers.any()
    assert (scales > 0).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-7, 7), min_size=1, max_size=33))
def test_packed_numbers_are_two_a_byte_the_first_below(numbers: list[int]) -> None:
    data = weight_only.packed(np.array(numbers, np.int8))
    assert len(data) == (len(numbers) + 1) // 2
    halves = [half for byte in data for half in (byte & 15, byte >> 4)]
    assert [half - 16 if half > 7 else half for half in halves][: len(numbers)] == numbers


@pytest.mark.parametrize(("name", "bits"), [(n, b) for n in ("conv", "dense", "lstm") for b in (8, 4)])
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_litert_computes_with_what_the_integers_stand_for(name: str, bits: int, resolver: OpResolverType) -> None:
    """The same as a float32 file whose weights were rounded, which is made here by hand."""
    content = weight_only.with_integer_weights(sample(name), bits)
    rounded = Editor(sample(name))
    for _, _, tensor, _ in rounded.constants():
        shape = rounded.shape(tensor)
        if rounded.dtype(tensor) == "float32" and len(shape) > 1 and np.prod(shape) >= 256:
            numbers, scales = weight_only.quantized(rounded.values(tensor), bits, 0)
            values = (numbers * scales.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)
            rounded.model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    expected = outputs(rounded.content(), name, resolver)
    np.testing.assert_allclose(outputs(content, name, resolver), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "bits"), [("weight_int8", 8), ("weight_int4", 4)])
def test_the_file_deserves_its_kind_and_no_other(kind: str, bits: int) -> None:
    content = weight_only.with_integer_weights(sample("dense"), bits)
    found = tflite_file.read(content)
    assert tflite_file.problems(found, kind) == []
    assert found.min_runtime_version is None
    assert found.weight_bytes[f"int{bits}"] == 32 * 32 * bits // 8
    other = {"weight_int8": "weight_int4", "weight_int4": "weight_int8"}[kind]
    (problem,) = tflite_file.problems(found, other)
    assert problem.startswith("weights that are not")
    (problem,) = tflite_file.problems(tflite_file.read(sample("dense")), kind)
    assert "MatMul" in problem
    activations = tflite_file.problems(tflite_file.read(sample("dense", "int8")), kind)
    assert any(sentence.startswith("activations that are not floating point") for sentence in activations)


def test_a_model_of_small_weights_is_told_so() -> None:
    content = weight_only.with_integer_weights(sample("tokens"), 8)  # 20 * 8 = 160 numbers at most.
    assert tflite_file.problems(tflite_file.read(content), "weight_int8") == []
    assert "no weight was quantized" in tflite_file.notes(tflite_file.read(content), "weight_int8")[0]


def test_constants_start_at_multiples_of_16_bytes() -> None:
    from ai_edge_litert.schema_py_generated import Model

    content = weight_only.with_integer_weights(sample("conv"), 8)
    model = Model.GetRootAs(content, 0)
    for index in range(model.BuffersLength()):
        if not model.Buffers(index).DataIsNone():
            data = model.Buffers(index).DataAsNumpy()
            assert (data.__array_interface__["data"][0] - np.frombuffer(content, np.uint8).ctypes.data) % 16 == 0


def test_what_is_stored_is_read_back() -> None:
    editor = Editor(weight_only.with_integer_weights(sample("dense"), 4))
    (weights,) = [tensor for _, _, tensor, _ in editor.constants() if editor.dtype(tensor) == "int4"]
    given = next(tensor for _, _, tensor, _ in Editor(sample("dense")).constants() if tensor.shape.tolist() == [32, 32])
    expected, _ = weight_only.quantized(Editor(sample("dense")).values(given), 4, 0)
    np.testing.assert_array_equal(stored_numbers(editor, weights), expected)
    (report,) = [each for each in weights_report(editor.content()) if each.dtype == "int4"]
    assert report.sparsity == float(np.mean(expected == 0))
    assert report.distinct_values == len(np.unique(expected)) <= 15


def test_what_is_no_model_is_the_users_error() -> None:
    with pytest.raises(UserError, match="TFLite model"):
        weight_only.with_integer_weights(b"nothing", 8)

"""Files without their zeros: smaller, and the same answers to the bit."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from exporting.tflite_samples import converted, sample
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfday7.core.frameworks import keras, tf
from tfday7.exporting import sparse_encoding, tflite_file
from tfday7.exporting.sparse_encoding import decoded, encoded, without_zeros
from tfday7.exporting.weights_report import weights_report

SHAPE = (8, 8, 16)
KINDS = ("float32", "float16", "dynamic", "int8")
CONVOLUTION = (64, 3, 3, 64)


@functools.cache
def pruned(kind: str, sparsity: float) -> bytes:
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(64, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(64, 3, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    for weight in model.trainable_weights:
        values = weight.numpy()
        if values.ndim > 1:
            weight.assign(np.where(np.abs(values) < np.quantile(np.abs(values), sparsity), 0, values))
    spec = tf.TensorSpec((1, *SHAPE), tf.float32, name="input")
    return converted(lambda x: {"output": model(x)}, spec, kind, inputs_of("float32"), model.variables)


@functools.cache
def inputs_of(dtype: str) -> np.ndarray:
    generator = np.random.default_rng(1)
    if dtype == "int8":
        return generator.integers(-128, 128, (5, *SHAPE)).astype(np.int8)
    return generator.normal(size=(5, *SHAPE)).astype(np.float32)


def outputs(content: bytes, resolver: OpResolverType) -> np.ndarray:
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    start, end = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    found = []
    for example in inputs_of(np.dtype(start["dtype"]).name):
        interpreter.set_tensor(start["index"], example[np.newaxis])
        interpreter.invoke()
        found.append(interpreter.get_tensor(end["index"]))
    return np.concatenate(found)


@pytest.mark.parametrize(("kind", "times"), [("float32", 3.0), ("float16", 3.0), ("int8", 2.5)])
@pytest.mark.parametrize("resolver", [OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES])
def test_nine_of_ten_zeros_make_the_file_smaller_and_leave_the_answers(
    kind: str, times: float, resolver: OpResolverType
) -> None:
    before = pruned(kind, 0.9)
    after, notes = without_zeros(before)
    assert len(before) > times * len(after)
    np.testing.assert_array_equal(outputs(after, resolver), outputs(before, resolver))
    assert f"{len(before):,} -> {len(after):,} bytes" in notes[-1]
    assert tflite_file.problems(tflite_file.read(after), kind) == []
    assert [int(part) for part in str(tflite_file.read(after).min_runtime_version).split(".")] >= [2, 2, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_of_a_sparse_file_is_that_of_the_full_one(kind: str) -> None:
    before, after = pruned(kind, 0.9), without_zeros(pruned(kind, 0.9))[0]
    facts = [
        sorted((each.shape, each.dtype, each.sparsity, each.distinct_values) for each in weights_report(content))
        for content in (before, after)
    ]
    assert facts[0] == facts[1]
    (kernel,) = [each for each in weights_report(after) if each.shape == CONVOLUTION]
    assert kernel.sparsity == pytest.approx(0.9, abs=0.005)
    assert kernel.is_sparse is (kind != "dynamic")
    assert kernel.operator == "CONV_2D"


def test_what_xnnpack_refuses_to_load_stays_in_full_with_a_note() -> None:
    after, notes = without_zeros(pruned("dynamic", 0.9))
    assert "XNNPACK" in notes[0]
    assert not any(tensor.is_sparse and tensor.dtype == "int8" for tensor in tflite_file.read(after).tensors)


def test_a_model_without_zeros_comes_back_as_it_is() -> None:
    content = sample("conv")
    after, (note,) = without_zeros(content)
    assert after == content
    assert "would have saved nothing" in note


def test_a_file_that_litert_does_not_load_comes_back_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_encoding, "_takes_sparse", lambda *given: True)
    monkeypatch.setattr(sparse_encoding, "OVERHEAD_BYTES", -1000)  # So that the small dense layer takes part.
    content = pruned("int8", 0.9)
    after, notes = without_zeros(content)
    assert after == content
    assert "LiteRT does not load the smaller file" in notes[-1]


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        np.int8,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=7),
        elements=st.sampled_from([0, 0, 0, 0, 1, -3]),
    )
)
def test_encoding_loses_nothing(values: np.ndarray) -> None:
    form = encoded(values)
    np.testing.assert_array_equal(decoded(form), values)
    assert len(form.values) == np.count_nonzero(values)
    assert form.segments[-1] == len(form.values)


def test_the_axis_that_takes_fewer_bytes_is_chosen() -> None:
    values = np.zeros((200, 3, 3, 2), np.float32)
    values[7, 1, 1, 1] = 5.0
    form = encoded(values)
    assert form.order == (1, 2, 3, 0)  # 18 rows of 200 instead of 1,800 of 2.
    assert form.segments.tolist() == [0] * 10 + [1] * 9
    assert form.indices.tolist() == [7]
    assert form.size_bytes == 4 + 19 + 1 + sparse_encoding.OVERHEAD_BYTES

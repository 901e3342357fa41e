"""The smallest arena, answers from TFLite Micro, and what becomes of models that it does not survive."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from deploying.made_bundles import convert
from deploying.micro.conftest import needs_tflite_micro
from hypothesis import given
from hypothesis import strategies as st
from support import run_python

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.deploying.bundle import Bundle
from tfday7.deploying.micro.measure_child import LARGEST, smallest_arena
from tfday7.deploying.micro.measuring import measure
from tfday7.deploying.reference import reference

SUFFICES = """
import sys
from pathlib import Path
from tfday7.deploying.micro.measure_child import suffices
print([suffices(Path(sys.argv[1]).read_bytes(), int(size)) for size in sys.argv[2:]])
"""


@given(st.integers(1, LARGEST))
def test_the_search_finds_the_next_multiple_of_16(needed: int) -> None:
    assert smallest_arena(lambda size: size >= needed) == -(-needed // 16) * 16


@needs_tflite_micro
@pytest.mark.parametrize("name", ["cnn_int8", "lstm_int8"])
def test_the_model_runs_in_the_measured_arena_and_in_none_smaller(name: str, bundles: dict[str, Bundle]) -> None:
    """The LSTM's kernel follows a null pointer when the arena is too small, which must not end the search."""
    bundle = bundles[name]
    found = reference(bundle)
    measured = measure(bundle.model, found.given, 60.0)
    assert measured.reason == ""
    assert measured.arena_bytes is not None
    sizes = (str(measured.arena_bytes - 16), str(measured.arena_bytes))
    assert run_python("-c", SUFFICES, str(bundle.model), *sizes).out == "[False, True]\n"
    assert measured.outputs is not None
    # Kernels of another origin: equal up to a step of rounding. That each example starts afresh shows in the LSTM's.
    assert np.abs(measured.outputs.astype(int) - found.made.astype(int)).max() <= 1


@needs_tflite_micro
def test_an_operator_that_is_missing_is_the_users_error(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    content = convert(
        keras.Model(inputs, keras.layers.Dense(2, activation="gelu")(inputs)), np.zeros((1, 4), np.float32)
    )
    path = tmp_path / "gelu.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"gelu\.tflite: TFLite Micro does not run it: Didn't find op .* 'GELU'"):
        measure(path, np.zeros((1, 4), np.float32), 60.0)


@needs_tflite_micro
def test_a_model_that_kills_it_is_a_reason(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    """TFLite Micro follows the number of a tensor that is not there."""
    damaged = schema.ModelT.InitFromPackedBuf(bundles["cnn_int8"].model.read_bytes(), 0)
    damaged.subgraphs[0].operators[0].inputs = [2**30, 1, 2]
    builder = flatbuffers.Builder(0)
    builder.Finish(damaged.Pack(builder), b"TFL3")
    (tmp_path / "damaged.tflite").write_bytes(bytes(builder.Output()))
    measured = measure(tmp_path / "damaged.tflite", np.zeros((1, 8, 8, 1), np.int8), 60.0)
    assert measured.arena_bytes is None
    assert measured.reason.startswith("TFLite Micro was killed by signal ")


@needs_tflite_micro
def test_no_end_in_time_is_a_reason(bundles: dict[str, Bundle]) -> None:
    measured = measure(bundles["cnn_int8"].model, np.zeros((1, 8, 8, 1), np.int8), 0.01)
    assert measured.reason == "TFLite Micro did not end within 0.01 s"


def test_without_tflite_micro_it_says_what_to_install(bundles: dict[str, Bundle], without_tflite_micro: None) -> None:
    measured = measure(bundles["cnn_int8"].model, np.zeros((1, 8, 8, 1), np.int8), 60.0)
    assert (measured.arena_bytes, measured.outputs) == (None, None)
    assert measured.reason == "tflite-micro is not installed (pip install 'tfday7[micro]')"

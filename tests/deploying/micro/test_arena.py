"""How much memory a model works in: hand-counted, and against TFLite Micro."""

from __future__ import annotations

import pytest
from deploying.micro.conftest import needs_tflite_micro

from tfday7.deploying.bundle import Bundle
from tfday7.deploying.micro import arena
from tfday7.deploying.micro.measuring import measure
from tfday7.deploying.reference import reference
from tfday7.exporting import tflite_file


def test_the_largest_activations_that_live_at_once_are_counted(bundles: dict[str, Bundle]) -> None:
    """An 8x8 image and its 6x6x4 feature map live at once: 64 + 144 numbers, of one or four bytes."""
    live = {name: arena.live_bytes(tflite_file.read(bundles[f"cnn_{name}"].model)) for name in ("int8", "float32")}
    assert live == {"int8": 8 * 8 + 6 * 6 * 4, "float32": 4 * (8 * 8 + 6 * 6 * 4)}


def test_each_tensor_takes_a_multiple_of_16_bytes(bundles: dict[str, Bundle]) -> None:
    """6 token ids (24 bytes) live beside their 6x4 embedding (96); later 16 for the mean of 4 floats."""
    assert arena.live_bytes(tflite_file.read(bundles["words_float32"].model)) == 32 + 96


@needs_tflite_micro
@pytest.mark.parametrize("name", ["cnn_int8", "cnn_float32", "lstm_int8", "words_float32"])
def test_the_estimate_is_enough_and_not_far_off(name: str, bundles: dict[str, Bundle]) -> None:
    bundle = bundles[name]
    measured = measure(bundle.model, reference(bundle).given, 60.0).arena_bytes
    assert measured is not None
    estimated = arena.estimate(tflite_file.read(bundle.model))
    assert measured <= estimated <= 3 * measured


def test_the_margin_is_an_eighth_and_at_least_a_kilobyte() -> None:
    assert arena.with_margin(1600) == 1600 + 1024
    assert arena.with_margin(80_000) == 80_000 + 10_000
    assert arena.with_margin(80_008) == 90_016  # 90,009 rounded up to a multiple of 16.

"""Small bundles of the kinds that microcontrollers run."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from deploying.made_bundles import answers_of, convert, image_classifier, made, series_classifier, word_classifier

from tfday7.deploying.bundle import Bundle
from tfday7.exporting.vectors import Vectors

HOSTILE_LABELS = ('"); system("reboot"); //', "a\\b ??/ ?", "%s${x}\t类")
needs_tflite_micro = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="tflite-micro is not installed (pip install tflite-micro)"
)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """An image classifier in int8 and float32, an LSTM in int8, and a classifier of token ids in float32."""
    root = tmp_path_factory.mktemp("micro")
    model, raw = image_classifier()
    pictures = Vectors(raw, np.asarray(model(raw / 255)))
    found = {
        f"cnn_{kind}": made(
            root / kind,
            convert(model, raw / 255, kind),
            pictures,
            f"it's a $cnn; \"x\" */ 'y'_{kind}".replace("/", "|"),
            labels=HOSTILE_LABELS,
            input={"divisor": 255.0},
        )
        for kind in ("int8", "float32")
    }
    for name, (model, raw), kind in (
        ("lstm_int8", series_classifier(), "int8"),
        ("words_float32", word_classifier(), "float32"),
    ):
        found[name] = made(root / name, convert(model, raw, kind), answers_of(model, raw), name)
    return found


@pytest.fixture
def without_tflite_micro(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where tflite-micro is not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tflite_micro" else find(name))

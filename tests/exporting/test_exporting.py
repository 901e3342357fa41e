"""A file that does not deserve its kind is made again: another process may quantize it better. Then it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from compression.qat.compared import images

from tfday7.core.frameworks import keras
from tfday7.exporting import children, exporting
from tfday7.exporting.format import FORMATS, Request
from tfday7.exporting.records import Artefact, Origin

pytestmark = pytest.mark.slow


class Bad:
    """Judges the files of a format: the first few are bad; counts what was converted, request by request."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int, attempts: int) -> None:
        self.left, self.converted, self.fresh = times, list[str](), list[bool]()
        format, convert = type(FORMATS.get("tflite")), children.convert

        def counted(requests: Sequence[Request], folder: Path, fresh: bool = False) -> list[children.Answer]:
            self.converted += [request.kind for request in requests]
            self.fresh.append(fresh)
            return convert(requests, folder, fresh)

        monkeypatch.setattr(format, "problems", lambda *_: self._judged())
        monkeypatch.setattr(format, "attempts", attempts)
        monkeypatch.setattr(children, "convert", counted)

    def _judged(self) -> list[str]:
        self.left -= 1
        return ["not int8 throughout: split stays in floating point"] if self.left >= 0 else []


def exported(folder: Path, *kinds: str) -> list[Artefact]:
    dataset = images((6, 4))
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    wanted = [("tflite", kind) for kind in kinds]
    return exporting.export(model, dataset, wanted, folder, Origin("m", "", "logits"), bisect=False)


def test_a_file_is_made_again_until_it_is_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = Bad(monkeypatch, times=2, attempts=4)
    (artefact,) = exported(tmp_path, "int8")
    assert artefact.holds
    assert bad.converted == ["int8"] * 3
    assert bad.fresh == [False, True, True]  # Forks of one process would all come out alike.


def test_one_that_stays_bad_is_refused_after_the_last_attempt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = Bad(monkeypatch, times=99, attempts=2)
    (artefact,) = exported(tmp_path, "int8")
    assert artefact.failure == "not int8 throughout: split stays in floating point"
    assert not (tmp_path / "m_int8.tflite").exists()
    assert bad.converted == ["int8"] * 2


def test_only_the_bad_one_is_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = Bad(monkeypatch, times=1, attempts=4)
    first, second = exported(tmp_path, "float32", "int8")
    assert first.holds
    assert second.holds
    assert bad.converted == ["float32", "int8", "float32"]


def test_an_unrolled_gru_is_int8_throughout_every_time(tmp_path: Path) -> None:
    """TensorFlow's quantizer leaves a split in float32 in about one process of three."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 4))
    x = keras.layers.GRU(5, unroll=True)(inputs)
    model, dataset = keras.Model(inputs, keras.layers.Dense(2)(x)), images((6, 4))
    for index in range(4):
        folder = tmp_path / str(index)
        (artefact,) = exporting.export(model, dataset, [("tflite", "int8")], folder, Origin("m", "", "logits"))
        assert not artefact.failure
        assert artefact.parity is not None
        assert np.isfinite(artefact.parity.largest_difference or np.inf)

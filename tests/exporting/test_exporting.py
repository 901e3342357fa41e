"""An export as a whole.

A file that does not deserve its kind is made again: another process may quantize it better. Then it is refused. What
goes wrong or is stopped leaves earlier artefacts alone, and never locks the folder for the next export.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compression.qat.compared import images

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting import children, exporting, made_up, writing
from tfday7.exporting.draft import Draft
from tfday7.exporting.format import FORMATS, Request
from tfday7.exporting.records import Artefact, Origin, read_artefact

pytestmark = pytest.mark.slow
WHOLE = [("saved_model", "float32")]  # Made without a converter.


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


def small() -> Any:
    inputs = keras.Input((6, 4))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))


def save(model: Any, folder: Path, dataset: Dataset, wanted: list[tuple[str, str]], **settings: Any) -> list[Artefact]:
    """Exports without looking for the layer where a file parts; the data have labels."""
    origin = Origin("m", "/runs/m", "logits", data={})
    return exporting.export(model, dataset, wanted, folder, origin, bisect=False, **settings)


def is_free(folder: Path, overwrite: bool = False) -> bool:
    exporting.check_free(folder, "/runs/m", "m", [*WHOLE, ("tflite", "float32")], overwrite)
    return True


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_export_of_which_nothing_was_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failed = children.Answer(failure="no such operator")
    monkeypatch.setattr(children, "convert", lambda requests, *_, **__: [failed] * len(requests))
    monkeypatch.setattr(exporting.KEPT, "start", lambda: None)
    (artefact,) = save(small(), tmp_path, images((6, 4)), [("tflite", "float32")])
    assert artefact.failure == "no such operator"
    assert names(tmp_path) == []
    assert is_free(tmp_path)


def test_an_export_that_was_stopped_does_not_lock_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def stopped(draft: Draft) -> Artefact:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Draft, "verify", stopped)
        with pytest.raises(KeyboardInterrupt):
            save(small(), tmp_path, images((6, 4)), WHOLE)
    assert names(tmp_path) == ["m_vectors.npz"]
    assert is_free(tmp_path)
    (artefact,) = save(small(), tmp_path, images((6, 4)), WHOLE)
    assert artefact.path
    np.savez(tmp_path / "other_vectors.npz", raw=np.arange(3))
    with pytest.raises(UserError, match=r"other_vectors\.npz was not written by an export"):
        exporting.check_free(tmp_path, "/runs/m", "other", WHOLE, overwrite=True)


def test_a_half_written_artefact_is_ours_and_nobody_takes_it_for_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (artefact,) = save(small(), tmp_path, images((6, 4)), WHOLE)
    path, other = Path(str(artefact.path)), small()

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writing.shutil, "copytree", stopped)
        with pytest.raises(KeyboardInterrupt):
            save(other, tmp_path, images((6, 4)), WHOLE)
    assert names(tmp_path) == ["README.md", "m_saved_model.json", "m_vectors.npz"]
    with pytest.raises(UserError, match="no such file"):
        read_artefact(path)
    assert is_free(tmp_path)
    save(other, tmp_path, images((6, 4)), WHOLE)
    assert read_artefact(path).recipe["weights_sha256"] != artefact.recipe["weights_sha256"]


def test_a_model_that_cannot_be_exported_leaves_the_artefacts_as_they_are(tmp_path: Path) -> None:
    model = small()
    save(model, tmp_path, images((6, 4)), WHOLE)
    before, said = contents(tmp_path), list[str]()
    weights = model.get_weights()
    weights[0][0, 0] = np.nan
    model.set_weights(weights)
    with pytest.raises(UserError, match="hold NaN or infinity"):
        save(model, tmp_path, images((6, 4)), WHOLE, say=said.append)
    assert contents(tmp_path) == before
    assert said == []


@pytest.mark.parametrize(
    "change", [lambda x: 255 - x, lambda x: x.astype(np.float32) / np.float32(255)], ids=["examples", "divisor"]
)
def test_artefacts_of_other_data_go_as_the_vectors_are_not_theirs(change: Any, tmp_path: Path) -> None:
    """Of the same examples, too, where these are divided by something else."""
    x = np.random.default_rng(0).integers(0, 256, (60, 6, 4)).astype(np.uint8)
    first, second = (prepare(Raw(each, np.arange(60) % 2), "bytes") for each in (x, change(x)))
    model, said = small(), list[str]()
    save(model, tmp_path, first, WHOLE)
    save(model, tmp_path, first, [("keras", "float32")], say=said.append)
    assert said == []
    assert "m_saved_model.json" in names(tmp_path)
    save(model, tmp_path, second, [("keras", "float32")], say=said.append)
    assert f"m_saved_model in {tmp_path} is of other data, and is removed" in said
    assert names(tmp_path) == ["README.md", "m_float32.keras", "m_float32.keras.json", "m_vectors.npz"]


def test_artefacts_of_other_input_sizes_go_too(tmp_path: Path) -> None:
    """Without data nothing else tells them apart; a file that leaves sizes open takes the new ones."""
    inputs, said = keras.Input((None, None, 3)), list[str]()
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs)))
    origin = Origin("m", "/models/m.keras", "logits")
    for size, wanted in ((8, [*WHOLE, ("keras", "float32")]), (6, WHOLE)):
        data = made_up.dataset(model, "m", (size, size, 3))
        exporting.export(model, data, wanted, tmp_path, origin, say=said.append, bisect=False)
    assert said == [f"m_saved_model in {tmp_path} is of other input sizes, and is removed"]
    assert read_artefact(tmp_path / "m_saved_model").input["shape"][1:] == [6, 6, 3]
    assert read_artefact(tmp_path / "m_float32.keras").input["shape"][1:] == [None, None, 3]

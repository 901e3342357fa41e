"""The committed models through every installed runtime: a new version of one that changes answers is noticed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import ROOT

from tfday7.core.errors import UserError
from tfday7.exporting import card, feeding, vectors
from tfday7.exporting.records import Artefact, read_artefact
from tfday7.runtimes import RUNTIMES, find, open_artefact, takes

FOLDERS = sorted(path for path in (ROOT / "tflite_models").glob("reference_*") if path.is_dir())
ARTEFACTS = [(folder, artefact) for folder in FOLDERS for artefact in card.found_in(folder)]
# OpenVINO's TFLite frontend has no fused LSTM with int8 or hybrid state.
NOT_READ = {("reference_text", "openvino", ".tflite")}


def file_of(folder: Path, artefact: Artefact) -> Path:
    return folder / Path(str(artefact.path)).name


CASES = [
    pytest.param(file_of(folder, artefact), runtime, id=f"{file_of(folder, artefact).name}-{runtime}")
    for folder, artefact in ARTEFACTS
    for runtime in RUNTIMES.names()
    if takes(runtime, file_of(folder, artefact))
]


def test_there_are_two_models_with_vectors_and_every_format() -> None:
    assert [folder.name for folder in FOLDERS] == ["reference_digits", "reference_text"]
    for folder in FOLDERS:
        formats = {artefact.format for there, artefact in ARTEFACTS if there == folder}
        assert formats == {"tflite", "onnx", "openvino", "keras"}
        assert len(vectors.read(folder / f"{folder.name}_vectors.npz")) > 8
    assert sum(path.stat().st_size for folder in FOLDERS for path in folder.iterdir()) < 1_000_000


@pytest.mark.parametrize(("path", "runtime"), CASES)
def test_a_committed_file_gives_the_answers_that_it_gave(path: Path, runtime: str) -> None:
    artefact = read_artefact(path)
    try:
        find(runtime)
    except UserError as missing:
        pytest.skip(missing.message)
    assert artefact.parity is not None
    given = vectors.read(path.with_name(str(artefact.vectors)))
    if (path.parent.name, runtime, path.suffix) in NOT_READ:
        with pytest.raises(UserError, match="OpenVINO cannot load it"):
            open_artefact(path, runtime)
        return
    runner = open_artefact(path, runtime)
    answers = feeding.predict(runner, artefact, feeding.divided(given.raw, artefact.input))
    # No further from the Keras model than the whole test set was when the file was made: a step of int8 more, or for
    # floats another order of summation.
    step = (artefact.output["scale"] or 0.0) if artefact.kind == "int8" else 0.0
    allowed = artefact.parity.largest_difference + step + 1e-5 * np.abs(given.keras).max()
    assert np.abs(answers - given.keras).max() <= allowed


def test_the_table_lists_every_committed_file_with_its_digest() -> None:
    text = (ROOT / "tflite_models" / "README.md").read_text(encoding="utf-8")
    for folder, artefact in ARTEFACTS:
        path = file_of(folder, artefact)
        assert f"`{folder.name}/{path.name}`" in text
        assert f"`{read_artefact(path).sha256}`" in text

"""Where a file parts from its model, on models that break at a known layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import GateError, UserError
from tfday7.core.frameworks import keras
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting import bisection, children, exporting
from tfday7.exporting.affine import core_of
from tfday7.exporting.bisection import Cut
from tfday7.exporting.draft import Draft
from tfday7.exporting.format import FORMATS
from tfday7.exporting.job import Job
from tfday7.exporting.records import Origin, Parity


@pytest.mark.parametrize(("layers", "broken"), [(1, 0), (5, 0), (5, 4), (40, 17), (400, 123), (13, 12)])
def test_the_search_finds_the_first_layer_that_parts_and_the_one_before(layers: int, broken: int) -> None:
    asked: list[int] = []

    def measure(cuts: list[int]) -> list[Cut]:
        asked.extend(cuts)
        return [Cut(str(cut), "Dense", 0.5 if cut >= broken else 0.01) for cut in cuts]

    measured = bisection._search(list(range(layers)), 0.1, measure)
    parting = [place for place in sorted(measured) if measured[place].parts(0.1)]
    assert parting[0] == broken
    assert broken == 0 or broken - 1 in measured
    assert len(asked) == len(set(asked)) <= 3 * bisection.CUTS


def test_where_no_part_alone_differs_nothing_more_is_asked() -> None:
    measured = bisection._search(list(range(50)), 0.1, lambda cuts: [Cut(str(cut), "Dense", 0.0) for cut in cuts])
    assert len(measured) == bisection.CUTS


def broken(scratch: Path, *layers: Any) -> tuple[Draft, Parity]:
    """Returns a float32 `.tflite` file of a model that is to be looked into, as if it had parted from the model."""
    inputs = keras.Input((6, 4))
    tensor = inputs
    for layer in layers:
        tensor = layer(tensor)
    x = np.random.default_rng(0).normal(size=(40, 6, 4)).astype(np.float32)
    dataset = prepare(Raw(x, np.arange(40) % 2), "small")
    job = Job(keras.Model(inputs, tensor), dataset, scratch, Origin("m", "", "logits"), scratch)
    worst = [{"example": 0, "difference": 1.0}]
    parity = Parity(None, None, None, 1.0, 0.1, 0.5, None, worst, 8, {"relative_difference": 1e-4}, ["too far"])
    return Draft(job, FORMATS.get("tflite"), "float32"), parity


@pytest.mark.slow
@pytest.mark.parametrize("error", [UserError("cannot write x: no space left", "free some"), OSError("disk is gone")])
def test_parts_that_cannot_be_made_are_said_and_are_not_the_end_of_the_export(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(bisection, "save_with_batch", fails)
    found = bisection.part(*broken(tmp_path, keras.layers.Dense(3), keras.layers.Dense(2)))
    assert found["sentence"] == f"where it parts is not known: the parts could not be made ({error})"
    assert (found["last_that_holds"], found["first_that_parts"], found["layers"]) == (None, None, [])
    assert [path.name for path in tmp_path.iterdir()] == ["tflite_float32"]


@pytest.mark.slow
def test_parts_go_once_they_are_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = list[int]()

    def refused(requests: Any, folder: Path) -> list[children.Answer]:
        seen.append(sum(path.name == "saved_model" for path in folder.parent.rglob("*")))
        return [children.Answer(failure="refused")] * len(requests)

    monkeypatch.setattr(bisection.children, "convert", refused)
    found = bisection.part(*broken(tmp_path, *[keras.layers.Dense(2) for _ in range(14)]))
    assert found["first_that_parts"] == found["layers"][0]["layer"]
    assert seen == [12]
    assert [path.name for path in tmp_path.iterdir()] == ["tflite_float32"]


@pytest.mark.slow
@pytest.mark.parametrize(("format", "rewritten"), [("tflite", True), ("onnx", False)])
def test_parts_have_the_graph_of_the_file_that_is_delivered(format: str, rewritten: bool, tmp_path: Path) -> None:
    """A `.tflite` file has its layer normalizations by the centered tensor."""
    normalization = keras.layers.LayerNormalization(epsilon=1e-6)
    draft, parity = broken(tmp_path, normalization, keras.layers.Dense(2))
    draft.format = FORMATS.get(format)
    parts = bisection._Bisection(draft, draft.job.model, parity)
    request = parts._request(draft.job.model, tmp_path / "part")
    graph = (Path(request.saved_model) / "saved_model.pb").read_bytes()
    assert (b"SquaredDifference" not in graph) == rewritten
    assert "call" not in vars(normalization)


@pytest.mark.slow
def test_a_model_with_a_normalization_in_front_is_cut_too() -> None:
    """An int8 file leaves it out; the rest is a model of its own that shares its layers with the whole."""
    inputs = keras.Input((3,))
    normalized = keras.layers.Normalization(mean=[0.0, 1.0, 2.0], variance=[1.0, 1.0, 1.0])(inputs)
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(normalized)
    model = keras.Model(inputs, keras.layers.Dense(2, name="end")(hidden))
    core, way_in, _ = core_of(model)
    assert way_in is not None
    assert [layer.name for layer, _ in bisection._cuts(core)] == ["hidden", "end"]
    assert [layer.name for layer, _ in bisection._cuts(model)][1:] == ["hidden", "end"]


@pytest.mark.slow
def test_a_layer_whose_units_differ_by_a_factor_of_a_thousand_is_where_int8_parts(tmp_path: Path) -> None:
    """One int8 scale for [1,000 a, b] leaves nothing of b, which the next layer asks for."""
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(200, 2)).astype(np.float32)
    inputs = keras.Input((2,))
    wide = keras.layers.Dense(2, use_bias=False, name="wide")
    pick = keras.layers.Dense(2, use_bias=False, name="pick")
    tensor = keras.layers.ReLU(name="kept")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False, name="end")(pick(wide(tensor))))
    wide.set_weights([np.array([[1000.0, 0.0], [0.0, 1.0]], np.float32)])
    pick.set_weights([np.array([[0.0, 0.0], [1.0, -1.0]], np.float32)])
    model.layers[-1].set_weights([np.eye(2, dtype=np.float32)])
    dataset = prepare(Raw(x, (x[:, 1] > 0).astype(int)), "wide")
    said: list[str] = []
    origin = Origin("wide", "/runs/wide", "logits", data={})
    wanted: list[Any] = [("tflite", "int8")]
    artefacts = exporting.export(model, dataset, wanted, tmp_path, origin, say=said.append)
    for artefact in artefacts:
        assert artefact.parting is not None, artefact
        assert (artefact.parting["last_that_holds"], artefact.parting["first_that_parts"]) == ("wide", "pick")
        assert [layer["layer"] for layer in artefact.parting["layers"]] == ["kept", "wide", "pick", "end"]
    assert len(said) == 1
    with pytest.raises(GateError, match="up to wide it holds, with pick it differs by"):
        exporting.check_gate(artefacts)

"""The step that decides a file's numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tfday7.compression import qat, sensitivity
from tfday7.compression.recipe import parse
from tfday7.compression.technique import TECHNIQUES, Skipped, Work, read_settings
from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.exporting.options import QuantizationOptions
from tfday7.models import ModelConfig, building

QUANTIZE = TECHNIQUES.get("quantize")


def work_of(dataset: Dataset) -> Work:
    model = building.build(ModelConfig(model="mlp", width=4, depth=1), dataset.problem)
    return Work(model, model, dataset)


def apply(work: Work, **given: Any) -> dict[str, Any]:
    return QUANTIZE.apply(work, read_settings(QUANTIZE, given))


def test_it_leaves_the_model_and_says_what_the_export_has_to_do(blobs: Dataset) -> None:
    work = work_of(blobs)
    done = apply(work, kind="int8", calibration_examples=200, calibration_seed=3)
    assert work.model is work.original
    assert done == {
        "technique": "quantize",
        "kind": "int8",
        "calibration_examples": 200,
        "calibration_seed": 3,
        "float_layers": [],
    }
    numbers: Any = work.numbers
    assert numbers.kind == "int8"
    assert numbers.options(sparse=True) == QuantizationOptions(200, 3, (), True)
    assert dataclasses.replace(numbers, sparse=False).options(sparse=True) == QuantizationOptions(200, 3, (), False)


def test_kinds_without_calibration_say_nothing_of_it(blobs: Dataset) -> None:
    assert apply(work_of(blobs), kind="weight_int4") == {
        "technique": "quantize",
        "kind": "weight_int4",
        "float_layers": [],
    }


def test_layers_that_are_named_stay_in_float_and_are_recorded(blobs: Dataset) -> None:
    work = work_of(blobs)
    name = work.model.layers[-1].name
    apply(work, float_layers=name)
    numbers: Any = work.numbers
    assert numbers.options().float_layers == (name,)
    assert work.skipped == [Skipped("quantize", name, "stays in float32, as was asked for")]
    with pytest.raises(UserError, match="no layer 'nowhere'"):
        apply(work, float_layers="nowhere")


def test_after_qat_no_layer_falls_back(blobs: Dataset) -> None:
    work = work_of(blobs)
    work.model, _ = qat.prepare(work.model, blobs)
    with pytest.raises(UserError, match="trained with fake quantization"):
        apply(work, fallback="float")
    apply(work, kind="int8")


def found(holds: bool) -> sensitivity.Outcome:
    ranked = (sensitivity.Sensitivity("output", 0.5, 0.3), sensitivity.Sensitivity("hidden", 0.01, 0.0))
    return sensitivity.Outcome(("output",) if holds else (), "accuracy", 0.9, 0.6, 0.9, holds, ranked, 100)


def test_what_the_fallback_finds_is_what_is_exported_and_why(blobs: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(sensitivity, "search", lambda *given: asked.append(given) or found(True))
    work = work_of(blobs)
    done = apply(work, fallback="float", max_metric_drop=0.02, calibration_examples=150)
    assert asked[0][2:] == (0.02, QuantizationOptions(150))
    numbers: Any = work.numbers
    assert numbers.layers() == ("output",)
    assert done["float_layers"] == ["output"]
    assert done["int8_metric"] == 0.6
    (skipped,) = work.skipped
    assert (skipped.technique, skipped.layer) == ("quantize", "output")
    assert "moves the outputs by 50.00%" in skipped.reason
    assert work.notes == []


def test_where_no_layer_helps_that_is_a_note(blobs: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitivity, "search", lambda *given: found(False))
    work = work_of(blobs)
    apply(work, fallback="float")
    assert work.skipped == []
    (note,) = work.notes
    assert "from 0.9000 to 0.6000" in note
    assert "layers in float32 do not help" in note


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "int9"}, "int9"),
        ({"calibration_examples": 50}, "at least 100"),
        ({"calibration_examples": 501}, "at most 500"),
        ({"kind": "float16", "fallback": "float"}, "fallback=float contradicts kind=float16"),
        ({"kind": "int16x8", "float_layers": "a"}, "float_layers=a contradicts kind=int16x8"),
        ({"fallback": "float", "float_layers": "a"}, "fallback=float contradicts float_layers"),
        ({"bits": 4}, "no setting 'bits'"),
    ],
)
def test_what_cannot_be_is_the_users_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse({"name": "x", "steps": [{"technique": "quantize", **given}]})

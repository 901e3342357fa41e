"""Which formats and which folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.core.errors import UserError
from tfday7.exporting import ExportConfig
from tfday7.exporting.config import ModelExportConfig, wanted
from tfday7.exporting.format import FORMATS, KINDS


def test_a_comma_list_names_formats_and_empty_means_none() -> None:
    assert ExportConfig(export=" tflite ,").formats() == ("tflite",)
    assert ExportConfig(export="").formats() == ()


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown export format 'onx'") as error:
        ExportConfig(export="onx").formats()
    assert "tflite" in error.value.hint


def test_the_folder_is_the_runs_own_unless_it_is_given() -> None:
    assert ExportConfig().folder("quickstart") == Path("tflite_models/quickstart")
    assert ExportConfig(export_dir="elsewhere/x").folder("quickstart") == Path("elsewhere/x")


def test_every_format_has_known_kinds_and_usual_ones_among_them() -> None:
    assert set(FORMATS.names()) == {"tflite", "onnx", "openvino", "tensorrt", "saved_model", "keras"}
    for name in FORMATS.names():
        made = FORMATS.get(name)
        assert made.name == name
        assert set(made.usual) <= set(made.kinds) <= set(KINDS)
        assert made.usual


def test_kinds_are_the_usual_ones_or_those_asked_for_that_a_format_has() -> None:
    assert wanted(("tflite", "onnx"), "") == [
        ("tflite", "float32"), ("tflite", "int8"), ("onnx", "float32"), ("onnx", "int8"),
    ]  # fmt: skip
    assert wanted(("tflite", "openvino"), "float16") == [("tflite", "float16"), ("openvino", "float16")]


@pytest.mark.parametrize(
    ("formats", "kinds", "message"),
    [
        (("tflite",), "int4", "unknown kind of numbers 'int4'"),
        (("onnx",), "float16", "--kinds=float16: none of onnx has float16"),
        (("tflite", "keras"), "int8", "--kinds=int8: nothing to make for keras"),
    ],
)
def test_kinds_that_cannot_be_made_are_refused_by_name(formats: tuple[str, ...], kinds: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        wanted(formats, kinds)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "--model is missing"),
        ({"model": "a.keras", "run_dir": "runs/a"}, "--model=a.keras contradicts --run_dir=runs/a"),
        ({"model": "a.keras", "formats": ""}, "--formats is empty"),
        ({"model": "a.keras", "batch": "0"}, "--batch=0: expected a number from 1 to 4,096, or dynamic"),
        ({"model": "a.keras", "batch": "many"}, "--batch=many: expected a number"),
        ({"model": "a.keras", "input_shape": "3x3"}, "--input_shape=3x3: expected sizes up to 65,536"),
        ({"model": "a.keras", "name": "a\nb"}, "--name='a\\nb': expected the first part of a file's name"),
        ({"model": "a.keras", "name": "../a"}, "--name='../a': expected the first part of a file's name"),
    ],
)
def test_flags_of_an_export_that_mean_nothing_are_refused(flags: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        ModelExportConfig(**flags).check()
    assert message in error.value.message


def test_a_batch_is_a_number_or_open() -> None:
    assert ModelExportConfig(batch="8").batch_size() == 8
    assert ModelExportConfig(batch="dynamic").batch_size() is None
    assert ModelExportConfig(input_shape="224, 224,3").shape() == (224, 224, 3)

"""Which formats and which folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.core.errors import UserError
from tfday7.exporting import ExportConfig
from tfday7.exporting.config import FORMATS
from tfday7.exporting.exporting import EXPORTERS


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


def test_every_format_has_its_exporter() -> None:
    assert set(EXPORTERS) == set(FORMATS)

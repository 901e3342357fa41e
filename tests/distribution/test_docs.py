"""The figures of docs/distribution.md are those of the benchmark's record."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from support import ROOT


def made() -> Any:
    spec = importlib.util.spec_from_file_location("make_distribution", ROOT / "docs" / "make_distribution.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_what_the_record_says() -> None:
    module = made()
    record = json.loads(module.RECORD.read_text(encoding="utf-8"))
    text = module.PAGE.read_text(encoding="utf-8")
    assert module.page(text, record) == text
    assert record["equality"]["worst_float32"] <= 1e-5
    assert record["equality"]["without_figure"] == []
    assert all(held["share"] <= 0.55 for held in record["memory"].values())

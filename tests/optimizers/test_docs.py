"""The page of optimizers says what the table says."""

from __future__ import annotations

import importlib.util

import pytest
from support import ROOT

from tfday7.optimizers.table import OPTIMIZERS


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_is_up_to_date(lang: str) -> None:
    spec = importlib.util.spec_from_file_location("make_optimizers", ROOT / "docs" / "make_optimizers.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = script.PAGES[lang].read_text(encoding="utf-8")
    assert written == script.page(lang), "run: python docs/make_optimizers.py"
    assert all(f"| `{name}`" in written for name in OPTIMIZERS)

"""The page of optimizers says what the table says."""

from __future__ import annotations

import pytest
from support import ROOT, load_script

from tfday7.optimizers.table import OPTIMIZERS


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_is_up_to_date(lang: str) -> None:
    script = load_script(ROOT / "docs" / "make_optimizers.py")
    written = script.PAGES[lang].read_text(encoding="utf-8")
    assert written == script.page(lang), "run: python docs/make_optimizers.py"
    assert all(f"| `{name}`" in written for name in OPTIMIZERS)

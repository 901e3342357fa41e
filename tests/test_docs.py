"""Figures in docs/ are those that the benchmarks' records have."""

from __future__ import annotations

import pytest
from support import ROOT, load_script


@pytest.mark.parametrize("name", ["make_compression", "make_distribution"])
def test_a_page_says_what_its_record_says(name: str) -> None:
    script = load_script(ROOT / "docs" / f"{name}.py")
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text, f"run: python docs/{name}.py"


def test_a_page_without_its_marks_is_no_page() -> None:
    between = load_script(ROOT / "docs" / "figures.py").between
    assert between("a\n<!-- b -->\nold\n<!-- end of figures -->\nc\n", "<!-- b -->\n", "new\n") == (
        "a\n<!-- b -->\nnew\n<!-- end of figures -->\nc\n"
    )
    for text in ("", "<!-- b -->\n", "<!-- end of figures -->\n"):
        with pytest.raises(ValueError, match="the page has no"):
            between(text, "<!-- b -->\n", "new\n")

"""The report on paper: a real browser prints it, and an independent reader finds all of it there, unfolded."""

from __future__ import annotations

import importlib
import re
import sys
import unicodedata
from html import unescape
from pathlib import Path

import pytest
from reporting.test_report_accessible import REPORTS
from reporting.test_report_browser import CHROMIUM, browse

REFERENCE = Path(__file__).resolve().parents[2] / ".reference"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: `make system-packages` installs it"),
    pytest.mark.skipif(not (REFERENCE / "pypdf").exists(), reason="no pypdf: `make reference-tools` installs it"),
]


def printed(report: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the words of each page, spaces and line breaks left out: printing sets its own."""
    target = folder / "report.pdf"
    browse(folder, report.as_uri(), f"--print-to-pdf={target}", "--no-pdf-header-footer")
    monkeypatch.setattr(sys, "path", [*sys.path, str(REFERENCE)])
    pages = importlib.import_module("pypdf").PdfReader(str(target)).pages
    return ["".join(unicodedata.normalize("NFKC", page.extract_text()).split()) for page in pages]  # No ligatures.


def words(html: str, pattern: str) -> list[str]:
    """Returns what stands between the tags that a pattern finds, without tags in it, spaces left out."""
    found = re.findall(pattern, html, re.DOTALL)
    return ["".join(unescape(re.sub("<[^>]*>", "", each)).split()) for each in found]


@pytest.mark.parametrize("kind", ["train", "diagnose", "compress", "tune"])
def test_everything_is_on_paper(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = REPORTS[kind](tmp_path / "run", "en")
    html = report.read_text(encoding="utf-8")
    pages = printed(report, tmp_path, monkeypatch)
    assert all(pages)
    text = "".join(pages)
    headings, folded = (
        words(html, '<h[123](?! class="unseen")[^>]*>(.*?)</h[123]>'),
        words(html, "<details.*?<th[^>]*>(.*?)</th>"),
    )
    assert len(headings) > 3
    assert folded or kind == "tune"
    for each in [*headings, *folded]:
        assert each in text
    (skip,) = words(html, '<a class="skip"[^>]*>(.*?)</a>')
    assert skip not in text

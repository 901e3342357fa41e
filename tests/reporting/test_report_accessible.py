"""axe-core, in a real browser, finds nothing to object to: names, roles, contrast, order, of every kind of run."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reporting.compression_records import OUTSIDE, SEARCH, record
from reporting.report_folders import complete, fix_record, health_record, run_record
from reporting.search_folders import bakeoff_record, range_test_record, search_folder
from reporting.test_report_browser import CHROMIUM, browse

from tfday7.reporting import write_report, write_search_report

AXE = Path(__file__).resolve().parents[2] / ".reference" / "axe_playwright_python" / "axe.min.js"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: `make system-packages` installs it"),
    pytest.mark.skipif(not AXE.exists(), reason="no axe-core: `make reference-tools` installs it"),
]
REPORTS: dict[str, Callable[[Path, str], Path]] = {
    "train": lambda path, lang: write_report(complete(path), lang),
    "diagnose": lambda path, lang: write_report(complete(path, health=health_record(layers=3), fix=fix_record()), lang),
    "compress": lambda path, lang: write_report(
        complete(path, compression=record(search=SEARCH, outside=OUTSIDE)), lang
    ),
    "tune": lambda path, lang: write_search_report(search_folder(path), lang),
    "bake-off": lambda path, lang: write_search_report(search_folder(path, bakeoff_record()), lang),
    "range test": lambda path, lang: write_report(
        complete(path, run={**run_record(), "range_test": range_test_record()}), lang
    ),
}
RUN = """axe.run().then(found => {
  const told = document.createElement("pre");
  told.id = "axe";
  told.textContent = JSON.stringify({rules: found.passes.map(each => each.id), violations: found.violations});
  document.body.append(told);
});"""


def objections(report: Path, folder: Path, *switches: str) -> tuple[list[str], list[str]]:
    """Returns what axe-core objects to, and the rules that hold; all that can be folded is unfolded."""
    page = report.read_text(encoding="utf-8")
    page, policies = re.subn(r"<meta http-equiv=.Content-Security-Policy.[^>]*>", "", page)  # It forbids scripts.
    assert policies == 1
    page = re.sub("<details(?! open)", "<details open", page)
    scripts = f"<script>{AXE.read_text(encoding='utf-8')}</script><script>{RUN}</script>"
    copy = report.with_name("with_axe.html")
    copy.write_text(page.replace("</body>", f"{scripts}</body>"), encoding="utf-8")
    ended = browse(folder, copy.as_uri(), "--dump-dom", "--virtual-time-budget=20000", *switches)
    told = re.search('<pre id="axe">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert told, ended.stderr[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    said = [
        f"{each['impact']} {each['id']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]
    ]
    return said, found["rules"]


@pytest.mark.parametrize(
    ("lang", "scheme", "width"),
    [("en", 1, 1200), ("zh", 0, 390)],
    ids=["light, wide", "dark, narrow"],
)
@pytest.mark.parametrize("kind", REPORTS)
def test_nothing_is_objected_to(tmp_path: Path, kind: str, lang: str, scheme: int, width: int) -> None:
    report = REPORTS[kind](tmp_path / "run", lang)
    switches = (f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},2000")
    said, rules = objections(report, tmp_path, *switches)
    assert said == []
    assert {"color-contrast", "html-has-lang", "page-has-heading-one", "svg-img-alt"} <= set(rules)


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    """The check itself: a drawing without a name, and grey words on white."""
    report = REPORTS["train"](tmp_path / "run", "en")
    wrong = '<svg role="img"></svg><p style="color: #bbb; background: #fff">pale</p></body>'
    report.write_text(report.read_text(encoding="utf-8").replace("</body>", wrong), encoding="utf-8")
    said, _ = objections(report, tmp_path, "--blink-settings=preferredColorScheme=1")
    assert {each.split(":")[0] for each in said} >= {"serious svg-img-alt", "serious color-contrast"}

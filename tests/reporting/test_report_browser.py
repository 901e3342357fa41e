"""A real browser opens the report: plots have a size, the page's own policy blocks nothing, nothing overflows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from reporting.report_folders import complete, diagnosis_record, fix_record, health_record, run_record
from reporting.search_folders import bakeoff_record, range_test_record, search_folder, search_record, trials

from tfday7.reporting import write_report, write_search_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: `make system-packages` installs it")
SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip
# Measures the page from outside: the report itself forbids scripts, so it is shown in a frame of this one.
PROBE = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="report" src="report.html" style="border:0;width:{width}px;height:5000px"></iframe>
<pre id="result"></pre>
<script>
report.onload = () => {{
  const page = report.contentDocument, root = page.documentElement;
  const boxes = [...page.querySelectorAll("svg.plot")].map((plot) => plot.getBoundingClientRect());
  const lines = [...page.querySelectorAll("svg.plot path")].map((path) => path.getBoundingClientRect().width);
  const style = getComputedStyle(page.querySelector(".tiles"));
  result.textContent = "plots " + boxes.map((box) => Math.round(box.width) + "x" + Math.round(box.height)).join(" ") +
    " widest line " + Math.round(Math.max(...lines)) + " overflow " + (root.scrollWidth - root.clientWidth) +
    " tiles " + style.display;
}};
</script>
"""
# Moves the keyboard to the second-best line of the parallel coordinates, and says what can then be read under the axes.
FOCUS = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="report" src="report.html" style="border:0;width:{width}px;height:5000px"></iframe>
<pre id="result"></pre>
<script>
report.onload = () => {{
  const page = report.contentDocument, root = page.documentElement, lines = [...page.querySelectorAll("a.trial")];
  const read = () => [...page.querySelectorAll(".told")].filter((told) =>
    report.contentWindow.getComputedStyle(told).visibility == "visible").map((told) => told.textContent).join("|");
  const box = page.querySelector(".parallel").getBoundingClientRect();
  const before = read();
  report.contentWindow.focus();
  lines[lines.length - 2].focus();
  result.textContent = "before " + before + " after " + read() + " size " + Math.round(box.width) + "x" +
    Math.round(box.height) + " overflow " + (root.scrollWidth - root.clientWidth) + " end";
}};
</script>
"""


def browse(folder: Path, url: str, *switches: str) -> subprocess.CompletedProcess[str]:
    command = [str(CHROMIUM), *SWITCHES, f"--user-data-dir={folder / 'profile'}", *switches, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [390, 1200])
def test_plots_are_drawn_and_nothing_overflows(tmp_path: Path, lang: str, width: int) -> None:
    report = write_report(complete(tmp_path / "run"), lang)
    probe = report.with_name("probe.html")
    probe.write_text(PROBE.format(width=width), encoding="utf-8")
    ended = browse(
        tmp_path, probe.as_uri(), "--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=5000"
    )
    found = re.search(r"plots (.*) widest line (\d+) overflow (-?\d+) tiles (\w+)", ended.stdout)
    assert found, ended.stderr[-2000:]
    plots = [tuple(map(int, size.split("x"))) for size in found[1].split()]
    assert len(plots) == 3
    assert all(wide > 150 and high > 150 for wide, high in plots)
    assert int(found[2]) > 200
    assert int(found[3]) <= 0
    assert found[4] == "grid"  # The style sheet passed the policy.
    assert "Refused to" not in ended.stderr
    assert "violates" not in ended.stderr


@pytest.mark.parametrize(("width", "lang"), [(390, "zh"), (1200, "en")])
def test_layers_references_and_remedies_overflow_nothing(tmp_path: Path, width: int, lang: str) -> None:
    health, fix = health_record(layers=3), fix_record()
    health["probes"][-1]["layers"][1]["name"] = "a_very_long_name_of_a_layer/" * 5
    fix["attempts"][0]["flags"] = {"augment": "flip,shift,crop,cutout,color", "label_smoothing": "0.1"}
    diagnosis = diagnosis_record()
    diagnosis["findings"][0]["evidence"]["layer"] = "a_very_long_name_of_a_layer/" * 5
    report = write_report(complete(tmp_path / "run", health=health, fix=fix, diagnosis=diagnosis), lang)
    probe = report.with_name("probe.html")
    probe.write_text(PROBE.format(width=width), encoding="utf-8")
    ended = browse(
        tmp_path, probe.as_uri(), "--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=5000"
    )
    found = re.search(r"plots (.*) widest line (\d+) overflow (-?\d+) tiles (\w+)", ended.stdout)
    assert found, ended.stderr[-2000:]
    assert len(found[1].split()) == 3 + 2
    assert int(found[3]) <= 0
    assert "CONSOLE" not in ended.stderr


@pytest.mark.parametrize(("scheme", "low", "high"), [("1", 240, 255), ("0", 0, 40)])
def test_light_and_dark(tmp_path: Path, scheme: str, low: int, high: int) -> None:
    image = pytest.importorskip("PIL.Image")
    report = write_report(complete(tmp_path / "run"))
    shot = tmp_path / "shot.png"
    browse(
        tmp_path, report.as_uri(), f"--screenshot={shot}", "--window-size=1200,1600",
        f"--blink-settings=preferredColorScheme={scheme}",
    )  # fmt: skip
    with image.open(shot) as picture:
        assert picture.size == (1200, 1600)
        corner = picture.convert("RGB").getpixel((3, 3))
        assert all(low <= channel <= high for channel in corner)
        assert len(picture.convert("RGB").getcolors(2**20)) > 100


def test_no_console_message(tmp_path: Path) -> None:
    report = write_report(complete(tmp_path / "run"))
    ended = browse(tmp_path, report.as_uri(), "--dump-dom")
    assert "CONSOLE" not in ended.stderr
    assert "</html>" in ended.stdout


@pytest.mark.parametrize(("width", "lang", "number"), [(390, "en", "trial {}"), (1200, "zh", "第 {} 次")])
def test_a_search_overflows_nothing_and_reads_trials_out(tmp_path: Path, width: int, lang: str, number: str) -> None:
    report = write_search_report(search_folder(tmp_path / "run"), lang)
    probe = report.with_name("probe.html")
    probe.write_text(FOCUS.format(width=width), encoding="utf-8")
    ended = browse(
        tmp_path, probe.as_uri(), "--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=5000"
    )
    found = re.search(r"before (.*) after (.*) size (\d+)x(\d+) overflow (-?\d+) end", ended.stdout)
    assert found, ended.stderr[-2000:]
    second = sorted(trials(), key=lambda trial: -(trial["value"] or 0))[1]
    assert found[1].startswith(number.format(5))
    assert found[2].startswith(number.format(second["number"]))
    assert found[2].endswith(f"{second['value']:.4g}")
    assert "|" not in found[1] + found[2]  # One trial is read out at a time.
    assert (int(found[3]), int(found[4])) == (700, 348)
    assert int(found[5]) <= 0


def test_no_console_message_of_a_search_a_bake_off_and_a_range_test(tmp_path: Path) -> None:
    pages = [
        write_search_report(search_folder(tmp_path / "search", search_record(trials=trials(40))), "zh"),
        write_search_report(search_folder(tmp_path / "bakeoff", bakeoff_record())),
        write_report(complete(tmp_path / "run", run={**run_record(), "range_test": range_test_record()})),
    ]
    for path in pages:
        ended = browse(tmp_path, path.as_uri(), "--dump-dom")
        assert "CONSOLE" not in ended.stderr
        assert "</html>" in ended.stdout

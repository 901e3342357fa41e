"""The page shows what the records say, whole or in part, and nothing that a record smuggles in."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from reporting import compression_records
from reporting.page import Page
from reporting.report_folders import (
    artefact,
    benchmark_record,
    complete,
    diagnosis_record,
    exports_record,
    fix_record,
    health_record,
    metrics,
    parity,
    run_record,
    write,
)

from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.reporting import write_report
from tfday7.reporting.headline import milliseconds

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)></style></svg>{{ 7*7 }}{% raw %}&lt;\u202e\x00"
RECORDS = ("run", "metrics", "diagnosis", "exports", "benchmark", "flags")


def page(folder: RunFolder, lang: str = "en") -> Page:
    return Page(write_report(folder, lang).read_text(encoding="utf-8"))


def test_the_headline_says_verdict_metric_and_smallest_verified_file(tmp_path: Path) -> None:
    texts = page(complete(tmp_path / "run")).texts
    headline = next(text for where, text in texts if where[-1] == "h1")
    # int8_small is smaller still, but does not hold.
    assert headline == "Overfit: test accuracy 0.9808, smallest verified file 86.0 kB (int8)."


def test_the_comparison_equals_arithmetic_on_the_records(tmp_path: Path) -> None:
    rows = page(complete(tmp_path / "run")).rows["comparison"]
    assert rows[1] == ["Keras model 85,066 parameters", "", "", "0.9808", "", "", "", "reference"]
    assert rows[2][:7] == ["float32", "344.0 kB", "334.0 kB", "0.9808", "2.5e-06 <0.001%", "100%", "0.0400 ms 1.00×"]
    # 86,000 / 344,000 = 25%; 0.030 ms / 0.0400 ms = 0.75.
    assert rows[3][0] == "int8 smallest verified"
    assert rows[3][1:] == [
        "86.0 kB 25.0%", "76.0 kB", "0.9770", "0.4200 3.1%", "99.23%", "0.0300 ms 0.75×", "✓ held",
    ]  # fmt: skip
    assert rows[4][6] == "?"
    # 0.9808 - 0.9310 = 0.0498
    assert rows[4][7] == (
        "✗ broken The largest difference is 16.2% of the largest output; allowed 15.0%."
        " The accuracy drops by 0.0498; allowed 0.0050."
    )


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ("small", ["Compressed file", "40.0 kB", "small, 10% of float32, 0.8990 on test"]),
        ("untried", ["Compressed file", "40.0 kB", "untried, 10% of float32"]),
        ("", []),
    ],
)
def test_the_file_that_a_compression_has_chosen_is_a_key_figure(tmp_path: Path, chosen: str, shown: list[str]) -> None:
    baseline = compression_records.candidate("float32", size_bytes=400_000)
    candidates = [compression_records.candidate("small", test_metric=0.899), compression_records.candidate("untried")]
    record = compression_records.record(baseline=baseline, candidates=candidates, chosen=chosen or None)
    texts = [text for _, text in page(complete(tmp_path / "run", compression=record)).texts]
    start = texts.index(shown[0]) if shown else 0
    assert texts[start : start + len(shown)] == shown
    assert ("Compressed file" in texts) == bool(shown)


def test_latencies_under_other_conditions_are_not_compared(tmp_path: Path) -> None:
    record = benchmark_record()
    record["rows"][1]["threads"] = 2
    rows = page(complete(tmp_path / "run", benchmark=record)).rows
    assert [row[6] for row in rows["comparison"][2:4]] == ["0.0400 ms 1.00×", "?"]
    assert [row[3] for row in rows["latency"][1:]] == ["1", "2"]


@pytest.mark.parametrize("missing", RECORDS)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_missing_record_leaves_the_rest(tmp_path: Path, missing: str, lang: str) -> None:
    folder = complete(tmp_path / "run")
    next((tmp_path / "run").glob(f"{missing}.*")).unlink()
    sections = {value for tag, name, value in page(folder, lang).attributes if tag == "section" and name == "id"}
    expected = {"curves", "diagnosis", "comparison", "artefacts", "latency", "run"}
    gone = {"exports": {"artefacts"}, "benchmark": {"latency"}}
    assert sections == expected - gone.get(missing, set())


@pytest.mark.parametrize("present", RECORDS)
def test_a_single_record_is_enough(tmp_path: Path, present: str) -> None:
    folder = complete(tmp_path / "run")
    for name in RECORDS:
        if name != present:
            next((tmp_path / "run").glob(f"{name}.*")).unlink()
    assert page(folder).unclosed == []


def test_an_empty_folder_says_that_nothing_is_there(tmp_path: Path) -> None:
    text = page(write(tmp_path / "run")).text()
    for sentence in ("No result yet.", "No epochs have been recorded.", "This run has not been diagnosed."):
        assert sentence in text


def test_damaged_records_are_refused_by_name(tmp_path: Path) -> None:
    folder = complete(tmp_path / "run", diagnosis=["not", "an", "object"])
    with pytest.raises(UserError, match=r"diagnosis\.json: list found; expected an object"):
        write_report(folder)
    assert not (tmp_path / "run" / "report.html").exists()


def hostile(value: Any, text: str) -> Any:
    """Replaces every text of a record, but not the words that decide what is shown."""
    if isinstance(value, dict):
        kept = ("status", "verdict", "severity", "failures", "format", "kind", "stopped", "task")
        renamed = {text if key == "rise_percent" else key: entry for key, entry in value.items()}
        return {key: entry if key in kept else hostile(entry, text) for key, entry in renamed.items()}
    if isinstance(value, list):
        return [hostile(entry, text) for entry in value]
    return text if isinstance(value, str) else value


def folder_of_names(path: Path, text: str) -> RunFolder:
    records = {
        "run": hostile({**run_record(), "gate": {"message": "x", "hint": "x"}}, text),
        "diagnosis": hostile(diagnosis_record(), text),
        "exports": hostile({"artefacts": [artefact("int8", 9, failure="x", name="y"), artefact("int8", 9)]}, text),
        "benchmark": hostile(benchmark_record(), text),
        "metrics": [{**line, text: 0.5} for line in metrics()],
        "flags": f"--data={text}\n",
        "health": hostile(health_record(), text),
        "fix": hostile({**fix_record(), "before": {"flags": {text: text}, "value": 0.5, "by_seed": [0.5]}}, text),
    }
    return complete(path, **records)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_hostile_names_stay_text(tmp_path: Path, lang: str) -> None:
    parsed, harmless = (
        page(folder_of_names(tmp_path / str(i), text), lang) for i, text in enumerate((HOSTILE, "name" * 30))
    )
    assert parsed.tags == harmless.tags
    assert not {"script", "img", "iframe", "object", "link", "base", "form"} & set(parsed.tags)
    assert sorted({(tag, name) for tag, name, _ in parsed.attributes}) == sorted(
        {(tag, name) for tag, name, _ in harmless.attributes}
    )
    cut = parsed.text().count("…")  # Labels of axes that are too long.
    assert parsed.text().count("<script>alert(1)</script>") >= parsed.text().count("<script>") - cut > 10
    assert parsed.unclosed == []


def test_the_page_needs_nothing_and_may_run_nothing(tmp_path: Path) -> None:
    path = write_report(complete(tmp_path / "run"))
    parsed = Page(path.read_text(encoding="utf-8"))
    policy = next(v for _, name, v in parsed.attributes if name == "content" and "default-src" in v)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert parsed.values("style") == parsed.values("src") == []
    assert all(href.startswith("#") for href in parsed.values("href"))
    assert parsed.tags["style"] == 1
    assert "url(http" not in path.read_text(encoding="utf-8")


def test_ids_are_unique_and_every_reference_has_its_target(tmp_path: Path) -> None:
    parsed = page(complete(tmp_path / "run", health=health_record(), fix=fix_record()))
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    referred = [href.removeprefix("#") for href in parsed.values("href")] + parsed.values("aria-labelledby")
    referred += re.findall(r"url\(#([^)]+)\)", " ".join(value for _, _, value in parsed.attributes))
    assert set(referred) <= set(ids)


def test_structure_for_screen_readers(tmp_path: Path) -> None:
    parsed = page(complete(tmp_path / "run"))
    assert [parsed.tags[tag] for tag in ("header", "main", "footer", "nav", "h1")] == [1, 1, 1, 1, 1]
    assert parsed.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(parsed.headings, parsed.headings[1:], strict=False))
    assert parsed.tags["caption"] == parsed.tags["table"] == 3
    headers = [name for tag, name, _ in parsed.attributes if tag == "th" and name == "scope"]
    assert len(headers) == parsed.tags["th"]
    labels = [value for tag, name, value in parsed.attributes if tag == "svg" and name == "aria-label"]
    assert len(labels) == parsed.tags["svg"] == 3
    assert labels[0].startswith("loss, training: from 1.5676 to 0.0235.")
    more = page(complete(tmp_path / "more", health=health_record(), fix=fix_record()))
    assert all(after - before <= 1 for before, after in zip(more.headings, more.headings[1:], strict=False))
    assert more.tags["caption"] == more.tags["table"] == 3 + 3
    assert [name for tag, name, _ in more.attributes if tag == "th"].count("scope") == more.tags["th"]


def test_ten_thousand_classes_and_findings_stay_below_two_megabytes(tmp_path: Path) -> None:
    run, diagnosis, exports = run_record(), diagnosis_record(), exports_record()
    run["data"]["class_names"] = [f"class {i}" + "x" * 1000 for i in range(10_000)]
    diagnosis["findings"] *= 1000
    exports["artefacts"] = [artefact("int8", 1, labels=run["data"]["class_names"][:20]) for _ in range(1000)]
    folder = complete(tmp_path / "run", run=run, diagnosis=diagnosis, exports=exports, flags="--x=" + "y" * 10**7)
    assert write_report(folder).stat().st_size < 2_000_000


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    folder = complete(tmp_path / "run")
    assert write_report(folder).read_bytes() == write_report(folder).read_bytes()


def test_the_command_that_trains_the_same_again(tmp_path: Path) -> None:
    folder = complete(tmp_path / "run with spaces")
    commands = [text for where, text in page(folder).texts if where[-1] == "pre"]
    assert commands[0] == f"python -m tfday7.train --flagfile='{folder / 'flags.txt'}' --run_dir=NEW"
    assert "--model=cnn" in commands[1]


def test_a_failed_artefact_gives_its_reason(tmp_path: Path) -> None:
    failed = artefact(
        "int8", 0, size_bytes=None, gzip_bytes=None, failure="the converter crashed", parity=None, path=None
    )
    rows = page(complete(tmp_path / "run", exports={"artefacts": [failed]})).rows["comparison"]
    assert rows[2][-1] == "✗ not made the converter crashed"
    assert rows[2][1:3] == ["?", "?"]


@pytest.mark.parametrize(
    ("relative_to", "lang", "shown"),
    [
        (
            "largest_in_deviations",
            "en",
            "The largest difference is 30.0% of the largest output, both in standard deviations; allowed 15.0%.",
        ),
        ("own_scale", "en", "The largest difference is 30.0% of its target’s scale; allowed 15.0%."),
        ("largest_in_deviations", "zh", "最大差异达到最大输出（均以标准差计）的 30.0%，允许 15.0%。"),
        ("<b>", "en", "The largest difference is 30.0% of <b>; allowed 15.0%."),
    ],
)
def test_a_difference_is_said_to_be_of_what_it_was_measured_by(
    tmp_path: Path, relative_to: str, lang: str, shown: str
) -> None:
    broken = artefact("int8", 5, parity=parity(
        relative_difference=0.3, limits={"relative_difference": 0.15}, failures=["as the record says"],
        relative_to=relative_to,
    ))  # fmt: skip
    rows = page(complete(tmp_path / "run", exports={"artefacts": [broken]}), lang).rows["comparison"]
    assert rows[2][-1].endswith(shown)


@pytest.mark.parametrize(
    ("task", "scale"),
    [("regression", "the target’s standard deviation"), ("several", "its target’s scale"), ("", "the largest output")],
)
def test_records_that_do_not_say_what_a_difference_is_of_are_read_as_they_were_meant(
    tmp_path: Path, task: str, scale: str
) -> None:
    broken = artefact("int8", 5, output={"task": task}, parity=parity(
        relative_difference=0.3, limits={"relative_difference": 0.15}, failures=["as the record says"],
    ))  # fmt: skip
    rows = page(complete(tmp_path / "run", exports={"artefacts": [broken]})).rows["comparison"]
    assert rows[2][-1].endswith(f"The largest difference is 30.0% of {scale}; allowed 15.0%.")


def test_other_decisions_are_told_in_the_readers_language(tmp_path: Path) -> None:
    broken = artefact("int8", 5, parity=parity(
        agreement=0.0591, limits={"relative_difference": 1e-4, "agreement": 0.95}, failures=["only 5.91%"]
    ))  # fmt: skip
    folder = complete(tmp_path / "run", exports={"artefacts": [broken]})
    assert page(folder).rows["comparison"][2][-1].endswith("Only 5.91% of the decisions are the same; required 95.00%.")
    assert page(folder, "zh").rows["comparison"][2][-1].endswith("仅 5.91% 的判定一致，要求 95.00%。")


def test_outputs_that_are_not_finite_are_told_in_the_readers_language(tmp_path: Path) -> None:
    broken = artefact("int8", 5, parity=parity(relative_difference=None, failures=["outputs hold NaN or infinity"]))
    rows = page(complete(tmp_path / "run", exports={"artefacts": [broken]}), "zh").rows["comparison"]
    assert rows[2][-1].endswith("输出中含 NaN 或无穷大。")


def test_memory_is_above_the_runtime_alone_and_a_device_that_answers_wrongly_is_named(tmp_path: Path) -> None:
    record = benchmark_record()
    record["rows"][0] |= {"peak_memory_bytes": 50_000_000, "memory_before_bytes": 41_400_000}
    compared = {"holds": False, "largest_difference": 2.81, "tolerance": 0.000958}
    record["rows"][1] |= {"peak_memory_bytes": 13_000, "parity": compared}
    rows = page(complete(tmp_path / "run", benchmark=record)).rows["latency"]
    assert [row[9] for row in rows[1:]] == ["8.6 MB", "13.0 kB"]
    assert rows[1][0] == "quickstart_float32"
    assert rows[2][0] == "quickstart_int8 ✗ answers differ by 2.8100; allowed 0.0010"


def test_a_reason_without_numbers_is_told_in_the_records_words(tmp_path: Path) -> None:
    broken = artefact("int8", 5, parity=parity(failures=["outputs hold NaN or infinity"]))
    rows = page(complete(tmp_path / "run", exports={"artefacts": [broken]})).rows["comparison"]
    assert rows[2][-1] == "✗ broken outputs hold NaN or infinity"


def test_unfinished_runs_and_gates_are_announced(tmp_path: Path) -> None:
    run = {**run_record(), "status": "interrupted", "gate": {"message": "quickstart_int8: accuracy drops", "hint": ""}}
    text = page(complete(tmp_path / "run", run=run)).text()
    assert "This run was interrupted" in text
    assert "quickstart_int8: accuracy drops" in text


def test_a_hundred_thousand_epochs_take_seconds(tmp_path: Path) -> None:
    folder = complete(tmp_path / "run", metrics=metrics(100_000))
    started = time.monotonic()
    path = write_report(folder)
    assert time.monotonic() - started < 10
    assert path.stat().st_size < 500_000


def test_neither_tensorflow_nor_keras_is_loaded(tmp_path: Path) -> None:
    folder = complete(tmp_path / "run")
    program = f"""
import sys, io
import tfday7.reporting as reporting
early = [name for name in ("jinja2", "matplotlib", "numpy", "rich") if name in sys.modules]
from pathlib import Path
from rich.console import Console
from tfday7.core.run_folder import RunFolder
folder = RunFolder(Path({str(folder.path)!r}))
reporting.write_report(folder)
Console(file=io.StringIO()).print(reporting.summary(folder, "zh"))
reporting.TerminalProgress(Console(file=io.StringIO())).begin(0, 1, 1)
late = [name for name in ("tensorflow", "keras", "tf_keras") if name in sys.modules]
print(early, late)
"""
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout == "[] []\n"


def test_what_is_unknown_or_did_not_happen_is_left_out_of_the_small_print(tmp_path: Path) -> None:
    run = run_record()
    run["versions"]["tfday7"] = None
    run["training"]["resumed_at"] = 0
    texts = [text for _, text in page(complete(tmp_path / "run", run=run)).texts]
    assert "python 3.11.2, tensorflow 2.21.0, tf_keras 2.21.0" in texts
    assert "Resumed at" not in texts


@pytest.mark.parametrize(
    ("latency_ms", "shown"),
    [(0.00757, "0.0076 ms"), (0.0451, "0.0451 ms"), (0.5, "0.500 ms"), (3.14159, "3.14 ms"), (31.4159, "31.4 ms"),
     (314.159, "314 ms"), (3141.59, "3.1 s"), (None, "?")],
)  # fmt: skip
def test_latencies_have_about_three_digits(latency_ms: float | None, shown: str) -> None:
    assert milliseconds(latency_ms) == shown

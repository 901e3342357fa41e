"""Both languages are whole: every sentence that the code asks for is there, and takes the same values."""

from __future__ import annotations

import dataclasses
import json
import re
import string
from pathlib import Path

import pytest
from reporting.page import Page
from reporting.report_folders import complete, run_record

import tfday7.core.texts
import tfday7.reporting
from tfday7.core.errors import UserError
from tfday7.diagnosis.records import finding
from tfday7.exporting import parity
from tfday7.reporting import write_report
from tfday7.reporting.findings import verdict
from tfday7.reporting.records import RunRecords
from tfday7.reporting.words import Words

TABLE = json.loads((Path(tfday7.core.texts.__file__).parent / "report.json").read_text(encoding="utf-8"))
# Those that speak of a benchmark have tables of their own, held against each other in their tests.
OWN_TABLES = {"benchmark.py", "acceleration.py", "profile.py", "fitting_table.py", "compression.py"}
SOURCES = [
    path
    for path in Path(tfday7.reporting.__file__).parent.rglob("*")
    if path.suffix in (".py", ".j2") and path.name not in OWN_TABLES
]
# Ids that are put together from a record's own word, by their first part.
COMPOSED = {"verdict", "metric", "evidence", "severity", "state", "reason", "meaning", "split", "task", "stopped"}
COMPOSED |= {"column", "status", "latency", "legend", "tile", "references", "layers", "fix", "scale"}


def asked_for() -> set[str]:
    """Returns every id that stands as a whole in the code and the templates."""
    calls = re.compile(r"""(?:\bt|\bwords|self\.words|\bself)\(\s*["']([a-z0-9_.]+)["']\s*[,)]""")
    return {identifier for path in SOURCES for identifier in calls.findall(path.read_text(encoding="utf-8"))}


def test_every_sentence_has_both_languages_and_nothing_else() -> None:
    for identifier, sentence in TABLE.items():
        assert sorted(sentence) == ["en", "zh"], identifier
        assert identifier == "sentences" or all(sentence.values()), identifier


def test_both_languages_take_the_same_values() -> None:
    for identifier, sentence in TABLE.items():
        en, zh = ({field for _, field, _, _ in string.Formatter().parse(text) if field} for text in sentence.values())
        assert en == zh, identifier


def test_every_id_in_the_code_is_in_the_table() -> None:
    assert len(asked_for()) > 80
    assert asked_for() <= set(TABLE)


def test_no_sentence_is_left_that_nothing_asks_for() -> None:
    unused = {identifier for identifier in set(TABLE) - asked_for() if identifier.split(".")[0] not in COMPOSED}
    assert unused == set()


def test_all_that_a_difference_may_be_of_has_a_name() -> None:
    assert {f"scale.{name}" for name in parity.SCALES} == {each for each in TABLE if each.startswith("scale.")}


def test_a_chinese_report_has_no_english_sentence(tmp_path: Path) -> None:
    run = {**run_record(), "status": "running"}
    parsed = Page(write_report(complete(tmp_path / "run", run=run), "zh").read_text(encoding="utf-8"))
    assert ("html", "lang", "zh-Hans") in parsed.attributes
    spoken = [text for where, text in parsed.texts if not {"style", "code", "pre"} & set(where)]
    spoken += parsed.values("aria-label")
    english = [text for text in spoken if re.search(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}", text)]
    assert english == []
    assert "模型过拟合" in parsed.text()
    assert "验证损失在第 15 轮（共 20 轮）达到最低值 0.0868" in parsed.text()


@pytest.mark.parametrize(
    ("identifier", "values"),
    [
        ("diagnosis.no_such_check.title", {}),
        ("diagnosis.overfit.title", {"epochs": 3}),  # Values are missing.
        ("diagnosis.overfit.title", {"best_epoch": 1, "epochs": 3, "lowest": "low", "last": 1, "rise_percent": 1}),
    ],
)
def test_a_sentence_that_cannot_be_made_anew_stays_as_it_was_written(
    identifier: str, values: dict[str, object]
) -> None:
    assert Words("zh").recorded(identifier, "As written.", values) == "As written."


def test_values_may_bear_the_names_of_parameters() -> None:
    values = {"identifier": 1, "lang": 2, "self": 3, "epoch": 4}
    assert Words("zh").recorded("diagnosis.diverged.title", "As written.", values).startswith("第 4 轮")


def test_an_unknown_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown language 'fr'"):
        write_report(complete(tmp_path / "run"), "fr")


def test_a_value_that_was_not_measured_is_said_so_in_chinese_too() -> None:
    evidence = {"largest": 900, "smallest": 20, "recall": None, "validation": 0.9}
    found = finding("imbalance", "info", evidence, ["rare"], {"collect": ""})
    record = {"verdict": "good_fit", "findings": [dataclasses.asdict(found)]}
    (shown,) = verdict(RunRecords(Path(), "run", diagnosis=record), Words("zh")).findings
    assert shown.title == "最常见的类别有 900 个训练样本，最稀少的只有 20 个；稀少类别的召回率没有测量。"
    assert [value for _, value in shown.evidence] == [900, 20, 0.9]

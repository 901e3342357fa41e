"""A model is shown beside what simple methods reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from reporting.page import Page
from reporting.report_folders import complete, diagnosis_record, health_record, run_record
from rich.console import Console

from tfday7.reporting import summary, write_report


def page(tmp_path: Path, lang: str = "en", **changes: Any) -> Page:
    return Page(write_report(complete(tmp_path / "run", **changes), lang).read_text(encoding="utf-8"))


def terminal(tmp_path: Path, lang: str = "en", **changes: Any) -> list[str]:
    console = Console(width=100, record=True, quiet=False, file=(tmp_path / "out").open("w"))
    console.print(summary(complete(tmp_path / "run", **changes), lang))
    return [line.strip() for line in console.export_text().splitlines()]


def told(parsed: Page) -> str:
    return next(value for tag, name, value in parsed.attributes if tag == "svg" and "0.9313" in value)


@pytest.mark.parametrize(
    ("lang", "sentence"),
    [
        ("en", "chance, labels shuffled 0.1200; guessing 0.1073; nearest neighbours 0.9725; linear model 0.9313; "
               "this model 0.9828"),
        ("zh", "随机水平（标签打乱） 0.1200；盲猜 0.1073；最近邻 0.9725；线性模型 0.9313；本模型 0.9828"),
    ],
)  # fmt: skip
def test_the_picture_says_in_words_what_was_measured(tmp_path: Path, lang: str, sentence: str) -> None:
    assert told(page(tmp_path, lang, health=health_record())) == sentence


def test_the_ceiling_is_drawn_where_repeats_tell_it(tmp_path: Path) -> None:
    health = health_record()
    assert "ceiling" not in told(page(tmp_path, health=health))
    health["references"]["ceiling"] = 0.995
    assert told(page(tmp_path, health=health)).endswith("ceiling by label noise 0.9950")


def test_the_terminal_has_them_in_one_line(tmp_path: Path) -> None:
    line = "References on the validation split: guessing 0.11, linear model 0.93, this model 0.98"
    assert terminal(tmp_path, health=health_record()).count(line) == 1
    assert not any("References" in each for each in terminal(tmp_path, health={"references": None}))


def test_an_r2_far_below_zero_does_not_press_the_rest_together(tmp_path: Path) -> None:
    health = health_record()
    health["references"] |= {"linear": -250.0, "constant": -8.9e-16, "neighbours": 0.5, "shuffled": None}
    run = run_record()
    run["metric"] |= {"name": "r2_score", "validation": 0.9}
    parsed = page(tmp_path, health=health, run=run)
    places = [float(v) for tag, name, v in parsed.attributes if tag == "circle" and name == "cx"]
    assert max(places) - sorted(places)[-2] > 20  # 0.9 and 0.5 are told apart.
    assert any("guessing 0.0000" in value for value in parsed.values("aria-label"))


@pytest.mark.parametrize("references", [None, {}, {"constant": None, "linear": None}])
def test_without_references_there_is_no_section(tmp_path: Path, references: dict[str, Any] | None) -> None:
    assert "references" not in page(tmp_path, health={"references": references}).values("id")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_could_not_be_seen_is_said_under_the_findings(tmp_path: Path, lang: str) -> None:
    unseen = [{"id": "diagnosis.diverged.title", "text": "As written.", "epoch": 3}]
    text = page(tmp_path, lang, diagnosis={**diagnosis_record(), "unseen": unseen}).text()
    assert {"en": "What could not be seen", "zh": "未能检查的内容"}[lang] in text
    assert {"en": "As written.", "zh": "第 3 轮时损失变成了非数值"}[lang] in text
    assert "could not be seen" not in page(tmp_path).text()

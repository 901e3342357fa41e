"""Remedies that were tried are shown with every seed, on the page and in the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from reporting.page import Page
from reporting.report_folders import complete, fix_record
from rich.console import Console

from tfday7.core.errors import UserError
from tfday7.reporting import fix_summary, write_report


def page(tmp_path: Path, record: dict[str, Any], lang: str = "en") -> Page:
    return Page(write_report(complete(tmp_path / "run", fix=record), lang).read_text(encoding="utf-8"))


def printed(record: dict[str, Any], lang: str = "en", width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(fix_summary(record, lang))
    return stream.getvalue()


def test_the_table_equals_arithmetic_on_the_record(tmp_path: Path) -> None:
    rows = page(tmp_path, fix_record()).rows["fix"]
    assert rows[1][:4] == ["before", "0.9400", "", "3"]
    assert rows[2] == [
        "1. --dropout=0.3", "0.9700", "+0.0300", "3", "Drop hidden units at random during training.", "kept",
    ]  # fmt: skip
    assert rows[3] == [
        "2. --width=8", "0.9000", "-0.0300", "1", "Use a smaller model; it runs faster, too.",
        "not kept: worse with the first seed",
    ]  # fmt: skip


def test_every_seed_is_a_dot_and_every_mean_a_stroke(tmp_path: Path) -> None:
    parsed = page(tmp_path, fix_record())
    looks = [value for tag, name, value in parsed.attributes if name == "class" and tag in ("circle", "path")]
    dots = [look for look in looks if re.fullmatch(r"dot (before|kept|dropped|after)", look)]
    assert dots == ["dot before"] * 3 + ["dot kept"] * 3 + ["dot dropped"] + ["dot after"] * 3
    assert sum(look.startswith("mark ") for look in looks) == 4


def test_the_winner_has_its_command_and_its_test_score(tmp_path: Path) -> None:
    text = page(tmp_path, fix_record()).text()
    assert "With --dropout=0.3, validation accuracy goes from 0.9400 to 0.9700." in text
    assert "Checked once on the test set: 0.9502 before, 0.9655 after." in text
    assert "python -m tfday7.train --flagfile=runs/quickstart/fixed.flags" in text


@pytest.mark.parametrize(("lang", "words"), [("en", "It is worse there"), ("zh", "在测试集上反而更差")])
def test_a_winner_that_is_worse_on_the_test_set_says_so(tmp_path: Path, lang: str, words: str) -> None:
    record = {**fix_record(), "test": {"before": 0.96, "after": 0.95}}
    text = page(tmp_path, record, lang).text()
    assert words in text
    assert "fixed.flags" in text
    assert words in printed(record, lang, 300)
    assert words not in printed(fix_record(), lang, 300)


@pytest.mark.parametrize(("lang", "words"), [("en", "so the original model is kept"), ("zh", "因此保留原模型")])
def test_where_nothing_helped_the_original_is_kept(tmp_path: Path, lang: str, words: str) -> None:
    record = {**fix_record(), "after": None, "test": {"before": 0.95, "after": None}}
    text = page(tmp_path, record, lang).text()
    assert words in text
    assert "fixed.flags" not in text
    assert words in printed(record, lang, 300)


@pytest.mark.parametrize(
    ("lang", "told", "seed"),
    [("en", "No remedy clearly improved validation accuracy with the run’s seed (0.9300", "with the seed 0 in"),
     ("zh", "以原训练的随机种子，没有任何措施使验证集准确率明显提升（原为 0.9300", "（随机种子 0）")],
)  # fmt: skip
@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])  # Earlier versions recorded those that might have trained.
def test_where_one_seed_trained_no_others_are_told(lang: str, told: str, seed: str, seeds: list[int]) -> None:
    record = {**fix_record(), "after": None, "spread": None, "seeds": seeds}
    record["before"] = {"flags": {}, "value": 0.93, "by_seed": [0.93]}
    record["attempts"] = record["attempts"][1:]
    text = printed(record, lang, 300)
    assert told in text
    assert seed in text


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [60, 100])
def test_the_terminal_shows_before_each_attempt_and_the_command(lang: str, width: int) -> None:
    text = printed(fix_record(), lang, width)
    assert all(len(line) <= width for line in text.splitlines())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for start in ("0.9400 ", "0.9700 +0.0300 1. --dropout=0.3 ", "0.9000 -0.0300 2. --width=8 "):
        assert sum(line.startswith(start) for line in lines) == 1
    assert "fixed.flags" in text


def test_a_difference_between_seeds_that_is_not_known_is_not_told() -> None:
    assert "the seeds alone" in " ".join(printed(fix_record()).lower().split())
    assert "the seeds alone" not in " ".join(printed({**fix_record(), "spread": None}).lower().split())


def test_the_remedies_of_a_chinese_page_are_chinese(tmp_path: Path) -> None:
    assert "训练时随机丢弃隐藏单元（dropout）。" in page(tmp_path, fix_record(), "zh").text()


def test_a_reason_that_is_a_texts_id_is_told_in_the_readers_language(tmp_path: Path) -> None:
    record = fix_record()
    record["attempts"][1]["reason"] = "report.no_findings"
    assert page(tmp_path, record, "zh").rows["fix"][3][-1].endswith("各项检查均未发现问题。")


REASONS = [
    ({"id": "repair.reason.gain", "text": "+0.0062 with 1 seed", "gain": 0.0062, "seeds": 1}, "+0.0062（1 个种子）"),
    ({"id": "repair.reason.guessing", "text": "no better", "guess": 0.9714}, "不优于盲猜（0.9714）"),
    ({"id": "repair.reason.beaten", "text": "another one was kept"}, "已采用另一项措施"),
    ({"id": "repair.reason.too_long", "text": "too long"}, "所需时间超出剩余预算"),
    ({"id": "repair.reason.stalled", "text": "stalled", "epochs": 3}, "训练 3 轮后仍不优于盲猜"),
    ({"id": "repair.reason.stalled", "text": "stalled"}, "stalled"),
    ({"id": "", "text": "a contradicts b"}, "a contradicts b"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "chinese"), REASONS)
def test_reasons_are_told_in_the_readers_language(reason: dict[str, Any], chinese: str) -> None:
    record = fix_record()
    record["attempts"][1] |= {"reason": f"{reason['text']}; b", "reasons": [reason, {"id": "", "text": "b"}]}
    assert f"未采用：{chinese}；b" in printed(record, "zh", 300)
    assert f"not kept: {reason['text']}; b" in printed(record, "en", 300)


@pytest.mark.parametrize(("lang", "told"), [("en", "worse than guessing (0.9714)"), ("zh", "不如盲猜（0.9714）")])
def test_an_original_worse_than_guessing_says_so(lang: str, told: str) -> None:
    record = {**fix_record(), "after": None, "guess": 0.9714}
    assert told in printed(record, lang, 300)
    assert told not in printed({**record, "guess": 0.1}, lang, 300)
    assert told not in printed({**record, "guess": 0.9714, "attempts": []}, lang, 300)


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [([0.93, None], [0.9], "-0.0300"), ([0.93, 0.95], [0.9, 0.9], "-0.0400"), ([None, 0.95], [0.9], ""),
     ([0.93], [0.9, 0.5], "-0.0300"), ([], [0.9], "")],
)  # fmt: skip
def test_a_difference_is_that_of_the_same_seeds(
    before: list[float | None], after: list[float], shown: str, tmp_path: Path
) -> None:
    record = fix_record()
    record["before"]["by_seed"] = before
    record["attempts"][1]["by_seed"] = after
    assert page(tmp_path, record).rows["fix"][3][2] == shown


def test_the_reasons_of_earlier_versions_are_shown_as_they_are() -> None:
    assert "未采用：worse with the first seed" in printed(fix_record(), "zh", 300)


@pytest.mark.parametrize(("lang", "told"), [("en", "was not decided within the budget"), ("zh", "在预算内未能判定")])
def test_what_the_budget_left_undecided_is_not_called_no_better(lang: str, told: str) -> None:
    record = {**fix_record(), "after": None, "spread": None, "seeds": [0]}
    record["attempts"][0] |= {"kept": False, "reason": "not decided: the budget is spent", "by_seed": [0.96]}
    assert told in printed(record, lang, 300)


@pytest.mark.parametrize(("lang", "told"), [("en", "No remedy was tried"), ("zh", "未尝试任何措施")])
def test_where_no_remedy_was_tried_none_is_called_no_better(lang: str, told: str) -> None:
    assert told in printed({**fix_record(), "after": None, "attempts": [], "trainings": 0}, lang, 300)


@pytest.mark.parametrize(
    "changes",
    [{"before": {}, "attempts": []}, {"attempts": None, "seeds": None, "test": None, "seconds": None},
     {"before": {"flags": {"lr": None}, "value": "x", "by_seed": [None, "y", 0.5]}}],
)  # fmt: skip
def test_a_partial_record_is_drawn(tmp_path: Path, changes: dict[str, Any]) -> None:
    record = {**fix_record(), **changes}
    assert "fix" in page(tmp_path, record).values("id")
    assert printed(record)


def test_hostile_names_and_controls_stay_text(tmp_path: Path) -> None:
    record = fix_record()
    record["attempts"][0] |= {"flags": {"<b>x</b>": "<script>\x1b[31m"}, "reason": "<img src=x>", "remedy": "<i>"}
    parsed = page(tmp_path, record)
    assert not {"script", "img", "b", "i"} & set(parsed.tags)
    assert "\x1b" not in printed(record)


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fix\.json: attempts"):
        page(tmp_path, {**fix_record(), "attempts": "many"})


def test_without_a_repair_there_is_nothing(tmp_path: Path) -> None:
    assert "fix" not in page(tmp_path, {}).values("id")
    assert printed({}).strip() == ""

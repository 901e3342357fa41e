"""The page of a search shows what tuning.json says, whole or in part, and nothing that a record smuggles in."""

from __future__ import annotations

import copy
import json
import re
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from reporting.page import Page
from reporting.search_folders import bakeoff_record, search_folder, search_record, trials

import tfday7.core.texts
import tfday7.reporting
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.reporting import is_search, search_summary, write_search_report

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)></style></svg>{{ 7*7 }}{% raw %}&lt;\u202e\x00"
TABLE = json.loads((Path(tfday7.core.texts.__file__).parent / "search.json").read_text(encoding="utf-8"))
SOURCES = [path for path in Path(tfday7.reporting.__file__).parent.rglob("*") if path.suffix in (".py", ".j2")]


def page(tmp_path: Path, record: Any = None, lang: str = "en") -> Page:
    return Page(write_search_report(search_folder(tmp_path / "run", record), lang).read_text(encoding="utf-8"))


def headline(parsed: Page) -> str:
    return next(text for where, text in parsed.texts if where[-1] == "h1")


def labels(parsed: Page, tag: str) -> list[str]:
    return [value for element, name, value in parsed.attributes if element == tag and name == "aria-label"]


def test_the_headline_names_the_best_trial_or_the_winner(tmp_path: Path) -> None:
    assert headline(page(tmp_path)) == "Best of 12 trials: validation accuracy 0.97, trial 5."
    assert headline(page(tmp_path, bakeoff_record())) == (
        "Of 3 optimizers adam trains best: validation accuracy 0.94 on average over 3 seeds."
    )
    assert headline(page(tmp_path, bakeoff_record(), "zh")).startswith("3\u00a0种优化器中 adam 最佳")


def test_the_table_holds_every_trial_the_best_first_and_says_why_some_led_nowhere(tmp_path: Path) -> None:
    rows = page(tmp_path).rows["trials"]
    recorded = {trial["number"]: trial for trial in trials()}
    assert rows[0] == ["Trial", "Validation accuracy", "optimizer", "learning_rate", "batch_size", "beta_1", "Epochs",
                       "Time"]  # fmt: skip
    numbers = [int(row[0].split()[0]) for row in rows[1:]]
    assert numbers[0] == 5
    assert sorted(numbers) == list(range(1, 13))
    assert numbers[-2:] == [6, 12]
    values = [recorded[number]["value"] for number in numbers[:-2]]
    assert values == sorted(values, reverse=True)
    assert [row[1] for row in rows[1:-2]] == [f"{value:.4g}" for value in values]
    assert rows[-1][1] == "✗ led nowhere diverged: the loss is not finite in epoch 3"
    other = next(row for row in rows[1:] if row[2] == "sgd")
    assert other[5] == "does not apply"  # sgd has no beta_1; said to screen readers alone.


def test_a_lower_loss_is_better_where_the_objective_says_so(tmp_path: Path) -> None:
    record = search_record(objective={"name": "val_loss", "direction": "min"})
    for trial in record["trials"]:
        trial["value"] = None if trial["value"] is None else 10 * (1 - trial["value"])
    rows = page(tmp_path, record).rows["trials"]
    assert rows[1][:2] == ["5 best", "0.3"]


def test_the_bake_off_shows_each_optimizer_ranked_with_its_time_to_target(tmp_path: Path) -> None:
    rows = page(tmp_path, bakeoff_record()).rows["optimizers"]
    assert rows[0][2:4] == ["Epochs to 0.9", "Seconds to 0.9"]
    assert rows[1] == ["adam best", "0.94 ± 0.01 0.93 to 0.95", "3", "0.75", "4", "0", "8.0 s", "learning_rate=0.001"]
    assert [row[0] for row in rows[1:]] == ["adam best", "lion", "sgd"]
    assert rows[3][2:6] == ["?", "?", "4", "1"]


def test_seeds_that_failed_are_said_and_rank_an_optimizer_behind_those_that_train_with_all(tmp_path: Path) -> None:
    record = bakeoff_record()
    record["best"] |= {"reruns": [{**each, "value": None} for each in record["best"]["reruns"][:1]], "spread": None}
    record["compare"]["optimizers"][1]["failed"] = 1  # Of adam, whose mean is the best.
    parsed = page(tmp_path, record)
    assert [row[0] for row in parsed.rows["optimizers"][1:]] == ["lion", "sgd", "adam best"]
    assert parsed.rows["optimizers"][3][1] == "0.94 ± 0.01 0.93 to 0.95 1 of 3 seeds failed"
    assert "With 1 of 1 other seeds training failed." in parsed.text()


@pytest.mark.parametrize(
    ("lang", "expected"), [("en", "With 2 other seeds: 0.94"), ("zh", "另外 3 个随机种子中，有 1 个")]
)
def test_the_spread_is_said_of_the_seeds_that_ended(tmp_path: Path, lang: str, expected: str) -> None:
    from rich.console import Console

    record = search_record()
    record["best"]["reruns"][0]["value"] = None
    folder = search_folder(tmp_path / "run", record)
    with (console := Console(width=200)).capture() as shown:
        console.print(search_summary(folder, lang))
    assert expected in shown.get()
    if lang == "en":
        assert "With 1 of 3 other seeds training failed." in shown.get()
        assert "With 1 of 3 other seeds training failed." in page(tmp_path, record).text()


def test_figures_say_their_numbers_to_who_cannot_see_them(tmp_path: Path) -> None:
    parsed = page(tmp_path)
    told = labels(parsed, "svg")
    assert len(told) == parsed.tags["svg"]
    text = "\n".join(told)
    best = trials()[4]["values"]
    assert "12 trials over optimizer, learning_rate, beta_1, batch_size. Trial 5: validation accuracy 0.97" in text
    assert f"validation accuracy against beta_1; the best, trial 5, has {best['adam.beta_1']:.4g}." in text
    assert "Share of each setting in the result: adam.learning_rate 62%, optimizer 30%, batch_size 8%." in text
    assert "Other seeds: 0.94 on average, 0.93 to 0.95" in text  # (0.93 + 0.94 + 0.95) / 3


def test_every_line_leads_to_its_row_and_few_stop_the_tab_key(tmp_path: Path) -> None:
    parsed = page(tmp_path, search_record(trials=trials(60)))
    lines = [value for tag, name, value in parsed.attributes if tag == "a" and name == "href" and "#trial-" in value]
    assert len(lines) == 60
    assert {line.removeprefix("#") for line in lines} <= set(parsed.values("id"))
    stops = [value for tag, name, value in parsed.attributes if tag == "a" and name == "tabindex"]
    assert stops.count("0") == 20
    assert any(label.startswith("Trial 6 led nowhere (diverged") for label in labels(parsed, "a"))


def test_what_was_widened_and_what_lies_at_a_bound_is_said(tmp_path: Path) -> None:
    record = search_record()
    record["best"]["at_bound"] = {"batch_size": "high"}
    text = page(tmp_path, record).text()
    assert "adam.learning_rate was searched from 0.0001 to 0.01 first." in text
    assert "The best lies at a bound of batch_size" in text


def hostile(value: Any, text: str) -> Any:
    """Replaces every text of a record and a hyperparameter's name, but not the words that decide what is drawn."""
    if isinstance(value, dict):
        kept = ("scale", "direction")
        renamed = {key.replace("beta_1", text): entry for key, entry in value.items()}
        return {key: entry if key in kept else hostile(entry, text) for key, entry in renamed.items()}
    if isinstance(value, list):
        return [hostile(entry, text) for entry in value]
    return f"{value}{text}" if isinstance(value, str) else value


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("record", [search_record, bakeoff_record])
def test_hostile_names_stay_text(tmp_path: Path, record: Any, lang: str) -> None:
    parsed, harmless = (page(tmp_path, hostile(record(), text), lang) for text in (HOSTILE, "name"))
    difference = (parsed.tags - harmless.tags) + (harmless.tags - parsed.tags)
    assert set(difference) <= {"title", "text"}  # A long name is cut and tells the rest; fewer ticks fit beside it.
    assert not {"script", "img", "iframe", "object", "link", "base", "form"} & set(parsed.tags)
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.text().count("<script>alert(1)</script>") > 10
    assert parsed.unclosed == []


def test_the_page_needs_nothing_and_may_run_nothing(tmp_path: Path) -> None:
    for record in (search_record(), bakeoff_record()):
        path = write_search_report(search_folder(tmp_path / "run", record))
        parsed = Page(path.read_text(encoding="utf-8"))
        policy = next(v for _, name, v in parsed.attributes if name == "content" and "default-src" in v)
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert parsed.values("style") == parsed.values("src") == []
        assert all(href.startswith("#") for href in parsed.values("href"))
        ids = parsed.values("id")
        assert len(ids) == len(set(ids))
        referred = [href.removeprefix("#") for href in parsed.values("href")] + parsed.values("aria-labelledby")
        assert set(referred) <= set(ids)


def test_structure_for_screen_readers(tmp_path: Path) -> None:
    for record in (search_record(), bakeoff_record()):
        parsed = page(tmp_path, record)
        assert [parsed.tags[tag] for tag in ("header", "main", "footer", "nav", "h1")] == [1, 1, 1, 1, 1]
        assert parsed.headings[0] == 1
        assert all(after - before <= 1 for before, after in zip(parsed.headings, parsed.headings[1:], strict=False))
        assert parsed.tags["caption"] == parsed.tags["table"]
        assert len([name for tag, name, _ in parsed.attributes if tag == "th" and name == "scope"]) == parsed.tags["th"]


@pytest.mark.parametrize("record", [search_record, bakeoff_record])
def test_a_chinese_report_has_no_english_sentence(tmp_path: Path, record: Any) -> None:
    parsed = page(tmp_path, record(), "zh")
    spoken = [text for where, text in parsed.texts if not {"style", "code", "pre"} & set(where)]
    spoken += parsed.values("aria-label")
    assert [text for text in spoken if re.search(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}", text)] == []
    if record is search_record:
        assert "损失在第 6 轮变为非有限数值" in parsed.text()


def test_every_sentence_has_both_languages_with_the_same_values() -> None:
    for identifier, sentence in TABLE.items():
        assert sorted(sentence) == ["en", "zh"], identifier
        en, zh = ({field for _, field, _, _ in string.Formatter().parse(text) if field} for text in sentence.values())
        assert en == zh, identifier


def test_every_sentence_that_is_asked_for_is_there_and_none_is_left_over() -> None:
    composed = ("reason.", "range_test.", "column.", "spread", "one_seed", "page.trial", "page.number", "page.range_")
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    asked = set(re.findall(r"""\b(?:s|say)\(\s*["']([a-z_.]+)["']""", source))
    asked |= {
        identifier.removeprefix("search.") for identifier in re.findall(r"""["'](search\.[a-z_.]+)["']""", source)
    }
    assert len(asked) > 60
    assert asked <= set(TABLE)
    assert {key for key in set(TABLE) - asked if not key.startswith(composed)} == {"settings"}


PARTS = ("space", "widened", "importance", "target", "hardware", "versions", "tuner", "trials_asked", "workers", "seed")


@pytest.mark.parametrize("missing", PARTS)
def test_an_unknown_part_is_left_out(tmp_path: Path, missing: str) -> None:
    record = {**search_record(), missing: None}
    assert headline(page(tmp_path, record)).startswith("Best of 12 trials")


@pytest.mark.parametrize("missing", ["reruns", "spread", "values", "flags", "at_bound"])
def test_an_unknown_part_of_the_best_is_left_out(tmp_path: Path, missing: str) -> None:
    for record in (search_record(), bakeoff_record()):
        record["best"] = {**record["best"], missing: None}
        assert page(tmp_path, record).unclosed == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (["no", "object"], r"tuning\.json: list found; expected an object"),
        ({"trials": {}}, r"trials: dict found; expected a list"),
        ({"trials": []}, r"it needs a best trial"),
        ({"trials": [{"number": 1, "value": None}]}, r"it needs a best trial"),
        ({"best": {}}, r"it needs a best trial"),
        ({"space": "everything"}, r"space: str found"),
        ({"compare": {"optimizers": [3]}}, r"optimizers: int found"),
    ],
)
def test_damaged_records_are_refused_by_name(tmp_path: Path, damage: Any, message: str) -> None:
    record = damage if isinstance(damage, list) else {**search_record(), **damage}
    with pytest.raises(UserError, match=message):
        page(tmp_path, record)
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("value", ["text", [1], {}, True, 1e300, -1])
def test_odd_values_are_drawn_or_left_out_but_never_end_the_report(tmp_path: Path, value: Any) -> None:
    record = copy.deepcopy(search_record())
    record["trials"][1]["values"]["sgd.learning_rate"] = value
    record["trials"][3]["value"] = value
    record["trials"][3]["seconds"] = value
    record["best"]["reruns"][0]["curve"][2] = value
    record["importance"][0]["share"] = value
    text = write_search_report(search_folder(tmp_path / "run", record)).read_text(encoding="utf-8")
    assert not re.search(r'(?:d|cx|cy|x|y|width)="[^"]*(?:nan|inf)', text)


def test_a_search_that_has_not_ended_is_told_to_go_on(tmp_path: Path) -> None:
    folder = search_folder(tmp_path / "run")
    (folder / "tuning.json").unlink()
    (folder / "trials").mkdir()
    assert is_search(folder)
    with pytest.raises(UserError, match="the search has not ended") as raised:
        write_search_report(folder)
    assert "goes on with it" in raised.value.hint
    (folder / "run.json").write_text("{}", encoding="utf-8")
    assert not is_search(folder)  # A training's.
    assert not is_search(RunFolder(tmp_path))


def test_two_thousand_trials_stay_below_two_megabytes(tmp_path: Path) -> None:
    parsed = page(tmp_path, search_record(trials=trials(2000)))
    assert (tmp_path / "run" / "report.html").stat().st_size < 2_000_000
    assert {href.removeprefix("#") for href in parsed.values("href")} <= set(parsed.values("id"))
    assert "300 of 2000 are shown." in parsed.text()
    assert "500 of 2000 are shown." in parsed.text()


def test_the_terminal_ends_with_the_path_of_the_report(tmp_path: Path) -> None:
    from rich.console import Console

    folder = search_folder(tmp_path / "run")
    path = "runs/" + "x" * 100 + "/report.html"
    with (console := Console(width=80)).capture() as shown:
        console.print(search_summary(folder, "en", Path(path)), crop=False)
    assert shown.get().splitlines()[-1] == f"Report: {path}"  # In one piece, to be copied.


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_report_command_renders_a_search_again(tmp_path: Path, lang: str) -> None:
    folder = search_folder(tmp_path / "run", bakeoff_record())
    command = [sys.executable, "-m", "tfday7.report", f"--run_dir={folder.path}", f"--lang={lang}"]
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1].endswith(str(folder / "report.html"))
    assert "<title>run: " in (folder / "report.html").read_text(encoding="utf-8")
    told = subprocess.run([*command, "--json"], cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == bakeoff_record()

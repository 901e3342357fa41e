"""Advice on compression on the terminal: nothing of the record is lost, in both languages; commands can be copied."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from tfday7.compression.advising.advice import advise
from tfday7.compression.advising.deployment import DEVICES, Deployment
from tfday7.core.texts import LANGUAGES, table
from tfday7.optimizers.situation import Situation
from tfday7.reporting import compression_advice


def drawn(record: dict[str, Any], lang: str, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(compression_advice(record, lang))
    return console.export_text()


def told(device: str, lang: str, data: str = "labelled", **more: Any) -> tuple[dict[str, Any], str]:
    asked = Deployment(device=device, data_available=data, **more)
    record = advise(asked, Situation(model_kind="cnn", parameters=80_000)).to_json(lang)
    return record, drawn(record, lang)


def squeezed(text: str) -> str:
    return re.sub(r"[\s\\]", "", text)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("device", DEVICES)
def test_everything_that_the_record_says_is_on_the_page(device: str, lang: str) -> None:
    for data in ("none", "unlabelled", "labelled"):
        record, page = told(device, lang, data)
        shown = squeezed(page)
        sentences = [record["device"]["text"], *(note["text"] for note in record["notes"])]
        sentences += [out["text"] for out in (*record["left_out"], *record["with_more"])]
        sentences += [out["recipe"] for out in (*record["left_out"], *record["techniques"])]
        for technique in record["techniques"]:
            parts = [*technique["why"], *technique["advantages"], *technique["drawbacks"], *technique["speed"]]
            sentences += [claim["text"] for claim in parts] + [technique["title"], technique["command"]]
        sentences += record["then"] if record["techniques"] else []
        assert [sentence for sentence in sentences if squeezed(sentence) not in shown] == []
        sources = [claim["source"] for one in record["techniques"] for claim in one["speed"]]
        separator = table()["compression.label.separator"][lang]
        assert all(squeezed(part) in shown for source in sources for part in source.split(separator))


def test_techniques_stand_in_their_order_and_what_is_said_of_a_part_stands_once() -> None:
    record, page = told("x86", "en")
    places = [page.index(f"{place}. {one['recipe']}:") for place, one in enumerate(record["techniques"], start=1)]
    assert places == sorted(places)
    shown = squeezed(page)
    for technique in record["techniques"]:
        assert all(shown.count(squeezed(claim["text"])) == 1 for claim in technique["speed"])
    assert "as above: what is said of fewer channels, int8" in page


def test_a_command_is_one_for_the_shell_even_on_a_narrow_terminal() -> None:
    record, page = told("raspberry_pi", "en", max_accuracy_drop=0.005)
    commands = re.findall(r"python -m tfday7\.compress(?:[^\n]*\\\s*\n)*[^\n]*", page)
    joined = [re.sub(r"\s+", " ", command.replace("\\", " ")).strip() for command in commands]
    assert joined == [technique["command"] for technique in record["techniques"]]
    assert all(len(line.rstrip()) <= 80 for line in page.splitlines())


def test_what_was_assumed_is_told_as_flags() -> None:
    page = drawn(advise(Deployment(device="x86"), Situation()).to_json(), "en", width=200)
    assert "--reduce=both, --model_kind=cnn, --data_available=labelled, --can_train=true" in re.sub(r"\s+", " ", page)


@pytest.mark.parametrize(("lang", "words"), [("en", "examples are needed first"), ("zh", "首先需要样本")])
def test_a_device_that_needs_examples_first_says_so(lang: str, words: str) -> None:
    record, page = told("android_npu", lang, "none")
    assert words in page
    assert record["then"][0] not in page  # There is no file yet.

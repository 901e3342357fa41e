"""One table of sentences in two languages."""

from __future__ import annotations

import string

import pytest

from tfday7.core.texts import LANGUAGES, table, text


def _fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("identifier", sorted(table()))
def test_a_sentence_exists_in_every_language_with_the_same_values(identifier: str) -> None:
    sentences = table()[identifier]
    assert set(sentences) == set(LANGUAGES)
    if sentences["en"].strip():  # What joins two sentences is a space in English and nothing in Chinese.
        assert sentences["zh"].strip()
    assert _fields(sentences["en"]) == _fields(sentences["zh"])


@pytest.mark.parametrize("identifier", sorted(name for name in table() if name.startswith("diagnosis.")))
def test_advice_in_chinese_is_chinese(identifier: str) -> None:
    assert any("\u4e00" <= character <= "\u9fff" for character in table()[identifier]["zh"])
    assert not any("\u4e00" <= character <= "\u9fff" for character in table()[identifier]["en"])


@pytest.mark.parametrize(
    "identifier", ["benchmark.column.gzip", "report.column.gzip", "compression.con.clusters",
                   "compression.pro.clusters", "compression.speed.clusters", "compression.speed.zeros"],
)  # fmt: skip
def test_packing_is_told_apart_from_compressing_a_model_in_chinese(identifier: str) -> None:
    assert "gzip" in table()[identifier]["zh"]


def test_values_are_filled_in_with_their_format_and_more_than_needed_is_fine() -> None:
    sentence = text("diagnosis.diverged.title", epoch=3, learning_rate=0.1)
    assert sentence == "The loss stopped being a number in epoch 3."
    assert "3" in text("diagnosis.diverged.title", "zh", epoch=3)


def test_a_missing_sentence_or_value_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        text("diagnosis.no_such.title")
    with pytest.raises(KeyError):
        text("diagnosis.diverged.title")

"""Names become identifiers that are none else's, and numbers literals that read as the same number."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.deploying import rendering


@given(st.text())
def test_every_name_becomes_an_identifier(name: str) -> None:
    made = rendering.identifier(name)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,70}", made)
    assert not made.isalpha()  # All keywords of Kotlin and Java are.


@given(st.lists(st.text(alphabet="aA_ -$1.类", max_size=6), min_size=2, max_size=2, unique=True))
def test_two_names_never_become_one(names: list[str]) -> None:
    first, second = map(rendering.identifier, names)
    assert first != second


def test_a_name_that_is_one_already_stays() -> None:
    assert rendering.identifier("quickstart_int8") == "quickstart_int8"
    assert rendering.identifier("class").startswith("class_model_")
    assert rendering.identifier("8bit").startswith("model_8bit_")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_literal_reads_as_the_same_float32(value: float) -> None:
    text = rendering.float32_literal(value)
    assert np.float32(float(text)) == np.float32(value)
    assert re.fullmatch(r"-?[0-9]+\.[0-9]+(e-?[0-9]+)?", text)  # C reads 1.0f, but not 1f.


def test_what_is_no_finite_number_is_refused() -> None:
    with pytest.raises(UserError, match="expected a finite one"):
        rendering.float32_literal(float("inf"))


@given(st.lists(st.text(), max_size=5))
def test_names_with_line_breaks_stay_one_line_each(texts: list[str]) -> None:
    lines = rendering.escaped_lines(texts).split("\n")[:-1]
    assert len(lines) == len(texts)
    assert [line.encode("utf-8", "surrogatepass").decode("unicode_escape") for line in lines if line.isascii()] == [
        text for text in texts if text.isascii()
    ]


@given(st.text())
def test_shown_text_is_one_line_without_mark_up(text: str) -> None:
    shown = rendering.shown(text)
    assert shown
    assert len(shown) <= 200
    assert shown.isprintable()
    assert not set(shown) & set("`<>|[]")


def test_a_readme_says_whether_raw_values_are_divided_already() -> None:
    """An app that divided pixels itself would have them divided twice."""
    assert rendering.raw_values({"preprocessing": "pixels / 255", "divisor": 255.0}) == (
        "Raw values are not divided yet: the division by 255 is done here. The model was trained on pixels / 255.\n"
    )
    assert rendering.raw_values({"preprocessing": "a\n`b`", "divisor": 1.0, "columns": {"a": 1}}) == (
        "Raw values are what the model was trained on: a \\`b\\`.\n"
        "Columns of text are encoded before, as `input.columns` of `bundle.json` says.\n"
    )
    assert rendering.raw_values({"preprocessing": "", "divisor": 1.0}) == ""


def test_a_readme_says_all_of_what_was_done_to_a_text_and_where_its_words_are() -> None:
    recipe = "lower case; " * 30 + "filled with 0 to 64"
    assert rendering.raw_values({"preprocessing": recipe, "vocabulary": ["", "word"]}) == (
        f"Raw values are what the model was trained on: {recipe}.\n"
        "A token id is the number of a word: `vocabulary.txt` has one a line, from 0 on.\n"
    )


def test_places_are_filled_once_and_an_unknown_one_is_a_bug(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("@A@ and @B@, not a@b.c")
    assert rendering.render(tmp_path, "t", {"A": "@B@", "B": 2}) == "@B@ and 2, not a@b.c"
    with pytest.raises(KeyError):
        rendering.render(tmp_path, "t", {"A": 1})

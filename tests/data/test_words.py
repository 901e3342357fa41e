"""Words, against Keras's own TextVectorization."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras3, tf
from tfday7.data import words

TEXTS = [
    "The cat, the DOG!", "", "  cat\tdog\n cat ", "a-b_c d'e \"f\" {g}", "Ünder ÉTÉ straße", "cat\u00a0dog", "...",
    "cat\x1cdog", "x\x0by\x0cz", "дом дом", "日本 語", "the the dog dog cat a b c d e f g",
]  # fmt: skip


@pytest.fixture(scope="module")
def split() -> object:
    return keras3.layers.TextVectorization(output_mode="int", vocabulary=["unused"])._preprocess


def test_texts_are_split_as_keras_splits_them(split: object) -> None:
    assert [words.split(text) for text in TEXTS] == split(tf.constant(TEXTS)).to_list()  # type: ignore[operator]


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_is_split_as_keras_splits_it(split: object, text: str) -> None:
    assert [words.split(text)] == split(tf.constant([text])).to_list()  # type: ignore[operator]


@pytest.mark.parametrize("length", [1, 4, 20])
def test_token_ids_and_marks_are_those_of_keras(length: int) -> None:
    found = words.ids(TEXTS, np.ones(len(TEXTS), bool), 100, "file.csv", "a")
    assert set(found.vocabulary) == {"the", "cat", "dog", "дом", "f", "g"}  # What comes twice.
    assert found.vocabulary[:3] == ("cat", "dog", "the")  # 4, 4 and 4 times, then in order of the alphabet.
    layer = keras3.layers.TextVectorization(
        output_mode="int", output_sequence_length=length, vocabulary=list(found.vocabulary)
    )
    np.testing.assert_array_equal(found.tokens(np.arange(len(TEXTS)), length), layer(tf.constant(TEXTS)).numpy())
    marks = keras3.layers.TextVectorization(output_mode="multi_hot", vocabulary=list(found.vocabulary))
    part = np.zeros((len(TEXTS), 1 + len(found.vocabulary)), np.float32)
    found.mark(np.arange(len(TEXTS)), part)
    np.testing.assert_array_equal(part, marks(tf.constant(TEXTS)).numpy())


def test_rows_are_found_in_any_order() -> None:
    found = words.ids(["a b", "b", "", "a a b"], np.ones(4, bool), 100, "file.csv", "a")
    assert found.vocabulary == ("a", "b")
    assert found.tokens(np.array([3, 2, 0]), 3).tolist() == [[2, 2, 3], [0, 0, 0], [2, 3, 0]]


def test_only_training_texts_make_the_vocabulary_and_at_most_so_many_words_are_kept() -> None:
    texts, train = ["a a a b b", "c c c c", "d d"], np.array([True, False, True])
    assert words.ids(texts, train, 100, "file.csv", "a").vocabulary == ("a", "b", "d")
    assert words.ids(texts, train, 2, "file.csv", "a").vocabulary == ("a", "b")


def test_texts_whose_words_never_repeat_are_refused() -> None:
    with pytest.raises(UserError, match=r"file\.csv, column 'a': no word comes twice in the 2 training rows"):
        words.ids(["one two", "three", "x x"], np.array([True, True, False]), 100, "file.csv", "a")

"""Words of texts, to the letter as Keras's TextVectorization standardizes and splits them.

ASCII letters are lowered, ASCII punctuation is taken out, and what white space separates is a word; letters beyond
ASCII stay as they are. So what was trained on these words gets the same ones from the layer in the delivered model.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import string
from collections.abc import Iterator, Sequence

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.lazy import LazyInputs

STANDARDIZATION = "ASCII letters in lower case, ASCII punctuation removed, split at white space"
MIN_COUNT = 2  # A word that one text has says nothing of others.
MAX_IDS = 4094  # Words with a token id, beside padding and the unknown word.
MAX_LENGTH = 256
LENGTH_QUANTILE = 0.99  # Of the training texts are not cut.
PADDING, OTHER = "[padding]", "[unknown]"

_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_PUNCTUATION = string.punctuation.encode()


def split(text: str) -> list[bytes]:
    """Returns the words of a text, UTF-8."""
    return text.encode().translate(_LOWER, _PUNCTUATION).split()


@dataclasses.dataclass(frozen=True)
class Ids:
    """The words of many texts, one text after the other.

    Attributes:
        vocabulary: the known words.
        flat: int32, 0 for any other word, from 1 the index in the vocabulary + 1.
        offsets: int64 [texts + 1]: where each text begins and ends in `flat`.
    """

    vocabulary: tuple[str, ...]
    flat: np.ndarray
    offsets: np.ndarray

    def mark(self, indices: np.ndarray, part: np.ndarray) -> None:
        """Sets the feature of each word of these texts to 1 in `part` [len(indices), 1 + words], which is 0."""
        rows, places, _ = self._found(indices)
        part[rows, self.flat[places]] = 1.0

    def tokens(self, indices: np.ndarray, length: int) -> np.ndarray:
        """Returns token ids int32 [len(indices), length]: 0 fills short texts, 1 is any other word."""
        rows, places, within = self._found(indices)
        kept = within < length
        ids = np.zeros((len(indices), length), np.int32)
        ids[rows[kept], within[kept]] = self.flat[places[kept]] + 1
        return ids

    def _found(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns for each word of these texts its row, its place in `flat`, and its place in its text."""
        starts, lengths = self.offsets[indices], self.offsets[indices + 1] - self.offsets[indices]
        rows = np.repeat(np.arange(len(indices)), lengths)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows, np.repeat(starts, lengths) + within, within


class Tokens(LazyInputs):
    """Token ids int32 [texts, length], padded when they are read; `groups` [texts] is equal for equal texts."""

    def __init__(self, ids: Ids, length: int, groups: np.ndarray) -> None:
        super().__init__((len(groups), length), np.int32)
        self.ids = ids
        self.groups = groups

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `LazyInputs.read`."""
        return self.ids.tokens(indices, self.shape[1])

    def contents(self, indices: np.ndarray) -> Iterator[bytes]:
        """See `LazyInputs.contents`."""
        return (self.groups[index].tobytes() for index in indices)


def ids(texts: Sequence[str], train: np.ndarray, most: int, path: str, name: str) -> Ids:
    """Returns the words of texts by a vocabulary of the training texts' most frequent ones.

    Args:
        texts: the cells of a column.
        train: bool [texts]: which ones make the vocabulary.
        most: at most so many words.
        path, name: of the file and the column, for messages.

    Raises:
        UserError: no word comes twice in the training texts.
    """
    split_texts = [split(text) for text in texts]
    counts = collections.Counter(itertools.chain.from_iterable(itertools.compress(split_texts, train.tolist())))
    frequent = sorted((-count, word) for word, count in counts.items() if count >= MIN_COUNT and b"\0" not in word)
    if not frequent:
        raise UserError(
            f"{path}, column {name!r}: no word comes twice in the {int(train.sum()):,} training rows",
            f"--columns={name}=drop, or another kind",
        )
    known = [word for _, word in frequent[:most]]
    index = {word: i for i, word in enumerate(known, 1)}
    offsets = np.concatenate([[0], np.cumsum([len(found) for found in split_texts], dtype=np.int64)])
    everything = itertools.chain.from_iterable(split_texts)
    flat = np.fromiter((index.get(word, 0) for word in everything), np.int32, int(offsets[-1]))
    return Ids(tuple(word.decode() for word in known), flat, offsets)

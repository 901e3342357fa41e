"""Lines of the Python standard library, labelled code, comment or docstring: real text on every machine, no download.

Python's own `tokenize` says what each line is. What would give the answer away is taken out of all three alike: `#`,
quotes, and the letters before a docstring's quotes. Lines of one file fall on one side of a split, so that no file is
both learned and tested, and the vocabulary is made of the files that train.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
import platform
import re
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.seeds import derive_seed
from tfday7.data.config import DataConfig
from tfday7.data.loading import trains
from tfday7.data.source import SOURCES, Raw, source

CLASS_NAMES = ("code", "comment", "docstring")
CODE, COMMENT, DOCSTRING = range(3)
MAX_EXAMPLES = 20_000  # An epoch of a small transformer on two CPU cores stays well under a minute.
LENGTH = 32  # Words a line; 99% of the lines are shorter.
VOCABULARY_SIZE = 4096
MIN_COUNT = 2  # A word that one line has says nothing of others.
MIN_WORDS = 3  # A lone bracket or a rule of dashes may be anything.
PADDING, UNKNOWN = "[padding]", "[unknown]"
PREPROCESSING = (
    "text in lower case, split into runs of letters, runs of digits and single punctuation marks, without #, quotes "
    f"and backslashes; the index of each word in the vocabulary, 1 if it has none; cut or filled with 0 to {LENGTH}"
)
# Tests hold programs on purpose as no one writes them; what is below the others is not the standard library.
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages"}

_WORD = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9#'\"`\\]")
_PREFIX = re.compile(r"^[a-zA-Z]*(?=[\"'])")
_STARTS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}  # A statement starts after these,
_ENDS = {tokenize.NEWLINE, tokenize.COMMENT}  # and has ended before these.
_LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING}
_Line = tuple[int, str]  # Label and text.


@SOURCES.register("stdlib_text")
@source()
def load(config: DataConfig) -> Raw:
    """Returns token ids int32 [n, 32], labels 0 to 2, equally many of each, and a group for each file.

    Raises:
        UserError: this Python comes without the text of its library.
    """
    del config
    return from_folder(Path(sysconfig.get_paths()["stdlib"]))


def from_folder(folder: Path, max_examples: int = MAX_EXAMPLES) -> Raw:
    """Returns the lines of all Python files below a folder; see `load`.

    Args:
        folder: where the files are.
        max_examples: at most so many lines, a third of each class.
    """
    found: dict[tuple[str, ...], tuple[int, int]] = {}  # Words -> (label, group). A repeated line counts once.
    for path in files(folder):
        group = group_of(path.relative_to(folder))
        for label, text in read_lines(path):
            line = tuple(words(text)[:LENGTH])
            if len(line) >= MIN_WORDS:
                found.setdefault(line, (label, group))
    lines = list(found)
    labels, groups = np.array(list(found.values()), np.int64).reshape(-1, 2).T
    kept = _balanced(labels, max_examples // len(CLASS_NAMES))
    if not kept.size:
        raise UserError(
            f"stdlib_text: {folder} has no Python files with code, comments and docstrings",
            "install Python with its library's source, as python.org and Debian have it",
        )
    lines, labels, groups = [lines[i] for i in kept], labels[kept], groups[kept]
    vocabulary = make_vocabulary(itertools.compress(lines, trains(groups)))
    ids = encode(lines, vocabulary)
    first = np.sort(np.unique(ids, axis=0, return_index=True)[1])  # Lines that differ in unknown words alone are equal.
    return Raw(
        ids[first],
        labels[first],
        class_names=CLASS_NAMES,
        vocabulary=vocabulary,
        groups=groups[first],
        preprocessing=PREPROCESSING,
        origin=f"Python {platform.python_version()}",
    )


def files(folder: Path) -> list[Path]:
    """Returns the Python files of the library, sorted, without tests and installed packages."""
    found = sorted(folder.rglob("*.py"))
    return [path for path in found if path.is_file() and not LEFT_OUT.intersection(path.relative_to(folder).parts)]


def group_of(path: Path) -> int:
    """Returns a number for a file, a function of its path below the library alone: the same in every Python."""
    return int.from_bytes(hashlib.blake2b(path.as_posix().encode(), digest_size=7).digest(), "big")


def words(text: str) -> list[str]:
    """Returns the lower-case words, numbers and punctuation marks of a text, without `#`, quotes and backslashes."""
    return _WORD.findall(text.lower())


def read_lines(path: Path) -> list[_Line]:
    """Returns (label, text) of each line of a Python file that is one of the three; raises UserError if it is none."""
    try:
        with tokenize.open(path) as stream:
            return list(label_lines(stream))
    except (OSError, SyntaxError, UnicodeDecodeError, tokenize.TokenError) as error:
        raise UserError(f"stdlib_text: {path}: cannot be read as Python ({error})", "is this Python intact?") from error


def label_lines(stream: TextIO) -> Iterator[_Line]:
    """Yields (label, text) of the lines of a program, by `tokenize`.

    A docstring is a string that is a statement of its own; each of its lines counts. A line with code and a comment
    gives both. Lines inside other strings of several lines are left out: they are text, and neither.
    """
    tokens = list(tokenize.generate_tokens(stream.readline))
    before = tokenize.NEWLINE
    code: dict[int, list[str]] = {}  # By row.
    for token, following in itertools.pairwise(tokens):
        if token.type == tokenize.COMMENT:
            yield COMMENT, token.string
        elif token.type == tokenize.STRING and before in _STARTS and following.type in _ENDS:
            yield from ((DOCSTRING, line) for line in _PREFIX.sub("", token.string).splitlines())
        elif token.type not in _LAYOUT and token.string:
            code.setdefault(token.start[0], []).append(token.string.splitlines()[0])
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            before = token.type
    yield from ((CODE, " ".join(parts)) for parts in code.values())


def make_vocabulary(lines: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Returns padding, the unknown word, and the words that these lines have more than once, the most common first."""
    counts = collections.Counter(word for line in lines for word in line)
    known = sorted((-count, word) for word, count in counts.items() if count >= MIN_COUNT)
    return (PADDING, UNKNOWN, *(word for _, word in known[: VOCABULARY_SIZE - 2]))


def encode(lines: Iterable[Sequence[str]], vocabulary: tuple[str, ...], length: int = LENGTH) -> np.ndarray:
    """Returns token ids int32 [n, length]: 0 fills short lines, 1 stands for words out of the vocabulary."""
    index = {word: i for i, word in enumerate(vocabulary)}
    rows = [[index.get(word, 1) for word in line[:length]] for line in lines]
    return np.array([row + [0] * (length - len(row)) for row in rows], np.int32)


def _balanced(labels: np.ndarray, most: int) -> np.ndarray:
    """Returns sorted indices of equally many examples of each class, `most` or what the rarest one has."""
    each = min(most, int(np.bincount(labels, minlength=len(CLASS_NAMES)).min()))
    generator = np.random.default_rng(derive_seed(0, "stdlib_text"))
    chosen = [generator.permutation(np.flatnonzero(labels == label))[:each] for label in range(len(CLASS_NAMES))]
    return np.sort(np.concatenate(chosen))

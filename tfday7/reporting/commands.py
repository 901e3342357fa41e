"""Commands as people copy them from a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def wrapped(words: Sequence[str], width: int) -> list[str]:
    """Returns a command as lines that a shell takes for one: broken between words, never inside of quotes.

    Args:
        words: the command and its arguments, not quoted.
        width: most letters of a line, where its words let it; its backslash comes on top.
    """
    lines: list[str] = []
    for word in map(shlex.quote, words):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]

"""Text of any origin for a terminal: names of files, columns and classes may hold what steers one."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Returns text as one line without control characters; each becomes U+FFFD, a line break too. Spaces stay."""
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else "\ufffd" for c in text)


def printable_lines(text: str) -> str:
    """Returns text whose line breaks and tabs stay, without other control characters."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))

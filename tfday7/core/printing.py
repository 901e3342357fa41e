"""Text of any origin for a terminal: names of files, columns and classes may hold what steers one."""

from __future__ import annotations


def printable(text: str) -> str:
    """Returns text as one line without control characters; each becomes U+FFFD, a line break too."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def printable_lines(text: str) -> str:
    """Returns text whose line breaks stay, without other control characters."""
    return "\n".join(map(printable, text.split("\n")))

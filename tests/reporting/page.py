"""Reads a report as a browser would, with the standard library's parser."""

from __future__ import annotations

import collections
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        tags: how often each element occurs.
        attributes: (element, name, value) of every attribute.
        texts: (enclosing elements, text) in order.
        rows: the cells of every table row, each as plain text, by the id of the section that holds it.
    """

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: collections.Counter[str] = collections.Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.rows: dict[str, list[list[str]]] = collections.defaultdict(list)
        self.headings: list[int] = []
        self.section = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.unclosed = list(self._open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "section":
            self.section = dict(attrs).get("id") or ""
        if tag == "tr":
            self.rows[self.section].append([])
        if tag in ("td", "th"):
            self.rows[self.section][-1].append("")
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((tuple(self._open), data.strip()))
            if {"td", "th"} & set(self._open):
                cells = self.rows[self.section][-1]
                cells[-1] = f"{cells[-1]} {data.strip()}".strip()

    def values(self, name: str) -> list[str]:
        """Returns the values of an attribute, wherever it occurs."""
        return [value for _, found, value in self.attributes if found == name]

    def text(self) -> str:
        """Returns everything that can be read on the page."""
        return "\n".join(text for where, text in self.texts if "style" not in where)

"""The report's sentences in one language, and numbers as that language writes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfday7.core import texts
from tfday7.core.errors import unknown_name


@dataclasses.dataclass(frozen=True)
class Words:
    """Looks up sentences. `words("heading.curves")` is the sentence "report.heading.curves" of the table.

    Attributes:
        lang: "en" or "zh"; UserError when it is another.
        area: first part of the ids.
    """

    lang: str
    area: str = "report"

    def __post_init__(self) -> None:
        if self.lang not in texts.LANGUAGES:
            raise unknown_name("language", self.lang, texts.LANGUAGES)

    def __call__(self, key: str, **values: Any) -> str:
        return texts.text(f"{self.area}.{key}", self.lang, **values)

    def known(self, key: str, otherwise: str) -> str:
        """Returns the sentence if the table has it, else the given text: for names that other parts invent."""
        return self(key) if f"{self.area}.{key}" in texts.table() else otherwise

    def metric(self, name: str) -> str:
        """Returns what people call a metric, for example "accuracy" or "R²"."""
        return self.known(f"metric.{name}", name)

    def recorded(self, identifier: str, written: str, values: Mapping[str, Any]) -> str:
        """Returns a sentence of a record in this language.

        Records are written in English. Another language is filled in anew from the table; an id that the table does
        not have, or that asks for values that the record does not hold, leaves the sentence as it was written.
        """
        if self.lang == "en" and written:
            return written
        sentence = texts.table().get(identifier, {}).get(self.lang, "")
        spoken = {**values, "metric": self.metric(str(values["metric"]))} if "metric" in values else values
        try:
            return sentence.format(**spoken) or written
        except (KeyError, ValueError, TypeError):
            return written

    def joined(self, clauses: list[str]) -> str:
        """Returns clauses as one enumeration, with the language's own comma."""
        return self("separator").join(clauses)


def capitalized(sentence: str) -> str:
    """Returns a sentence with its first letter as a capital."""
    return sentence[:1].upper() + sentence[1:]

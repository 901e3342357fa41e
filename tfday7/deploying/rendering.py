"""Source text for other languages, made from templates: what a name or a label says never becomes code.

A template holds places as `@NAME@`. What fills them is numbers, words of our own, and names that `identifier` made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.exporting.card import escaped as escaped_markdown

MAX_IDENTIFIER = 48
_PLACE = re.compile(r"@([A-Z][A-Z0-9_]*)@")


def identifier(name: str) -> str:
    """Returns a name of a-z, 0-9 and _ that starts with a letter and is no keyword of Kotlin or Java.

    A name that had to be changed ends in 8 digits of its own digest, so that two names never become one.
    """
    made = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:MAX_IDENTIFIER].rstrip("_")
    if not made or not made[0].isalpha():
        made = f"model_{made}".rstrip("_")
    if made.isalpha():  # No keyword has a _ or a digit.
        made += "_model"
    if made != name:
        made += "_" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return made


def shown(text: str) -> str:
    """Returns a text of the user's for one line of a README: no line break, code or link, at most 200 characters."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"[`<>|\[\]\\&]", " ", plain)[:200].strip() or "(no name)"


def raw_values(given: Mapping[str, Any]) -> str:
    """Returns sentences on what raw values are, for a README; "" when nothing is known. `given` is a record's input."""
    divisor = given.get("divisor") or 1.0
    said = escaped_markdown(given.get("preprocessing") or "")  # Whole, however long: it is to be followed.
    sentences = []
    if divisor != 1.0:
        trained = f" The model was trained on {said}." if said else ""
        sentences.append(f"Raw values are not divided yet: the division by {divisor:g} is done here.{trained}")
    elif said:
        sentences.append(f"Raw values are what the model was trained on: {said}.")
    if given.get("columns"):
        sentences.append("Columns of text are encoded before, as `input.columns` of `bundle.json` says.")
    if given.get("vocabulary"):
        sentences.append("A token id is the number of a word: `vocabulary.txt` has one a line, from 0 on.")
    return "".join(sentence + "\n" for sentence in sentences)


def render(folder: Path, name: str, values: Mapping[str, object]) -> str:
    """Returns a template with every place filled. Raises KeyError for a place that has no value: a bug of ours."""
    text = (folder / name).read_text(encoding="utf-8")
    return _PLACE.sub(lambda place: str(values[place.group(1)]), text)


def float32_literal(value: float) -> str:
    """Returns the shortest decimal number that reads as this float32 again: "0.02731552". Raises UserError for NaN."""
    single = np.float32(value)
    if not np.isfinite(single):
        raise UserError(f"bundle.json holds the number {value}; expected a finite one", "export the model again")
    text = np.format_float_scientific(single, unique=True, trim="0")
    plain = np.format_float_positional(single, unique=True, trim="0")
    return plain if len(plain) <= 14 else text.replace("e+", "e")


def escaped_lines(texts: list[str]) -> str:
    """Returns one text a line; a backslash, line break or tab in a text is written as \\\\, \\n, \\r or \\t."""
    return "".join(escaped(text) + "\n" for text in texts)


def escaped(text: str) -> str:
    """Returns a text on one line, without tabs; see `escaped_lines`."""
    for character, written in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(character, written)
    return text

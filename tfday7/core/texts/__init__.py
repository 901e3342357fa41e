"""Every sentence that users read as advice, verdict or report, in English and Chinese: one table, id -> {en, zh}.

The table is spread over the JSON files of this folder by area, the first part of the id: "diagnosis.overfit.title" is
`overfit.title` in diagnosis.json. Errors and logs are not here; they are English only.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

LANGUAGES = ("en", "zh")


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """Returns the whole table: id -> language -> sentence."""
    merged: dict[str, dict[str, str]] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".json"):
            area = file.name.removesuffix(".json")
            entries = json.loads(file.read_text(encoding="utf-8"))
            merged |= {f"{area}.{key}": sentence for key, sentence in entries.items()}
    return merged


def text(identifier: str, lang: str = "en", **values: Any) -> str:
    """Returns one sentence with its values filled in.

    Args:
        identifier: the id; "{name}" and "{name:format}" in the sentence are filled from `values`.
        lang: "en" or "zh".
        values: what to fill in; more than the sentence uses is fine.

    Raises:
        KeyError: no such sentence, or a value that it needs is missing.
    """
    return table()[identifier][lang].format(**values)


def title_id(finding: str, evidence: Mapping[str, Any]) -> str:
    """Returns the id of a finding's title: one for what was not measured or is judged by recall, where it has such.

    Args:
        finding: the check's id.
        evidence: its values; those that were not measured are None.
    """
    if "mean_recall" in evidence:
        variant = "title_recall"
    else:
        variant = "title_unmeasured" if None in evidence.values() else "title"
    own = f"diagnosis.{finding}.{variant}"
    return own if own in table() else f"diagnosis.{finding}.title"

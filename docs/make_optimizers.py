"""Makes docs/optimizers.md and its Chinese twin from the table of optimizers: python docs/make_optimizers.py"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tfday7.core.texts import text  # noqa: E402
from tfday7.optimizers.table import COMMON, OPTIMIZERS  # noqa: E402

PAGES = {"en": HERE / "optimizers.md", "zh": HERE / "optimizers.zh.md"}
COLUMNS = ("name", "paper", "rate", "settings", "when", "what")


def page(lang: str) -> str:
    """Returns the page in one language."""
    common = ", ".join(f"`--{name}`" for name in COMMON)
    lines = [f"# {_text('page.title', lang)}", "", _text("page.intro", lang, common=common), ""]
    lines += [_text("page.averages", lang), "", _row([_text(f"page.{column}", lang) for column in COLUMNS])]
    lines.append(_row(["---"] * len(COLUMNS)))
    lines += [_row(_cells(name, lang)) for name in OPTIMIZERS]
    return "\n".join(lines) + "\n"


def _cells(name: str, lang: str) -> list[str]:
    spec = OPTIMIZERS[name]
    low, high = spec.learning_rate_range
    settings = ", ".join(f"{key} {_value(value)}" for key, value in spec.settings.items()) or "–"
    words = [_text(f"{name}.use", lang), _text(f"{name}.watch", lang)] if not spec.legacy else [_text("tfa", lang), "–"]
    rate = f"{spec.learning_rate:g} ({low:g} – {high:g})"
    return [f"`{name}`{' *' if spec.averages else ''}", spec.paper, rate, settings, *words]


def _text(identifier: str, lang: str, **values: str) -> str:
    return text(f"optimizers.{identifier}", lang, **values)


def _value(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for language, path in PAGES.items():
        path.write_text(page(language), encoding="utf-8")

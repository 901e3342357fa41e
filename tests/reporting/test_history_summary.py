"""A diagnosed history in the terminal: its curves as text, the findings, and what was not seen."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tfday7.reporting import history_summary
from tfday7.reporting.text_plot import COLUMNS, ROWS, text_plot

FALLING = np.linspace(10.0, 1.0, 10)
VALIDATION = np.array([10.0, 8.0, 7.0, 5.0, 4.0, 5.0, 6.0, 8.0, 9.0, 10.0])
RECORD: dict[str, Any] = {
    "verdict": "overfit",
    "confidence": 0.75,
    "findings": [
        {
            "id": "gap",
            "severity": "warning",
            "title": "The gap.",
            "evidence": {"train": 1.0, "validation": 0.5, "gap_points": 50.0},
            "causes": [{"id": "diagnosis.gap.cause.data", "text": "Few examples.", "flag": ""}],
            "remedies": [{"id": "diagnosis.gap.remedy.dropout", "text": "Drop units.", "flag": "--dropout=0.2"}],
        }
    ],
    "unseen": [{"id": "diagnosis.unseen.no_layers", "text": "The layers were not watched.", "flag": ""}],
}


def printed(lang: str = "en", val_loss: np.ndarray = VALIDATION, width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(history_summary(RECORD, FALLING, val_loss, lang))
    return stream.getvalue()


def test_a_plot_of_ten_epochs_shows_each_at_its_height() -> None:
    # From 1 to 10 in ten rows, a row is a loss of 1: training falls by one a row, validation turns after 4.
    assert text_plot(FALLING, VALIDATION) == [
        "10.0000 |8        o",
        "        | .      o",
        "        | o.    o",
        "        |  o.",
        "        |    . o",
        "        |   o 8",
        "        |    * .",
        "        |       .",
        "        |        .",
        " 1.0000 |         .",
        "        +----------",
        "         1       10",
    ]


def test_a_long_history_is_drawn_in_the_same_space_and_noise_does_not_fill_it() -> None:
    noisy = np.linspace(10, 1, 100_000) + np.random.default_rng(0).normal(0, 1, 100_000)
    lines = text_plot(noisy, np.full(100_000, np.nan))
    assert len(lines) == ROWS + 2
    assert sum(line.count(".") for line in lines) == COLUMNS + 2  # A point a column, and those of two numbers.


@pytest.mark.parametrize("curve", [np.full(5, np.nan), np.full(5, np.inf), np.full(5, 2.0), np.array([1.0]), -FALLING])
def test_any_curve_can_be_drawn(curve: np.ndarray) -> None:
    lines = text_plot(curve, curve)
    assert len(lines) in (0, ROWS + 2)


def test_the_summary_says_verdict_findings_and_what_was_not_seen() -> None:
    lines = [line.rstrip() for line in printed().splitlines()]
    place = lines.index('Loss by epoch: "." training, "o" validation, "8" both, "*" lowest validation')
    assert lines[place + 2 :] == [
        "The model overfits: it learned its training examples better than what they have in common.",
        "Confidence 75%.",
        "",
        "Warning: The gap.",
        "  Likely causes",
        "    Few examples.",
        "  What to try",
        "    Drop units.  --dropout=0.2",
        "",
        "What could not be seen",
        "  The layers were not watched.",
    ]


def test_without_validation_the_legend_does_not_name_it() -> None:
    assert 'Loss by epoch: "." training\n' in printed(val_loss=np.full(10, np.nan))


def test_in_chinese_every_sentence_is_chinese() -> None:
    text = printed("zh")
    assert "置信度 75%" in text
    assert "未能检查的内容" in text
    assert not any(word in text for word in ("overfit", "gap", "causes", "watched", "training"))

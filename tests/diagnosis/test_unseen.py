"""What a diagnosis could not see is in its record, in sentences of both languages."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tfday7.core import texts
from tfday7.diagnosis.diagnosing import judge
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.health import DataHealth, Health, Probe

FALLING = 0.1 + 2 * np.exp(-np.arange(30) / 5)
WHOLE = Evidence(
    FALLING,
    FALLING * 1.1,
    train_score=0.97,
    validation_score=0.96,
    baseline=0.1,
    validation_examples=300,
    health=Health(data=DataHealth(), probes=(Probe(0, 2.0, ()),)),
)
NOTED = ("lengths", "gaps", "percentages")  # Only reading a history can tell.
CASES: dict[str, tuple[dict[str, Any], bool]] = {  # What is missing -> of the evidence, whether the verdict needs it.
    "no_validation": ({"val_loss": np.full(30, np.nan)}, True),
    "no_scores": ({"train_score": None, "validation_score": None}, True),
    "no_baseline": ({"baseline": None}, False),
    "few_epochs": ({"loss": FALLING[:4], "val_loss": FALLING[:4]}, True),
    "constant": ({"loss": np.ones(30), "val_loss": np.ones(30)}, True),
    "not_finite": ({"val_loss": np.where(np.arange(30) == 12, np.nan, FALLING)}, True),
    "validation_size": ({"validation_examples": 0}, False),
    "no_layers": ({"health": Health(data=DataHealth())}, False),
    "no_data": ({"health": Health(probes=WHOLE.health.probes)}, False),
    **{name: ({"notes": (name,)}, False) for name in NOTED},
}


def test_a_run_that_recorded_everything_hides_nothing() -> None:
    diagnosis = judge(WHOLE)
    assert (diagnosis.verdict, diagnosis.unseen) == ("good_fit", [])


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_is_missing_is_said_and_no_good_fit_is_claimed_without_what_shows_it(name: str) -> None:
    changes, decisive = CASES[name]
    diagnosis = judge(dataclasses.replace(WHOLE, **changes))
    assert diagnosis.verdict == ("undetermined" if decisive else "good_fit")
    assert [entry.id for entry in diagnosis.unseen] == [f"diagnosis.unseen.{name}"]
    assert diagnosis.to_json()["unseen"] == [
        {"id": f"diagnosis.unseen.{name}", "text": texts.text(f"diagnosis.unseen.{name}"), "flag": ""}
    ]


def test_a_score_that_could_be_guessing_is_no_good_fit_where_guessing_is_not_known() -> None:
    assert judge(dataclasses.replace(WHOLE, baseline=None, train_score=0.74)).verdict == "undetermined"
    assert judge(dataclasses.replace(WHOLE, baseline=None, train_score=0.76)).verdict == "good_fit"


def test_a_finding_stands_whatever_was_not_seen() -> None:
    overfit = dataclasses.replace(WHOLE, val_loss=np.concatenate([FALLING[:15], FALLING[14] * np.linspace(1, 2, 15)]))
    blind = dataclasses.replace(overfit, train_score=None, validation_score=None, health=Health())
    assert judge(blind).verdict == judge(overfit).verdict == "overfit"
    assert len(judge(blind).unseen) == 3


def test_every_sentence_of_what_was_not_seen_has_its_case() -> None:
    prefix = "diagnosis.unseen."
    assert {name.removeprefix(prefix) for name in texts.table() if name.startswith(prefix)} == set(CASES)

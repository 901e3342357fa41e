"""Findings take their sentences from the table of texts."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tfday7.core.texts import text
from tfday7.diagnosis.records import Diagnosis, finding


def test_sentences_are_filled_with_the_evidence() -> None:
    found = finding(
        "diverged", "error", {"epoch": 4, "learning_rate": "0.5"}, ["rate"], {"clip": "--global_clipnorm=1"}
    )
    assert found.title == "The loss stopped being a number in epoch 4."
    assert "(0.5)" in found.causes[0].text
    assert (found.remedies[0].id, found.remedies[0].flag) == ("diagnosis.diverged.remedy.clip", "--global_clipnorm=1")


@pytest.mark.parametrize(("lang", "measured"), [("en", "80 robust deviations"), ("zh", "中位数 80 个稳健标准差")])
def test_outliers_are_told_as_they_are_measured(lang: str, measured: str) -> None:
    told = text("diagnosis.outliers.title", lang, largest_deviations=80.2)
    assert measured in told
    assert "mean" not in told


def test_a_sentence_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        finding("diverged", "error", {"epoch": 4, "learning_rate": ""}, ["no_such"], {})


def test_the_record_is_plain_json() -> None:
    found = finding(
        "diverged", "error", {"epoch": 4, "learning_rate": "0.5"}, ["rate"], {"rate": "--learning_rate=0.05"}
    )
    record = Diagnosis("broken", 1.0, [found]).to_json()
    assert set(record) == {"verdict", "confidence", "findings", "unseen"}
    assert set(record["findings"][0]) == {field.name for field in dataclasses.fields(found)}
    assert json.loads(json.dumps(record, allow_nan=False)) == record

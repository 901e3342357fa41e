"""What a repair tries: flags that change something, the likeliest first, each with its sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfday7.core import texts
from tfday7.core.errors import UserError
from tfday7.core.settings import to_text
from tfday7.diagnosis.diagnosing import GRAVITY
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.records import Advice, Diagnosis, Finding
from tfday7.diagnosis.repairing.candidates import applied, candidates, canonical, difference, parse
from tfday7.optimizers.config import OptimizerConfig

ADVISED = to_text(OptimizerConfig(optimizer="adamw", learning_rate=0.02, schedule="cosine"))


def _evidence(task: str = "classification", **flags: str) -> Evidence:
    return Evidence(np.ones(5), np.ones(5), task=task, flags=canonical({"model": "mlp", **flags}))


def _finding(*flags: str) -> Finding:
    return Finding("gap", "warning", "", {}, [], [Advice(f"remedy {flag}", "", flag) for flag in flags])


def _tried(verdict: str = "broken", findings: tuple[Finding, ...] = (), **flags: Any) -> list[tuple[str, dict]]:
    found = candidates(Diagnosis(verdict, 1.0, list(findings)), _evidence(**flags), ADVISED, 1000)
    return [(remedy.id, remedy.flags) for remedy in found]


def test_odd_settings_come_first_then_findings_then_the_usual_suspects() -> None:
    tried = _tried(findings=(_finding("--dropout=0.3 --l2=1e-4", ""),), learning_rate="50")
    assert tried[0] == ("repair.odd", {"learning_rate": "0.001"})
    assert tried[1] == ("remedy --dropout=0.3 --l2=1e-4", {"dropout": "0.3", "l2": "0.0001"})
    assert {identifier for identifier, _ in tried[2:]} > {"repair.advised", "repair.longer", "repair.wider"}


@pytest.mark.parametrize("verdict", [*GRAVITY, "good_fit", "undetermined"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_candidate_changes_something_once_and_has_a_sentence(verdict: str, task: str) -> None:
    tried = _tried(verdict, task=task, epochs="20", precision="mixed_float16", augment="noise,mask", dropout="0.9")
    assert len(tried) >= 4
    changes = [tuple(sorted(change.items())) for _, change in tried]
    assert all(changes)
    assert len(set(changes)) == len(changes)
    for identifier, _ in tried:
        for lang in texts.LANGUAGES:
            assert texts.text(identifier, lang)


def test_the_advisors_choice_stands_for_auto_and_takes_old_settings_away() -> None:
    tried = dict(_tried(findings=(_finding("--optimizer=auto --learning_rate=auto"),), clipnorm="0.001"))
    change = tried["remedy --optimizer=auto --learning_rate=auto"]
    assert change["optimizer"] == "adamw"
    assert change["learning_rate"] == "0.02"
    assert change["clipnorm"] == ""


def test_a_remedy_that_the_run_has_already_is_not_tried() -> None:
    remedies = ("--dropout=0.30", "--batch_size=32")
    assert [i for i, _ in _tried(findings=(_finding(*remedies),), dropout="0.3") if i.startswith("remedy")] == []


def test_stopping_early_alone_is_not_tried_as_the_best_epoch_is_delivered_in_any_case() -> None:
    tried = dict(_tried(findings=(_finding("--patience=3", "--patience=3 --dropout=0.1"),)))
    assert "remedy --patience=3" not in tried
    assert "remedy --patience=3 --dropout=0.1" in tried


def test_a_run_of_very_few_epochs_is_trained_longer_first_whatever_its_verdict() -> None:
    for verdict in (*GRAVITY, "good_fit", "undetermined"):
        assert [change for _, change in _tried(verdict, epochs="2")][:2] == [{"epochs": "6"}, {"epochs": "20"}]
    assert {"epochs": "60"} not in [change for _, change in _tried("overfit", epochs="20")][:3]


def test_nothing_is_tried_that_the_run_has_more_of() -> None:
    more = {"warmup_steps": "300", "label_smoothing": "0.3", "dropout": "0.8", "width": "1", "epochs": "50"}
    tried = dict(_tried(**more))
    for name in ("warmup", "smoothing", "dropout", "narrower"):
        assert f"repair.{name}" not in tried
        assert f"repair.{name}" in dict(_tried(epochs="50"))


def test_flags_are_read_as_the_command_line_reads_them() -> None:
    assert parse("--dropout=0.3 --freeze --nodeterministic --augment=") == {
        "dropout": "0.3", "freeze": "true", "deterministic": "false", "augment": "",
    }  # fmt: skip


def test_another_optimizer_leaves_what_it_does_not_take() -> None:
    before = canonical({"optimizer": "sgd", "momentum": "0.999", "learning_rate": "5", "global_clipnorm": "1"})
    after = applied(before, {"optimizer": "adam"})
    assert difference(before, after) == {"learning_rate": "", "momentum": "", "optimizer": "adam"}
    assert after["global_clipnorm"] == "1.0"


def test_equal_settings_are_equal_texts_and_wrong_ones_are_refused() -> None:
    assert canonical({"dropout": "0.30", "epochs": "7"}) == canonical({"dropout": "0.3", "epochs": "7"})
    assert canonical({"export": "tflite"})["export"] == "tflite"
    with pytest.raises(UserError, match="--dropout=2"):
        applied(canonical({}), {"dropout": "2"})

"""One verdict over all checks, on curves whose answer is known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from known_runs import DATA, EPOCHS, FALLING, GUESSING, INPUT, RARE, RISING, RUNS, WEIGHED, probed
from known_runs import run as _run

from tfday7.core import texts
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.diagnosis import diagnose
from tfday7.diagnosis.check import CHECKS
from tfday7.diagnosis.checks.data import input_scale
from tfday7.diagnosis.diagnosing import GRAVITY, judge, judge_running
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.health import References


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_verdict_is_the_known_one(name: str) -> None:
    evidence, verdict, findings = RUNS[name]
    diagnosis = judge(evidence)
    assert diagnosis.verdict == verdict
    assert sorted(found.id for found in diagnosis.findings) == sorted(findings)
    assert 0.0 <= diagnosis.confidence <= 1.0
    if findings:
        assert diagnosis.confidence >= 0.5


@pytest.mark.parametrize("name", [name for name in sorted(RUNS) if RUNS[name][2]])
def test_every_finding_reads_in_both_languages_and_is_plain_json(name: str) -> None:
    diagnosis = judge(RUNS[name][0])
    json.dumps(diagnosis.to_json(), allow_nan=False)
    for found in diagnosis.findings:
        title = texts.title_id(found.id, found.evidence)
        for lang in texts.LANGUAGES:
            for identifier in [title, *(advice.id for advice in found.causes + found.remedies)]:
                assert "{" not in texts.text(identifier, lang, **found.evidence)
        assert found.title == texts.text(title, "en", **found.evidence)
        assert found.causes
        assert found.remedies
        assert all(advice.flag == "" for advice in found.causes)
        assert found.severity in ("info", "warning", "error")


def test_the_known_runs_reach_every_check_and_every_verdict_has_its_sentence() -> None:
    assert {identifier for _, _, findings in RUNS.values() for identifier in findings} == set(CHECKS.names())
    verdicts = {verdict for _, verdict, _ in RUNS.values()}
    assert verdicts == {*GRAVITY, "good_fit", "undetermined"}
    assert {f"diagnosis.verdict.{verdict}" for verdict in verdicts} <= set(texts.table())


def test_every_sentence_of_a_check_is_used() -> None:
    used = {f"diagnosis.verdict.{verdict}" for _, verdict, _ in RUNS.values()}
    for evidence, _, _ in RUNS.values():
        for found in judge(evidence).findings:
            title = texts.title_id(found.id, found.evidence)
            used |= {title, *(advice.id for advice in found.causes + found.remedies)}
    sentences = {identifier for identifier in texts.table() if identifier.startswith("diagnosis.")}
    assert {identifier for identifier in sentences if not identifier.startswith("diagnosis.unseen.")} == used


@pytest.mark.parametrize("recall", [(), (1.0,) + (None,) * 9])
def test_a_recall_of_rare_classes_that_was_not_measured_is_no_recall_of_0(recall: tuple[float | None, ...]) -> None:
    (found,) = judge(probed(data=RARE, class_recall=recall)).findings
    assert (found.id, found.severity, found.evidence["recall"]) == ("imbalance", "info", None)
    assert "was not measured" in found.title
    assert len(found.remedies) == 3


def test_a_run_that_weighs_classes_alike_is_not_hopeless_while_their_recall_is_not_known() -> None:
    assert judge_running(_run(**WEIGHED), len(EPOCHS)) is None
    found = judge_running(_run(**GUESSING), len(EPOCHS))
    assert found is not None
    assert found.id == "not_learning"


SPARSE = dataclasses.replace(DATA, class_counts=(396, 7))  # Guessing has a loss of 0.0876.
PASSED_OVER: dict[str, Any] = {
    "data": SPARSE, "baseline": 396 / 403, "train_score": 396 / 403, "validation_score": 0.97,
    "validation_examples": 100, "class_recall": (1.0, 0.0), "references": References(0.97, 0.97, 0.97),
}  # fmt: skip


def test_a_run_whose_loss_is_below_that_of_guessing_learns_though_its_accuracy_is_that_of_guessing() -> None:
    learning = probed(**PASSED_OVER)
    falling = dataclasses.replace(learning, loss=np.geomspace(0.3, 0.06, 30), val_loss=np.geomspace(0.3, 0.07, 30))
    assert judge_running(falling, 30) is None
    assert judge(falling).verdict == "underfit"
    assert judge(falling).findings[0].id == "imbalance"
    still = dataclasses.replace(learning, loss=np.geomspace(0.3, 0.085, 30), val_loss=np.geomspace(0.3, 0.09, 30))
    found = judge_running(still, 30)
    assert found is not None
    assert found.id == "not_learning"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "underfit"),
        ({"train_score": 0.997}, "overfit"),
        ({"train_score": 0.997, "class_recall": (1.0, 0.9)}, "good_fit"),
        ({"train_score": 0.997, "validation_score": 0.995, "class_recall": (1.0, 0.45)}, "good_fit"),
    ],
)
def test_a_model_that_passes_over_a_class_is_no_good_fit_unless_it_is_better_than_guessing(
    changes: dict[str, Any], verdict: str
) -> None:
    evidence = probed(**{**PASSED_OVER, **changes})
    curves = {"loss": np.geomspace(0.3, 0.04, 30), "val_loss": np.geomspace(0.3, 0.05, 30)}
    assert judge(dataclasses.replace(evidence, **curves)).verdict == verdict


def test_a_perfect_score_on_few_examples_is_not_certain() -> None:
    """Of 17 of 17 the 95% limit by the rule of three is 3/17; (19/21)(2/21)/21 is the square of Agresti and Coull's."""
    (found,) = judge(_run(validation_score=1.0, train_score=1.0, validation_examples=17)).findings
    assert found.id == "validation_small"
    assert found.evidence["error"] == pytest.approx(2 * (19 * 2 / 21**3) ** 0.5)
    assert "uncertain by 0.13" in found.title


def test_classes_that_weigh_alike_by_themselves_change_nothing() -> None:
    """Behind a linear model is behind, where no class is rare; and a title's percent is that of what it speaks of."""
    behind = probed(train_score=0.7, validation_score=0.7, flags={"class_weights": "balanced"})
    even = dataclasses.replace(behind.health, data=dataclasses.replace(DATA, class_counts=(70, 60)))
    uneven = dataclasses.replace(behind.health, data=dataclasses.replace(DATA, class_counts=(700, 60)))
    assert judge(dataclasses.replace(behind, health=even)).verdict == "underfit"
    assert judge(dataclasses.replace(behind, health=uneven)).verdict == "good_fit"
    (found,) = judge(_run(**{**WEIGHED, "train_score": 0.62, "baseline": 0.5}, class_recall=(0.55, 0.5))).findings
    assert "(5% of the way to perfect)" in found.title


@pytest.mark.parametrize("end", [0.45, 0.55])
def test_one_low_epoch_at_the_end_hides_no_instability(end: float) -> None:
    loss = np.array([2.3, 1.2, 0.8, 0.6, 0.5, 3.0, 4.0, 5.0, 4.0, 5.0, end])
    assert judge(_run(loss, loss)).verdict == "unstable"


def test_more_accuracy_than_guessing_is_learning_whatever_the_recall() -> None:
    overfitted = {**WEIGHED, "train_score": 1.0}
    assert judge(_run(**overfitted, class_recall=(0.98, 0.02))).verdict == "good_fit"


def test_the_graver_verdict_wins_and_its_finding_comes_first() -> None:
    broken = _run(np.where(EPOCHS > 20, np.nan, RISING), RISING, train_score=1.0, validation_score=0.5)
    diagnosis = judge(broken)
    assert (diagnosis.verdict, diagnosis.findings[0].id) == ("broken", "diverged")
    unstable = judge(RUNS["exploding and poor"][0])
    assert [found.id for found in unstable.findings] == ["unstable", "underfit"]


@pytest.mark.parametrize(("mean", "ratio", "margin"), [(25.0, None, 1.5), (0.0, 3500.0, 2.5), (-12.0, None, 0.2)])
def test_inputs_out_of_scale_are_as_far_beyond_as_they_are(mean: float, ratio: float | None, margin: float) -> None:
    seen = dataclasses.replace(INPUT, mean=mean, scale_ratio=ratio)
    match = input_scale(probed((seen, *probed().health.probes[-1].layers[1:])))
    assert match is not None
    assert match.margin == pytest.approx(margin)


def test_confidence_grows_from_a_half_at_the_threshold() -> None:
    def confidence(validation: float) -> float:
        return judge(_run(train_score=1.0, validation_score=validation, validation_examples=10**6)).confidence

    # The threshold is a gap of 10 points: 15 points are half a threshold beyond it, 20 and more a whole one.
    assert confidence(0.8999) == pytest.approx(0.5, abs=0.01)
    assert confidence(0.85) == pytest.approx(0.75)
    assert confidence(0.80) == pytest.approx(1.0) == confidence(0.5)


@settings(max_examples=150, deadline=None)
@given(st.integers(5, 200), st.integers(0, 2**32 - 1), st.floats(0.0, 0.02))
@example(5, 210572, 0.0)  # Falls to the end, by more than half an epoch.
def test_a_healthy_run_with_little_noise_never_alarms(epochs: int, seed: int, deviation: float) -> None:
    assert judge(_healthy(epochs, np.random.default_rng(seed), deviation)).verdict == "good_fit"


@pytest.mark.parametrize("epochs", [8, 20, 60, 200])
@pytest.mark.parametrize("deviation", [0.03, 0.1])
def test_a_healthy_run_with_much_noise_alarms_in_less_than_three_percent(epochs: int, deviation: float) -> None:
    generator = np.random.default_rng(5)
    verdicts = [judge(_healthy(epochs, generator, deviation)).verdict for _ in range(200)]
    assert verdicts.count("good_fit") > 194


def _healthy(epochs: int, generator: np.random.Generator, deviation: float) -> Evidence:
    """Both losses fall exponentially to a floor; noise is relative, and smaller on the larger training split."""
    time = np.arange(epochs) / epochs
    loss = generator.uniform(0.02, 0.5) + generator.uniform(0.5, 3) * np.exp(-time / generator.uniform(0.05, 0.6))
    val_loss = loss * generator.uniform(1, 1.2)
    loss, val_loss = (
        curve * np.exp(np.clip(generator.normal(0, scale, epochs), -3 * scale, 3 * scale))
        for curve, scale in ((loss, deviation / 3), (val_loss, deviation))
    )
    return _run(loss, val_loss)


def test_a_diagnosis_is_written_to_the_run_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    records = [{"loss": float(loss), "val_loss": float(val)} for loss, val in zip(FALLING, RISING, strict=True)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    folder.update(metric={"name": "accuracy", "train": 0.97, "validation": 0.95, "baseline": 0.1})
    diagnosis = diagnose(folder)
    assert diagnosis.verdict == "overfit"
    assert json.loads((folder / "diagnosis.json").read_text(encoding="utf-8")) == diagnosis.to_json()


def test_a_folder_without_epochs_cannot_be_diagnosed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.jsonl holds no epochs"):
        diagnose(RunFolder(tmp_path))
    assert not (tmp_path / "diagnosis.json").exists()


def test_a_good_fit_is_surer_the_longer_the_run_but_never_certain() -> None:
    confidences = [judge(_run(np.geomspace(2.0, 0.1, epochs))).confidence for epochs in (5, 10, 1000)]
    assert confidences == sorted(confidences)
    assert 0.5 < confidences[0] < confidences[1] < confidences[2] < 1.0

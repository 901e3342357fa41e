"""Histories alone: curves from a dict or a Keras History, under many names, whole or damaged."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.diagnosis import diagnose
from tfday7.diagnosis.diagnosing import GRAVITY
from tfday7.diagnosis.history.histories import evidence_of

EPOCHS = np.arange(30)
LOSS = (0.1 + 2 * np.exp(-EPOCHS / 5)).tolist()
RISING = LOSS[:15] + (LOSS[14] * np.linspace(1.0, 2.0, 15)).tolist()
ACCURACY = (0.97 - 0.5 * np.exp(-EPOCHS / 5)).tolist()
GOOD = {"loss": LOSS, "val_loss": LOSS, "accuracy": ACCURACY, "val_accuracy": ACCURACY}


def _unseen(history: Any) -> set[str]:
    return {advice.id.removeprefix("diagnosis.unseen.") for advice in diagnose(history).unseen}


class History:
    """What Keras's fit returns has its curves in `history`."""

    def __init__(self, history: dict[str, list[float]]) -> None:
        self.history = history


@pytest.mark.parametrize("wrap", [dict, History], ids=["dict", "History"])
def test_a_healthy_history_fits_well_and_says_what_it_could_not_see(wrap: Any) -> None:
    diagnosis = diagnose(wrap(GOOD))
    assert (diagnosis.verdict, diagnosis.findings) == ("good_fit", [])
    assert _unseen(wrap(GOOD)) == {"no_baseline", "validation_size", "no_layers", "no_data"}


def test_an_overfit_history_names_the_epoch_to_stop_at_and_no_flag_that_nobody_can_know() -> None:
    diagnosis = diagnose({"loss": LOSS, "val_loss": RISING})
    assert diagnosis.verdict == "overfit"
    # The running median of three moves the corner of the curve by one epoch.
    assert diagnosis.findings[0].evidence["best_epoch"] == pytest.approx(15, abs=1)
    flags = [remedy.flag for remedy in diagnosis.findings[0].remedies]
    assert all(not flag or flag.startswith("--patience=") for flag in flags)
    assert len(diagnosis.findings[0].causes) >= 3


@pytest.mark.parametrize(
    ("names", "metric"),
    [
        (("loss", "val_loss", "acc", "val_acc"), "accuracy"),
        (("Train Loss", "Valid Loss", "Train Acc", "Valid Acc"), "accuracy"),
        (("Loss/train", "Loss/validation", "Accuracy/train", "Accuracy/validation"), "accuracy"),
        (
            ("loss", "eval_loss", "sparse_categorical_accuracy", "val_sparse_categorical_accuracy"),
            "accuracy",
        ),
        (("loss", "val_loss", "r2_score", "val_r2_score"), "r2_score"),
        (("training_loss", "validation_loss", "auc", "val_auc"), "auc"),
        (("loss", "val_loss", "head_accuracy", "val_head_accuracy"), "accuracy"),
    ],
)
def test_names_of_other_programs_are_understood(names: tuple[str, ...], metric: str) -> None:
    evidence = evidence_of(dict(zip(names, ([3.0, 2.0], [4.0, 3.0], [0.5, 0.75], [0.4, 0.6]), strict=True)))
    np.testing.assert_array_equal([evidence.loss, evidence.val_loss], [[3.0, 2.0], [4.0, 3.0]])
    assert (evidence.metric, evidence.train_score, evidence.validation_score) == (metric, 0.75, 0.6)


def test_of_two_columns_for_the_same_that_of_keras_counts() -> None:
    np.testing.assert_array_equal(evidence_of({"train_loss": [9.0], "loss": [1.0], "Loss": [8.0]}).loss, [1.0])


def test_a_top_k_accuracy_is_no_accuracy_and_a_ratio_above_one_no_share() -> None:
    assert evidence_of({"loss": [1.0], "top_5_accuracy": [0.9]}).train_score is None
    assert evidence_of({"loss": [1.0], "accuracy": [1.2]}).train_score is None
    assert evidence_of({"loss": [1.0], "accuracy": [101.0]}).train_score is None


def test_percentages_are_divided_by_100_and_that_is_said() -> None:
    percent = {**GOOD, **{name: [100 * value for value in GOOD[name]] for name in ("accuracy", "val_accuracy")}}
    assert evidence_of(percent).train_score == pytest.approx(ACCURACY[-1])
    assert diagnose(percent).verdict == "good_fit"
    assert "percentages" in _unseen(percent)
    assert "percentages" not in _unseen(GOOD)


def test_a_gap_between_the_accuracies_is_overfitting() -> None:
    diagnosis = diagnose({**GOOD, "accuracy": [1.0] * 30, "val_accuracy": [0.7] * 30})
    assert (diagnosis.verdict, diagnosis.findings[0].id) == ("overfit", "gap")


def test_a_low_score_without_the_score_of_guessing_is_no_good_fit() -> None:
    diagnosis = diagnose({**GOOD, "accuracy": [0.6] * 30, "val_accuracy": [0.6] * 30})
    assert diagnosis.verdict == "undetermined"
    assert "no_baseline" in _unseen({**GOOD, "accuracy": [0.6] * 30})


def test_r2_is_compared_with_0_which_the_mean_gets() -> None:
    diagnosis = diagnose({"loss": LOSS, "val_loss": LOSS, "r2_score": [0.3] * 30, "val_r2_score": [0.3] * 30})
    assert diagnosis.verdict == "underfit"


@pytest.mark.parametrize(
    ("history", "verdict", "names"),
    [
        ({"loss": [1.0]}, "undetermined", {"few_epochs", "no_validation", "no_scores"}),
        ({"loss": LOSS}, "undetermined", {"no_validation", "no_scores"}),
        ({"loss": LOSS, "val_loss": LOSS}, "undetermined", {"no_scores"}),
        ({"loss": LOSS, "val_loss": RISING[:-3]}, "overfit", {"lengths"}),
        ({**GOOD, "loss": [1.0] * 30, "val_loss": [1.0] * 30}, "undetermined", {"constant"}),
        ({**GOOD, "loss": [*LOSS[:20], None, *LOSS[21:]]}, "good_fit", {"not_finite"}),
        ({**GOOD, "val_loss": [*LOSS[:20], "nan", *LOSS[21:]]}, "good_fit", {"not_finite"}),
        ({**GOOD, "val_loss": [*LOSS[:20], *[float("inf")] * 10]}, "undetermined", {"not_finite"}),
        ({**GOOD, "val_loss": [float("nan")] * 30}, "undetermined", {"no_validation", "not_finite"}),
        ({**GOOD, "loss": [*LOSS[:20], *[float("nan")] * 10]}, "broken", {"not_finite"}),
        ({**GOOD, "loss": [*LOSS[:29], 10**400]}, "broken", {"not_finite"}),
        ({"loss": LOSS, "val_loss": ["NA", *RISING[1:]]}, "overfit", {"gaps"}),
        ({"loss": ["", 3.0] * 3, "val_loss": [2.0, ""] * 3}, "undetermined", {"gaps", "few_epochs"}),
    ],
    ids=[
        "one epoch", "loss alone", "no metric", "unequal lengths", "constant", "one null", "one nan", "validation ends",
        "no validation value", "diverged", "huge integer", "validated now and then", "never in the same line",
    ],
)  # fmt: skip
def test_damaged_histories_get_a_verdict_that_says_what_it_could_not_see(
    history: dict[str, Any], verdict: str, names: set[str]
) -> None:
    assert diagnose(history).verdict == verdict
    assert names <= _unseen(history)


def test_what_was_not_recorded_lies_between_its_neighbours() -> None:
    evidence = evidence_of({"loss": [4.0, "", 2.0, "NA"], "val_loss": ["", 3.0, "", 5.0]})
    np.testing.assert_array_equal(evidence.loss, [3.0, 2.0])
    np.testing.assert_array_equal(evidence.val_loss, [3.0, 5.0])


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, "no training loss in it; it holds nothing"),
        ({"val_loss": LOSS, "accuracy": LOSS}, "no training loss in it; it holds val_loss, accuracy"),
        ({"loss": []}, "holds no epochs"),
        ({"loss": [""] * 3}, "holds no epochs"),
        ({"loss": 0.5}, '"loss": expected a list'),
        ({"loss": "0.5"}, '"loss": expected a list'),
        ({"loss": ["low"]}, "'low' is no number"),
        ({"loss": [[1.0, 2.0], [3.0, 4.0]]}, r"an array of shape \(2, 2\)"),
        ({"loss": [[1.0], [2.0, 3.0]]}, "is no number"),
        (7, "expected a history, got int"),
        (None, "expected a history, got NoneType"),
        ("/nowhere/at.all", "no such file or folder"),
    ],
)
def test_what_is_no_history_is_a_mistake_with_its_name(history: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        diagnose(history)


def test_a_validation_loss_that_was_never_recorded_takes_no_epoch_away() -> None:
    curve = [1.0, 0.5, 0.4]
    alone, empty = evidence_of({"loss": curve}), evidence_of({"loss": curve, "val_loss": ["", "NA"]})
    assert empty.loss.tolist() == alone.loss.tolist() == curve
    assert empty.notes == alone.notes


def test_a_hundred_thousand_epochs_are_judged_within_a_second() -> None:
    generator = np.random.default_rng(0)
    curve = (0.1 + 2 * np.exp(-np.arange(100_000) / 5000)) * np.exp(generator.normal(0, 0.01, 100_000))
    history = {"loss": curve.tolist(), "val_loss": (1.1 * curve).tolist()}
    started = time.perf_counter()
    assert diagnose(history).verdict == "undetermined"
    assert time.perf_counter() - started < 1.0


ANY_VALUE = st.one_of(
    st.floats(),
    st.none(),
    st.integers(),
    st.booleans(),
    st.sampled_from(["", "NA", "nan", "inf", "1e999", "-1", " 2 "]),
)


@settings(max_examples=200, deadline=None)
@example({"loss": ["", 0.0], "val_loss": [1.0]})
@example({"loss": [1e308, -1e308] * 3, "val_loss": [-1e308, 1e308] * 3})
@given(
    st.dictionaries(
        st.sampled_from(["loss", "val_loss", "accuracy", "val_accuracy", "r2", "val_r2", "other"]),
        st.lists(ANY_VALUE, max_size=12),
    )
)
def test_any_values_get_a_verdict_or_a_user_error(history: dict[str, list[Any]]) -> None:
    try:
        diagnosis = diagnose(history)
    except UserError:
        return
    assert diagnosis.verdict in {*GRAVITY, "good_fit", "undetermined"}
    assert 0.0 <= diagnosis.confidence <= 1.0
    json.dumps(diagnosis.to_json(), allow_nan=False)

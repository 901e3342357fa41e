"""A repair with a training that is a formula: what is kept, what it costs, and what an interruption leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import Interrupted, UserError
from tfday7.core.settings import to_text
from tfday7.core.texts import text
from tfday7.diagnosis.evidence import Evidence
from tfday7.diagnosis.repairing import reasons
from tfday7.diagnosis.repairing.candidates import canonical
from tfday7.diagnosis.repairing.config import FixConfig
from tfday7.diagnosis.repairing.repair import Repair, Start
from tfday7.diagnosis.repairing.trained import OUT_OF_TIME, Trained, Trials
from tfday7.optimizers.config import OptimizerConfig

GUESS = 0.1
ADVISED = to_text(OptimizerConfig(optimizer="adamw", learning_rate=0.02))
FALLING = (2.0 * 0.5 ** np.arange(8)).tolist()
Value = Callable[[dict[str, str], int], float | None]


class Formula:
    """Trains in no time: the value is that of a function of the flags and the seed."""

    def __init__(self, value: Value, seconds: float = 1.0) -> None:
        self.value, self.seconds = value, seconds
        self.calls: list[tuple[dict[str, str], int]] = []

    def __call__(self, flags: Any, seed: int, give_up: bool, seconds: float) -> tuple[Trained, list[np.ndarray]]:
        self.calls.append((dict(flags), seed))
        value = self.value(flags, seed)
        if value is None:
            return Trained(None, "diverged: the loss is not finite", [None], [None], stopped="nan", seconds=1.0), []
        trained = Trained(value, "", FALLING, FALLING, value, seconds=self.seconds)
        return trained, [np.array([value])]


def _repair(folder: Path, train: Any, flags: dict[str, str], config: FixConfig, say: Any = None) -> Repair:
    flags = canonical({"model": "mlp", "epochs": "8", **flags})
    value = (train.value if isinstance(train, Formula) else train)(flags, 0)
    evidence = Evidence(
        np.array(FALLING), np.array(FALLING), train_score=value, validation_score=value, baseline=GUESS,
        validation_examples=200, flags=flags, stopped="finished" if value is not None else "nan",
    )  # fmt: skip
    original = Trained(value, "", FALLING, FALLING, value, seconds=1.0)
    start = Start(evidence, original, ADVISED, 1000, GUESS)
    return Repair(start, train, Trials(folder), config, say or (lambda sentence: None))


def _broken_dropout(flags: dict[str, str], seed: int) -> float:
    return (0.9 if float(flags["dropout"]) < 0.5 else 0.12) + 0.002 * seed


def test_the_fault_is_found_and_nothing_else_is_kept(tmp_path: Path) -> None:
    train = Formula(_broken_dropout)
    repair = _repair(tmp_path, train, {"dropout": "0.9"}, FixConfig())
    repair.run()
    record = repair.record()
    assert record["after"]["flags"] == {"dropout": "0.0"}
    assert record["after"]["value"] == pytest.approx(0.901)
    assert record["before"]["by_seed"][:2] == pytest.approx([0.12, 0.122])
    assert record["seeds"] == sorted({0, *(seed for _, seed in train.calls)})
    assert [attempt["remedy"] for attempt in record["attempts"] if attempt["kept"]] == ["repair.odd"]
    assert record["trainings"] == len(train.calls)
    assert repair.weights()[0] == pytest.approx(0.9)


def test_two_faults_are_repaired_one_after_the_other(tmp_path: Path) -> None:
    def value(flags: dict[str, str], seed: int) -> float:
        good_rate = 1e-4 < float(flags.get("learning_rate") or 0.001) < 0.1
        return 0.1 if not good_rate else (0.95 if int(flags["epochs"]) > 20 else 0.6) + 0.002 * seed

    repair = _repair(tmp_path, Formula(value), {"learning_rate": "30"}, FixConfig(fix_trainings=30))
    repair.run()
    record = repair.record()
    assert record["after"]["value"] == pytest.approx(0.951, abs=0.002)
    assert {"learning_rate", "epochs"} <= record["after"]["flags"].keys()


def test_of_classes_that_weigh_alike_two_faults_are_repaired_too(tmp_path: Path) -> None:
    """A retraining knows no recall; then its accuracy says whether there is more to repair."""
    flags = {"learning_rate": "30", "augment": "color", "class_weights": "balanced"}

    def value(flags: dict[str, str], seed: int) -> float:
        good_rate = 1e-4 < float(flags.get("learning_rate") or 0.001) < 0.1
        return 0.1 if not good_rate else (0.3 if flags["augment"] else 0.97) + 0.0005 * seed

    repair = _repair(tmp_path, Formula(value), flags, FixConfig(fix_trainings=30))
    repair.run()
    assert repair.record()["after"]["value"] == pytest.approx(0.97, abs=0.002)


def test_two_remedies_that_help_only_together_are_found(tmp_path: Path) -> None:
    def value(flags: dict[str, str], seed: int) -> float:
        wider, smooth = int(flags.get("width") or 128) == 256, flags["label_smoothing"] == "0.1"
        return 0.5 + 0.005 * (wider or smooth) + 0.3 * (wider and smooth) + 0.001 * seed

    repair = _repair(tmp_path, Formula(value), {}, FixConfig())
    repair.run()
    assert repair.record()["after"]["flags"] == {"label_smoothing": "0.1", "width": "256"}


def test_where_nothing_helps_the_run_stays(tmp_path: Path) -> None:
    train = Formula(lambda flags, seed: 0.5 + 0.01 * seed)
    repair = _repair(tmp_path, train, {}, FixConfig())
    repair.run()
    record = repair.record()
    assert record["after"] is None
    assert record["attempts"]
    assert not any(attempt["kept"] for attempt in record["attempts"])
    assert {seed for _, seed in train.calls} == {0}  # What does not look better gets no second seed.
    assert record["seeds"] == [0]
    assert not list(tmp_path.glob("*.npz"))


def test_what_only_reaches_guessing_is_called_no_better_than_it(tmp_path: Path) -> None:
    """The run is worse than guessing and counts as guessing: by its own value the remedies would have a gain."""
    train = Formula(lambda flags, seed: 0.05 if int(flags["epochs"]) == 8 else GUESS)
    repair = _repair(tmp_path, train, {}, FixConfig())
    repair.run()
    record = repair.record()
    assert (record["after"], record["guess"]) == (None, GUESS)
    assert GUESS in {attempt["value"] for attempt in record["attempts"]}
    assert {attempt["reason"] for attempt in record["attempts"]} == {"no better than guessing (0.1000)"}


def test_a_gain_says_what_it_is_a_gain_on(tmp_path: Path) -> None:
    def value(flags: dict[str, str], seed: int) -> float:
        return (0.9 if float(flags["dropout"]) < 0.5 else 0.05) + 0.002 * seed - 0.01 * (int(flags["epochs"]) > 8)

    repair = _repair(tmp_path, Formula(value), {"dropout": "0.9"}, FixConfig())
    repair.run()
    told = {attempt["remedy"]: attempt["reason"] for attempt in repair.record()["attempts"]}
    counts = "what is worse than guessing (0.1000) or has no result counts as guessing"
    assert told["repair.odd"] == f"+0.8010 with 2 seeds; {counts}"
    assert told["repair.longer"] == "-0.0100 with 1 seed; compared with what was kept before"


def test_luck_with_one_seed_is_not_kept(tmp_path: Path) -> None:
    def lucky(flags: dict[str, str], seed: int) -> float:
        return 0.9 if seed == 0 and int(flags["epochs"]) == 24 else 0.5

    repair = _repair(tmp_path, Formula(lucky), {}, FixConfig())
    repair.run()
    assert repair.record()["after"] is None


@pytest.mark.parametrize("most", [1, 3, 5, 8])
def test_it_takes_no_more_trainings_than_it_may(most: int, tmp_path: Path) -> None:
    train = Formula(_broken_dropout)
    repair = _repair(tmp_path, train, {"dropout": "0.9"}, FixConfig(fix_trainings=most))
    repair.run()
    assert len(train.calls) <= most
    assert (repair.record()["after"] is not None) == (most >= 3)  # One screens, two confirm.


def test_it_begins_no_training_that_would_not_end_in_time(tmp_path: Path) -> None:
    train = Formula(_broken_dropout, seconds=1.0)
    repair = _repair(tmp_path, train, {"dropout": "0.9"}, FixConfig(fix_budget_minutes=5.5 / 60))
    repair.run()
    assert repair.record()["seconds"] <= 5.5
    assert all(int(flags["epochs"]) < 80 for flags, _ in train.calls)
    assert "too long for what is left of the budget" in [attempt["reason"] for attempt in repair.record()["attempts"]]


def test_of_three_that_look_better_the_best_is_confirmed(tmp_path: Path) -> None:
    def value(flags: dict[str, str], seed: int) -> float:
        helped = {"longer": int(flags["epochs"]) > 8, "advised": flags["optimizer"] == "adamw"}
        return 0.5 + 0.1 * helped["longer"] + 0.3 * helped["advised"] + 0.001 * seed

    repair = _repair(tmp_path, Formula(value), {}, FixConfig(fix_trainings=8))
    repair.run()
    kept = [attempt for attempt in repair.attempts if attempt.kept]
    assert kept[0].remedy == "repair.advised"
    beaten = next(attempt for attempt in repair.record()["attempts"] if attempt["flags"] == {"epochs": "24"})
    assert beaten["reason"] == "+0.1000 with 1 seed; another one was kept"
    assert beaten["reasons"] == [
        {"id": "repair.reason.gain", "text": "+0.1000 with 1 seed", "gain": pytest.approx(0.1), "seeds": 1},
        {"id": "repair.reason.beaten", "text": "another one was kept"},
    ]
    assert not beaten["kept"]


def test_what_ran_out_of_time_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    def train(flags: Any, seed: int, give_up: bool = False, seconds: float = 0.0) -> Any:
        return 0.12 if not give_up else (Trained(None, OUT_OF_TIME, seconds=1.0), [])

    repair = _repair(tmp_path, train, {"dropout": "0.9"}, FixConfig())
    repair.run()
    assert repair.record()["after"] is None
    assert not list(tmp_path.iterdir())


def test_a_run_that_diverged_is_repaired_and_has_no_value(tmp_path: Path) -> None:
    def value(flags: dict[str, str], seed: int) -> float | None:
        return None if float(flags.get("learning_rate") or 0.001) > 1 else 0.9 + 0.001 * seed

    repair = _repair(tmp_path, Formula(value), {"learning_rate": "100"}, FixConfig(fix_trainings=4))
    repair.run()
    record = repair.record()
    assert record["before"]["value"] is None
    assert record["after"]["flags"] == {"learning_rate": "0.001"}


def test_an_interrupted_repair_goes_on_and_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole = _repair(tmp_path / "whole", Formula(_broken_dropout), {"dropout": "0.9"}, FixConfig(fix_trainings=8))
    whole.run()

    class Stopped(Formula):
        def __call__(self, flags: Any, seed: int, give_up: bool, seconds: float) -> Any:
            if len(self.calls) == 2:
                raise Interrupted("stopped", 130)
            return super().__call__(flags, seed, give_up, seconds)

    config = FixConfig(fix_trainings=8)
    with pytest.raises(Interrupted):
        _repair(tmp_path / "parts", Stopped(_broken_dropout), {"dropout": "0.9"}, config).run()
    rest = Formula(_broken_dropout)
    again = _repair(tmp_path / "parts", rest, {"dropout": "0.9"}, config)
    again.run()
    assert again.record() == whole.record()
    assert len(rest.calls) == whole.record()["trainings"] - 2


def test_weights_that_were_lost_are_trained_again(tmp_path: Path) -> None:
    repair = _repair(tmp_path, Formula(_broken_dropout), {"dropout": "0.9"}, FixConfig(fix_trainings=4))
    repair.run()
    for path in tmp_path.glob("*.npz"):
        path.unlink()
    assert repair.weights()[0] == pytest.approx(0.9)


@pytest.mark.parametrize("content", ["", "[]", '{"value": 0.9, "loss": [1.0, 0.5], "val_loss": [1.0]}'])
def test_a_damaged_training_is_named(tmp_path: Path, content: str) -> None:
    repair = _repair(tmp_path, Formula(_broken_dropout), {"dropout": "0.9"}, FixConfig(fix_trainings=4))
    repair.run()
    for path in tmp_path.glob("*.json"):
        path.write_text(content)
    with pytest.raises(UserError, match=rf"{tmp_path}/\w+\.json"):
        _repair(tmp_path, Formula(_broken_dropout), {"dropout": "0.9"}, FixConfig(fix_trainings=4)).run()


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    repair = _repair(tmp_path, Formula(_broken_dropout), {"dropout": "0.9"}, FixConfig(fix_trainings=4))
    repair.run()
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"PK")
    with pytest.raises(UserError, match=rf"{tmp_path}/\w+\.npz"):
        repair.weights()


def test_settings_that_contradict_cost_no_training(tmp_path: Path) -> None:
    class Refusing(Formula):
        def __call__(self, flags: Any, seed: int, give_up: bool, seconds: float) -> Any:
            trained, weights = super().__call__(flags, seed, give_up, seconds)
            return dataclasses.replace(trained, value=None, reason="a contradicts b", contradicts=True), weights

    repair = _repair(tmp_path, Refusing(lambda flags, seed: 0.5), {}, FixConfig(fix_trainings=4))
    repair.run()
    assert repair.record()["trainings"] == 0
    assert {attempt["reason"] for attempt in repair.record()["attempts"]} == {"a contradicts b"}
    assert repair.record()["attempts"][0]["reasons"] == [{"id": "", "text": "a contradicts b"}]


@pytest.mark.parametrize(
    ("reason", "identifier"),
    [("stalled: val_accuracy is no better than guessing after 3 epochs", "repair.reason.stalled"),
     ("diverged: the loss is not finite", "repair.reason.diverged"),
     ("out of memory", "repair.reason.out_of_memory"), ("something else", "")],
)  # fmt: skip
def test_how_a_training_failed_is_recorded_with_what_its_sentence_needs(reason: str, identifier: str) -> None:
    failed = reasons.of_failed(Trained(None, reason, loss=[1.0, 1.0, 1.0]))
    told = reasons.record([failed])["reasons"][0]
    assert (told["id"], told["text"]) == (identifier, reason)
    assert told.get("epochs") == (3 if identifier else None)
    assert not identifier or text(identifier, "zh", **told)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".partial-abc").mkdir()
    Trials(tmp_path).keep({}, 0, Trained(0.5))
    assert len(list(tmp_path.iterdir())) == 1

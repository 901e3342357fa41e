"""What candidates cost, from a log written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.compression.search import space
from tfday7.compression.search.costs import (
    IN_EPOCHS,
    Beginnings,
    Cost,
    Costs,
    Price,
    beginnings,
    same_epochs,
    tells_epochs,
)
from tfday7.compression.search.space import Point


def steps(point: Point, epochs: int) -> list[dict[str, Any]]:
    return [step.to_json() for step in space.recipe(point, epochs).steps]


def told(point: Point, epochs: int) -> Beginnings:
    return beginnings(steps(point, epochs))


def entry(point: Point, seconds: float, *trained: tuple[int, float | None]) -> dict[str, Any]:
    """A candidate that took so many seconds, and trained so often (epochs, seconds of one)."""
    made = [{"technique": "shrink", "finetuning": [{"epochs": n, "epoch_seconds": each}]} for n, each in trained]
    epochs = trained[0][0] if trained else 0
    recipe = {"name": "x", "steps": steps(point, epochs)}
    candidate = {"steps": made or [{"technique": "quantize"}], "recipe": recipe}
    decision = {"point": point.to_json(), "epochs": epochs}
    return {"decision": decision, "candidate": candidate, "seconds": {"making": seconds - 1.0, "measuring": 1.0}}


def test_a_cost_is_told_apart_into_what_hangs_on_epochs_and_the_rest() -> None:
    assert Costs([entry(Point(), 1.0)]).of() is None
    int8 = entry(Point(0.5), 20.0, (4, 3.0), (2, 1.5))
    assert Costs([entry(Point(), 1.0), int8]).of() == Cost(20.0 - 15.0, 2.5)
    assert Cost(5.0, 2.5).of(6) == 20.0
    qat = entry(Point(0.5, kind="qat"), 50.0, (6, 7.0))
    assert Costs([int8, qat]).of() == Cost(6.5, 4.75)
    assert Costs([int8, qat]).of(Point(0.5, kind="dynamic")) == Cost(6.5, 2.5)
    assert Costs([int8, qat]).of(Point(0.5, kind="qat")) == Cost(6.5, 7.0)
    assert Costs([entry(Point(0.5), 3.0, (1, None))]).of() == Cost(3.0, 0.0)  # Too short to be timed.
    # One that went on from a trained beginning says nothing of an epoch, but of the rest.
    again = entry(Point(0.5, kind="dynamic"), 8.0, (6, None))
    assert Costs([int8, again]).of() == Costs([int8, again]).of(Point(0.5, True, kind="dynamic")) == Cost(6.5, 2.5)


def test_the_nearest_ratio_tells_most() -> None:
    log = [entry(Point(0.25), 13.0, (1, 10.0)), entry(Point(0.75), 8.0, (1, 6.0))]
    assert Costs(log).of(Point(0.25)) == Cost(2.5, 10.0)
    assert Costs(log).of(Point(0.8125)) == Cost(2.5, 6.0)
    assert Costs(log).of(Point(0.5)) == Cost(2.5, 8.0)


def test_what_begins_as_something_trained_costs_what_is_left() -> None:
    log = [entry(Point(), 4.0), entry(Point(0.5), 20.0, (6, 3.0))]
    price = Price(log, told, in_seconds=True)
    assert price(Point(kind="dynamic"), 0) == 4.0
    assert price(Point(0.75), 6) == pytest.approx(1.1 * 20.0)
    assert price(Point(0.5, distil=False), 6) == pytest.approx(1.1 * 20.0)
    assert price(Point(0.5, kind="dynamic"), 6) == pytest.approx(1.1 * 2.0)
    assert price(Point(0.5, sparsity=0.7), 6) == pytest.approx(1.1 * (2.0 + 6.0))
    assert price(Point(0.5, sparsity=0.7, kind="qat"), 6) == pytest.approx(1.1 * (2.0 + 12.0))
    assert price(Point(0.5, sparsity=0.7), 2) == pytest.approx(1.1 * (2.0 + 9.0))  # Other epochs, another beginning.


def test_without_seconds_epochs_are_what_counts() -> None:
    price = Price([entry(Point(0.5), 20.0, (6, 3.0))], told, in_seconds=False)
    assert price(Point(kind="dynamic"), 0) == IN_EPOCHS.of(0) == 1.0
    assert price(Point(0.75), 6) == 7.0
    assert price(Point(0.5, clusters=8), 6) == 3.0


def test_a_candidate_that_could_not_be_made_has_trained_nothing() -> None:
    failed = entry(Point(0.5), 20.0, (6, 3.0))
    failed["candidate"] = {**failed["candidate"], "steps": []}
    assert Price([failed], told, in_seconds=False)(Point(0.5), 6) == 7.0
    known = entry(Point(0.75), 8.0, (6, 1.0))
    assert Costs([failed, known]).of() == Costs([known]).of() == Cost(2.0, 1.0)
    assert Costs([failed], Cost(1.0, 30.0)).of() == Cost(1.0, 30.0)
    assert not tells_epochs([failed])
    assert tells_epochs([failed, known])


def test_an_epoch_that_was_too_short_to_be_timed_takes_what_was_guessed() -> None:
    short = entry(Point(0.5), 3.0, (1, None))
    assert not tells_epochs([short])
    assert Costs([short], Cost(1.0, 0.2)).of() == Cost(3.0, 0.2)
    assert Costs([short, entry(Point(0.5), 8.0, (1, 6.0))], Cost(1.0, 0.2)).of() == Cost(2.5, 6.0)


@pytest.mark.parametrize(
    ("rungs", "begun", "left", "expected"),
    [
        ([1, 3, 9], [], 3000.0, 9),  # Three with all nine take 2,380 s.
        ([1, 3, 9], [], 2000.0, 7),  # A third is 667 s, 606 without the margin of a tenth.
        ([1, 3, 9], [], 1330.0, 5),  # Of half of all three take 1,324 s.
        ([1, 3, 9], [], 1200.0, 6),  # Not three but two.
        ([1, 3, 9], [], 870.0, 9),  # Not two but one, which can have all.
        ([1, 3, 9], [], 300.0, 3),
        ([1, 3, 9], [], 10.0, 1),
        ([1, 3, 9], [1, 3], 1330.0, 5),  # What few epochs show is no beginning to share.
        ([1, 3, 9], [7, 6], 1330.0, 7),
        ([1, 3, 9], [5], 3000.0, 9),  # There is time for more with all of them.
        ([1, 3, 9], [5], 870.0, 5),
        ([1, 2], [1], 300.0, 2),
        ([1], [], 3000.0, 1),
    ],
)
def test_few_candidates_have_the_same_epochs(rungs: list[int], begun: list[int], left: float, expected: int) -> None:
    """A candidate takes 1 s, and 80 s an epoch."""
    assert same_epochs(rungs, begun, Cost(1.0, 80.0), left) == expected

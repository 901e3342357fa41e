"""What `--tune` may name, and the arithmetic of ranges."""

from __future__ import annotations

import math

import pytest

from tfday7.core.errors import UserError
from tfday7.tuning.parameters import Parameter, parse


def test_the_three_forms_of_an_entry() -> None:
    found = parse("learning_rate, width=8..64,optimizer=adam|sgd,dropout=0..0.5:linear")
    assert found["learning_rate"] is None
    assert found["width"] == Parameter("width", (8, 64), "linear", integer=True)
    assert found["optimizer"] == Parameter("optimizer", ("adam", "sgd"), "choice")
    assert found["dropout"] == Parameter("dropout", (0.0, 0.5), "linear")


@pytest.mark.parametrize(
    ("text", "scale"), [("1e-4..1e-1", "log"), ("0.01..0.05", "linear"), ("0.01..0.05:log", "log")]
)
def test_a_range_over_a_power_of_ten_is_searched_on_a_log_scale(text: str, scale: str) -> None:
    parameter = parse(f"learning_rate={text}")["learning_rate"]
    assert parameter is not None
    assert parameter.scale == scale


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat", "unknown hyperparameter in --tune 'learning_rat'"),
        ("epochs=1..9", "unknown hyperparameter in --tune 'epochs'"),  # A search holds it fixed.
        ("learning_rate=1..0.1", "expected a low bound below the high one"),
        ("learning_rate=0..1:log", "both above 0 on a log scale"),
        ("learning_rate=-1..1", "--learning_rate=-1"),
        ("learning_rate=a..b", "'a' is no number"),
        ("learning_rate=nan..1", "'nan' is no bound"),
        ("learning_rate=1e-3..inf", "'inf' is no bound"),
        ("learning_rate=0.1", "two or more different values"),
        ("learning_rate=", "'' is no number"),
        ("batch_size=16|16", "two or more different values"),
        ("batch_size=1.5|2", "'1.5' is no whole number"),
        ("dropout=0..1", "--dropout=1"),
        ("schedule=cosine|step", "--schedule=step"),
        ("learning_rate,learning_rate", "named more than once"),
        (" , ", "names nothing"),
    ],
)
def test_what_is_no_range_is_refused_with_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert message in caught.value.message


def test_the_places_of_a_log_range_are_even_in_the_logarithm() -> None:
    rate = Parameter("learning_rate", (1e-4, 1e-2), "log")
    assert rate.place(1e-3) == pytest.approx(0.5)
    assert rate.at(0.25) == pytest.approx(10**-3.5, rel=1e-3)
    assert [rate.at(place) for place in (0.0, 1.0)] == [1e-4, 1e-2]


def test_every_choice_gets_an_equal_share_of_the_places() -> None:
    choice = Parameter("batch_size", (16, 32, 64), "choice")
    assert [choice.at(place) for place in (0.0, 0.3, 0.34, 0.66, 0.67, 1.0)] == [16, 16, 32, 32, 64, 64]
    assert [choice.place(value) for value in (16, 32, 64)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(("value", "side"), [(1.05e-4, "low"), (1e-3, ""), (9.9e-3, "high")])
def test_a_value_within_a_twentieth_of_a_bound_lies_at_it(value: float, side: str) -> None:
    assert Parameter("learning_rate", (1e-4, 1e-2), "log").edge(value) == side


def test_a_choice_has_no_bound() -> None:
    assert Parameter("batch_size", (16, 32), "choice").edge(16) == ""


def test_widening_goes_as_far_again_beyond_the_bound() -> None:
    rate = Parameter("learning_rate", (1e-4, 1e-2), "log")
    assert rate.widened("low").range == pytest.approx((1e-6, 1e-4))
    assert rate.widened("high").range == pytest.approx((1e-2, 1.0))
    width = Parameter("width", (10, 30), "linear", integer=True)
    assert width.widened("high").range == (30, 50)


def test_widening_ends_where_the_flag_does() -> None:
    assert Parameter("dropout", (0.2, 0.6), "linear").widened("low").range == (0.0, 0.2)
    low, high = Parameter("dropout", (0.2, 0.6), "linear").widened("high").range
    assert low == 0.6
    assert 0.99 < float(high) < 1.0
    assert Parameter("width", (1, 9), "linear", integer=True).widened("low").range == (1, 1)
    assert Parameter("warmup_steps", (1, 16), "log", integer=True).widened("low").range == (1, 1)  # 0 has no logarithm.


def test_widening_ends_at_the_most_but_leaves_the_range_as_it_is() -> None:
    warm_up = Parameter("warmup_steps", (10, 100), "log", integer=True)
    assert warm_up.widened("high", 300).range == (100, 300)
    assert warm_up.widened("high", 50).range == (100, 100)
    assert warm_up.widened("low", 50).range == (1, 10)


def test_a_parameter_survives_its_record() -> None:
    for parameter in (
        Parameter("learning_rate", (1e-4, 1e-2), "log", optimizer="adam"),
        Parameter("width", (1, 9), "linear", integer=True),
        Parameter("schedule", ("constant", "cosine"), "choice"),
    ):
        assert Parameter.from_json(parameter.to_json()) == parameter
    assert math.isclose(Parameter("l2", (1e-6, 1e-2), "log").at(0.5), 1e-4, rel_tol=1e-3)

"""The space of a search: what was asked for, and each optimizer's own ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig
from tfday7.optimizers.situation import Situation
from tfday7.training.config import TrainingConfig
from tfday7.tuning.parameters import Parameter, parse
from tfday7.tuning.space import Space, job_and_space, nearest


def test_few_trials_tune_the_rate_alone(make_job: Callable[..., Any]) -> None:
    _, space = make_job("", trials=5)
    assert [parameter.key for parameter in space.parameters] == ["learning_rate"]


def test_more_trials_tune_more(make_job: Callable[..., Any]) -> None:
    sizes = [len(make_job("", trials=trials)[1].parameters) for trials in (5, 20, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_each_optimizer_has_its_own_range_and_first_point(make_job: Callable[..., Any]) -> None:
    job, space = make_job("optimizer=adam|sgd,learning_rate,batch_size=8|16")
    assert [parameter.key for parameter in space.parameters] == [
        "optimizer", "adam.learning_rate", "sgd.learning_rate", "batch_size",
    ]  # fmt: skip
    ranges = {parameter.key: parameter.range for parameter in space.parameters}
    assert ranges["adam.learning_rate"] != ranges["sgd.learning_rate"]
    adam, sgd = space.first
    assert set(adam) == {"optimizer", "adam.learning_rate", "batch_size"}
    assert set(sgd) == {"optimizer", "sgd.learning_rate", "batch_size"}
    assert set(job.optimizers) == {"adam", "sgd"}


def test_first_points_lie_in_their_ranges(make_job: Callable[..., Any]) -> None:
    _, space = make_job("optimizer=adam|sgd|rmsprop,learning_rate,weight_decay,dropout,schedule,width", trials=60)
    for point in space.first:
        for parameter in space.active(str(point["optimizer"])):
            value = point[parameter.key]
            if parameter.scale == "choice":
                assert value in parameter.range
            else:
                assert parameter.range[0] <= value <= parameter.range[1]


def test_a_trials_values_change_the_settings_of_its_optimizer_alone(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("optimizer=adam|sgd,learning_rate,dropout,batch_size=8|16")
    values = {"optimizer": "sgd", "sgd.learning_rate": 0.3, "adam.learning_rate": 0.7, "dropout": 0.25, "batch_size": 8}
    model, optimizer, training = job.changed(values)
    assert (optimizer.optimizer, optimizer.learning_rate) == ("sgd", 0.3)
    assert (model.dropout, training.batch_size) == (0.25, 8)
    flags = job.flags(values)
    assert flags["optimizer"] == "sgd"
    assert flags["learning_rate"] == 0.3
    assert "seed" not in flags


def test_auto_is_settled_for_the_trials(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("learning_rate", optimizer="auto")
    (config,) = job.optimizers.values()
    assert config.optimizer != "auto"
    assert isinstance(config.learning_rate, float)


@pytest.mark.parametrize(("trials", "optimizers"), [(19, 1), (20, 2)])
def test_with_trials_enough_for_two_an_open_optimizer_is_tuned_beside_its_runner_up(
    trials: int, optimizers: int, make_job: Callable[..., Any]
) -> None:
    job, space = make_job("", optimizer="auto", trials=trials)
    assert len(job.optimizers) == optimizers
    assert (space.parameters[0].key == "optimizer") == (optimizers == 2)


def test_optimizers_that_are_compared_are_settled_alike(make_job: Callable[..., Any]) -> None:
    job, _ = make_job("optimizer=adam|nadam,learning_rate", optimizer="adam")
    adam, nadam = job.optimizers.values()
    assert (adam.schedule, adam.warmup_steps) == (nadam.schedule, nadam.warmup_steps)


def test_a_given_range_belongs_to_the_optimizers_that_take_it(make_job: Callable[..., Any]) -> None:
    _, space = make_job("optimizer=adam|sgd,learning_rate,momentum=0.8..0.95")
    assert "sgd.momentum" in [parameter.key for parameter in space.parameters]
    assert "momentum" not in [parameter.key for parameter in space.parameters]
    with pytest.raises(UserError, match="--tune=beta_1 has no meaning for --optimizer=sgd"):
        make_job("beta_1=0.8..0.99", optimizer="sgd")


def test_a_shared_setting_is_tuned_for_the_optimizers_that_take_it(make_job: Callable[..., Any]) -> None:
    _, space = make_job("optimizer=adam|schedule_free_adamw,ema_momentum=0.9..0.99")
    assert [parameter.key for parameter in space.parameters] == ["optimizer", "adam.ema_momentum"]
    with pytest.raises(UserError, match="--tune=ema_momentum has no meaning for --optimizer=schedule_free_adamw"):
        make_job("ema_momentum=0.9..0.99", optimizer="schedule_free_adamw")


def test_what_the_user_has_set_is_where_the_search_begins(make_job: Callable[..., Any]) -> None:
    _, space = make_job("learning_rate,batch_size", learning_rate=0.3, batch_size=7)
    assert space.first[0] == {"learning_rate": 0.3, "batch_size": 7}
    assert space.parameters[0].range[1] >= 0.3
    _, asked = make_job("learning_rate=0.001..0.01", learning_rate=0.3)
    assert asked.parameters[0].range == (0.001, 0.01)


@pytest.mark.parametrize(
    ("optimizer", "tune", "first"),
    [
        ("adam", "epsilon", {"epsilon": 1e-7}),
        ("lamb", "beta_1", {"beta_1": 0.9}),
        ("sgd", "nesterov=false|true", {"nesterov": True}),  # As advised.
        ("muon", "nesterov=true|false", {"nesterov": True}),
        ("optimizer=lamb|nadam", "beta_1", {"lamb.beta_1": 0.9, "nadam.beta_1": 0.9}),
    ],
)
def test_what_no_advice_is_on_begins_at_the_optimizers_own_default(
    optimizer: str, tune: str, first: dict[str, Any], make_job: Callable[..., Any]
) -> None:
    _, space = make_job(f"{optimizer},{tune}") if "=" in optimizer else make_job(tune, optimizer=optimizer)
    begun = {key: value for point in space.first for key, value in point.items() if key in first}
    assert begun == first


def test_what_was_set_counts_for_more_than_the_optimizers_default(blobs: Dataset) -> None:
    configs = (DataConfig(), ModelConfig(model="mlp"), OptimizerConfig(epsilon=1e-4), TrainingConfig())
    found = Situation(model_kind="mlp", batch_size=16, epochs=6, examples=140, trials=20)
    _, space = job_and_space(blobs, configs, parse("epsilon"), found)
    assert space.first == ({"epsilon": 1e-4},)


def test_a_flag_without_a_usual_range_asks_for_one(make_job: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="--tune=patience: there is no usual range") as caught:
        make_job("patience")
    assert "--tune=patience=LOW..HIGH" in caught.value.hint


def test_widening_moves_only_what_lies_at_a_bound() -> None:
    rate, decay = Parameter("learning_rate", (1e-4, 1e-2), "log"), Parameter("weight_decay", (1e-4, 1e-1), "log")
    space = Space((rate, decay), first=({"learning_rate": 1e-3, "weight_decay": 1e-2},))
    assert space.widened({"learning_rate": 1e-3, "weight_decay": 1e-2}) is space
    wider = space.widened({"learning_rate": 1e-2, "weight_decay": 1e-2})
    assert wider.parameters[0].range == pytest.approx((1e-2, 1.0))
    assert wider.parameters[1] == decay
    assert wider.first == ()


@pytest.mark.parametrize(("wanted", "expected"), [(5e-3, 5e-3), (1.0, 1e-2), (1e-9, 1e-4), (None, 1e-3)])
def test_the_nearest_value_of_a_range(wanted: float | None, expected: float) -> None:
    assert nearest(Parameter("learning_rate", (1e-4, 1e-2), "log"), wanted) == pytest.approx(expected)

"""Odd settings are those beyond the ranges that a search looks in; usual ones never are."""

from __future__ import annotations

import pytest

from tfday7.core.settings import to_text
from tfday7.diagnosis.repairing.candidates import canonical
from tfday7.diagnosis.repairing.odd_settings import odd
from tfday7.models.architecture import ARCHITECTURES
from tfday7.optimizers import advisor
from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.situation import Situation
from tfday7.optimizers.table import OPTIMIZERS

EXAMPLES = 1000


def _odd(**flags: str) -> list[dict[str, str]]:
    return [change for _, change in odd(canonical(flags), EXAMPLES)]


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_no_optimizer_is_odd_with_its_own_defaults_or_in_its_own_range(optimizer: str) -> None:
    for rate in (OPTIMIZERS[optimizer].learning_rate, *OPTIMIZERS[optimizer].learning_rate_range):
        assert _odd(model="mlp", optimizer=optimizer, learning_rate=str(rate)) == []


@pytest.mark.parametrize("epochs", [1, 3, 30, 300])
def test_what_the_advisor_says_is_never_odd(epochs: int) -> None:
    found = Situation(
        data_kind="tabular", model_kind="mlp", parameters=100, batch_size=32, epochs=epochs, examples=EXAMPLES
    )
    config, _ = advisor.resolve(OptimizerConfig(optimizer="auto", learning_rate="auto"), found)
    assert _odd(model="mlp", epochs=str(epochs), **to_text(config)) == []


@pytest.mark.parametrize("model", ARCHITECTURES.names())
def test_no_architecture_is_odd_in_its_own_size_or_half_or_twice_of_it(model: str) -> None:
    for factor in (0.5, 1, 2):
        width = max(1, int(ARCHITECTURES.get(model).width * factor))
        assert _odd(model=model, width=str(width)) == []


@pytest.mark.parametrize(
    ("flags", "put_back"),
    [
        ({"learning_rate": "3"}, {"learning_rate": "0.001"}),
        ({"learning_rate": "1e-7"}, {"learning_rate": "0.001"}),
        ({"optimizer": "sgd", "learning_rate": "1e-5"}, {"learning_rate": "0.01"}),
        ({"dropout": "0.9"}, {"dropout": "0"}),
        ({"l2": "1"}, {"l2": "0"}),
        ({"label_smoothing": "0.9"}, {"label_smoothing": "0"}),
        ({"weight_decay": "10"}, {"weight_decay": ""}),
        ({"optimizer": "sgd", "momentum": "0.999"}, {"momentum": ""}),
        ({"clipnorm": "1e-6"}, {"clipnorm": ""}),
        ({"freeze": "true"}, {"freeze": "false"}),
        ({"width": "1"}, {"width": "128"}),
        ({"batch_size": "1000"}, {"batch_size": "32"}),
        ({"patience": "1"}, {"patience": "0"}),
        ({"warmup_steps": "600"}, {"warmup_steps": "0"}),  # Of 20 epochs x 32 steps.
        ({"augment": "noise,mask"}, {"augment": ""}),
    ],
)
def test_an_odd_setting_is_put_back(flags: dict[str, str], put_back: dict[str, str]) -> None:
    assert _odd(model="mlp", **flags) == [put_back]


def test_several_are_put_back_together_first() -> None:
    assert _odd(model="mlp", dropout="0.9", l2="1") == [{"dropout": "0", "l2": "0"}, {"dropout": "0"}, {"l2": "0"}]


@pytest.mark.parametrize(
    ("name", "usual", "beyond"),
    [
        ("dropout", "0.5", "0.6"), ("l2", "0.01", "0.02"), ("label_smoothing", "0.2", "0.25"),
        ("weight_decay", "0.1", "0.2"), ("momentum", "0.98", "0.985"), ("beta_1", "0.98", "0.985"),
        ("beta_2", "0.9999", "0.99995"), ("epsilon", "0.001", "0.002"), ("rho", "0.98", "0.985"),
        ("ema_momentum", "0.9999", "0.99995"),
    ],
)  # fmt: skip
def test_what_is_beyond_the_usual_range_is_odd_and_its_end_is_not(name: str, usual: str, beyond: str) -> None:
    plain = canonical({"model": "mlp"})
    assert list(odd({**plain, name: usual}, EXAMPLES)) == []
    ((_, change),) = odd({**plain, name: beyond}, EXAMPLES)
    assert list(change) == [name]

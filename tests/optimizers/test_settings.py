"""Settings reach the optimizer, and those that it does not have are refused before TensorFlow loads."""

from __future__ import annotations

from typing import Any

import pytest
from optimizers.stepping import HERE, small_model

from tfday7.core.errors import UserError
from tfday7.core.texts import table
from tfday7.optimizers import OptimizerConfig, catalog, tfa
from tfday7.optimizers.table import CLIPPING, COMMON, OPTIMIZERS

VALUES: dict[str, Any] = {
    "momentum": 0.7, "nesterov": True, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "rho": 0.6, "weight_decay": 0.2,
    "clipnorm": 3.0, "clipvalue": 2.0, "global_clipnorm": 4.0, "use_ema": True, "lookahead_steps": 3,
}  # fmt: skip
PAIRS = [(name, key) for name in HERE for key in VALUES if key in OPTIMIZERS[name].takes]


@pytest.mark.parametrize(("name", "key"), PAIRS)
def test_a_setting_reaches_the_optimizer(name: str, key: str) -> None:
    if (name, key) == ("lookahead", "use_ema"):
        return  # Refused below.
    value = VALUES[key]
    settings = {"momentum": 0.9} if key == "nesterov" else {}
    optimizer = catalog.build(OptimizerConfig(optimizer=name, **settings, **{key: value}), 10, small_model())
    own = getattr(optimizer, "settings", {})
    if OPTIMIZERS[name].legacy and key in optimizer._hyper:
        assert optimizer._get_hyper(key) == value
    else:
        assert (own[key] if key in own else getattr(optimizer, key)) == value


@pytest.mark.parametrize("name", HERE)
def test_the_defaults_of_the_table_are_those_of_the_optimizer(name: str) -> None:
    optimizer = catalog.build(OptimizerConfig(optimizer=name), 10, small_model())
    own = getattr(optimizer, "settings", {})
    for key, value in OPTIMIZERS[name].settings.items():
        if OPTIMIZERS[name].legacy and key in optimizer._hyper:
            assert optimizer._get_hyper(key) == value
        else:
            assert (own[key] if key in own else getattr(optimizer, key)) == value


@pytest.mark.parametrize("name", HERE)
def test_a_setting_that_an_optimizer_lacks_is_refused_by_name(name: str) -> None:
    for key in set(VALUES) - set(OPTIMIZERS[name].takes):
        with pytest.raises(UserError) as caught:
            catalog.check(OptimizerConfig(optimizer=name, **{key: VALUES[key]}))
        assert caught.value.message.startswith(f"--{key}=")
        assert caught.value.message.endswith(f" has no meaning for --optimizer={name}")
        assert all(f"--{taken}" in caught.value.hint for taken in OPTIMIZERS[name].takes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rho": 0.9}, "--rho=0.9 has no meaning for --optimizer=adam"),
        ({"nesterov": False}, "--nesterov=false has no meaning for --optimizer=adam"),
        ({"clipnorm": 1.0, "global_clipnorm": 2.0}, "--clipnorm=1 contradicts --global_clipnorm=2"),
        ({"clipnorm": 1.0, "clipvalue": 0.5}, "--clipnorm=1 contradicts --clipvalue=0.5"),
        ({"ema_momentum": 0.9}, "--ema_momentum=0.9 needs --use_ema"),
        ({"use_ema": True, "lookahead_steps": 5}, "--use_ema contradicts --lookahead_steps=5"),
        ({"optimizer": "lookahead", "use_ema": True}, "--use_ema contradicts --optimizer=lookahead"),
        ({"optimizer": "sgd", "nesterov": True, "momentum": 0.0}, "--nesterov needs momentum, but --momentum=0"),
        ({"optimizer": "rmsprop", "nesterov": True}, "--nesterov=true has no meaning for --optimizer=rmsprop"),
        ({"optimizer": "lion", "beta_1": 0.0}, "--beta_1=0 has no meaning for --optimizer=lion"),
        ({"optimizer": "schedule_free_adamw", "schedule": "cosine"}, "--schedule=cosine contradicts --optimizer="),
        ({"optimizer": "schedule_free_adamw", "use_ema": True}, "--use_ema=true has no meaning"),
        ({"optimizer": "schedule_free_adamw", "lookahead_steps": 5}, "--lookahead_steps=5 has no meaning"),
        ({"optimizer": "adafactor", "beta_1": 0.5}, "--beta_1=0.5 has no meaning for --optimizer=adafactor"),
    ],
)
def test_what_contradicts_is_refused_and_both_flags_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        catalog.check(OptimizerConfig(**settings))
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_without_tensorflow_addons_its_names_say_what_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfa, "is_installed", lambda: False)
    with pytest.raises(UserError, match="--optimizer=tfa_lamb needs tensorflow-addons") as caught:
        catalog.check(OptimizerConfig(optimizer="tfa_lamb"))
    assert caught.value.hint.startswith("--optimizer=lamb ")
    catalog.check(OptimizerConfig(optimizer="lamb"))


@pytest.mark.skipif(not tfa.is_installed(), reason="tensorflow-addons has no wheels for this Python")
def test_legacy_optimizers_are_refused_on_a_mesh() -> None:
    with pytest.raises(UserError, match="--optimizer=tfa_lamb cannot train on a mesh"):
        catalog.check_mesh(OptimizerConfig(optimizer="tfa_lamb"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "rmsprop"}, "--optimizer=rmsprop cannot train on a mesh"),
        ({"optimizer": "lookahead"}, "--optimizer=lookahead cannot train on a mesh"),
        ({"use_ema": True}, "--use_ema=true cannot be kept on a mesh"),
        ({"optimizer": "lamb", "lookahead_steps": 5}, "--lookahead_steps=5 cannot be kept on a mesh"),
    ],
)
def test_what_reads_a_variable_after_assigning_it_is_refused_on_a_mesh(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        catalog.check_mesh(OptimizerConfig(**settings))
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize("name", sorted(name for name, spec in OPTIMIZERS.items() if spec.rule))
def test_every_rule_can_train_on_a_mesh(name: str) -> None:
    catalog.check_mesh(OptimizerConfig(optimizer=name))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_row_of_the_table_is_sound(name: str) -> None:
    spec = OPTIMIZERS[name]
    low, high = spec.learning_rate_range
    assert 0 < low < spec.learning_rate < high
    assert spec.paper
    assert set(spec.settings) <= {*VALUES, "lookahead_steps"}
    assert set(spec.common) <= set(COMMON)
    assert set(CLIPPING) <= set(spec.takes)
    for part in ("use", "watch"):
        assert set(table()[f"optimizers.{name.removeprefix('tfa_')}.{part}"]) == {"en", "zh"}


def test_the_help_names_every_optimizer() -> None:
    text = OptimizerConfig.__dataclass_fields__["optimizer"].metadata["help"]
    assert all(f"{name}" in text for name in OPTIMIZERS)

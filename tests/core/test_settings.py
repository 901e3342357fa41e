"""A setting is declared once and validated on construction."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, describe_range, from_text, setting, to_text, typed_fields
from tfday7.data.config import DataConfig
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig


@dataclasses.dataclass(frozen=True)
class Oven(Settings):
    """An example with every kind of field."""

    loaves: int = setting(2, "How many loaves.", minimum=1, maximum=12_000)
    salt: float = setting(0.02, "Share of salt.", minimum=0, below=1)
    heat: float | None = setting(None, "Heat; default: the bread's own.", above=0)
    flour: str = setting("rye", "Which flour.", choices=("rye", "wheat"))
    steam: bool = setting(False, "Use steam.")


@given(st.integers() | st.just(10**400))
def test_inclusive_bounds_of_whole_numbers(loaves: int) -> None:
    if 1 <= loaves <= 12_000:
        assert Oven(loaves=loaves).loaves == loaves
    else:
        with pytest.raises(
            UserError, match=f"--loaves={loaves}: expected a whole number at least 1 and at most 12,000"
        ):
            Oven(loaves=loaves)


@given(st.floats())
def test_mixed_bounds_of_numbers(salt: float) -> None:
    if 0 <= salt < 1:
        assert Oven(salt=salt).salt == salt
    else:  # Infinity and NaN are never numbers that anyone meant.
        with pytest.raises(UserError, match="expected a number at least 0 and below 1"):
            Oven(salt=salt)


@given(st.floats() | st.just(10**400))
def test_exclusive_lower_bound(heat: float) -> None:
    if isinstance(heat, float) and 0 < heat < math.inf:
        assert Oven(heat=heat).heat == heat
    else:
        with pytest.raises(UserError, match="expected a number above 0"):
            Oven(heat=heat)


@given(st.text())
def test_choices(flour: str) -> None:
    if flour in ("rye", "wheat"):
        assert Oven(flour=flour).flour == flour
    else:
        with pytest.raises(UserError, match="expected one of rye, wheat"):
            Oven(flour=flour)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("loaves", 2.0, "a whole number"),
        ("loaves", True, "a whole number"),
        ("loaves", None, "a whole number"),
        ("salt", "0.1", "a number"),
        ("salt", True, "a number"),
        ("steam", 1, "true or false"),
        ("flour", 3, "one of rye, wheat"),
    ],
)
def test_a_wrong_type_is_refused_with_the_flag_and_what_was_expected(name: str, value: object, expected: str) -> None:
    with pytest.raises(UserError, match=f"--{name}={value}: expected {expected}") as caught:
        Oven(**{name: value})
    assert caught.value.hint  # The help says what the flag is for.


def test_a_whole_number_serves_as_a_number_and_none_where_it_is_allowed() -> None:
    oven = Oven(heat=230)
    assert oven.heat == 230.0
    assert isinstance(oven.heat, float)
    assert Oven().heat is None


def test_fields_are_typed_without_their_none() -> None:
    kinds = {field.name: (kind, optional) for field, kind, optional in typed_fields(Oven)}
    assert kinds == {
        "loaves": (int, False), "salt": (float, False), "heat": (float, True), "flour": (str, False),
        "steam": (bool, False),
    }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Timer(Settings):
    minutes: float | Literal["auto"] | None = setting(None, "How long.", above=0, words=("auto",))


def test_a_number_may_be_a_word_that_is_named_and_no_other() -> None:
    assert [Timer(minutes=value).minutes for value in ("auto", 3, None)] == ["auto", 3.0, None]
    assert [(kind, optional) for _, kind, optional in typed_fields(Timer)] == [(float, True)]
    for value in ("soon", 0, "3"):
        with pytest.raises(UserError, match=f"--minutes={value}.*: expected a number above 0, or auto"):
            Timer(minutes=value)


@pytest.mark.parametrize("group", [DataConfig, ModelConfig, OptimizerConfig])
def test_every_setting_has_help_and_a_valid_default(group: type[Settings]) -> None:
    group()
    for field, kind, _ in typed_fields(group):
        assert field.metadata["help"].endswith(".")
        assert describe_range(field, kind)


@given(
    st.builds(
        Oven,
        loaves=st.integers(1, 12_000),
        salt=st.floats(0, 1, exclude_max=True),
        heat=st.none() | st.floats(1e-9, 1e9),
        flour=st.sampled_from(["rye", "wheat"]),
        steam=st.booleans(),
    )
)
def test_settings_are_what_their_text_says(oven: Oven) -> None:
    assert from_text(Oven, to_text(oven)) == oven


def test_what_text_leaves_out_is_the_default_and_other_flags_are_not_read() -> None:
    assert from_text(Oven, {"loaves": "", "heat": "", "steam": "true", "data": "digits"}) == Oven(steam=True)
    assert from_text(OptimizerConfig, {"learning_rate": "auto"}).learning_rate == "auto"
    assert "heat" not in to_text(Oven())


@pytest.mark.parametrize("flags", [{"loaves": "two"}, {"salt": "much"}, {"steam": "yes"}, {"flour": ""}, {"salt": "2"}])
def test_text_that_says_no_value_is_a_user_error_that_names_the_flag(flags: dict[str, str]) -> None:
    with pytest.raises(UserError, match=f"--{next(iter(flags))}="):
        from_text(Oven, flags)

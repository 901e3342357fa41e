"""Errors carry exit codes and hints."""

from __future__ import annotations

import pytest

from tfday7.core.errors import GateError, Interrupted, Tfday7Error, UserError, unknown_name


@pytest.mark.parametrize(("error", "code"), [(Tfday7Error("m"), 1), (UserError("m"), 2), (GateError("m"), 3)])
def test_each_kind_of_failure_has_its_exit_code(error: Tfday7Error, code: int) -> None:
    assert error.exit_code == code


def test_an_error_keeps_message_and_hint_apart() -> None:
    error = UserError("got 3", "give 4")
    assert (str(error), error.message, error.hint) == ("got 3", "got 3", "give 4")
    assert UserError("got 3").hint == ""


def test_a_users_mistake_is_a_value_error_as_python_callers_expect() -> None:
    with pytest.raises(ValueError, match="got 3"):
        raise UserError("got 3")


def test_no_handler_for_errors_catches_an_interruption() -> None:
    assert not isinstance(Interrupted("saved", 130), Exception)
    assert Interrupted("saved", 143).exit_code == 143


def test_an_unknown_name_lists_the_known_ones_sorted_with_the_nearest_first() -> None:
    error = unknown_name("fruit", "aple", ["pear", "apple", "fig"], extra="a vegetable")
    assert error.message == "unknown fruit 'aple'"
    assert error.hint == "did you mean apple? known: apple, fig, pear; or a vegetable"


def test_an_unknown_name_far_from_all_others_suggests_none() -> None:
    assert unknown_name("fruit", "xyz", ["pear"]).hint == "known: pear"

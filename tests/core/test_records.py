"""A record is what its dataclass says, or a mistake that names the file; nothing of it is guessed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.core.records import build, check_measured, understood

WHERE = Path("runs/a/outcome.json")


@dataclasses.dataclass(frozen=True)
class Ended:
    """A record with a field of each sort."""

    value: float | None
    curve: tuple[float | None, ...]
    epochs: int
    reason: str = ""
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


GOOD: dict[str, Any] = {"value": 0.5, "curve": [0.25, None], "epochs": 2, "settings": {"a": 1}}


def test_fields_come_as_their_types_say() -> None:
    assert build(Ended, GOOD, WHERE, "") == Ended(0.5, (0.25, None), 2, settings={"a": 1})
    assert build(Ended, {**GOOD, "value": 1}, WHERE, "").value == 1  # Others' JSON has 1 for 1.0.
    assert build(Ended, {**GOOD, "of a later version": 1}, WHERE, "").epochs == 2


@pytest.mark.parametrize(
    "record",
    [
        [], None, 3, "text", {}, {**GOOD, "value": "0.5"}, {**GOOD, "value": [0.5]}, {**GOOD, "curve": 3},
        {**GOOD, "curve": ["0.25"]}, {**GOOD, "epochs": 2.5}, {**GOOD, "epochs": None}, {**GOOD, "reason": None},
        {**GOOD, "settings": []},
        {**GOOD, "curve": {}}, {**GOOD, "curve": "ab"}, {**GOOD, "epochs": True},
        {name: value for name, value in GOOD.items() if name != "epochs"},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_of_another_shape_is_a_mistake_that_names_its_file(record: Any) -> None:
    with pytest.raises(UserError, match=r"outcome\.json") as raised:
        build(Ended, record, WHERE, "remove it")
    assert raised.value.hint == "remove it"


@pytest.mark.parametrize("measured", [{"a": 1e101}, [-(10**101)], {"a": [{"b": [1, -1e308]}]}], ids=str)
def test_what_was_measured_has_an_end(measured: Any) -> None:
    with pytest.raises(UserError, match=r"outcome\.json: -?1e\+\d+ found"):
        check_measured(measured, WHERE, "remove it")
    check_measured({"a": [1e100, -5, None, "1e200", True]}, WHERE, "remove it")


@pytest.mark.parametrize("reading", [lambda: {}["a"], lambda: [][0], lambda: None.a, lambda: int([]), lambda: int("x")])
def test_what_reads_a_record_of_another_shape_says_which(reading: Any) -> None:
    with pytest.raises(UserError, match=r"outcome\.json"), understood(WHERE, "remove it"):
        reading()


def test_a_mistake_that_is_named_already_keeps_its_name_and_a_bug_stays_one() -> None:
    with pytest.raises(UserError, match=r"^the data are gone$"), understood(WHERE, ""):
        raise UserError("the data are gone")
    with pytest.raises(RuntimeError), understood(WHERE, ""):
        raise RuntimeError

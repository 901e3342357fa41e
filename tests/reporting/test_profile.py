"""The operators that take the time, on the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, Group

from tfday7.core.errors import UserError
from tfday7.reporting.profile import SHOWN, profile_parts
from tfday7.reporting.words import Words


def record(count: int = 3, **values: Any) -> dict[str, Any]:
    """Operators of 1, 2, 3 ... microseconds."""
    total = count * (count + 1) / 2
    rows = [{"op": f"OP_{i}", "name": f"layer_{i}", "ms": i / 1000, "share": i / total} for i in range(1, count + 1)]
    whole = {"file": "m.onnx", "runtime": "onnxruntime", "failure": "", "instead_of": None, "rows": rows}
    return {**whole, "sum_ms": total / 1000, "whole_ms": 0.5, "rounds": 10, "notes": [], **values}


def printed(profile: dict[str, Any], lang: str = "en", width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(Group(*profile_parts(profile, Words(lang, "benchmark"))))
    return stream.getvalue()


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_operators_are_listed_the_slowest_first() -> None:
    shown = lines(printed(record()))
    assert "Where m.onnx in onnxruntime spends its time" in shown
    first = shown.index("OP_3 layer_3 0.00300 ms 50.0%")
    assert shown[first + 1 : first + 3] == ["OP_2 layer_2 0.00200 ms 33.3%", "OP_1 layer_1 0.00100 ms 16.7%"]
    assert "All operators: 0.00600 ms. The whole model: 0.500 ms." in shown


def test_the_fast_ones_are_summed_up() -> None:
    shown = lines(printed(record(SHOWN + 2)))
    assert sum(line.startswith("OP_") for line in shown) == SHOWN
    assert "and 2 more, 3.8% of the time" in shown  # (1 + 2) / 78.


def test_an_operator_that_could_not_be_timed_says_why() -> None:
    reason = {"id": "no.such.sentence", "values": {}, "text": "it keeps state"}
    untimed = [{"op": "LSTM", "name": "a", "ms": None, "share": None, "reason": reason}] * 2
    shown = lines(printed(record(rows=[*untimed, *record(1)["rows"]])))
    assert "OP_1 layer_1 0.00100 ms 100.0%" in shown
    assert "LSTM a ? ?" in shown
    assert shown.count("it keeps state") == 1


def test_it_says_if_the_slowest_row_has_no_profile() -> None:
    text = printed(record(instead_of={"runtime": "xla"}))
    assert "There is no profile by operators for xla" in text
    assert "xla" in printed(record(instead_of={"runtime": "xla"}), "zh")


def test_without_a_profile_there_is_the_reason_or_nothing() -> None:
    assert printed({}).strip() == ""
    failed = {"file": "m.onnx", "runtime": "onnxruntime", "failure": "the runtime crashed with SIGSEGV"}
    assert printed(failed).strip() == "No profile of m.onnx in onnxruntime: the runtime crashed with SIGSEGV"


@pytest.mark.parametrize("width", [70, 100])
def test_long_names_keep_their_end(width: int) -> None:
    rows = [{"op": "CONV_2D", "name": f"{'model/' * 30}last", "ms": 0.1, "share": 1.0}]
    text = printed(record(rows=rows), width=width)
    assert "model/last" in text
    assert all(len(line.rstrip()) <= width for line in text.splitlines())


@pytest.mark.parametrize("damage", [{"rows": 3}, {"notes": [3]}, {"instead_of": [1]}])
def test_a_damaged_record_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        printed(record(**damage))

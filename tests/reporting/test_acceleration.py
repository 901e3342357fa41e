"""What targets accelerate, on the terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tfday7.core import texts
from tfday7.core.errors import UserError
from tfday7.reporting.acceleration import SHOWN_REASONS, acceleration_summary


@pytest.fixture(autouse=True)
def sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with the sentences of one target that there is not."""
    added = {
        "acceleration.target.toy": {"en": "A toy", "zh": "玩具"},
        "acceleration.reason.type": {"en": "{op} is {dtype}, which toys lack", "zh": "{op} 为 {dtype}，玩具不支持"},
    }
    table = {**texts.table(), **added}
    monkeypatch.setattr(texts, "table", lambda: table)


def verdict(op: str, dtype: str = "", tensor: str = "t") -> dict[str, Any]:
    values = {"op": op, "dtype": dtype, "tensor": tensor}
    reason = {"id": "reason.type", "values": values, "text": f"{op} is {dtype}, which toys lack"}
    return {"subgraph": 0, "index": 0, "op": op, "name": tensor, "macs": None, **({"reason": reason} if dtype else {})}


def record(*refused: dict[str, Any], **values: Any) -> dict[str, Any]:
    judgement = {
        "target": "toy", "failure": "", "measured": False, "share_of_operators": 0.5, "share_of_macs": 0.875,
        "accelerated": [verdict("ADD"), verdict("MUL"), verdict("ADD")], "not_accelerated": list(refused), "notes": [],
        **values,
    }  # fmt: skip
    return {"artefacts": [{"artefact": "m", "file": "m.tflite", "judgements": [judgement]}], "notes": ["left out"]}


def printed(found: dict[str, Any], lang: str = "en", width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(acceleration_summary(found, lang))
    return stream.getvalue()


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_it_names_what_is_accelerated_and_why_the_rest_is_not() -> None:
    found = record(verdict("CONV_2D", "float32", "a"), verdict("MEAN", "float32", "b"), verdict("CONV_2D", "int4"))
    shown = lines(printed(found))
    assert "toy 3 of 6 87.5% its rules" in shown
    assert "toy: A toy" in shown
    assert "accelerated: ADD ×2, MUL" in shown
    assert "not accelerated: CONV_2D, MEAN: CONV_2D is float32, which toys lack" in shown
    assert "not accelerated: CONV_2D: CONV_2D is int4, which toys lack" in shown
    assert "left out" in shown


def test_in_chinese_reasons_are_filled_in_anew() -> None:
    text = printed(record(verdict("MEAN", "float32")), "zh")
    assert "toy：玩具" in text
    assert "未加速：MEAN：MEAN 为 float32，玩具不支持" in text


def test_many_reasons_are_cut_off_with_their_count() -> None:
    found = record(*(verdict("CONV_2D", f"type{i}") for i in range(SHOWN_REASONS + 3)))
    shown = lines(printed(found))
    assert sum(line.startswith("not accelerated") for line in shown) == SHOWN_REASONS
    assert "3 more operators are not accelerated; --json lists them." in shown


def test_what_could_not_be_judged_says_so_and_is_in_no_table() -> None:
    failed = record()
    failed["artefacts"][0]["judgements"] = [{"target": "toy", "failure": "m.onnx: toys run .tflite files alone"}]
    text = printed(failed)
    assert "not judged: m.onnx: toys run .tflite files alone" in text
    assert "Operators" not in text


@pytest.mark.parametrize("width", [70, 100])
def test_lines_fit(width: int) -> None:
    text = printed(record(verdict("A_VERY_LONG_OPERATOR", "x" * 200), measured=True, share_of_macs=None), width=width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "asked here" in text


def test_names_cannot_steer_the_terminal() -> None:
    text = printed(record(verdict("\x1b[31mCONV", "[bold]int4[/bold]")))
    assert "\x1b" not in text
    assert "[bold]int4[/bold]" in text


@pytest.mark.parametrize("damage", [{"accelerated": 3}, {"not_accelerated": [3]}, {"notes": {}}])
def test_a_damaged_record_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        acceleration_summary(record(**damage))

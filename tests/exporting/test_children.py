"""Conversions in processes of their own: what one dies of is a reason, and the others go on."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfday7.exporting import children, converters
from tfday7.exporting.format import Request

# Stands for the converter: answers with process ids, or dies as the request's "output" says.
CHILD = """
import json, os, pathlib, sys, time
from tfday7.exporting import child

def carry_out(paths):
    for path in map(pathlib.Path, paths):
        said = json.loads(path.read_text())["output"]
        if said == "abort":
            os.abort()
        if said == "exit":
            sys.stderr.write("noise\\n" * 500_000)
            sys.exit("first line\\nno more paper")
        if said == "raise":
            raise OSError("no more ink")
        if said == "hang":
            time.sleep(60)
        answer = {"notes": [said, str(os.getpid()), str(os.getppid())], "failure": ""}
        path.with_suffix(".done").write_text(json.dumps(answer))

child.carry_out, child._load = carry_out, lambda: None
child.main(int(sys.argv[1]), sys.argv[2:])
"""
FRESH = pytest.mark.parametrize("fresh", [False, True])


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[converters.Kept]:
    waiting = converters.Kept()
    monkeypatch.setattr(converters, "COMMAND", (sys.executable, "-c", CHILD))
    monkeypatch.setattr(children, "KEPT", waiting)
    yield waiting
    waiting.end()


def convert(folder: Path, *outputs: str, fresh: bool = False, format: str = "tflite") -> list[children.Answer]:
    folder.mkdir(exist_ok=True)
    requests = [Request(format, "float32", str(folder), None, output, 1) for output in outputs]
    return children.convert(requests, folder, fresh)


def said(answers: list[children.Answer]) -> list[str]:
    return [answer.notes[0] if answer.notes else "" for answer in answers]


def process(answers: list[children.Answer]) -> int:
    """Returns the id of the process of which the first answer's process is a child."""
    return int(answers[0].notes[2])


@FRESH
def test_answers_come_in_the_order_of_the_requests(fresh: bool, tmp_path: Path) -> None:
    answers = convert(tmp_path / "requests", "a", "b", "c", "d", "e", fresh=fresh)
    assert said(answers) == ["a", "b", "c", "d", "e"]
    assert json.loads((tmp_path / "requests" / "request_2.json").read_text())["output"] == "c"


@FRESH
def test_a_converter_that_dies_is_a_reason_and_the_rest_is_converted(fresh: bool, tmp_path: Path) -> None:
    answers = convert(tmp_path, "a", "abort", "b", "exit", "c", "raise", fresh=fresh)
    assert said(answers) == ["a", "", "b", "", "c", ""]
    assert answers[1].failure == "the converter was killed by signal 6"
    assert answers[3].failure == "the converter failed with exit code 1: no more paper"
    assert answers[5].failure == "the converter failed with exit code 1: OSError: no more ink"


@FRESH
def test_a_converter_that_hangs_is_ended(fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "TIMEOUT_SECONDS", 3)
    answers = convert(tmp_path, "hang", "a", fresh=fresh)
    assert answers[0].failure == "the converter did not finish within 6 s"  # Of a process that had two to make.
    assert said(answers[1:]) == ["a"]


def test_requests_are_carried_out_in_forks_of_one_process(tmp_path: Path) -> None:
    first, second = convert(tmp_path / "1", "a", "b"), convert(tmp_path / "2", "c")
    assert process(first) == process(second) != os.getpid()
    assert first[0].notes[1] == first[1].notes[1] != second[0].notes[1]


def test_a_dead_process_is_replaced(tmp_path: Path) -> None:
    first = process(convert(tmp_path / "1", "a"))
    os.kill(first, signal.SIGKILL)
    second = convert(tmp_path / "2", "b", "abort", "c")
    assert said(second) == ["b", "", "c"]
    assert process(second) != first


def test_what_was_asked_of_a_process_that_is_lost_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be killed behind the look at whether it is there, as when memory is short."""
    first = process(convert(tmp_path / "1", "a"))
    os.kill(first, signal.SIGKILL)
    look, looks = converters.Converter.is_there, iter([True])
    monkeypatch.setattr(converters.Converter, "is_there", lambda self: next(looks, False) or look(self))
    assert said(convert(tmp_path / "2", "b", "c")) == ["b", "c"]


def test_a_fresh_process_is_none_that_has_converted(tmp_path: Path) -> None:
    kept = process(convert(tmp_path / "1", "a"))
    fresh = [convert(tmp_path / f"{at}", "a", fresh=True) for at in (2, 3)]
    assert [process(each) for each in fresh] == [os.getpid()] * 2
    assert len({each[0].notes[1] for each in fresh} | {str(kept)}) == 3
    assert process(convert(tmp_path / "4", "a")) == kept


def test_what_needs_the_gpu_has_a_process_that_sees_it(tmp_path: Path) -> None:
    assert process(convert(tmp_path, "a", format="tensorrt")) == os.getpid()


def test_a_fork_of_ours_leaves_our_converters_alone(tmp_path: Path, kept: converters.Kept) -> None:
    ours = process(convert(tmp_path / "1", "a"))
    fork = os.fork()
    if not fork:
        kept.end()
        os._exit(0)
    assert os.waitpid(fork, 0)[1] == 0
    assert process(convert(tmp_path / "2", "a")) == ours


def test_a_process_ends_when_whoever_asks_it_does(tmp_path: Path, kept: converters.Kept) -> None:
    waits = process(convert(tmp_path / "1", "a"))
    kept.end()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{waits}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)

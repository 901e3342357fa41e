"""Conversions in processes of their own: what one dies of is a reason, and the others go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tfday7.exporting import children
from tfday7.exporting.format import Request

# Stands for the converter: writes its answer, or dies as the request's "output" says.
CHILD = """
import json, os, pathlib, sys, time
for path in map(pathlib.Path, sys.argv[1:]):
    said = json.loads(path.read_text())["output"]
    if said == "abort":
        os.abort()
    if said == "exit":
        sys.exit("first line\\nno more paper")
    if said == "hang":
        time.sleep(60)
    path.with_suffix(".done").write_text(json.dumps({"notes": [said], "failure": ""}))
"""


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(paths: Sequence[Path]) -> Any:
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, "-c", CHILD, *map(str, paths)], **pipes)

    monkeypatch.setattr(children, "_start", start)


def convert(folder: Path, *outputs: str) -> list[children.Answer]:
    folder.mkdir(exist_ok=True)
    requests = [Request("tflite", "float32", str(folder), None, output, 1) for output in outputs]
    return children.convert(requests, folder)


def test_answers_come_in_the_order_of_the_requests(tmp_path: Path) -> None:
    answers = convert(tmp_path / "requests", "a", "b", "c", "d", "e")
    assert [answer.notes for answer in answers] == [("a",), ("b",), ("c",), ("d",), ("e",)]
    assert json.loads((tmp_path / "requests" / "request_2.json").read_text())["output"] == "c"


def test_a_converter_that_dies_is_a_reason_and_the_rest_is_converted(tmp_path: Path) -> None:
    answers = convert(tmp_path, "a", "abort", "b", "exit", "c")
    assert [answer.notes for answer in answers] == [("a",), (), ("b",), (), ("c",)]
    assert answers[1].failure == "the converter was killed by signal 6"
    assert answers[3].failure == "the converter failed with exit code 1: no more paper"


def test_a_converter_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "TIMEOUT_SECONDS", 1)
    answers = convert(tmp_path, "hang", "a")
    assert answers[0].failure == "the converter did not finish within 1 s"
    assert answers[1].notes == ("a",)

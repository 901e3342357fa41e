"""Every artefact is judged for every target, in a process that may crash."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tfday7.benchmarking import checking, subjects
from tfday7.benchmarking.acceleration import TARGETS
from tfday7.core.errors import UserError

COMMAND = (sys.executable, str(Path(__file__).with_name("breaking_worker.py")))


def test_all_targets_are_meant_where_none_is_named() -> None:
    assert checking.targets([]) == list(TARGETS.names())
    assert checking.targets(["xnnpack"]) == ["xnnpack"]
    with pytest.raises(UserError, match="unknown acceleration target 'xnpack'"):
        checking.targets(["xnpack"])


def test_a_judgement_is_a_target_s_own_and_a_file_that_it_does_not_take_has_a_reason(linear: Path) -> None:
    found, _ = subjects.find([str(linear)])
    record = checking.check(found, ["xnnpack"])
    onnx, tflite = record["artefacts"]
    assert [onnx["file"], tflite["file"]] == ["linear_float32.onnx", "linear_float32.tflite"]
    assert ".tflite files alone" in onnx["judgements"][0]["failure"]
    (judgement,) = tflite["judgements"]
    assert judgement["failure"] == ""
    assert [verdict["op"] for verdict in judgement["accelerated"]] == ["FULLY_CONNECTED"]
    assert judgement["not_accelerated"] == []


def test_a_target_that_crashes_is_a_reason(linear: Path) -> None:
    found, _ = subjects.find([str(linear / "linear_float32.tflite")])
    record = checking.check(found, ["crashing", "toy"], COMMAND)
    crashed, toy = record["artefacts"][0]["judgements"]
    assert crashed["failure"].startswith("judging: the runtime crashed with SIGABRT")
    assert (toy["target"], toy["failure"]) == ("toy", "")


def test_where_nothing_can_be_judged_that_is_the_user_s_mistake(linear: Path) -> None:
    found, _ = subjects.find([str(linear / "linear_float32.onnx")])
    with pytest.raises(UserError, match="nothing could be judged"):
        checking.check(found, ["xnnpack"])

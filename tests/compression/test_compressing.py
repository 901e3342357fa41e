"""What is delivered of candidates, what tells them apart, and what they are timed beside."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfday7.compression import compressing, gate, keeping, recipe
from tfday7.compression.compressing import Compression
from tfday7.compression.config import BudgetConfig
from tfday7.compression.records import NOT_FINITE, Candidate, from_json
from tfday7.compression.technique import Work
from tfday7.compression.timing import UNCOMPARED, timed
from tfday7.core.errors import GateError, Interrupted, UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.exporting.records import Origin


def candidate(name: str, value: float, gzip_bytes: int, **more: Any) -> Candidate:
    metric = {"name": "accuracy", "value": value}
    return Candidate(name, metric=metric, gzip_bytes=gzip_bytes, size_bytes=gzip_bytes, path=f"{name}.tflite", **more)


BASELINE = candidate("float32", 0.91, 300_000)
SMALL, LARGE = candidate("small", 0.905, 20_000), candidate("large", 0.91, 50_000)


def concluded(deliver: Callable[[Candidate], Candidate], **budget: Any) -> dict[str, Any]:
    """Returns the record of two candidates, of which the small one is better as long as nothing is delivered."""
    job: Any = SimpleNamespace(say=lambda sentence: None, deliver=deliver, timer=None, device="cpu", runtime="litert")
    return compressing.concluded(job, BASELINE, [SMALL, LARGE], BudgetConfig(**budget), None)


def without_path(one: Candidate, **changes: Any) -> Candidate:
    return dataclasses.replace(one, path=None, **changes)


def test_what_is_broken_when_it_is_delivered_is_chosen_no_more() -> None:
    record = concluded(lambda one: without_path(one, failure="it parts" if one.name == "small" else ""))
    assert record["chosen"] == "large"
    gate.check_gate(record)
    nothing = concluded(lambda one: without_path(one, failure="it parts" if one.name != "float32" else ""))
    assert nothing["chosen"] is None
    with pytest.raises(GateError, match="small: it parts; large: it parts"):
        gate.check_gate(nothing)


def test_what_is_too_large_when_it_is_delivered_is_chosen_no_more() -> None:
    def larger(one: Candidate) -> Candidate:
        return without_path(one, gzip_bytes=61_000 if one.name == "small" else one.gzip_bytes)

    assert concluded(larger)["chosen"] == "large"
    record = concluded(larger, max_gzip_kb=45.0)
    assert record["chosen"] is None
    with pytest.raises(GateError, match="the nearest, large, has 50 where --max_gzip_kb allows 45"):
        gate.check_gate(record)


def test_each_is_delivered_once_and_what_is_beaten_never() -> None:
    beaten, names = candidate("beaten", 0.90, 60_000), []

    def deliver(one: Candidate) -> Candidate:
        names.append(one.name)
        return without_path(one)

    job: Any = SimpleNamespace(say=lambda sentence: None, deliver=deliver, timer=None, device="cpu", runtime="litert")
    compressing.concluded(job, BASELINE, [beaten, SMALL, LARGE], BudgetConfig(), None)
    assert names == ["float32", "small", "large"]


def test_what_cannot_be_delivered_loses_itself_alone() -> None:
    def deliver(one: Candidate) -> Candidate:
        if one.name == "small":
            raise UserError("small: the model's own outputs hold NaN or infinity")
        return without_path(one)

    record = concluded(deliver)
    assert record["chosen"] == "large"
    assert record["candidates"][0]["failure"] == "small: the model's own outputs hold NaN or infinity"
    assert not record["candidates"][0]["pareto"]

    def interrupted(one: Candidate) -> Candidate:
        raise Interrupted("stopped", 130)

    with pytest.raises(Interrupted):
        concluded(interrupted)


@pytest.mark.parametrize("changes", [{"failure": "it parts"}, {"gzip_bytes": 62_000}])
def test_what_only_a_broken_one_kept_from_the_frontier_is_delivered_instead(changes: dict[str, Any]) -> None:
    beaten = candidate("beaten", 0.905, 49_000)

    def deliver(one: Candidate) -> Candidate:
        return without_path(one, **(changes if one.name == "small" else {}), test_metric=0.9)

    job: Any = SimpleNamespace(say=lambda sentence: None, deliver=deliver, timer=None, device="cpu", runtime="litert")
    record = compressing.concluded(job, BASELINE, [beaten, SMALL, LARGE], BudgetConfig(), None)
    assert [one["pareto"] for one in record["candidates"]] == [True, False, True]
    assert [one["test_metric"] for one in record["candidates"]] == [0.9, 0.9, 0.9]


def test_more_than_a_budget_can_allow_is_not_advised() -> None:
    baseline = candidate("float32", 0.9, 10)
    record = {
        "baseline": baseline.to_json(), "candidates": [candidate("bad", -0.8, 5).to_json()], "chosen": None,
        "nearest": ["bad"],
        "outside": {"bad": [{"limit": "max_accuracy_drop", "allowed": 0.89, "value": -0.8, "share": 17.0}]},
    }  # fmt: skip
    with pytest.raises(GateError) as ended:
        gate.check_gate(record)
    assert "--max_accuracy_drop" not in ended.value.hint


@pytest.mark.parametrize(
    ("done", "known"),
    [
        ([], (15, 12)),
        ([{"technique": "shrink", "parameters": 7, "macs": 5}, {"technique": "qat"}], (7, 5)),
        # A distillation tells of weights, and has no size to tell while rounding is trained.
        ([{"technique": "qat", "parameters": 7, "macs": 5}, {"technique": "distil", "parameters": [7, 7]}], (7, 5)),
    ],
)
def test_the_structure_is_that_of_the_last_step_that_has_one(done: list[Any], known: tuple[int, int]) -> None:
    inputs = keras.Input((4,))
    work: Any = SimpleNamespace(done=done, original=keras.Model(inputs, keras.layers.Dense(3)(inputs)))
    assert tuple(compressing._structure(work).values()) == known


def job_of(dataset: Dataset, folder: Path, **more: Any) -> Compression:
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    return Compression(model, dataset, Origin("mine", "mine", "logits", {}), folder / "work", folder / "files", **more)


@pytest.mark.slow
def test_a_model_that_brings_code_is_delivered_where_that_is_allowed(blobs: Dataset, tmp_path: Path) -> None:
    inputs = keras.Input((2,))
    doubled = keras.layers.Lambda(lambda x: 2.0 * x, name="mine")(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(doubled))
    plain = recipe.parse({"name": "plain", "steps": [{"technique": "quantize", "kind": "dynamic"}]})
    job = dataclasses.replace(job_of(blobs, tmp_path, allow_unsafe=True), model=model)
    record = compressing.compress(job, [plain], BudgetConfig(max_accuracy_drop=1.0), None)
    assert record["chosen"] == "plain"
    assert job.carried_out(plain).allow_unsafe
    with pytest.raises(UserError, match=r"'mine' \(Lambda\) brings Python code"):
        dataclasses.replace(job, allow_unsafe=False).deliver(from_json(record["candidates"][0], "record"))


def test_what_a_killed_process_left_of_a_candidate_is_removed(
    blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(blobs, tmp_path)
    (job.folder / "plain" / ".partial-abc").mkdir(parents=True)
    one = recipe.parse({"name": "plain", "steps": [{"technique": "quantize", "kind": "dynamic"}]})
    (job.folder / "plain" / "key.json").write_text(json.dumps(job._key(one)))
    monkeypatch.setattr(Compression, "carried_out", lambda *_: None)
    monkeypatch.setattr(Compression, "_candidate", lambda *_: SMALL)
    job.candidate(one)
    assert [path.name for path in (job.folder / "plain").iterdir()] == ["key.json"]


@pytest.mark.parametrize("damage", ["", "[]", '{"numbers": null}', '{"numbers": {"colour": 3}}'])
def test_a_damaged_candidate_is_named(blobs: Dataset, tmp_path: Path, damage: str) -> None:
    job = job_of(blobs, tmp_path)
    keeping.save(Work(job.model, job.model, blobs), tmp_path)
    assert keeping.load(tmp_path, blobs, job.model).done == []
    (tmp_path / keeping.STATE).write_text(damage)
    with pytest.raises(UserError, match=r"work\.json"):
        keeping.load(tmp_path, blobs, job.model)


def test_a_teacher_that_has_learned_more_makes_another_candidate(blobs: Dataset, tmp_path: Path) -> None:
    teacher, job = tmp_path / "teacher.keras", job_of(blobs, tmp_path)
    steps = [{"technique": "distil", "teacher": str(teacher)}]
    mine, plain = (recipe.parse({"name": "mine", "steps": each}) for each in (steps, [{"technique": "prune"}]))
    teacher.write_bytes(b"before")
    before = job._key(mine)
    assert job._key(mine) == before
    teacher.write_bytes(b"after")
    assert job._key(mine) != before
    assert "own_teachers" not in job._key(plain)


def test_times_are_compared_with_the_given_models_file_even_where_it_is_broken(blobs: Dataset, tmp_path: Path) -> None:
    asked: list[str] = []

    class Timer:
        name = "elsewhere"

        def __call__(self, paths: Mapping[str, Path], seconds: float) -> dict[str, dict[str, Any]]:
            asked.extend(paths)
            row = {"runtime": "litert", "latency_ratio_range": None, "peak_memory_bytes": None, "failure": ""}
            times = {"float32": 2.0, "small": 1.0}
            return {one: {**row, "latency_ms": {"p50": times[one]}, "latency_ratio": times[one] / 2.0} for one in paths}

    broken = [dataclasses.replace(one, failure="it parts") for one in (BASELINE, LARGE)]
    found = timed(job_of(blobs, tmp_path, timer=Timer()), [broken[0], SMALL, broken[1]], 1.0)
    assert asked == ["float32", "small"]
    assert [one.latency_ratio for one in found] == [1.0, 0.5, None]
    assert np.isclose(found[0].latency_ms, 2.0)


@pytest.mark.parametrize("baseline", [{"failure": NOT_FINITE}, {"failure": "it cannot be made", "path": None}])
def test_without_the_given_models_file_there_are_times_and_no_ratios(
    baseline: dict[str, Any], blobs: Dataset, tmp_path: Path
) -> None:
    class Timer:
        name = "elsewhere"

        def __call__(self, paths: Mapping[str, Path], seconds: float) -> dict[str, dict[str, Any]]:
            assert "float32" not in paths  # A device would refuse it, and with the first one all others.
            row = {"runtime": "litert", "latency_ms": {"p50": 3.0}, "peak_memory_bytes": None, "failure": ""}
            return {one: {**row, "latency_ratio": 1.0, "latency_ratio_range": [1.0, 1.0]} for one in paths}

    broken = dataclasses.replace(BASELINE, **baseline)
    job = job_of(blobs, tmp_path, timer=Timer())
    given, small, large = timed(job, timed(job, [broken, SMALL, LARGE], 1.0), 1.0)
    assert given == broken
    for one in (small, large):
        assert (one.latency_ms, one.latency_ratio, one.latency_spread) == (3.0, None, None)
        assert one.notes == [UNCOMPARED]

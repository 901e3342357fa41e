"""What the checks look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import to_text
from tfday7.diagnosis import remedies
from tfday7.diagnosis.evidence import Evidence, from_run, noise, smooth
from tfday7.optimizers import OptimizerConfig, advisor


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of three epochs, the last of which diverged."""
    folder = RunFolder(tmp_path)
    folder.write_flags({"learning_rate": "0.5", "model": "mlp"})
    folder.update(
        metric={"name": "accuracy", "train": 0.9, "validation": 0.8, "baseline": 0.1},
        data={"kind": "tabular", "examples": {"train": 70, "validation": 15, "test": 15}},
        training={"stopped": "nan"},
    )
    records = [{"epoch": 1, "loss": 2.0, "val_loss": 2.5}, {"epoch": 2, "loss": 1.0}, {"epoch": 3, "loss": None}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_evidence_is_read_from_the_run_folder(run: RunFolder) -> None:
    evidence = from_run(run)
    np.testing.assert_array_equal(evidence.loss, [2.0, 1.0, np.nan])
    np.testing.assert_array_equal(evidence.val_loss, [2.5, np.nan, np.nan])
    assert (evidence.train_score, evidence.validation_score, evidence.baseline) == (0.9, 0.8, 0.1)
    assert evidence.train_examples == 70
    assert (evidence.validation_examples, evidence.kind, evidence.stopped, evidence.epochs) == (15, "tabular", "nan", 3)
    assert evidence.flags["learning_rate"] == "0.5"


@pytest.mark.parametrize(
    "health",
    [
        [], {"data": {"class_counts": 5}}, {"data": {"duplicates": "x"}}, {"data": {"shift": []}}, {"probes": [{}]},
        {"references": {"linear": "x"}}, {"probes": {}}, {"probes": [{"epoch": "1", "loss": None, "layers": []}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_health_is_named(run: RunFolder, health: Any) -> None:
    (run / "health.json").write_text(json.dumps(health))
    with pytest.raises(UserError, match=r"health\.json: "):
        from_run(run)


@pytest.mark.parametrize("line", ['{"loss": "x", "val_loss": 1}', '{"loss": [1.0]}', '{"loss": {}}'])
def test_damaged_metrics_are_named(run: RunFolder, line: str) -> None:
    (run / "metrics.jsonl").write_text(f'{{"loss": 1.0}}\n{line}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl: "):
        from_run(run)


@pytest.mark.parametrize("flags", [{"learning_rate": "find"}, {"learning_rate": "auto"}, {"optimizer": "auto"}])
def test_what_was_left_open_is_what_the_run_took(run: RunFolder, flags: dict[str, str]) -> None:
    run.write_flags({"model": "mlp", "optimizer": "sgd", **flags})
    took = OptimizerConfig("lion", learning_rate=0.0021, schedule="cosine", warmup_steps=60, global_clipnorm=1.0)
    run.update(optimizer=advisor.to_record(took, []))
    evidence = from_run(run)
    assert {name: evidence.flags[name] for name in to_text(took)} == to_text(took)
    assert evidence.flags["model"] == "mlp"
    assert evidence.found_rate == (flags.get("learning_rate") == "find")
    assert (remedies.clipping(evidence), remedies.unless_set(evidence, "--schedule=cosine")) == (None, None)


def test_what_was_said_is_what_counts_where_nothing_was_left_open(run: RunFolder) -> None:
    run.update(optimizer=advisor.to_record(OptimizerConfig("lion", learning_rate=0.0021), []))
    assert from_run(run).flags == {"learning_rate": "0.5", "model": "mlp"}


def test_a_run_that_recorded_little_has_little_evidence(tmp_path: Path) -> None:
    evidence = from_run(RunFolder(tmp_path))
    assert (evidence.epochs, evidence.train_score, evidence.stopped, evidence.flags) == (0, None, "finished", {})


def test_smoothing_is_a_running_median_over_three_epochs_of_a_short_run() -> None:
    np.testing.assert_array_equal(smooth(np.array([5.0, 4.0, 9.0, 2.0, 1.0])), [5.0, 5.0, 4.0, 2.0, 1.0])


def test_smoothing_reaches_over_a_twentieth_of_a_long_run() -> None:
    curve = np.random.default_rng(0).normal(size=200)
    assert smooth(curve)[100] == np.median(curve[95:106])  # 200 / 40 = 5 to each side.
    assert len(smooth(curve)) == 200


def test_noise_is_measured_whatever_the_trend() -> None:
    epochs = np.arange(2000)
    drawn = np.random.default_rng(0).normal(0, 0.3, 2000)
    for trend in (0 * epochs, 1e-6 * (epochs - 500.0) ** 2, 3 * np.exp(-epochs / 300)):
        assert noise(trend + drawn) == pytest.approx(0.3, rel=0.1)
    assert noise(5.0 + 0.1 * epochs + 0.001 * epochs**2) == pytest.approx(0.0, abs=1e-9)


def test_epochs_are_counted() -> None:
    assert Evidence(np.zeros(7), np.zeros(7)).epochs == 7

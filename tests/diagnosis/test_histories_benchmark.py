"""The benchmark on labelled histories: its rules against hand-made cases and Keras's own callback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import ROOT, load_script

from tfday7.core.errors import UserError


@pytest.fixture(scope="module")
def benchmark() -> Any:
    return load_script(ROOT / "benchmarks" / "diagnosis_histories.py")


def test_the_task_is_in_the_name(benchmark: Any) -> None:
    assert benchmark.task_of("training_log_gene_model5_3") == "gene"
    assert benchmark.task_of("training_log_hearta_model11_1") == "hearta"


def test_macro_f1_is_the_mean_over_both_classes(benchmark: Any) -> None:
    labels, found = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert benchmark.macro_f1(labels, found) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_a_threshold_is_never_fitted_on_the_task_that_it_decides_on(benchmark: Any) -> None:
    # Task b alone would put its threshold below 0.5; a and c put it between 1 and 4, at 2.
    values = np.array([1.0, 4.0, 1.0, 4.0, 0.25, 0.5])
    labels = np.array([False, True, False, True, False, True])
    result = benchmark.judged(values, labels, np.array(["a", "a", "c", "c", "b", "b"]))
    assert result["thresholds"]["b"] == pytest.approx(2.0)
    assert result["confusion"]["false_negative"] == 1
    assert result["confusion"]["true_positive"] == 2
    barred = benchmark.judged(values, labels, np.array(["a", "a", "c", "c", "b", "b"]), values < 4.0)
    assert barred["confusion"]["true_positive"] == 0


def test_figures_are_measured_on_a_file(benchmark: Any, tmp_path: Path) -> None:
    falling = 0.1 + np.exp(-np.arange(300) / 20)
    turning = np.concatenate([falling[:50], falling[49] * np.linspace(1, 2, 250)])
    path = tmp_path / "labelled.jsonl"
    with path.open("w") as stream:
        for task in "abc":
            for run in range(4):
                val_loss = (turning if run % 2 else falling) * (1 + 0.1 * run)
                record = {"overfit": bool(run % 2), "loss": falling.tolist(), "val_loss": val_loss.tolist()}
                stream.write(json.dumps({"name": f"training_log_{task}_model{run}_1", **record}) + "\n")
    figures = benchmark.measure(path)
    assert (figures["histories"], figures["tasks"], figures["overfit"]) == (12, 3, 6)
    assert {rule["macro_f1"] for rule in figures["verdicts"].values()} == {1.0}
    stopping = figures["stopping"]["rules"]
    assert {rule["overfit"]["best_returned"] for rule in stopping.values()} == {1.0}
    assert stopping["patience_40"]["overfit"]["median_delay"] == 40
    assert stopping["patience_40"]["all"]["mean_epochs"] == (300 + 50 + 40) / 2
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"name": "a", "overfit": true, "loss": [1]}'])
def test_what_holds_no_labelled_histories_is_a_mistake(benchmark: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match="no labelled histories"):
        benchmark.measure(path)


@pytest.mark.slow
def test_patience_is_replayed_as_keras_does_it(benchmark: Any) -> None:
    from tfday7.core.frameworks import keras

    generator = np.random.default_rng(0)
    for patience in (1, 3, 10):
        curve = np.exp(-np.arange(60) / 20) + generator.normal(0, 0.05, 60)
        model = keras.Sequential([keras.layers.Dense(1, input_shape=(1,))])
        callback = keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
        callback.set_model(model)
        callback.on_train_begin()
        ended = len(curve) - 1
        for epoch, value in enumerate(curve):
            callback.on_epoch_end(epoch, {"val_loss": value})
            if model.stop_training:
                ended = epoch
                break
        assert benchmark.with_patience(curve, patience) == (callback.best_epoch, ended)

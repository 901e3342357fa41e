"""A fit is a function of its settings: repeatable, resumable at any step, and as its curves say."""

from __future__ import annotations

import gc
import json
import signal
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import Interrupted, UserError
from tfday7.core.run_folder import CHECKPOINTS, METRICS, TENSORBOARD, RunFolder
from tfday7.data import Dataset
from tfday7.distribution import agreement
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.training.callbacks.checkpointing import Checkpointing
from tfday7.training.scores import score_of

ADAM = OptimizerConfig(learning_rate=0.01)


def small_model(dataset: Dataset, **changes: Any) -> Any:
    config = {"model": "mlp", "width": 8, "depth": 1, "dropout": 0.2, **changes}
    return building.build(ModelConfig(**config), dataset.problem)


def without_time(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def stop_after(executions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes training believe that a signal came after so many executions of the graph."""
    original = Checkpointing.on_train_batch_end
    count = [0]

    def counted(self: Checkpointing, batch: int, logs: Any = None) -> None:
        count[0] += 1
        if count[0] == executions:
            self.stop.exit_code = 143
        original(self, batch, logs)

    monkeypatch.setattr(Checkpointing, "on_train_batch_end", counted)


def test_a_signal_that_comes_while_workers_agree_whether_there_was_one_is_heard_at_the_next_step(
    blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, told = Checkpointing._hear, list[int]()

    def agreed(model: Any, value: int) -> int:
        del model
        if agreeing:
            told.append(value)
            if len(told) == 3:
                signal.raise_signal(signal.SIGTERM)
        return value

    def hear(self: Checkpointing) -> None:
        agreeing.append(True)
        original(self)
        agreeing.clear()

    agreeing: list[bool] = []
    monkeypatch.setattr(agreement, "highest", agreed)
    monkeypatch.setattr(Checkpointing, "_hear", hear)
    with pytest.raises(Interrupted) as stopped:
        fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=3), RunFolder(tmp_path / "run"))
    assert stopped.value.exit_code == 143
    assert told == [0, 0, 0, 143]  # Not at the third step: the others have not heard of it there.


def test_two_runs_with_one_seed_agree_bit_for_bit_and_another_seed_differs(blobs: Dataset) -> None:
    first, second, other = (
        fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=2, seed=seed)) for seed in (0, 0, 1)
    )
    assert without_time(first.records) == without_time(second.records)
    assert first.records[-1]["loss"] != other.records[-1]["loss"]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_training_leaves_no_graph_behind(precision: str, blobs: Dataset) -> None:
    """TensorFlow registers the gradient of a sum over replicas, and with it its graph, for the process's life."""

    def graphs() -> list[Any]:
        gc.collect()
        return [each for each in gc.get_objects() if type(each).__name__.endswith("FuncGraph")]

    others, counts = weakref.WeakSet(graphs()), []  # What earlier tests have left may go meanwhile.
    for _ in range(2):
        model = building.build(ModelConfig(model="mlp", width=8), blobs.problem, precision)
        fitting.fit(model, blobs, ADAM, TrainingConfig(epochs=1, precision=precision))
        del model
        counts.append(sum(each not in others for each in graphs()))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("executions", [1, 2, 4, 6])
def test_a_run_stopped_at_any_step_ends_as_if_it_had_not_been(
    executions: int, blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """140 examples in batches of 4 are 35 steps; an execution runs 8 at first, so most stops lie within an epoch."""
    training = TrainingConfig(epochs=3, batch_size=4, augment="noise")
    whole_model = small_model(blobs)
    whole = fitting.fit(whole_model, blobs, ADAM, training, RunFolder(tmp_path / "whole"))
    folder = RunFolder(tmp_path / "stopped")
    with monkeypatch.context() as patch:
        # One step an execution, from the third on.
        patch.setattr("tfday7.training.callbacks.pacing.TARGET_SECONDS", 0.0)
        stop_after(executions, patch)
        with pytest.raises(Interrupted) as stopped:
            fitting.fit(small_model(blobs), blobs, ADAM, training, folder)
    assert stopped.value.exit_code == 143
    model = small_model(blobs)
    resumed = fitting.fit(model, blobs, ADAM, training, folder)
    assert resumed.resumed_at == 1
    assert without_time(resumed.records) == without_time(whole.records)
    assert without_time(folder.metrics()) == without_time(whole.records)
    for mine, theirs in zip(model.get_weights(), whole_model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_more_epochs_go_on_from_the_last_weights_not_from_the_best(blobs: Dataset, tmp_path: Path) -> None:
    whole = fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=5), RunFolder(tmp_path / "whole"))
    folder = RunFolder(tmp_path / "grown")
    fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=2), folder)
    grown = fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=5), folder)
    assert grown.resumed_at == 3
    assert without_time(grown.records) == without_time(whole.records)


def test_a_damaged_checkpoint_falls_back_to_the_one_before_it(blobs: Dataset, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    whole = fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=4), RunFolder(tmp_path / "whole"))
    fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=2), folder)
    fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=4), folder)
    newest = max((folder / CHECKPOINTS).iterdir())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(bytes(content))
    again = fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=4), folder)
    assert without_time(again.records) == without_time(whole.records)


def test_a_checkpoint_of_another_model_is_refused(blobs: Dataset, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=1), folder)
    with pytest.raises(UserError, match="belongs to another model"):
        fitting.fit(small_model(blobs, width=9), blobs, ADAM, TrainingConfig(epochs=2), folder)


def test_the_model_ends_with_the_weights_of_the_lowest_validation_loss(blobs: Dataset) -> None:
    model = small_model(blobs)
    result = fitting.fit(model, blobs, OptimizerConfig(optimizer="sgd", learning_rate=0.8), TrainingConfig(epochs=6))
    losses = [record["val_loss"] for record in result.records]
    assert result.best_epoch == 1 + int(np.argmin(losses))
    measured = model.evaluate(blobs.validation.x, blobs.validation.y, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(min(losses), rel=1e-5)


def test_patience_stops_and_a_stopped_run_stays_stopped(blobs: Dataset, tmp_path: Path) -> None:
    still = OptimizerConfig(optimizer="sgd", learning_rate=1e-12)  # Nothing changes, so nothing gets better.
    folder = RunFolder(tmp_path)
    training = TrainingConfig(epochs=20, patience=2)
    first = fitting.fit(small_model(blobs, dropout=0.0), blobs, still, training, folder)
    assert first.stopped == "early"
    assert len(first.records) - first.best_epoch == 2
    again = fitting.fit(small_model(blobs, dropout=0.0), blobs, still, training, folder)
    assert (again.stopped, len(again.records)) == ("early", len(first.records))


class _Ends:
    """A watcher that ends every training after its second epoch."""

    def begin(self, records: list[dict[str, Any]]) -> None: ...

    def epoch(self, records: list[dict[str, Any]], thorough: bool) -> str:
        return "broken" if len(records) == 2 else ""

    def end(self, records: list[dict[str, Any]]) -> None: ...


def test_a_run_that_a_watcher_ended_stays_ended_until_more_epochs_are_asked_for(
    blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfday7.training.watcher.SHARE", 1e9)
    results = [
        fitting.fit(
            small_model(blobs), blobs, ADAM, TrainingConfig(epochs=epochs), RunFolder(tmp_path), watchers=[_Ends()]
        )
        for epochs in (3, 3, 4)  # The second time it was killed after training.
    ]
    assert [(each.stopped, len(each.records)) for each in results] == [("broken", 2), ("broken", 2), ("finished", 4)]


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_valid_json(blobs: Dataset, tmp_path: Path) -> None:
    wild = OptimizerConfig(optimizer="sgd", learning_rate=1e30)
    result = fitting.fit(small_model(blobs), blobs, wild, TrainingConfig(epochs=9), RunFolder(tmp_path))
    assert result.stopped == "nan"
    assert len(result.records) == 1
    assert json.loads((tmp_path / METRICS).read_text(encoding="utf-8"))["loss"] is None


def test_regression_reports_errors_in_the_targets_own_unit(line: Dataset) -> None:
    """The target's deviation is about 54; a linear model reaches the noise of 1, so mae nears E|N(0, 1)| = 0.8."""
    model = building.build(ModelConfig(model="mlp", width=16, depth=1), line.problem)
    result = fitting.fit(model, line, OptimizerConfig(learning_rate=0.02), TrainingConfig(epochs=60))
    best = result.records[result.best_epoch - 1]
    assert 0.5 < best["val_mae"] < 6.0
    assert best["val_r2_score"] > 0.98
    assert best["val_loss"] == pytest.approx(1.0 - best["val_r2_score"], abs=0.02)


def test_the_mean_over_several_targets_is_the_score_of_the_best_weights_and_survives_a_restart(
    homes: Dataset, tmp_path: Path
) -> None:
    folder, model = RunFolder(tmp_path), small_model(homes)
    fitting.fit(model, homes, ADAM, TrainingConfig(epochs=4), folder, until=2)
    model = small_model(homes)
    result = fitting.fit(model, homes, ADAM, TrainingConfig(epochs=4), folder)
    names = ["loss", "mean_score", "price_r2_score", "city_accuracy"]
    assert list(result.records[0]) == ["epoch", *names, *(f"val_{name}" for name in names), "learning_rate", "seconds"]
    assert without_time(folder.metrics()) == without_time(result.records)
    for record in result.records:
        assert record["mean_score"] == pytest.approx((record["price_r2_score"] + record["city_accuracy"]) / 2)
    best = result.records[result.best_epoch - 1]
    assert best["val_mean_score"] == pytest.approx(score_of(model, homes, homes.validation), abs=1e-4)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_every_precision_learns_and_keeps_float32_variables(precision: str, blobs: Dataset) -> None:
    config = ModelConfig(model="mlp", width=8, depth=1)
    model = building.build(config, blobs.problem, precision)
    result = fitting.fit(model, blobs, ADAM, TrainingConfig(epochs=8, precision=precision))
    assert result.records[-1]["val_accuracy"] > 0.9
    assert {variable.dtype.name for variable in model.trainable_variables} == {"float32"}


def test_tensorboard_files_hold_what_metrics_jsonl_says(blobs: Dataset, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    result = fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=3), RunFolder(tmp_path))
    for part, prefix in (("train", ""), ("validation", "val_")):
        events = EventAccumulator(str(tmp_path / TENSORBOARD / part))
        events.Reload()
        values = [float(make_ndarray(event.tensor_proto)) for event in events.Tensors("epoch_loss")]
        assert values == pytest.approx([record[f"{prefix}loss"] for record in result.records], rel=1e-6)


def test_mixup_learns_from_shares_and_is_validated_on_classes(pictures: Dataset) -> None:
    model = building.build(ModelConfig(model="cnn", width=4, depth=1), pictures.problem)
    result = fitting.fit(model, pictures, ADAM, TrainingConfig(epochs=12, augment="mixup,noise"))
    assert result.records[-1]["val_accuracy"] > 0.9
    assert result.records[-1]["loss"] > result.records[-1]["val_loss"]  # Mixtures are harder than the examples.


def test_a_signal_in_the_last_epoch_is_heard(blobs: Dataset, tmp_path: Path) -> None:
    class LateSignal:
        def begin(self, *span: int) -> None: ...
        def step(self, *where: float) -> None: ...
        def epoch(self, record: dict[str, Any], is_best: bool) -> None:
            if record["epoch"] == 2:
                signal.raise_signal(signal.SIGTERM)

        def end(self) -> None: ...

    folder = RunFolder(tmp_path)
    with pytest.raises(Interrupted) as stopped:
        fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=2), folder, LateSignal())
    assert stopped.value.exit_code == 143
    resumed = fitting.fit(small_model(blobs), blobs, ADAM, TrainingConfig(epochs=2), folder)
    assert len(resumed.records) == 2

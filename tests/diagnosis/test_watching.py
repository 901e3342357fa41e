"""Looking at a run while it trains: what is kept, what it costs, and when it ends a run."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import Interrupted
from tfday7.core.frameworks import keras, tf
from tfday7.core.run_folder import HEALTH, RunFolder
from tfday7.data import Dataset
from tfday7.diagnosis.watching import Watch
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting
from tfday7.training.fitting import fit
from tfday7.training.watcher import SHARE, Watching

MLP = ModelConfig("mlp", width=8, depth=1)


def _fit(dataset: Dataset, epochs: int, folder: RunFolder | None = None, rate: float = 0.01, **options: Any) -> Any:
    model = building.build(MLP, dataset.problem)
    watch = Watch(model, dataset, epochs, folder=folder, **options)
    training = TrainingConfig(epochs=epochs, batch_size=16)
    return fit(model, dataset, OptimizerConfig(learning_rate=rate), training, folder, watchers=[watch]), watch, model


def test_the_layers_are_seen_before_and_after_training(blobs: Dataset, tmp_path: Path) -> None:
    _, watch, _ = _fit(blobs, 4, RunFolder(tmp_path))
    assert (watch.probes[0].epoch, watch.probes[-1].epoch) == (0, 4)
    record = json.loads((tmp_path / HEALTH).read_text(encoding="utf-8"))
    assert [probe["epoch"] for probe in record["probes"]] == [probe.epoch for probe in watch.probes]
    kernel = watch.probes[-1].layers[1]
    assert kernel.change > 0


def test_a_signal_in_the_last_epoch_takes_no_look_away(blobs: Dataset, tmp_path: Path) -> None:
    class Signalled(keras.callbacks.Callback):
        def on_test_end(self, logs: Any = None) -> None:  # Of the validation.
            signal.raise_signal(signal.SIGTERM)

    model = building.build(MLP, blobs.problem)
    folder = RunFolder(tmp_path)
    watch = Watch(model, blobs, 1, folder=folder)
    with pytest.MonkeyPatch.context() as patch:
        made = fitting._Session.callbacks
        patch.setattr(fitting._Session, "callbacks", lambda *given: [Signalled(), *made(*given)])
        with pytest.raises(Interrupted):
            fit(model, blobs, OptimizerConfig(), TrainingConfig(epochs=1), folder, watchers=[watch])
    again = building.build(MLP, blobs.problem)
    watch = Watch(again, blobs, 1, folder=folder)
    fit(again, blobs, OptimizerConfig(), TrainingConfig(epochs=1), folder, watchers=[watch])
    record = json.loads((tmp_path / HEALTH).read_text(encoding="utf-8"))
    assert [probe["epoch"] for probe in record["probes"]] == [0, 1]


def test_watching_changes_no_weight(blobs: Dataset) -> None:
    import numpy as np

    _, _, watched = _fit(blobs, 3)
    alone = building.build(MLP, blobs.problem)
    fit(alone, blobs, OptimizerConfig(learning_rate=0.01), TrainingConfig(epochs=3, batch_size=16))
    for left, right in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_resumed_run_goes_on_with_its_probes_and_their_start(blobs: Dataset, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    _, first, _ = _fit(blobs, 6)
    model = building.build(MLP, blobs.problem)
    training = TrainingConfig(epochs=6, batch_size=16)
    adam = OptimizerConfig(learning_rate=0.01)
    fit(model, blobs, adam, training, folder, until=2, watchers=[Watch(model, blobs, 6, folder=folder)])
    again = building.build(MLP, blobs.problem)
    watch = Watch(again, blobs, 6, folder=folder)
    fit(again, blobs, adam, training, folder, watchers=[watch])
    assert watch.probes[0] == first.probes[0]
    assert watch.probes[-1].layers[1].change == pytest.approx(first.probes[-1].layers[1].change, rel=1e-5)


class _Slow:
    """A watcher whose looks take a known time."""

    def __init__(self, seconds: float, clock: list[float]) -> None:
        self.seconds, self.clock, self.calls = seconds, clock, 0

    def begin(self, records: list[dict[str, Any]]) -> None:
        """See `Watcher`."""

    def epoch(self, records: list[dict[str, Any]], thorough: bool) -> str:
        if not thorough:
            return ""
        self.calls += 1
        self.clock[0] += self.seconds
        return ""

    def end(self, records: list[dict[str, Any]]) -> None:
        """See `Watcher`."""


@pytest.mark.parametrize("seconds", [0.001, 0.05, 1.0])
def test_looks_take_no_more_than_their_share_of_the_epochs(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("tfday7.training.watcher.time.perf_counter", lambda: clock[0])
    watcher = _Slow(seconds, clock)
    watching = Watching(watcher, type("Log", (), {"records": []})())
    watching.set_model(type("Model", (), {"distribute_strategy": tf.distribute.get_strategy()})())
    trained = 0.0
    for epoch in range(200):
        watching.on_epoch_begin(epoch)
        clock[0] += 0.5
        trained += 0.5
        watching.on_epoch_end(epoch)
        # The first look's time is not known beforehand.
        assert watching.seconds <= max(SHARE * trained, seconds) + 1e-9
    assert watcher.calls == min(200, max(1, round(SHARE * trained / seconds)))


def test_a_hopeless_run_is_said_once_and_ended_when_asked(line: Dataset) -> None:
    said: list[str] = []
    result, _, _ = _fit(line, 40, rate=1e4, stop_when_broken=True, say=said.append)
    assert result.stopped in ("broken", "nan")
    assert len(result.records) < 40
    assert len(said) == (result.stopped == "broken")
    said.clear()
    result, _, _ = _fit(line, 20, rate=1e4, say=said.append)
    assert len(said) <= 1
    assert result.stopped in ("finished", "nan")


def test_a_hopeless_run_with_several_targets_is_ended_too(homes: Dataset) -> None:
    result, _, _ = _fit(homes, 40, rate=1e-9, stop_when_broken=True)
    assert result.stopped == "broken"
    assert len(result.records) < 40


def test_a_healthy_run_is_not_ended(blobs: Dataset, line: Dataset) -> None:
    for dataset in (blobs, line):
        said: list[str] = []
        result, _, _ = _fit(dataset, 20, stop_when_broken=True, say=said.append)
        assert (result.stopped, said) == ("finished", [])


def test_layers_that_cannot_be_looked_at_end_no_training_and_the_reason_is_recorded(
    blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no such layer")

    monkeypatch.setattr("tfday7.diagnosis.watching.Prober.probe", fail)
    said: list[str] = []
    result, watch, _ = _fit(blobs, 3, RunFolder(tmp_path), say=said.append)
    assert (result.stopped, len(result.records), watch.probes) == ("finished", 3, [])
    assert json.loads((tmp_path / HEALTH).read_text(encoding="utf-8"))["failure"] == "ValueError: no such layer"
    assert len(said) == 1


def test_a_model_that_cannot_be_probed_at_all_is_said_and_recorded_too(
    blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise TypeError("no graph")

    monkeypatch.setattr("tfday7.diagnosis.watching.Prober.__init__", fail)
    said: list[str] = []
    result, _, _ = _fit(blobs, 2, RunFolder(tmp_path), say=said.append)
    assert result.stopped == "finished"
    assert said == ["the layers cannot be looked at: TypeError: no graph"]
    assert json.loads((tmp_path / HEALTH).read_text(encoding="utf-8"))["failure"] == "TypeError: no graph"


def test_a_rate_that_was_to_be_found_offers_no_rate_as_a_remedy(blobs: Dataset) -> None:
    import numpy as np

    from tfday7.diagnosis import remedies
    from tfday7.diagnosis.evidence import Evidence

    for word in ("auto", "find"):
        evidence = Evidence(np.zeros(5), np.zeros(5), flags={"learning_rate": word})
        assert (remedies.lower_rate(evidence, 10), remedies.higher_rate(evidence, 10)) == ("", "")

"""A search in its folder: what a signal leaves, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import Interrupted
from tfday7.core.run_folder import RunFolder
from tfday7.data import DataConfig, Dataset
from tfday7.models import ModelConfig
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig
from tfday7.tuning import trial, tuning
from tfday7.tuning.config import TuningConfig


def test_a_search_that_was_stopped_says_what_is_kept(
    blobs: Dataset, formula: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = trial.run

    def stopped(*arguments: Any, **settings: Any) -> Any:
        if len(formula) == 2:
            raise Interrupted("stopped in epoch 1; nothing was saved", 130)
        return train(*arguments, **settings)

    monkeypatch.setattr(trial, "run", stopped)
    for place in (tmp_path / "search", tmp_path / "search" / "trials"):
        (place / ".partial-abc").mkdir(parents=True)  # As of a search that was killed.
    (tmp_path / "search" / "flags.txt").touch()
    monkeypatch.setattr("tfday7.core.signals.stop_at_once_on_sigterm", lambda: None)
    configs = (DataConfig(), ModelConfig(model="mlp", width=8, depth=1), OptimizerConfig(), TrainingConfig(epochs=2))
    search = TuningConfig(trials=4, tune="learning_rate=0.001..0.1")
    with pytest.raises(Interrupted) as caught:
        tuning.run(configs, blobs, search, RunFolder(tmp_path / "search"), {})
    assert caught.value.message == "stopped; 2 trials that have ended are kept, the same command goes on"
    assert caught.value.exit_code == 130
    assert not list((tmp_path / "search").rglob(".partial-*"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": "lamb", "learning_rate": 0.5}, "--optimizer=lamb, --learning_rate=0.5"),
        ({"learning_rate": 0.5}, "--learning_rate=0.5"),
        ({"optimizer": "auto", "learning_rate": "auto"}, ""),
    ],
)
def test_a_comparison_says_which_flags_it_passes_over(
    settings: dict[str, Any],
    said: str,
    blobs: Dataset,
    formula: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tfday7.core.signals.stop_at_once_on_sigterm", lambda: None)
    optimizer, training = OptimizerConfig(**settings), TrainingConfig(epochs=2)
    configs = (DataConfig(), ModelConfig(model="mlp", width=8, depth=1), optimizer, training)
    search = TuningConfig(trials=1, reruns=1, widen=False, compare="sgd,adam")
    sentences: list[str] = []
    tuning.run(configs, blobs, search, RunFolder(tmp_path / "search"), {}, say=sentences.append)
    why = "passed over, as --compare names the optimizers and each has its own rate: "
    assert [sentence for sentence in sentences if "passed over" in sentence] == ([why + said] if said else [])

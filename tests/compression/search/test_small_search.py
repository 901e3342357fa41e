"""A whole search on a small model: what is measured before it, and what that tells of candidates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.compression.compressing import Compression
from tfday7.compression.config import BudgetConfig, SearchConfig
from tfday7.compression.search import proposing
from tfday7.compression.search.searching import Search
from tfday7.compression.search.space import Point
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.exporting.records import Origin


@pytest.mark.slow
def test_groups_and_an_epoch_are_timed_before_candidates_are_made(
    blobs: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposing, "FIRST", (Point(kind="int8"), Point(0.5, kind="int8")))
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(16, activation="relu", name="hidden")(inputs)))
    said: list[str] = []
    job = Compression(
        model, blobs, Origin("made", "made", "logits", {}), tmp_path / "work", tmp_path / "files", say=said.append
    )
    search = Search(job, BudgetConfig(max_accuracy_drop=1.0), SearchConfig(10.0, 2, 1), 0.1)
    record = search.run()
    assert search._an_epoch is not None
    assert 0.0 < search._an_epoch < 10.0
    (group,) = record["search"]["groups"]
    assert group["name"] == "hidden"
    assert group["latency_saved"] is not None
    assert [one["decision"]["epochs"] for one in record["search"]["log"]] == [0, 1]
    assert all(one["latency_ratio"] > 0 and not one["failure"] for one in record["candidates"])
    assert record["chosen"] in [one["name"] for one in record["candidates"]]
    assert not search.log.is_deserted()
    assert said.count("measuring what each group of channels is worth") == 1

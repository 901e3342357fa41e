"""What the benchmark of distribution has measured keeps what docs/distribution.md promises."""

from __future__ import annotations

from support import ROOT, load_script


def test_the_record_keeps_what_is_promised() -> None:
    record = load_script(ROOT / "docs" / "figures.py").measured("distribution")
    assert record["equality"]["worst_float32"] <= 1e-5
    assert record["equality"]["without_figure"] == []
    assert all(held["share"] <= 0.55 for held in record["memory"].values())
    assert all(run["same_weights"] == run["runs"] for run in record["kills"].values())

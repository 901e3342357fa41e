"""What the small print says to somebody who feeds an exported file."""

from __future__ import annotations

from pathlib import Path

from tfday7.core.run_folder import RunFolder
from tfday7.reporting.details import of_artefact, of_run
from tfday7.reporting.records import read
from tfday7.reporting.words import Words


def test_the_affine_ends_of_an_int8_file_are_formulas() -> None:
    side = {"dtype": "int8", "shape": [1, 2], "scale": 0.5, "zero_point": -3}
    artefact = {
        "input": {**side, "standardization": {"mean": [1.5, 20.0], "std": [2.0, 4.0]}},
        "output": {**side, "meaning": "values", "standardization": {"mean": [100.0], "std": [9.0]}},
    }
    values = [detail.value for detail in of_artefact(artefact, Words("en"))]
    assert "x = (x - [1.5, 20]) / [2, 4]" in values
    assert "q = clip(round(x / 0.5) - 3, -128, 127)" in values
    assert "y = (q + 3) * 0.5" in values
    assert "y = y * [9] + [100]" in values
    order = [values.index(value) for value in values if value[:2] in ("x ", "q ", "y ")]
    assert order == sorted(order)


def test_a_file_without_affine_ends_has_no_formulas_for_them() -> None:
    side = {"dtype": "float32", "shape": [1, 2], "scale": None, "zero_point": None, "standardization": None}
    values = [detail.value for detail in of_artefact({"input": side, "output": side}, Words("en"))]
    assert not any("=" in value for value in values)


def test_a_run_says_which_optimizer_it_had_with_which_settings(tmp_path: Path) -> None:
    settings = {"name": "adamw", "learning_rate": 0.003, "schedule": "cosine", "weight_decay": None}
    folder = RunFolder(tmp_path)
    folder.update(optimizer={**settings, "reasons": [{"id": "cnn"}]})
    details = {detail.name: detail.value for detail in of_run(read(folder), Words("en"))}
    assert details["Optimizer"] == "adamw learning_rate=0.003 schedule=cosine"


def test_a_run_says_what_it_was_spread_over_and_where_it_went_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    spread = {"strategy": "hybrid", "mesh": "batch:2,model:2", "replicas": 2, "accumulate_steps": 4}
    folder.update(
        distribution={**spread, "micro_batch_size": 6},
        training={
            "recoveries": [{"epoch": 3, "step": 8, "steps_left_out": 16, "rate_factor": 0.5}],
            "overflow": [{"layer": "<b>wild</b>", "largest": None}],
        },
    )
    details = {detail.name: detail.value for detail in of_run(read(folder), Words("en"))}
    assert details["Devices"] == (
        "hybrid batch:2,model:2: replicas 2, accumulation steps 4, examples of a micro-batch 6"
    )
    assert details["Went back"] == "epoch 3: steps left out 16, rate x 0.5"
    assert details["Outside of float16's range"] == "<b>wild</b>"
    folder.update(distribution={"strategy": "one_device", "replicas": 1, "accumulate_steps": 1}, training={})
    names = {detail.name for detail in of_run(read(folder), Words("zh"))}
    assert not names & {"设备", "回退", "超出 float16 范围"}

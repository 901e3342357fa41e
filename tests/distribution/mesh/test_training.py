"""A model on a mesh ends where one device ends: the same rule, tf_keras's own training step, 20 steps."""

from __future__ import annotations

from typing import Any

import pytest
from distribution.mesh import programs


@pytest.mark.slow
@pytest.mark.parametrize(("axes", "models"), [("batch:2,model:2", ("mlp", "cnn")), ("model:2", ("transformer",))])
def test_a_mesh_ends_where_one_device_does(axes: str, models: tuple[str, ...]) -> None:
    """Uneven last batches are part of it, accumulation over 4 micro-batches, clipping, and a penalty on kernels."""
    results = programs.result(programs.start("training_on_a_mesh.py", axes, *models))
    assert {each["case"][0] for each in results} == set(models)
    for each in results:
        _check(each)


def _check(result: dict[str, Any]) -> None:
    assert result["start"] == 0, result
    for stage, least in (("first", 1e-3), ("last", 1e-2)):
        moved, apart = result[stage]
        assert moved > least, result
        assert apart < 1e-5, result
    assert result["keys"][0] == result["keys"][1] == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert result["logs"] < 1e-5, result  # At equal weights.
    assert result["histories"] < 1e-3, result  # At weights that are 1e-5 apart; one padded example would be 1e-2.

"""What each device holds, and checkpoints that fit any mesh and none."""

from __future__ import annotations

from typing import Any

import pytest
from distribution.mesh import programs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stored() -> Any:
    return programs.result(programs.start("storing_on_a_mesh.py"))


def test_devices_hold_the_bytes_of_the_plan(stored: Any) -> None:
    assert len(stored["held"]) == len(stored["planned"])
    for (whole, device), held in zip(stored["planned"], stored["held"], strict=True):
        assert held == [device, device]
        assert device in (whole, whole // 2)


def test_weights_and_optimizer_take_about_half_of_one_device(stored: Any) -> None:
    counter = 8  # The number of the step, int64.
    held = sum(device for device, _ in stored["held"]) + stored["slots"]
    assert held == stored["planned_with_slots"] + counter
    whole = sum(whole for whole, _ in stored["planned"])
    padding_bias = 2 * 4  # Two numbers that are not trained: no slots.
    assert held <= 0.55 * (3 * whole - 2 * padding_bias)
    assert stored["share"] <= 0.55


def test_weights_go_to_another_mesh_and_to_a_plain_model_bit_by_bit(stored: Any) -> None:
    assert stored["weights"]
    assert stored["outputs"] < 1e-5


def test_all_state_goes_to_another_mesh_and_training_goes_on_alike(stored: Any) -> None:
    count, same = stored["state"]
    assert count > 3 * 24  # Weights, and Adam's two slots of each.
    assert same
    assert stored["resumed"] < 1e-5


def test_averaged_weights_leave_the_mesh(stored: Any) -> None:
    from_trained, apart = stored["averages"]
    assert from_trained > 1e-3
    assert apart < 1e-5


def test_bfloat16_on_a_mesh_rounds_as_much_as_on_one_device(stored: Any) -> None:
    """Distances from float32: both have 8 significant bits, and a step rounds several times."""
    moved, mesh, plain = (stored["bfloat16"][key] for key in ("moved", "mesh", "plain"))
    assert moved > 1e-2
    assert 0 < plain < 2**-6 * moved
    assert 0 < mesh < 2**-6 * moved

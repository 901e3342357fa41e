"""Axes of a mesh: what they take, and what they say of the rest."""

from __future__ import annotations

import pytest

from tfday7.core.errors import UserError
from tfday7.distribution.mesh.axes import Axes, check_batch_size, check_devices, parse


@pytest.mark.parametrize(
    ("text", "strategy", "axes"),
    [
        ("batch:2,model:2", "hybrid", Axes(2, 2)),
        ("model:4, batch:1", "model_parallel", Axes(1, 4)),
        ("model:2", "model_parallel", Axes(1, 2)),
        ("batch:3,model:2", "model_parallel", Axes(3, 2)),
    ],
)
def test_axes_are_parsed_in_any_order(text: str, strategy: str, axes: Axes) -> None:
    assert parse(text, strategy) == axes
    assert parse(str(axes), strategy) == axes


@pytest.mark.parametrize(
    ("text", "strategy", "message"),
    [
        ("", "hybrid", "--strategy=hybrid needs --mesh"),
        ("batch:2,heads:2", "hybrid", "unknown axis 'heads'"),
        ("batch:2,batch:2", "hybrid", "names the axis batch twice"),
        ("batch:2,model:0", "hybrid", "model has '0' devices; expected a positive integer"),
        ("batch:2,model:-2", "hybrid", "expected a positive integer"),
        ("batch:2,model:2.0", "hybrid", "expected a positive integer"),
        ("batch:2,model:²", "hybrid", "expected a positive integer"),
        ("batch:2,model", "hybrid", "model has '' devices"),
        ("batch:2,,model:2", "hybrid", "unknown axis ''"),
        ("batch:4", "model_parallel", "needs more than one device along model"),
        ("batch:4,model:1", "hybrid", "needs more than one device along model"),
        ("model:4", "hybrid", "needs more than one device along batch"),
    ],
)
def test_axes_that_make_no_sense_are_refused(text: str, strategy: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, strategy)
    assert message in caught.value.message
    assert "--mesh=batch:2,model:2" in caught.value.hint


def test_a_mesh_takes_all_devices() -> None:
    check_devices(Axes(2, 2), 4)
    with pytest.raises(UserError, match=r"2 x 3 = 6 devices, but there are 4 \(GPU\)") as caught:
        check_devices(Axes(2, 3), 4, "GPU")
    assert caught.value.hint.startswith("--mesh=batch:2,model:2 or --mesh=batch:1,model:4; or --virtual_devices=6")
    with pytest.raises(UserError) as caught:
        check_devices(Axes(2, 2), 1)
    assert caught.value.hint == "--virtual_devices=4 splits this machine's CPU into so many"


def test_the_batch_divides_over_devices_and_micro_batches() -> None:
    check_batch_size(Axes(2, 2), 8, 4)
    check_batch_size(Axes(1, 2), 7)
    with pytest.raises(UserError, match=r"--batch_size=20 cannot be divided by 8") as caught:
        check_batch_size(Axes(2, 2), 20, 4)
    assert caught.value.hint == "--batch_size=16 or 24 can"
    with pytest.raises(UserError) as caught:
        check_batch_size(Axes(4, 2), 3)
    assert caught.value.hint == "--batch_size=4 can"

"""What a distribution's settings contradict is said before TensorFlow loads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.distribution import DistributionConfig, checking

TWO = json.dumps({"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}})


@pytest.mark.parametrize(
    ("settings", "batch", "steps", "said", "hint"),
    [
        ({"strategy": "multiworker"}, 32, 1, "nothing says which workers", "tfday7.launch"),
        ({"strategy": "mirrored", "mesh": "batch:2"}, 32, 1, "--mesh=batch:2", "model_parallel"),
        ({"strategy": "mirrored", "tpu": "x"}, 32, 1, "--tpu=x", "--strategy=tpu"),
        ({"strategy": "mirrored", "cluster": "a:1,b:2", "worker_index": 0}, 32, 1, "--cluster=a:1,b:2", "multiworker"),
        ({"strategy": "one_device", "virtual_devices": 2}, 32, 1, "--virtual_devices=2", "mirrored"),
        ({"strategy": "mirrored", "virtual_devices": 3}, 32, 1, "3 replicas x 1", "--batch_size=30 or --batch_size=33"),
        ({"strategy": "mirrored", "virtual_devices": 2}, 6, 4, "8 micro-batches", "--batch_size=8"),
        ({"strategy": "hybrid", "mesh": "batch:2,model:2", "virtual_devices": 2}, 32, 1, "4 devices", "virtual"),
        ({"strategy": "hybrid", "mesh": "batch:3,model:2", "virtual_devices": 6}, 32, 1, "3", "33"),
        ({"strategy": "model_parallel"}, 32, 1, "needs --mesh", "for example"),
        ({"cluster": "a:1,b:2"}, 32, 1, "--worker_index", "both"),
    ],
)
def test_a_contradiction_is_named_with_a_way_out(
    settings: dict[str, Any], batch: int, steps: int, said: str, hint: str
) -> None:
    with pytest.raises(UserError) as error:
        checking.check(DistributionConfig(**settings), batch, steps, {})
    assert said in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("settings", "environ"),
    [
        ({}, {}),
        ({}, {"TF_CONFIG": TWO}),
        ({"strategy": "one_device"}, {"TF_CONFIG": "not JSON, and not looked at"}),
        ({"strategy": "mirrored", "virtual_devices": 4}, {}),
        ({"strategy": "multiworker"}, {"TF_CONFIG": TWO}),
        ({"strategy": "hybrid", "mesh": "batch:2,model:2", "virtual_devices": 4}, {}),
        ({"strategy": "tpu", "tpu": "my-tpu"}, {}),
    ],
)
def test_what_fits_together_is_let_through(settings: dict[str, Any], environ: dict[str, str]) -> None:
    checking.check(DistributionConfig(**settings), 64, 4, environ)


def test_a_group_is_that_of_the_environment_unless_the_strategy_has_none() -> None:
    found = checking.group(DistributionConfig(), {"TF_CONFIG": TWO})
    assert found is not None
    assert (found.index, found.is_chief) == (1, False)
    assert checking.group(DistributionConfig(strategy="mirrored"), {"TF_CONFIG": TWO}) is None

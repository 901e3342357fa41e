"""Sends a model through the door and compares what comes out with what the other Keras itself computes."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models.door.trips import difference, random_input, random_weights
from support import load_script

from tfday7.core.frameworks import keras3
from tfday7.models import door

ROOT = Path(__file__).resolve().parents[3]


@dataclasses.dataclass(frozen=True)
class Trip:
    """A model's way in and out, and how far the outputs were from the original's."""

    inside: Any
    back: Any
    gap_in: float
    gap_out: float


@pytest.fixture
def both_ways(tmp_path: Path) -> Callable[[Any], Trip]:
    """Returns a function that sends a Keras 3 model in and out again, as an object and as files.

    The weights and the input are random. What is compared is computed eagerly: a graph's optimizer regroups operations
    as it likes. The files are written and read by Keras 3 itself at either end.
    """

    def travel(model: Any) -> Trip:
        random_weights(model)
        data = random_input(model)
        expected = model(data, training=False)
        inside = door.load(model)
        back = door.to_keras3(inside)
        assert inside.name == back.name == model.name
        model.save(tmp_path / "theirs.keras")
        door.save(inside, tmp_path / "ours.keras")
        ways_in = [inside, door.load(tmp_path / "theirs.keras")]
        if "bfloat16" not in {variable.dtype for variable in model.weights}:  # Keras 3 cannot read those from .h5.
            model.save(tmp_path / "theirs.h5")
            ways_in.append(door.load(tmp_path / "theirs.h5"))
        ways_out = [back, keras3.models.load_model(tmp_path / "ours.keras")]
        gaps = [max(difference(one(data, training=False), expected) for one in ways) for ways in (ways_in, ways_out)]
        return Trip(inside, back, *gaps)

    return travel


@pytest.fixture
def functional() -> Callable[..., Any]:
    """Returns a function that makes a Keras 3 model: functional(call, shape, shape, dtype=...)."""

    def make(call: Callable[..., Any], *shapes: tuple[int | None, ...], dtype: str = "float32") -> Any:
        inputs = [keras3.Input(shape, dtype=dtype) for shape in shapes]
        return keras3.Model(inputs if len(inputs) > 1 else inputs[0], call(*inputs))

    return make


@pytest.fixture
def plain_python(tmp_path: Path) -> Callable[[str], str]:
    """Returns a function that runs code in a new process, in a folder from which tfday7 cannot be imported."""

    def run(code: str) -> str:
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH",)}
        environment.pop("TF_USE_LEGACY_KERAS", None)
        environment |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def zoo() -> Any:
    """The benchmark's own module: its models and its way of comparing are what the published table rests on."""
    return load_script(ROOT / "benchmarks" / "keras3_zoo.py")

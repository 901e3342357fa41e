"""What several test files share: small problems, and a trained run that is made once."""

from __future__ import annotations

import gc
import signal
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from support import DIGITS_RUN, run_command

from tfday7.data import Dataset, Problem
from tfday7.data.loading import prepare
from tfday7.data.source import Raw

# How long an example takes says how busy the machine is; a test that is about time measures it itself.
hypothesis.settings.register_profile("tfday7", deadline=None)
hypothesis.settings.load_profile("tfday7")

# What a shell starts in the background ignores Ctrl-C, and so does what that starts; some tests are about it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leaves what has been imported and collected out of garbage collection, which looked at it in many tests anew."""
    del session
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def blobs() -> Dataset:
    """Two classes of points in the plane that a small model separates: 200 examples, tabular."""
    generator = np.random.default_rng(7)
    y = np.arange(200) % 2
    x = generator.normal(size=(200, 2)) + 3.0 * y[:, np.newaxis]
    return prepare(Raw(x, y), "blobs")


@pytest.fixture(scope="session")
def line() -> Dataset:
    """y = 50 x0 - 20 x1 + 100 with a little noise: 200 examples, regression."""
    generator = np.random.default_rng(7)
    x = generator.normal(size=(200, 2))
    y = 50 * x[:, 0] - 20 * x[:, 1] + 100 + generator.normal(size=200)
    return prepare(Raw(x, y), "line")


@pytest.fixture(scope="session")
def homes() -> Dataset:
    """Targets of different kinds, a price and one of three cities, that a small model finds: 200 examples."""
    generator = np.random.default_rng(7)
    x = generator.normal(size=(200, 3))
    city = np.array(["Athens", "Bergen", "Cork"])[np.digitize(x[:, 1], [-0.5, 0.5])]
    return prepare(Raw(x, {"price": 100 + 20 * x[:, 0], "city": city}), "homes")


@pytest.fixture(scope="session")
def pictures() -> Dataset:
    """Four-by-four images whose label is the brighter half: 120 examples."""
    generator = np.random.default_rng(7)
    y = np.arange(120) % 2
    x = generator.uniform(0, 0.4, size=(120, 4, 4, 1)).astype(np.float32)
    x[y == 1, :, 2:] += 0.5
    x[y == 0, :, :2] += 0.5
    return prepare(Raw(x, y), "pictures")


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, to be copied before anything is written to it."""
    folder = tmp_path_factory.mktemp("trained") / "digits"
    ended = run_command("train", *DIGITS_RUN, f"--run_dir={folder}")
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def problem() -> Problem:
    """A three-class problem on four features."""
    return Problem("classification", "tabular", (4,), 3, ("a", "b", "c"))

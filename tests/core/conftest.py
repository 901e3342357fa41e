"""Child processes, for what depends on a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tfday7

PACKAGE_FOLDER = str(Path(tfday7.__file__).resolve().parents[1])


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Returns a function that runs Python code in a new process and fails when that does."""

    def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS_"))}
        environment |= {"PYTHONPATH": PACKAGE_FOLDER, **variables}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    return run

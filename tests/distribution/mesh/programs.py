"""Runs the programs of this folder in processes of their own: virtual devices must be set before TensorFlow starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import ROOT

FOLDER = Path(__file__).parent


def start(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts a program of this folder."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    own = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", **environment}
    command = [sys.executable, str(FOLDER / script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=own)


def result(process: subprocess.Popen[str], timeout: float = 900) -> Any:
    """Waits for a program and returns the JSON that it printed."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, err[-3000:]
    return json.loads(out)

"""Runs the programs of this folder in processes of their own: virtual devices must be set before TensorFlow starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forking import Started
from support import start_script

FOLDER = Path(__file__).parent


def start(script: str, *arguments: str, **environment: str) -> Started:
    """Starts a program of this folder."""
    return start_script(FOLDER / script, *arguments, **environment)


def result(process: Started, timeout: float = 900) -> Any:
    """Waits for a program and returns the JSON that it printed."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, err[-3000:]
    return json.loads(out)

"""Several replicas end where one device does: the last, uneven batches, accumulation, clipping and statistics too.

The reference is Keras's own step on one device with the whole batch; only where statistics are those of micro-batches
does it take the same micro-batches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from distribution.replicated import CELLS
from support import ROOT

DEVICES = 3
LARGEST = {"float16": 1e-3, "bfloat16": 1e-2}  # Half a unit in the last place of 16 bits is 5e-4 and 4e-3 of a number.


@pytest.fixture(scope="module")
def differences() -> dict[str, Any]:
    """What `replicated.py` finds for all cells, in one process."""
    command = [sys.executable, str(Path(__file__).parent / "replicated.py"), str(DEVICES), *CELLS]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_several_replicas_end_where_one_device_does(cell: str, differences: dict[str, Any]) -> None:
    found = differences[cell]
    assert found["replicas"] == DEVICES
    assert found["moved"] > 0.1
    assert found["weights"] <= LARGEST.get(cell, 1e-6)
    assert found["figures"] <= LARGEST.get(cell, 5e-6)
    assert found["recoveries"][0] == found["recoveries"][1]
    assert bool(found["recoveries"][0]) == CELLS[cell].broken

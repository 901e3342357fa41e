"""Several replicas end where one device does: the last, uneven batches, accumulation, clipping and statistics too.

The reference is Keras's own step on one device with the whole batch; only where statistics are those of micro-batches
does it take the same micro-batches.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from distribution.replicated import CELLS
from support import start_script

DEVICES = 3
LARGEST = {"float16": 1e-3, "bfloat16": 1e-2}  # Half a unit in the last place of 16 bits is 5e-4 and 4e-3 of a number.


@pytest.fixture(scope="module")
def differences() -> dict[str, Any]:
    """What `replicated.py` finds for all cells, in one process."""
    started = start_script(Path(__file__).parent / "replicated.py", str(DEVICES), *CELLS)
    out, err = started.communicate(timeout=900)
    assert started.returncode == 0, err[-3000:]
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
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

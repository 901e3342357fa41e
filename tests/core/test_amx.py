"""A process that does without the CPU's matrix unit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tfday7.core import amx

SCRIPT = """
import ctypes, signal, sys
from tfday7.core import amx

if "forbid" in sys.argv:
    amx.forbid()
refused = ctypes.CDLL(None).syscall(158, 0x1023, 18)  # ARCH_REQ_XCOMP_PERM, as libraries ask for the unit.
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
print(bool(refused), amx.is_permitted())
"""


def run(*flags: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", SCRIPT, *flags], capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_a_process_that_forbids_it_is_refused_and_still_handles_signals() -> None:
    if not amx.is_there():
        pytest.skip("this CPU has no AMX")
    assert run("forbid") == ["handled", "True", "False"]
    assert run() == ["handled", "False", "True"]


def test_without_the_unit_there_is_nothing_to_forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx, "is_there", lambda: False)
    amx.forbid()
    assert not amx.is_permitted()
    assert not amx._stacks

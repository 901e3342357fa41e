"""An export that is stopped leaves no converter behind and nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import ROOT

from tfday7.core.frameworks import keras

pytestmark = pytest.mark.slow


def converters(of: int) -> list[int]:
    """Returns the ids of the converting processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"tfday7.exporting.child" in words and words[words.index(b"tfday7.exporting.child") + 1] == b"%d" % of:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_export_takes_its_converters_along(number: signal.Signals, code: int, tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "mine.keras")
    np.savez(tmp_path / "mine.npz", x_train=np.random.default_rng(0).normal(size=(99, 4)), y_train=np.arange(99) % 2)
    command = [sys.executable, "-m", "tfday7.export", "--model=mine.keras", "--data=mine.npz", "--export_dir=out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, **pipes) as export:
        deadline = time.monotonic() + 120
        while not converters(export.pid):
            assert export.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        started = converters(export.pid)
        export.send_signal(number)
        _, said = export.communicate(timeout=60)
    assert export.returncode == code, said
    assert "Traceback" not in said
    while any(Path(f"/proc/{child}").exists() for child in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []

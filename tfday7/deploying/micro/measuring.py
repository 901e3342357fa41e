"""Runs a model in TFLite Micro on this machine, where PyPI's tflite-micro is installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError

INSTALL = "pip install 'tfday7[micro]'"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured, or why nothing was.

    Attributes:
        arena_bytes: the smallest arena in which it runs on this machine, a multiple of 16; None when not measured.
        outputs: [n, ...] for the inputs, in the model's own numbers; None when not measured.
        version: of tflite-micro.
        reason: why nothing was measured; empty when it was.
    """

    arena_bytes: int | None = None
    outputs: np.ndarray | None = None
    version: str | None = None
    reason: str = ""


def measure(model: Path, inputs: np.ndarray, timeout_seconds: float) -> Measured:
    """Finds the smallest arena, and runs the inputs in it.

    Args:
        model: a `.tflite` file.
        inputs: [n, ...], in the model's own numbers.
        timeout_seconds: for all of it.

    Raises:
        UserError: TFLite Micro loads the file but will not run it. What kills it, or takes too long, is a reason.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        return Measured(reason=f"tflite-micro is not installed ({INSTALL})")
    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        folder = Path(scratch)
        np.save(folder / "inputs.npy", inputs)
        files = {name: str(folder / name) for name in ("inputs.npy", "outputs.npy", "answer.json")}
        request = {"model": str(model.resolve()), **{Path(name).stem: path for name, path in files.items()}}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        ended = _run(folder / "request.json", timeout_seconds)
        if isinstance(ended, str):
            return Measured(reason=ended)
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        if "refused" in answer:
            raise UserError(
                f"{model.name}: TFLite Micro does not run it: {_said(ended) or answer['refused']}",
                "its kernels take fewer types and shapes than LiteRT's: change the layer, or deploy to another device",
            )
        return Measured(answer["arena_bytes"], np.load(folder / "outputs.npy"), answer["version"])


def _run(request: Path, timeout_seconds: float) -> str | list[str]:
    """Returns what the process printed as lines, or why it has no answer, as one text."""
    package = str(Path(__file__).resolve().parents[3])  # The child finds this very package, installed or not.
    path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "tfday7.deploying.micro.measure_child", str(request)],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"TFLite Micro did not end within {timeout_seconds:g} s"
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    if ended.returncode == 0:
        return lines
    how = f"was killed by signal {-ended.returncode}" if ended.returncode < 0 else "failed"
    return f"TFLite Micro {how}" + (f": {lines[-1][:300]}" if lines else "")


def _said(lines: list[str]) -> str:
    """Returns the first lines of what TFLite Micro says, which name the operator and what it misses."""
    return "; ".join(line for line in lines[:2])[:500]

"""Where the time goes: an artefact's operators with the time of each, on this machine.

ONNX Runtime and OpenVINO have profilers. LiteRT's Python package has none, so each operator of a `.tflite` file is cut
out into a file of its own, fed with what it gets in the whole model, and timed beside it in interleaved rounds. The sum
exceeds the whole by what fusing and delegation save, and by what each call costs, which is measured as well.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.benchmarking.acceleration.judgement import Remark
from tfday7.core.errors import UserError


@dataclasses.dataclass(frozen=True)
class Row:
    """One operator.

    Attributes:
        op, name: its kind, and its output or its node's name.
        ms: median milliseconds of a run; None where it could not be timed.
        share: of the sum of all operators; None likewise.
        reason: why there is no time; None where there is.
    """

    op: str
    name: str
    ms: float | None
    share: float | None = None
    reason: Remark | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain values."""
        row: dict[str, Any] = {"op": self.op, "name": self.name, "ms": self.ms, "share": self.share}
        if self.reason is not None:
            row["reason"] = {"id": self.reason.id, "values": self.reason.values, "text": self.reason.text()}
        return row


@dataclasses.dataclass(frozen=True)
class Profile:
    """The operators of an artefact.

    Attributes:
        runtime: which ran it.
        rows: in the order of execution.
        sum_ms: of all operators that could be timed.
        whole_ms: median of the whole model, without a profiler, in the same rounds.
        rounds: how many runs each median is of.
        call_ms: what a call of one operator costs at least, where they ran alone; else None.
        notes: what the times mean.
    """

    runtime: str
    rows: tuple[Row, ...]
    sum_ms: float
    whole_ms: float
    rounds: int
    call_ms: float | None = None
    notes: tuple[Remark, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain values, milliseconds."""
        return {
            "runtime": self.runtime,
            "rows": [row.to_json() for row in self.rows],
            "sum_ms": self.sum_ms,
            "whole_ms": self.whole_ms,
            "rounds": self.rounds,
            "call_ms": self.call_ms,
            "notes": [{"id": note.id, "values": note.values, "text": note.text()} for note in self.notes],
        }


def profile(path: Path, runtime: str, x: np.ndarray, threads: int) -> Profile:
    """Returns the time of each operator of an artefact.

    Args:
        path: a `.tflite`, `.onnx` or `.xml` file.
        runtime: "litert", "onnxruntime" or "openvino".
        x: one batch [n, ...] of the file's own numbers, int8 where it takes int8.
        threads: CPU threads of the runtime.

    Raises:
        UserError: the runtime has no profile by operators, or cannot load the file.
    """
    from tfday7.benchmarking import profile_litert, profile_onnx, profile_openvino

    known = {
        "litert": profile_litert.profile,
        "onnxruntime": profile_onnx.profile,
        "openvino": profile_openvino.profile,
    }
    if runtime not in known:
        hint = f"profile the artefact with {', '.join(known)}"
        raise UserError(f"{path}: there is no profile by operators for the runtime {runtime}", hint)
    return known[runtime](path, x, threads)


def rows_of(timed: list[Row]) -> tuple[tuple[Row, ...], float]:
    """Returns rows with their shares filled in, and the sum of their times."""
    total = sum(row.ms for row in timed if row.ms is not None)
    shared = [
        dataclasses.replace(row, ms=round(row.ms, 5), share=round(row.ms / total, 4) if total else None)
        if row.ms is not None
        else row
        for row in timed
    ]
    return tuple(shared), round(total, 5)

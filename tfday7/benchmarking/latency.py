"""Latency of exported files, measured in interleaved rounds: what slows the machine down slows all of them down.

One round times every artefact once; the percentiles are over the rounds. Only ratios within one measurement mean much;
the times themselves belong to this machine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import environment
from tfday7.exporting.litert import LiteRTModel
from tfday7.exporting.records import Artefact

WARMUP_ROUNDS = 10
MAX_ROUNDS = 300
MAX_SECONDS = 3.0
MIN_ROUNDS_FOR_P99 = 100  # With fewer, one round would be the percentile.


def measure(artefacts: Sequence[Artefact], x: np.ndarray, threads: int = 1) -> list[dict[str, Any]]:
    """Returns one row of benchmark.json for each artefact.

    Args:
        artefacts: files that were made.
        x: float32 [1, ...], the example to run.
        threads: CPU threads of the runtime.
    """
    models = [LiteRTModel(Path(str(artefact.path)), threads) for artefact in artefacts]
    inputs = [model.quantize(x) for model in models]
    times: list[list[float]] = [[] for _ in models]
    started = time.perf_counter()
    for round_index in range(WARMUP_ROUNDS + MAX_ROUNDS):
        for model, value, taken in zip(models, inputs, times, strict=True):
            model.feed(value)
            before = time.perf_counter()
            model.run()
            taken.append(time.perf_counter() - before)
        if round_index > 2 * WARMUP_ROUNDS and time.perf_counter() - started > MAX_SECONDS:
            break
    return [
        _row(artefact, np.array(taken[WARMUP_ROUNDS:]) * 1000.0, threads)
        for artefact, taken in zip(artefacts, times, strict=True)
    ]


def _row(artefact: Artefact, milliseconds: np.ndarray, threads: int) -> dict[str, Any]:
    machine = environment.hardware()
    device = machine["cpu"] or machine["machine"]
    p50, p90, p99 = (round(float(np.percentile(milliseconds, q)), 5) for q in (50, 90, 99))
    enough = len(milliseconds) >= MIN_ROUNDS_FOR_P99
    return {
        "artefact": artefact.name,
        "runtime": "litert",
        "device": device,
        "threads": threads,
        "batch_size": 1,
        "latency_ms": {"p50": p50, "p90": p90, "p99": p99 if enough else None},
        "runs": len(milliseconds),
        "peak_memory_bytes": None,
        "size_bytes": artefact.size_bytes,
        "metric": artefact.parity.artefact_metric if artefact.parity else None,
    }

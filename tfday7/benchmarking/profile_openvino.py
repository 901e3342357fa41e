"""The profile of a file by OpenVINO's own counters: the layers of the model that it compiles, after fusing."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.benchmarking.acceleration.judgement import Remark
from tfday7.benchmarking.profiling import Profile, Row, rows_of
from tfday7.benchmarking.rounds import WARM_UP_ROUNDS, medians
from tfday7.core.errors import UserError
from tfday7.runtimes.openvino import load, shared_core


def profile(path: Path, x: np.ndarray, threads: int) -> Profile:
    """See `profiling.profile`."""
    plain, profiled = (_request(path, x, threads, counting) for counting in (False, True))
    layers: dict[str, tuple[str, list[float]]] = {}

    def count() -> None:
        profiled.infer()
        for layer in profiled.profiling_info:
            if layer.status == layer.Status.EXECUTED:
                _, times = layers.setdefault(layer.node_name, (layer.node_type, []))
                times.append(layer.real_time.total_seconds() * 1000.0)

    (whole_ms, _), rounds = medians([plain.infer, count])
    timed = [Row(op, name, statistics.median(times[WARM_UP_ROUNDS:] or times)) for name, (op, times) in layers.items()]
    rows, total = rows_of(timed)
    return Profile("openvino", rows, total, round(whole_ms, 5), rounds, notes=(Remark("profile.note.profiler"),))


def _request(path: Path, x: np.ndarray, threads: int, counting: bool) -> Any:
    """Returns a request that is fed, of the file as `runtimes.openvino` compiles it."""
    openvino = load()

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_PRECISION_HINT": "f32",
        "PERF_COUNT": counting,
    }
    core = shared_core()
    try:
        model = core.read_model(path)
        if list(model.inputs[0].partial_shape) != list(x.shape):
            model.reshape({model.inputs[0]: list(x.shape)})
        request = core.compile_model(model, "CPU", settings).create_infer_request()
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = (lines or [type(error).__name__])[-1][:300]
        raise UserError(f"{path}: OpenVINO cannot load it ({said})") from error
    request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(x)))
    return request

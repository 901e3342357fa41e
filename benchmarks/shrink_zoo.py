"""Removes half the channels of every architecture of keras.applications, and of the models of `keras3_zoo.py`.

Each gets random weights, its normalization statistics included. The smaller model and the masked one (the old size, in
which every layer ignores the channels that go) compute the same random inputs: at most 1e-5 of the largest output may
lie between them, and at most 0.6 of the parameters may stay. Classifiers end in logits, so that no softmax hides a
difference. The smaller model is then exported as a float32 `.tflite` file, which is compared with it, and timed beside
the file of the given model, in interleaved rounds, one thread, one example at a time.

    python benchmarks/shrink_zoo.py                         # all that is not in the record yet
    python benchmarks/shrink_zoo.py MobileNetV2 lstm        # some, again
    python benchmarks/shrink_zoo.py --no_latency            # compares and exports, and times nothing
    python benchmarks/shrink_zoo.py --no_export             # compares alone

Each model has a process of its own. Runs that are interrupted go on with the next model.
"""

from __future__ import annotations

import datetime
import inspect
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7.core import environment
from tfday7.core.errors import UserError
from tfday7.core.files import read_json, write_json
from tfday7.core.frameworks import keras, tf

RESULTS = Path(__file__).parent / "results" / "shrink_zoo.json"
RATIO = 0.5
ALLOWED = 1e-5  # Of the largest output.
ALLOWED_SHARE = 0.6  # Of the parameters.
SIZES = (32, 48, 64, 71, 75, 96, 128, 160, 224, 299, 331)
EXAMPLES = 2
IDS = 10  # Every embedding of the small models has as many.
MOVED = 1e-7
SCALES = (1.0, 0.7, 0.5, 0.35)
SECONDS = 3.0
OPTIONS = ("--no_latency", "--no_export")


def architectures() -> dict[str, Callable[..., Any]]:
    """Returns every model function of keras.applications by name."""
    found = vars(keras.applications).items()
    return {name: function for name, function in found if inspect.isfunction(function) and name[0].isupper()}


def smallest(function: Callable[..., Any]) -> Any:
    """Returns the classifier with random weights and the smallest square input that it accepts."""
    logits = (
        {"classifier_activation": None} if "classifier_activation" in inspect.signature(function).parameters else {}
    )
    for size in SIZES:
        try:
            return function(weights=None, input_shape=(size, size, 3), **logits)
        except ValueError:  # Too small: the function says so, or a layer runs out of pixels.
            keras.backend.clear_session()
    raise ValueError(f"no size in {SIZES} is accepted")


def made(name: str) -> Any:
    """Returns a model by its name."""
    known = architectures()
    if name in known:
        return smallest(known[name])
    import keras3_zoo

    from tfday7 import models

    return models.load(keras3_zoo.SMALL[name]())


def calm(model: Any) -> float:
    """Gives random weights until the model's outputs can be compared; returns the scale of its kernels.

    Some deep models with random weights are chaotic: EfficientNetV2L moved its outputs by 0.2 of the largest when its
    inputs moved by 1e-7, so that rounding alone made two equal models differ. Smaller kernels help.
    """
    for scale in SCALES:
        randomize(model, scale)
        x = random_input(model)
        floats = [one.dtype.kind == "f" for one in tf.nest.flatten(x)]
        moved = tf.nest.map_structure(lambda one: one * np.float32(1 + MOVED) if one.dtype.kind == "f" else one, x)
        if not any(floats) or difference(model(moved, training=False), model(x, training=False)) <= ALLOWED / 2:
            return scale
    raise ValueError(f"the outputs move by more than {ALLOWED / 2} when the inputs move by {MOVED}, at any scale")


def randomize(model: Any, scale: float = 1.0, seed: int = 0) -> None:
    """Gives every weight a random value that keeps activations of ordinary size, statistics of batches included."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        name, shape = variable.name.split("/")[-1], tuple(variable.shape)
        if not variable.dtype.is_floating:
            continue
        if "gamma" in name or "variance" in name:
            value = generator.uniform(0.5, 1.5, shape)
        elif len(shape) < 2:
            value = generator.normal(0, 0.1, shape)
        else:
            fan_in = shape[0] * shape[1] if "depthwise" in name else np.prod(shape[:-1])
            value = generator.normal(0, scale * (2 / max(1, fan_in)) ** 0.5, shape)
        variable.assign(value)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()  # It computes with a copy of its statistics.


def random_input(model: Any) -> Any:
    """Returns one array per input: normal floats, or integers below 10."""
    generator = np.random.default_rng(1)
    arrays = []
    for tensor in model.inputs:
        shape = (EXAMPLES, *tensor.shape[1:])
        floats = generator.normal(size=shape).astype(np.float32)
        arrays.append(generator.integers(0, IDS, shape) if tensor.dtype.is_integer else floats)
    return arrays[0] if len(arrays) == 1 else arrays


def difference(ours: Any, theirs: Any) -> float:
    """Returns the largest absolute difference over the largest output, of any of several."""
    pairs = zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b))) / np.max(np.abs(np.asarray(b)))) for a, b in pairs)


def row(name: str, latency: bool, export: bool) -> dict[str, Any]:
    """Returns the record of one model."""
    from tfday7.compression import shrink

    started = time.perf_counter()
    model = made(name)
    scale = calm(model)
    x = random_input(model)
    try:
        plan = shrink.plan(model, ratio=RATIO)
    except UserError as error:  # A model of which nothing can go is told so; that is no failure.
        return {"passed": None, "nothing_goes": error.message}
    before = model(x, training=False)
    masked = plan.masked()(x, training=False)
    smaller = plan.apply()
    after = smaller(x, training=False)
    share = plan.parameters[1] / plan.parameters[0]
    record = {
        "input_shape": [list(tensor.shape[1:]) for tensor in model.inputs],
        "difference": difference(after, masked),
        "difference_to_given": difference(masked, before),
        "parameters": list(plan.parameters),
        "parameters_share": round(share, 4),
        "macs": list(plan.macs) if plan.macs else None,
        "macs_share": round(plan.macs[1] / plan.macs[0], 4) if plan.macs else None,
        "groups": len(plan.groups),
        "kept": {one.layer: one.reason for one in plan.skipped},
        "kernel_scale": scale,
        "counted_right": smaller.count_params() == plan.parameters[1],
        "seconds": round(time.perf_counter() - started, 1),
    }
    held = record["difference"] <= ALLOWED and record["counted_right"] and record["difference_to_given"] > ALLOWED
    record["passed"] = bool(held and share <= ALLOWED_SHARE)
    if export:
        record["export"] = exported(model, smaller, name, latency)
        record["passed"] = record["passed"] and record["export"].get("holds", True)
    return record


def exported(model: Any, smaller: Any, name: str, latency: bool) -> dict[str, Any]:
    """Returns how the smaller model's file compares with it, and with the given model's file in bytes and time."""
    from tfday7.exporting import exporting, made_up

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return {"left_out": f"{len(model.inputs)} inputs and {len(model.outputs)} outputs; an export takes one of each"}
    with tempfile.TemporaryDirectory(prefix="shrink_zoo-") as scratch:
        found = {}
        for key, one in (("before", model), ("after", smaller)):
            origin = exporting.Origin(f"{name}_{key}".lower(), name, "values")
            data = made_up.dataset(one, name, None)
            folder = Path(scratch) / key
            (found[key],) = exporting.export(one, data, [("tflite", "float32")], folder, origin, bisect=False)
        after = found["after"]
        record: dict[str, Any] = {
            "holds": bool(after.holds),
            "failure": after.failure,
            "relative_difference": after.parity.relative_difference if after.parity else None,
            "size_bytes": [found["before"].size_bytes, after.size_bytes],
        }
        if latency and all(one.path for one in found.values()):
            record |= timed([Path(scratch) / key / Path(found[key].path).name for key in found], Path(scratch))
    return record


def timed(files: list[Path], scratch: Path) -> dict[str, Any]:
    """Returns the latencies of two files in milliseconds, and the second's over the first's."""
    from tfday7.benchmarking import benchmarking
    from tfday7.benchmarking.config import BenchmarkConfig

    config = BenchmarkConfig(
        artefacts=",".join(map(str, files)), seconds=SECONDS, metric=False, profile=False, output=str(scratch)
    )
    rows = benchmarking.benchmark(benchmarking.plan(config))["rows"]
    times = [(one["latency_ms"] or {}).get("p50") for one in rows]
    return {"latency_ms": times, "latency_ratio": rows[1]["latency_ratio"]}


def names() -> list[str]:
    """Returns all models, those of keras.applications first."""
    import keras3_zoo

    return [*architectures(), *keras3_zoo.SMALL]


def in_own_process(name: str, flags: list[str]) -> dict[str, Any]:
    """Returns the record of one model, made in another process: what it has not given back goes with it."""
    called = [sys.executable, __file__, "--row", name, *flags]
    ended = subprocess.run(called, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        return {"passed": False, "error": (lines[-1] if lines else f"ended with {ended.returncode}")[:300]}
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def complete(record: dict[str, Any], latency: bool, export: bool) -> bool:
    """Returns whether a record has all that is asked for."""
    if "nothing_goes" in record:
        return True
    if "error" in record or (export and "export" not in record):
        return False
    return not (export and latency) or "left_out" in record["export"] or "latency_ms" in record["export"]


def show(name: str, record: dict[str, Any]) -> None:
    """Prints a line of the table."""
    if "error" in record or "nothing_goes" in record:
        print(f"{name:20} {'FAILED ' + record['error'] if 'error' in record else record['nothing_goes']}", flush=True)
        return
    export = record.get("export", {})
    parity, ratio = export.get("relative_difference"), export.get("latency_ratio")
    print(
        f"{name:20} {record['difference']:8.1e} {record['parameters'][0]:>12,} -> {record['parameters'][1]:>11,} "
        f"{record['parameters_share']:6.3f} {record['macs_share'] or 0:6.3f} "
        f"{'' if parity is None else f'{parity:8.1e}':8} {'' if ratio is None else f'{ratio:6.3f}':6} "
        f"{'ok' if record['passed'] else 'FAILED'} {record['seconds']:6.1f} s",
        flush=True,
    )


def main(arguments: list[str]) -> int:
    """Measures what is named, or what is missing, and brings the record up to date."""
    flags = [argument for argument in arguments if argument in OPTIONS]
    latency, export = "--no_latency" not in flags and "--no_export" not in flags, "--no_export" not in flags
    if arguments[:1] == ["--row"]:
        print(json.dumps(row(arguments[1], latency, export)))
        return 0
    wanted = [argument for argument in arguments if argument not in OPTIONS]
    unknown = set(wanted) - set(names())
    if unknown:
        raise UserError(f"unknown: {', '.join(sorted(unknown))}", f"known: {', '.join(names())}")
    rows: dict[str, Any] = read_json(RESULTS)["rows"] if RESULTS.exists() else {}
    for name in wanted or names():
        if not wanted and name in rows and complete(rows[name], latency, export):
            continue
        rows[name] = in_own_process(name, flags)
        show(name, rows[name])
        write_json(RESULTS, {**circumstances(flags), **totals(rows), "rows": rows})
    found = totals(rows)
    print(f"{found['passed']} of {found['total']} passed, of {found['nothing_goes']} more nothing can go")
    return 0 if found["passed"] == found["total"] else 3


def totals(rows: dict[str, Any]) -> dict[str, int]:
    """Returns how many passed, of how many of which something can go."""
    nothing = sum("nothing_goes" in one for one in rows.values())
    passed = sum(bool(one["passed"]) for one in rows.values())
    return {"passed": passed, "total": len(rows) - nothing, "nothing_goes": nothing}


def circumstances(flags: list[str]) -> dict[str, Any]:
    """Returns what the figures depend on."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python benchmarks/shrink_zoo.py", *flags]),
        "hardware": environment.hardware(),
        "versions": environment.versions(),
        "ratio": RATIO,
        "allowed": ALLOWED,
        "allowed_share": ALLOWED_SHARE,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Does a training on many devices end where one device ends, at what cost, and what does a kill change?

    python benchmarks/distribution.py                         # all parts: about an hour on 2 CPU cores
    python benchmarks/distribution.py --parts=equality        # that part of the record is replaced

Everything runs on virtual devices and processes of one CPU: figures of correctness and of memory, not of speed.

equality   20 steps in every world, cell by cell, beside one device; the largest difference of any weight. A cell is an
           optimizer, accumulation, clipping and precision; 181 examples in batches of 48 leave a last batch of 37.
overhead   60 of our steps beside as many of Keras's own, under the same strategy and with the same model, in turns: the
           time on the clock, and that of the processor, which does not hang on when two devices wait for each other.
memory     what a device of a mesh holds of a transformer's weights and optimizer, counted from its own parts.
kills      runs that get SIGKILL at a random moment and are started again, beside one that is not.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7 import data
from tfday7.core import environment
from tfday7.core.files import read_json, write_json
from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset, Examples
from tfday7.data.config import DataConfig
from tfday7.distribution import DistributionConfig
from tfday7.distribution.cluster import find
from tfday7.distribution.devices import Devices, open_devices
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting

RESULTS = Path(__file__).parent / "results" / "distribution.json"
EXAMPLES, BATCH, EPOCHS = 181, 48, 5  # Four steps an epoch.
WORLDS: dict[str, dict[str, Any]] = {
    "one": {"strategy": "one_device"},
    "mirrored 2": {"strategy": "mirrored", "virtual_devices": 2},
    "mirrored 4": {"strategy": "mirrored", "virtual_devices": 4},
    "2 processes": {"strategy": "multiworker"},
    "model 2": {"strategy": "model_parallel", "mesh": "model:2", "virtual_devices": 2},
    "hybrid 2x2": {"strategy": "hybrid", "mesh": "batch:2,model:2", "virtual_devices": 4},
}
OPTIMIZERS = {"sgd": 0.05, "adam": 1e-3, "lamb": 1e-2}
KILLS = 20
KILLED_EPOCHS = 60
KILLED = ("--data=digits", "--model=mlp", "--width=16", "--depth=1", "--dropout=0.2", f"--epochs={KILLED_EPOCHS}",
          "--batch_size=32", "--checkpoint_steps=9", "--deterministic", "--export=")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Cell:
    """One way of training."""

    optimizer: str
    accumulate_steps: int
    clip: float | None
    precision: str = "float32"

    def __str__(self) -> str:
        clip = "clipped" if self.clip else "unclipped"
        return f"{self.optimizer}, {self.accumulate_steps} steps, {clip}, {self.precision}"


CELLS = [Cell(name, steps, clip) for name in OPTIMIZERS for steps in (1, 4) for clip in (None, 0.1)] + [
    Cell("adam", 4, 0.1, precision) for precision in ("mixed_bfloat16", "mixed_float16")
]


def digits() -> Dataset:
    """Returns the first examples of the digits."""
    whole = data.load(DataConfig(data="digits"))
    return dataclasses.replace(whole, train=Examples(whole.train.x[:EXAMPLES], whole.train.y[:EXAMPLES]))


def trained(cell: Cell, dataset: Dataset, devices: Devices) -> list[np.ndarray]:
    """Returns the weights after 20 steps."""
    config = ModelConfig(model="mlp", width=16, depth=2, l2=1e-3)
    training = TrainingConfig(
        epochs=EPOCHS, batch_size=BATCH, accumulate_steps=cell.accumulate_steps, precision=cell.precision
    )
    optimizer = OptimizerConfig(
        optimizer=cell.optimizer, learning_rate=OPTIMIZERS[cell.optimizer], global_clipnorm=cell.clip
    )
    model = devices.place(lambda: building.build(config, dataset.problem, cell.precision, 0))
    fitting.fit(model, dataset, optimizer, training)
    return model.get_weights()


def world(name: str, folder: Path, cluster: str, index: int) -> None:
    """Trains every cell in this process's world; the first process keeps the weights, or why there are none."""
    flags = {"cluster": cluster, "worker_index": index} if cluster else {}
    config = DistributionConfig(**{**WORLDS[name], **flags})
    devices, dataset = open_devices(config, find(config, {}) if cluster else None), digits()
    for number, cell in enumerate(CELLS):
        started = time.perf_counter()
        try:
            weights, failure = trained(cell, dataset, devices), ""
        except Exception as error:  # noqa: BLE001 - a cell that is refused is a result.
            weights, failure = [], f"{type(error).__name__}: {error}".splitlines()[0][:300]
        if devices.is_chief:
            np.savez(folder / f"{number}.npz", *weights)
            record = {"failure": failure, "seconds": round(time.perf_counter() - started, 1)}
            write_json(folder / f"{number}.json", record)
    if devices.is_chief and devices.axes is not None:
        write_json(folder / "memory.json", memory(devices))


def memory(devices: Devices) -> dict[str, Any]:
    """Returns what each device holds of a transformer with Adam, after one step."""
    from tfday7.data import Problem
    from tfday7.distribution.mesh import variables
    from tfday7.optimizers import state

    words = tuple(f"w{number}" for number in range(4_000))
    problem = Problem("classification", "text", (32,), 4, ("a", "b", "c", "d"), vocabulary=words)
    config = ModelConfig(model="transformer", width=128, depth=2)
    model = devices.place(lambda: building.build(config, problem))
    training, optimizer = TrainingConfig(batch_size=8, epochs=1), OptimizerConfig(optimizer="adam")
    generator = np.random.default_rng(0)
    examples = Examples(generator.integers(0, 4_000, (8, 32)).astype(np.int32), generator.integers(0, 4, 8))
    dataset = Dataset("random", problem, examples, examples, examples, "", "")
    fitting.fit(model, dataset, optimizer, training)
    held = [each for each in (*model.variables, *state.variables(model.optimizer)) if hasattr(each, "layout")]
    device = sum(variables.local_parts(each)[0].nbytes for each in held)
    whole = sum(int(np.prod(each.shape)) * each.dtype.size for each in held)
    return {"device_bytes": device, "whole_bytes": whole, "share": round(device / whole, 4)}


def start(name: str, folder: Path) -> None:
    """Runs a world: one process, or two on free ports of loopback."""
    cluster = ""
    if name == "2 processes":
        held = [socket.socket() for _ in range(2)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        cluster = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in held)
        for each in held:
            each.close()
    command = [sys.executable, __file__, "--world", name, "--folder", str(folder), "--cluster", cluster]
    count = 2 if cluster else 1
    workers = [subprocess.Popen([*command, "--index", str(index)]) for index in range(count)]
    codes = [worker.wait() for worker in workers]
    if any(codes):
        raise RuntimeError(f"the world {name!r} ended with {codes}")


def equality() -> dict[str, Any]:
    """Returns the largest difference from one device, cell by cell and world by world."""
    rows: dict[str, dict[str, Any]] = {}
    held: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as path:
        folders = {name: Path(path) / name.replace(" ", "_") for name in WORLDS}
        for name, folder in folders.items():
            folder.mkdir()
            start(name, folder)
            if (folder / "memory.json").exists():
                held[name] = read_json(folder / "memory.json")
        for number, cell in enumerate(CELLS):
            one = _arrays(folders["one"] / f"{number}.npz")
            found: dict[str, Any] = {}
            for name in list(WORLDS)[1:]:
                other = _arrays(folders[name] / f"{number}.npz")
                failure = read_json(folders[name] / f"{number}.json")["failure"]
                found[name] = failure or max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
            rows[str(cell)] = found
            print(f"{cell}: {found}", flush=True)
    exact = [value for cell in CELLS if cell.precision == "float32" for value in rows[str(cell)].values()]
    worst = max((value for value in exact if isinstance(value, float)), default=None)
    missing = [value for value in exact if not isinstance(value, float)]
    return {
        "equality": {"steps": 4 * EPOCHS, "cells": rows, "worst_float32": worst, "without_figure": missing},
        "memory": held,
    }


def _arrays(path: Path) -> list[np.ndarray]:
    with np.load(path) as archive:
        return [archive[name] for name in archive.files]


def overhead() -> dict[str, Any]:
    """Returns the time of an epoch of our step, divided by that of Keras's own on the same strategy."""
    ended = subprocess.run(
        [sys.executable, __file__, "--world", "overhead"], capture_output=True, text=True, check=True
    )
    return {"overhead": json.loads(ended.stdout.splitlines()[-1])}


def epochs_in_turns(rounds: int = 21) -> dict[str, Any]:
    """Returns medians of the ratio; mirrored over two virtual devices, convolutions without statistics."""
    from tfday7.distribution.feeding import feed
    from tfday7.training import step
    from tfday7.training.batches import training_batches

    tf.config.threading.set_intra_op_parallelism_threads(1)  # Else two replicas fight for two cores, by chance.
    devices = open_devices(DistributionConfig(**WORLDS["mirrored 2"]))
    dataset, training = data.load(DataConfig(data="digits")), TrainingConfig(batch_size=64)
    steps = 60  # Of a call of fit, each of which starts its iterator anew: what that costs is no part of a step.
    x, y = dataset.train.x, dataset.train.y
    plain = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).repeat().batch(64, drop_remainder=True)
    batches = {
        "keras": lambda: devices.strategy.experimental_distribute_dataset(plain.prefetch(2)),
        "tfday7": lambda: feed(devices.strategy, lambda parts: training_batches(dataset, training, parts=parts), True),
    }
    sides: dict[tuple[str, str], tuple[Any, Any]] = {}
    for whose, pipeline in (("keras", "keras"), ("keras", "tfday7"), ("tfday7", "tfday7")):
        with devices.scope():
            model = building.build(ModelConfig(model="cnn", width=64), dataset.problem)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"], steps_per_execution=20)
        if whose == "tfday7":
            step.install(model, 1)
        sides[whose, pipeline] = (model, batches[pipeline]())
    times: dict[tuple[str, str], list[float]] = {side: [] for side in sides}
    worked: dict[tuple[str, str], list[float]] = {side: [] for side in sides}
    for number in range(rounds + 2):
        for side in list(sides)[:: 1 if number % 2 else -1]:
            model, fed = sides[side]
            started, processor = time.perf_counter(), time.process_time()
            model.fit(fed, steps_per_epoch=steps, epochs=1, verbose=0)
            if number >= 2:
                times[side].append(time.perf_counter() - started)
                worked[side].append(time.process_time() - processor)
    ours, own = ("tfday7", "tfday7"), ("keras", "keras")
    return {
        "step": _ratio(times[ours], times["keras", "tfday7"]),
        "step_and_pipeline": _ratio(times[ours], times[own]),
        "step_processor": _ratio(worked[ours], worked["keras", "tfday7"]),
        "step_and_pipeline_processor": _ratio(worked[ours], worked[own]),
        "keras_step_ms": round(statistics.median(times["keras", "keras"]) * 1000 / steps, 2),
        "rounds": rounds,
    }


def _ratio(ours: list[float], other: list[float]) -> dict[str, Any]:
    low, middle, high = np.percentile([a / b for a, b in zip(ours, other, strict=True)], [25, 50, 75])
    return {"median": round(float(middle), 4), "quartiles": [round(float(low), 4), round(float(high), 4)]}


def kills() -> dict[str, Any]:
    """Returns whether runs that were killed at a random moment end with the weights of one that was not.

    A run is killed in an epoch that is drawn evenly from all of them, at a random moment of it; the first before it has
    begun to train.
    """
    chance = random.Random(0)
    found: dict[str, Any] = {}
    for name, flags in {"one device": (), "mirrored 2": ("--strategy=mirrored", "--virtual_devices=2")}.items():
        with tempfile.TemporaryDirectory() as path:
            _train(Path(path) / "whole", flags)
            whole = _weights(Path(path) / "whole")
            same, epochs = 0, []
            for number in range(KILLS if not flags else KILLS // 4):
                folder = Path(path) / f"killed_{number}"
                child = subprocess.Popen(_command(folder, flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                epoch_seconds = _wait_for(child, folder, chance.randrange(KILLED_EPOCHS) if number else 0)
                time.sleep(chance.uniform(0.0, 1.0) * epoch_seconds)
                child.send_signal(signal.SIGKILL)
                if child.wait() != -signal.SIGKILL:
                    raise RuntimeError(f"{folder} had ended before it was killed")
                epochs.append(_epochs(folder))
                _train(folder, flags)
                same += all(np.array_equal(a, b) for a, b in zip(_weights(folder), whole, strict=True))
                print(f"{name}: killed in epoch {epochs[-1] + 1}; {same} of {number + 1} the same", flush=True)
            found[name] = {"runs": len(epochs), "same_weights": same, "epochs_when_killed": epochs}
    return {"kills": found}


def _wait_for(child: subprocess.Popen[bytes], folder: Path, epochs: int) -> float:
    """Waits until a run has so many epochs behind it, and returns the seconds that one took."""
    first = 0.0
    while (done := _epochs(folder)) < epochs and child.poll() is None:
        first = first or (time.monotonic() if done else 0.0)
        time.sleep(0.002)
    return (time.monotonic() - first) / max(1, epochs - 1) if first else 1.0


def _epochs(folder: Path) -> int:
    lines = folder / "metrics.jsonl"
    return len(lines.read_bytes().splitlines()) if lines.exists() else 0


def _command(folder: Path, flags: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "tfday7.train", *KILLED, *flags, f"--run_dir={folder}"]


def _train(folder: Path, flags: tuple[str, ...]) -> None:
    subprocess.run(_command(folder, flags), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _weights(folder: Path) -> list[np.ndarray]:
    with np.load(sorted((folder / "checkpoints").glob("*.npz"))[-1]) as archive:
        return [archive[name] for name in sorted(archive.files) if name.startswith("model/")]


PARTS = {"equality": equality, "overhead": overhead, "kills": kills}


def main() -> None:
    """Measures the parts that are named, and brings the record up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    for name in ("world", "folder", "cluster"):
        parser.add_argument(f"--{name}", default="", help=argparse.SUPPRESS)
    parser.add_argument("--index", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if given.world == "overhead":
        print(json.dumps(epochs_in_turns()))
        return
    if given.world:
        world(given.world, Path(given.folder), given.cluster, given.index)
        return
    record = read_json(RESULTS) if RESULTS.exists() else {}
    for name in given.parts.split(","):
        record |= PARTS[name]()
        record |= {
            "date": datetime.date.today().isoformat(),
            "command": "python benchmarks/distribution.py",
            "hardware": environment.hardware(),
            "versions": environment.versions(),
        }
        write_json(RESULTS, record)


if __name__ == "__main__":
    main()

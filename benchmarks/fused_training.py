"""What does training a model that came from Keras 3 gain from the fused kernel of batch normalization?

    python benchmarks/fused_training.py                 # about three minutes

Keras 3 computes batch normalization by single operations, and models that come through the door do as well, so that
their outputs are the same bits. `tfday7.training.batch_statistics.fused` trains them with TensorFlow's kernel. ResNet-8
and MobileNetV2 for Fashion-MNIST go out to a `.keras` file and in again; optimizer steps on a batch of 32 with and
without the kernel take turns, of the whole model and of one with half of its channels.
"""

from __future__ import annotations

import contextlib
import datetime
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import budget

from tfday7 import models
from tfday7.compression import shrink
from tfday7.core import environment
from tfday7.core.files import write_json
from tfday7.core.frameworks import tf
from tfday7.models import building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import batch_statistics, fitting
from tfday7.training.config import TrainingConfig

RESULTS = Path(__file__).parent / "results" / "fused_training.json"
NAMES = ("fashion_resnet8", "fashion_mobilenet_v2")
WARM_UP, ROUNDS = 3, 50


def stepping(model: Any, dataset: Any, with_kernel: bool) -> Callable[[], None]:
    """Returns a function that carries out one optimizer step on a batch that is there already."""
    training = TrainingConfig(batch_size=32, checkpoint_steps=1)  # Else a call takes several steps.
    batch = tf.data.Dataset.from_tensors((dataset.train.x[:32], dataset.train.y[:32])).cache().repeat()
    with batch_statistics.fused(model) if with_kernel else contextlib.nullcontext():
        fitting.compile_model(model, dataset, OptimizerConfig(optimizer="adam", learning_rate=1e-4), training)
        run, iterator = model.make_train_function(), iter(batch)
        for _ in range(WARM_UP):
            run(iterator)
    return lambda: float(run(iterator)["loss"])


def main() -> None:
    """Measures, and writes the record."""
    rows = {}
    for name in NAMES:
        work = budget.WORKLOADS[name]
        dataset = budget.dataset_of(work)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            models.save(building.build(work.model, dataset.problem, "float32", 0), path)
            whole = models.load(path)
            made = {"whole": lambda path=path: models.load(path), "half": None}
            made["half"] = lambda whole=whole: models.load(shrink.plan(whole, ratio=0.5).apply())
            for size, make in made.items():
                rows[f"{name}, {size}"] = compared(make, dataset)
                print(name, size, rows[f"{name}, {size}"], flush=True)
    record = {
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/fused_training.py",
        "rounds": ROUNDS,
        "models": rows,
        "hardware": environment.hardware(),
        "versions": environment.versions(),
    }
    write_json(RESULTS, record)


def compared(make: Callable[[], Any], dataset: Any) -> dict[str, float]:
    """Returns the median times of a step with and without the kernel, and the median of their ratios by rounds."""
    without, with_kernel = stepping(make(), dataset, False), stepping(make(), dataset, True)
    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        without()
        between = time.perf_counter()
        with_kernel()
        times.append((between - started, time.perf_counter() - between))
    return {
        "without_ms": round(statistics.median(one for one, _ in times) * 1000.0, 2),
        "with_ms": round(statistics.median(two for _, two in times) * 1000.0, 2),
        "ratio": round(statistics.median(two / one for one, two in times), 3),
    }


if __name__ == "__main__":
    main()

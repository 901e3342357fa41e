"""Is training with tfday7 as fast as a bare `model.fit`?

    python benchmarks/train_overhead.py [--workloads=digits_mlp,digits_cnn,fashion_resnet8] [--epochs=12] [--json=FILE]

Both sides train the same model on the same data with the same batch size in one process, in turn. Ours runs as a user's
run does: callbacks, metrics.jsonl, TensorBoard, checkpoints; the bare one is `compile` and `fit` on NumPy arrays and
nothing else. The figure is the median time of an epoch (with its validation), ours over bare; the first epochs, which
trace the graphs, are left out on both sides. Targets: digits_mlp <= 0.4, digits_cnn <= 0.9, fashion_resnet8 <= 1.03.
`start` is what the first epoch takes longer than a later one, all that `fit` does before it included: tracing, mostly.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tfday7 import data
from tfday7.core import environment
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.core.run_folder import RunFolder
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig
from tfday7.training.fitting import fit

WARMUP_EPOCHS = 2


@dataclasses.dataclass(frozen=True)
class Workload:
    """Data, model, batch size, how much of the data, epochs a round, and the ratio to stay under."""

    data: str
    model: str
    batch_size: int
    train_examples: int | None
    epochs: int
    rounds: int
    target: float


WORKLOADS = {
    "digits_mlp": Workload("digits", "mlp", 32, None, 12, 5, 0.4),
    "digits_cnn": Workload("digits", "cnn", 32, None, 12, 5, 0.9),
    # 12,800 images a epoch are a hundred steps of resnet8, long enough to time and short enough to repeat.
    "fashion_resnet8": Workload("fashion_mnist", "resnet8", 128, 12_800, 5, 3, 1.03),
}


class Clock(keras.callbacks.Callback):
    """Times whole epochs, from the end of one to the end of the next: nothing between epochs escapes it."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._last = 0.0
        self.made = time.perf_counter()
        self.first_ended = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        self._last = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = time.perf_counter()
        self.first_ended = self.first_ended or now
        self.seconds.append(now - self._last)
        self._last = now


class ObservedClock:
    """The same clock for our side, as its progress observer: it is told last, after every callback."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = 0.0
        self.made = time.perf_counter()
        self.first_ended = 0.0

    def begin(self, first_epoch: int, epochs: int, steps_per_epoch: int) -> None:
        self._last = time.perf_counter()

    def step(self, epoch: int, step: int, loss: float) -> None: ...

    def epoch(self, record: dict[str, Any], is_best: bool) -> None:
        now = time.perf_counter()
        self.first_ended = self.first_ended or now
        self.seconds.append(now - self._last)
        self._last = now

    def end(self) -> None: ...


def load(workload: Workload) -> data.Dataset:
    dataset = data.load(data.DataConfig(data=workload.data))
    if workload.train_examples is None:
        return dataset
    size = workload.train_examples
    train = data.Examples(dataset.train.x[:size], dataset.train.y[:size])
    validation = data.Examples(dataset.validation.x[: size // 10], dataset.validation.y[: size // 10])
    return dataclasses.replace(dataset, train=train, validation=validation)


def seconds(clock: Clock | ObservedClock) -> tuple[float, float]:
    """Returns the median time of an epoch, and what the start takes."""
    epoch = statistics.median(clock.seconds[WARMUP_EPOCHS:])
    return epoch, clock.first_ended - clock.made - epoch


def bare(dataset: data.Dataset, workload: Workload, epochs: int) -> tuple[float, float]:
    model = building.build(ModelConfig(model=workload.model), dataset.problem)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    clock = Clock()
    validation = (dataset.validation.x, dataset.validation.y)
    size = workload.batch_size
    train = dataset.train
    model.fit(train.x, train.y, size, epochs, validation_data=validation, callbacks=[clock], verbose=0)
    return seconds(clock)


def ours(dataset: data.Dataset, workload: Workload, epochs: int) -> tuple[float, float]:
    model = building.build(ModelConfig(model=workload.model), dataset.problem)
    clock = ObservedClock()
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingConfig(epochs=epochs, batch_size=workload.batch_size)
        fit(model, dataset, OptimizerConfig(), training, RunFolder(Path(folder)), clock)
    return seconds(clock)


def measure(name: str, epochs: int | None, rounds: int | None) -> dict[str, Any]:
    workload = WORKLOADS[name]
    dataset = load(workload)
    pairs, starts = [], []
    for _ in range(rounds or workload.rounds):
        both = [side(dataset, workload, epochs or workload.epochs) for side in (bare, ours)]
        pairs.append([epoch for epoch, _ in both])
        starts.append([start for _, start in both])
    ratios = [mine / theirs for theirs, mine in pairs]
    return {
        "workload": name,
        "bare_epoch_ms": round(1000 * statistics.median(theirs for theirs, _ in pairs), 2),
        "tfday7_epoch_ms": round(1000 * statistics.median(mine for _, mine in pairs), 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "bare_start_ms": round(1000 * statistics.median(theirs for theirs, _ in starts), 1),
        "tfday7_start_ms": round(1000 * statistics.median(mine for _, mine in starts), 1),
        "start_ratio": round(statistics.median(mine / theirs for theirs, mine in starts), 3),
        "rounds": len(ratios),
        "target": workload.target,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--epochs", type=int, help="epochs a round, the first two of which do not count")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", help="also write the rows there")
    options = parser.parse_args()
    rows = []
    print(f"{'workload':18}{'bare ms':>10}{'tfday7 ms':>11}{'ratio':>8}{'range':>16}{'target':>8}{'start':>8}")
    for name in options.workloads.split(","):
        try:
            row = measure(name, options.epochs, options.rounds)
        except UserError as error:
            print(f"{name:18} not run: {error.message} ({error.hint})")
            continue
        rows.append(row)
        low, high = row["ratio_range"]
        print(
            f"{name:18}{row['bare_epoch_ms']:10.1f}{row['tfday7_epoch_ms']:11.1f}{row['ratio']:8.3f}"
            f"{f'{low:.3f}-{high:.3f}':>16}{row['target']:8.2f}{row['start_ratio']:8.2f}",
            flush=True,
        )
    if options.json:
        record = {
            "command": "python benchmarks/train_overhead.py",
            "date": datetime.date.today().isoformat(),
            "hardware": environment.hardware(),
            "versions": environment.versions(),
            "rows": rows,
        }
        Path(options.json).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["ratio"] <= row["target"] for row in rows) else 3


if __name__ == "__main__":
    sys.exit(main())

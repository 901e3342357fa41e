"""Does `tfday7.tune` find good settings in fewer trials than keras-tuner's own searches, and does `auto` need none?

    python benchmarks/optimizers.py [--workloads=digits_mlp,...] [--seeds=3] [--trials=30] [--folder=DIR] [--json=FILE]

On each workload keras-tuner's RandomSearch, Hyperband and BayesianOptimization search one wide common space: optimizer,
learning rate from 1e-6 to 1, batch size. `tune` searches what it would by itself with `--optimizer=auto`. The target is
the best validation metric of all random trials of a seed, less 0.01: how many trials, and how many seconds of training,
until each method first reaches it (the most that it had where it never did). `auto` is one training with
`--optimizer=auto --learning_rate=auto`, set against the best of the random trials.

Targets: `tune` in at most a third of RandomSearch's trials (median over the workloads); auto within 0.01 of the best of
30 random trials on all but one of the workloads. Everything that ends is kept in --folder: the same command goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfday7 import data
from tfday7.core import environment, files
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig
from tfday7.tuning import TuningConfig, trial
from tfday7.tuning.findings import reached
from tfday7.tuning.job import Job
from tfday7.tuning.parameters import Parameter
from tfday7.tuning.search import Trial, search
from tfday7.tuning.settling import settle, situation
from tfday7.tuning.space import Space, job_and_space

TOLERANCE = 0.01
OPTIMIZERS = ("sgd", "adam", "rmsprop", "adagrad", "lamb")
DIABETES = str(Path(__file__).resolve().parents[1] / "configs" / "data" / "diabetes.csv")


@dataclasses.dataclass(frozen=True)
class Workload:
    """What is trained, on how many examples, for how long; small enough for hundreds of trainings."""

    data: data.DataConfig
    model: ModelConfig
    epochs: int
    batch_size: int = 32
    train_examples: int | None = None
    validation_examples: int | None = None


TEXT = data.DataConfig(data="stdlib_text")
WORKLOADS = {
    "digits_mlp": Workload(data.DataConfig(), ModelConfig(model="mlp", width=32, depth=1), 8),
    "digits_cnn": Workload(data.DataConfig(), ModelConfig(model="cnn", width=8), 5),
    "fashion_resnet8": Workload(
        data.DataConfig(data="fashion_mnist"), ModelConfig(model="resnet8", width=8), 4, 32, 1000, 1000
    ),
    "text_transformer": Workload(TEXT, ModelConfig(model="transformer", width=32, depth=1), 3, 32, 1500, 1000),
    "text_lstm": Workload(TEXT, ModelConfig(model="lstm", width=16), 3, 32, 1500, 1000),
    "diabetes_mlp": Workload(
        data.DataConfig(data=DIABETES, target="progression"), ModelConfig(model="mlp", width=32, depth=1), 30
    ),
    "text_embedding": Workload(TEXT, ModelConfig(model="linear"), 4, 32, 4000, 1000),
}


def load(workload: Workload) -> data.Dataset:
    """Returns the data, cut to the workload's size: examples at even distances, as neighbours may be alike."""
    dataset = data.load(workload.data)
    for split, size in (("train", workload.train_examples), ("validation", workload.validation_examples)):
        if size is not None:
            part = getattr(dataset, split)
            chosen = np.linspace(0, len(part) - 1, size).astype(int)
            dataset = dataclasses.replace(dataset, **{split: data.Examples(part.x[chosen], part.y[chosen])})
    return dataset


def wide(workload: Workload) -> Space:
    """Returns the common space that every search of keras-tuner gets."""
    batch = workload.batch_size
    return Space(
        (
            Parameter("optimizer", OPTIMIZERS, "choice"),
            Parameter("learning_rate", (1e-6, 1.0), "log"),
            Parameter("batch_size", (batch // 2, batch, 2 * batch, 4 * batch), "choice"),
        )
    )


def measure(name: str, seeds: int, trials: int, folder: Path) -> dict[str, Any]:
    """Returns the row of a workload: trials and seconds of every method for each seed, and how near auto comes."""
    workload = WORKLOADS[name]
    dataset = load(workload)
    rows = [one_seed(workload, dataset, seed, trials, folder / name / str(seed)) for seed in range(seeds)]
    methods = {
        method: {
            "trials": statistics.median(row[method]["trials"] for row in rows),
            "seconds": statistics.median(row[method]["seconds"] for row in rows),
            "missed": sum(row[method]["missed"] for row in rows),
        }
        for method in ("random", "hyperband", "bayesian", "tune")
    }
    behind = statistics.median(row["best_of_random"] - row["auto"] for row in rows)
    return {"workload": name, "metric": dataset.problem.metric, **methods, "auto_behind": behind, "seeds": rows}


def one_seed(workload: Workload, dataset: data.Dataset, seed: int, trials: int, folder: Path) -> dict[str, Any]:
    """Returns what each method needed with one seed."""
    check_same(folder / "setup.json", {**dataclasses.asdict(workload), "trials": trials, "data": dataset.fingerprint})
    training = TrainingConfig(epochs=workload.epochs, batch_size=workload.batch_size, seed=seed)
    plain = Job(
        dataset, workload.data, workload.model, training, {name: OptimizerConfig(optimizer=name) for name in OPTIMIZERS}
    )
    found = {}
    for method in ("random", "hyperband", "bayesian"):
        config = TuningConfig(tuner=method, trials=trials)
        found[method] = search(plain, wide(workload), config, folder / method, trials, seed, said(method))
    found["tune"] = tuned(workload, dataset, training, trials, folder)
    best = max(each.outcome.value for each in found["random"] if each.outcome.value is not None)
    row: dict[str, Any] = {method: needed(ended, best - TOLERANCE) for method, ended in found.items()}
    return {**row, "best_of_random": best, "auto": auto(workload, dataset, training, folder / "auto.json")}


def check_same(path: Path, setup: dict[str, Any]) -> None:
    """Writes what the trials of a folder are of; ends the benchmark when they are of something else."""
    setup = json.loads(json.dumps(setup))
    if path.exists() and files.read_json(path) != setup:
        sys.exit(f"{path.parent} holds trials of another setup: choose another --folder")
    files.write_json(path, setup)


def tuned(
    workload: Workload, dataset: data.Dataset, training: TrainingConfig, trials: int, folder: Path
) -> list[Trial]:
    """Returns the trials of `tfday7.tune --optimizer=auto`, without its reruns."""
    model = building.build(workload.model, dataset.problem)
    facts = situation(dataset, model, workload.model, training, trials)
    configs = (workload.data, workload.model, OptimizerConfig(optimizer="auto"), training)
    job, space = job_and_space(dataset, configs, {}, facts)
    config = TuningConfig(trials=trials)
    return search(job, space, config, folder / "tune", trials, training.seed, said("tune"))


def auto(workload: Workload, dataset: data.Dataset, training: TrainingConfig, path: Path) -> float:
    """Returns the validation metric of one training with everything left to the advisor."""
    if not path.exists():
        model = building.build(workload.model, dataset.problem)
        open_config = OptimizerConfig(optimizer="auto", learning_rate="auto")
        settled = settle(open_config, dataset, model, (workload.model, training), {}).config
        job = Job(dataset, workload.data, workload.model, training, {settled.optimizer: settled})
        files.write_json(path, trial.run(job, {}, "metric").to_json())
    value = files.read_json(path)["value"]
    return float("-inf") if value is None else float(value)


def needed(ended: list[Trial], target: float) -> dict[str, Any]:
    """Returns trials and seconds until the target; all that there were, and missed, where it was not reached."""
    found = reached(ended, target, "max")
    if found is not None:
        return {"trials": found["trial"], "seconds": found["seconds"], "missed": False}
    return {"trials": len(ended), "seconds": sum(each.outcome.seconds for each in ended), "missed": True}


def said(method: str) -> Any:
    """Returns what tells of each trial on stderr."""
    return lambda each: print(f"  {method} {each.number}: {each.outcome.value}", file=sys.stderr, flush=True)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the two figures that the targets are about."""
    ratios = {row["workload"]: row["tune"]["trials"] / row["random"]["trials"] for row in rows}
    near = [row["workload"] for row in rows if row["auto_behind"] <= TOLERANCE]
    return {"trials_ratio": ratios, "median_trials_ratio": statistics.median(ratios.values()), "auto_within": near}


def main() -> int:
    """Prints a table, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="where everything that ends is kept")
    parser.add_argument("--json", type=Path, help="also write the record there")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tfday7-optimizers-"))
    rows = []
    print(
        f"{'workload':<18}{'random':>8}{'hyperband':>11}{'bayesian':>10}{'tune':>6}  trials to target   auto behind by"
    )
    for name in options.workloads.split(","):
        row = measure(name, options.seeds, options.trials, folder)
        rows.append(row)
        cells = "".join(
            f"{row[method]['trials']:>{width}g}{'*' if row[method]['missed'] else ' '}"
            for method, width in (("random", 7), ("hyperband", 10), ("bayesian", 9), ("tune", 5))
        )
        print(f"{name:<18}{cells}                    {row['auto_behind']:+.4f}", flush=True)
    figures = summary(rows)
    print("* not reached with every seed")
    print(f"median of tune's trials over RandomSearch's: {figures['median_trials_ratio']:.2f} (target 0.33)")
    print(f"auto within 0.01 of the best random trial: {len(figures['auto_within'])} of {len(rows)} workloads")
    if options.json:
        record = {
            "command": f"python benchmarks/optimizers.py --seeds={options.seeds} --trials={options.trials}",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "hardware": environment.hardware(),
            "versions": environment.versions(),
            **figures,
            "rows": rows,
        }
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

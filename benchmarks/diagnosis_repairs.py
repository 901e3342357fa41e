"""Does `tfday7.diagnose --fix` bring faulty runs back to where they would have been without the fault?

    python benchmarks/diagnosis_repairs.py [--trainings=8] [--cases=text/rate_high,...] [--folder=DIR] [--json=FILE]

45 faulty runs: 15 faults, each on image regression (how far a handwritten digit leans), text classification (lines of
the standard library) and table regression (diabetes), with models that train in a few seconds. None of these tasks has
calibrated a threshold of the diagnosis. For each: the healthy twin, the same run without its fault; the faulty run; its
repair with so many trainings; and a random search with as many, over the flags that remedies may set and the values
that they may give them. Validation decides, the test split is measured once at the end.

Targets: at least 90% of the repaired runs end within 2 points of their twin on the test split; the median of the
repaired runs is above that of the random search. What has ended is kept in --folder: the same command goes on.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfday7 import data, stage_fix, stages
from tfday7.core import environment, files
from tfday7.core.errors import GateError
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import from_text, to_text
from tfday7.data.source import SOURCES, Raw, source
from tfday7.diagnosis.repairing.candidates import FEW_EPOCHS, GROUPS, LONGER, MUCH_LONGER, applied, canonical
from tfday7.diagnosis.repairing.config import FixConfig
from tfday7.diagnosis.repairing.retraining import Retrainer
from tfday7.exporting.config import ExportConfig
from tfday7.models.architecture import ARCHITECTURES
from tfday7.optimizers.table import OPTIMIZERS
from tfday7.planning import Plan
from tfday7.training.scores import score_of

WITHIN = 0.02
MINUTES = 600.0  # The trainings are what limits a repair here.
DIABETES = str(Path(__file__).resolve().parents[1] / "configs" / "data" / "diabetes.csv")
FEW = 48  # Training examples of the runs that overfit.
SIZES = {"train": 1000, "validation": 400, "test": 600}  # At most.


def _leaning(x: np.ndarray) -> np.ndarray:
    """Returns how far each image leans: the columns' covariance with the rows over the rows' variance, [n, 1]."""
    ink = x[..., 0].astype(np.float64) + 1e-9
    ink /= ink.sum(axis=(1, 2), keepdims=True)
    rows, columns = np.mgrid[: x.shape[1], : x.shape[2]]
    row, column = ((ink * place).sum(axis=(1, 2), keepdims=True) for place in (rows, columns))
    together = (ink * (rows - row) * (columns - column)).sum(axis=(1, 2))
    return (together / (ink * (rows - row) ** 2).sum(axis=(1, 2)))[:, np.newaxis].astype(np.float32)


@functools.cache
def _raw(config: data.DataConfig, few: bool, leaning: bool = False) -> Raw:
    """Returns a data set cut to the sizes of this benchmark, in its own splits."""
    dataset = data.load(config)
    parts = {}
    for name, size in {**SIZES, **({"train": FEW} if few else {})}.items():
        part = getattr(dataset, name)
        chosen = np.unique(np.linspace(0, len(part) - 1, min(size, len(part))).astype(int))
        x = np.asarray(part.x[chosen])
        parts[name] = x, _leaning(x) if leaning else np.asarray(part.y[chosen])
    problem = dataset.problem
    return Raw(
        *parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        class_names=problem.class_names if not leaning else (),
        vocabulary=problem.vocabulary,
    )


def _register(name: str, config: data.DataConfig, leaning: bool = False) -> None:
    for few in (False, True):
        SOURCES.register(f"{name}{'_few' if few else ''}")(source()(lambda _, few=few: _raw(config, few, leaning)))


_register("image", data.DataConfig(), leaning=True)
_register("text", data.DataConfig(data="stdlib_text"))
_register("table", data.DataConfig(data=DIABETES, target="progression"))

# The healthy twins.
TASKS: dict[str, dict[str, str]] = {
    "image": {"data": "image", "model": "mlp", "width": "64", "epochs": "15", "learning_rate": "0.003"},
    "text": {"data": "text", "model": "linear", "epochs": "15", "learning_rate": "0.01"},
    "table": {"data": "table", "model": "mlp", "width": "32", "depth": "1", "epochs": "40", "learning_rate": "0.003"},
}
HUGE = {"image": "2048", "text": "2048", "table": "4096"}
HARSH = {"image": "shift,cutout,crop", "text": "token_dropout", "table": "noise,mask"}


def faults(task: str) -> dict[str, dict[str, str]]:
    """Returns name -> the flags that break a twin."""
    twin = TASKS[task]
    rate = float(twin["learning_rate"])
    return {
        "rate_high": {"learning_rate": str(rate * 1000)},
        "rate_low": {"learning_rate": str(rate / 1000)},
        "dropout": {"dropout": "0.9"},
        "l2": {"l2": "10"},
        "narrow": {"width": "1"},
        "short": {"epochs": str(int(twin["epochs"]) // 10)},
        "adadelta": {"optimizer": "adadelta", "learning_rate": "1e-5"},
        "momentum": {"optimizer": "sgd", "learning_rate": "0.01", "momentum": "0.999"},
        "clipped": {"optimizer": "sgd", "learning_rate": "0.01", "clipnorm": "1e-6"},
        "smoothing": {"label_smoothing": "0.95"} if task == "text" else {"epsilon": "100"},
        "frozen": {"freeze": "true"},
        "batch": {"batch_size": "1000" if task != "table" else "250"},
        "decay": {"weight_decay": "10"},
        "harsh": {"augment": HARSH[task], "dropout": "0.7"},
        "few_and_huge": {"data": f"{task}_few", "width": HUGE[task]},
    }


def cases() -> list[str]:
    """Returns the names of all cases."""
    return [f"{task}/{fault}" for task in TASKS for fault in faults(task)]


def measure(folder: Path, trainings: int = 8, names: list[str] | None = None) -> dict[str, Any]:
    """Returns the figures over all cases and a row of each; what the folder holds already is not done again.

    Args:
        folder: where every run and every row is kept.
        trainings: of each repair, and of each random search.
        names: some of `cases`; None for all.
    """
    rows = []
    for name in names or cases():
        path = folder / name / f"row_{trainings}.json"
        if not path.exists():
            files.write_json(path, _row(folder, name, trainings))
        rows.append(files.read_json(path))
        print(_line(rows[-1]), file=sys.stderr, flush=True)
    return {**summary(rows), "trainings": trainings, "rows": rows}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the figures that the targets are about."""
    hurt = [row for row in rows if row["faulty"] is None or row["faulty"] < row["twin"] - WITHIN]
    return {
        "cases": len(rows),
        "hurt": len(hurt),
        **{f"{name}_within": sum(_within(row, name) for row in rows) for name in ("repaired", "random", "faulty")},
        "repaired_within_of_hurt": sum(_within(row, "repaired") for row in hurt),
        "repaired_median_gap": statistics.median(_behind(row, "repaired") for row in rows),
        "random_median_gap": statistics.median(_behind(row, "random") for row in rows),
        "repaired_median": statistics.median(_value(row, "repaired") for row in rows),
        "random_median": statistics.median(_value(row, "random") for row in rows),
    }


def _value(row: Mapping[str, Any], name: str) -> float:
    return float("-inf") if row[name] is None else float(row[name])


def _behind(row: Mapping[str, Any], name: str) -> float:
    return float(row["twin"]) - _value(row, name)


def _within(row: Mapping[str, Any], name: str) -> bool:
    return _behind(row, name) <= WITHIN


def _row(folder: Path, name: str, trainings: int) -> dict[str, Any]:
    """Returns the test scores of a case: of the twin, the faulty run, the repaired one and the random search's best."""
    task, _, fault = name.partition("/")
    change = faults(task)[fault]
    flags = canonical({**TASKS[task], **to_text(ExportConfig(export=""))})
    healthy = {**flags, **({"data": change["data"]} if "data" in change else {})}
    twin = _trained(folder / task / ("twin_few" if "data" in change else "twin"), healthy)
    started = time.perf_counter()
    run = RunFolder(folder / name / "run")
    faulty = _trained(run.path, applied(flags, change))
    training_seconds = time.perf_counter() - started
    record = stage_fix.fix(run, FixConfig(fix=True, fix_budget_minutes=MINUTES, fix_trainings=trainings))
    found = files.read_json(run / "diagnosis.json")
    return {
        "case": name,
        "metric": record["metric"],
        "twin": twin["test"],
        "faulty": faulty.get("test"),
        "repaired": record["test"]["after"] if record["after"] else faulty.get("test"),
        **_random_search(name, applied(flags, change), faulty, trainings),
        "verdict": found["verdict"],
        "findings": [finding["id"] for finding in found["findings"]],
        "remedies": [attempt["remedy"] for attempt in record["attempts"] if attempt["kept"]],
        "changed": record["after"]["flags"] if record["after"] else {},
        "trainings": record["trainings"],
        "run_seconds": round(training_seconds, 1),
        "repair_seconds": record["seconds"],
    }


def _trained(path: Path, flags: Mapping[str, str]) -> dict[str, Any]:
    """Trains a run as the command does and returns its metric; {} where it delivered no model."""
    folder = RunFolder(path)
    plan = Plan(*(from_text(group, flags) for group in GROUPS), export=from_text(ExportConfig, flags))
    try:
        stages.run(plan, folder, dict(flags))
    except GateError as error:
        print(f"  {path}: {error.message}", file=sys.stderr)
    return dict(folder.record()["metric"])


def _random_search(name: str, flags: dict[str, str], faulty: dict[str, Any], trainings: int) -> dict[str, Any]:
    """Returns the test score of the best of so many random settings, or of the run itself where none is better."""
    source_of_data = from_text(data.DataConfig, flags)
    dataset = data.load(source_of_data)
    retrainer = Retrainer(dataset, source_of_data)
    generator = np.random.default_rng(list(name.encode()))
    best, value, seconds = faulty.get("test"), faulty.get("validation"), 0.0
    for _ in range(trainings):
        drawn = canonical({**flags, **draw(flags, dataset, generator)})
        trained, weights = retrainer(drawn, 0, True, float("inf"))
        seconds += trained.seconds
        if trained.value is not None and (value is None or trained.value > value):
            value = trained.value
            best = score_of(retrainer.deliver(drawn, 0, weights), dataset, dataset.test)
    return {"random": best, "random_seconds": round(seconds, 1)}


def draw(flags: Mapping[str, str], dataset: data.Dataset, generator: np.random.Generator) -> dict[str, str]:
    """Returns random values of the flags that remedies may set, among those that they may give them."""
    problem, epochs = dataset.problem, int(flags["epochs"])
    usual = ARCHITECTURES.get(flags["model"]).width
    optimizer = str(generator.choice([flags["optimizer"], "adam", "sgd"]))
    choices = {
        "epochs": [epochs, LONGER * epochs, *([MUCH_LONGER * epochs] if epochs <= FEW_EPOCHS else [])],
        "dropout": [0.0, 0.2, 0.4],
        "l2": [0.0, 1e-4, 1e-3],
        "batch_size": [32],
        "schedule": ["constant", "cosine"],
        "augment": ["", {"image": "shift", "text": "token_dropout"}.get(problem.kind, "noise")],
        "global_clipnorm": ["", 1.0],
        "freeze": ["false"],
    }
    if not (flags["model"] == "linear" and problem.kind != "text"):
        choices["width"] = sorted({usual // 2, usual, 2 * usual, int(flags.get("width", usual))})
    if problem.task == "classification":
        choices["label_smoothing"] = [0.0, 0.1]
    low, high = OPTIMIZERS[optimizer].learning_rate_range
    rate = float(np.exp(generator.uniform(np.log(low / 10), np.log(high * 10))))
    unset = dict.fromkeys(("clipnorm", "clipvalue", "momentum", "weight_decay", "epsilon", "beta_1", "beta_2"), "")
    drawn = {name: str(values[int(generator.integers(len(values)))]) for name, values in choices.items()}
    return {**unset, **drawn, "optimizer": optimizer, "learning_rate": f"{rate:.3g}"}


def _line(row: Mapping[str, Any]) -> str:
    scores = "".join(
        f"{'none' if row[name] is None else format(row[name], '.4f'):>10}"
        for name in ("twin", "faulty", "repaired", "random")
    )
    seconds = f"{row['run_seconds']:>7.1f}{row['repair_seconds']:>8.1f}{row['random_seconds']:>8.1f}"
    return f"{row['case']:<20}{scores}{row['trainings']:>4}{seconds}  {row['verdict']}: {', '.join(row['remedies'])}"


def main() -> int:
    """Prints a table, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=8)
    parser.add_argument("--cases", help="comma list; default: all")
    parser.add_argument("--folder", type=Path, help="where everything that ends is kept")
    parser.add_argument("--json", type=Path, help="also write the record there")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="tfday7-repairs-"))
    record = measure(folder, options.trainings, options.cases.split(",") if options.cases else None)
    for row in record["rows"]:
        print(_line(row))
    print(f"within 2 points of the twin: {record['repaired_within']} of {record['cases']} (target 90%)")
    print(f"median behind the twin: repaired {record['repaired_median_gap']:+.4f}", end=", ")
    print(f"random search {record['random_median_gap']:+.4f}")
    if options.json:
        head = {
            "command": f"python benchmarks/diagnosis_repairs.py --trainings={options.trainings}",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "hardware": environment.hardware(),
            "versions": environment.versions(),
        }
        options.json.write_text(json.dumps({**head, **record}, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

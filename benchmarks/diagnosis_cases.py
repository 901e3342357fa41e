"""Seeded runs of known health, each recorded with all its evidence.

Part of benchmarks/diagnosis.py. A run's evidence is kept in a file of its own, so that judging it again takes no
training, and the same command goes on where it was stopped.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from diagnosis_faults import FAULTS
from diagnosis_tasks import HEALTHY_RUNS, MODELS, TASKS, Setup, healthy

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.diagnosis.evidence import Evidence, recorded
from tfday7.diagnosis.health import Health, from_json
from tfday7.diagnosis.measuring import inspection
from tfday7.diagnosis.watching import Watch
from tfday7.models import building
from tfday7.training.batches import input_ms
from tfday7.training.fitting import fit
from tfday7.training.scores import scores


def cases(seeds: int) -> list[tuple[str, str, int]]:
    """Returns (task, fault or "healthy_<variant>", seed) of all runs; one task after the other, seed by seed."""
    found = []
    for seed in range(seeds):
        for task in TASKS:
            found += [(task, fault, seed) for fault in FAULTS]
            found += [(task, f"healthy_{v}", seed) for v in range(HEALTHY_RUNS) if v % seeds == seed]
    return found


def setup_of(task: str, name: str, seed: int) -> Setup | None:
    """Returns what a case trains; None where the fault does not exist on the task."""
    if name.startswith("healthy_"):
        return healthy(task, int(name.removeprefix("healthy_")), seed)
    order = list(FAULTS).index(name)
    base = healthy(task, order, seed)
    if base.model.model == "linear":  # It has no hidden layers to go wrong.
        base = dataclasses.replace(base, model=MODELS[base.dataset.problem.kind][0])
    return FAULTS[name][0](base, np.random.default_rng(1000 + seed))


def run(setup: Setup) -> Evidence:
    """Trains, and returns everything that was measured."""
    dataset, training = setup.dataset, setup.training
    keras.utils.set_random_seed(training.seed)
    model = (
        setup.made(dataset.problem) if setup.made else building.build(setup.model, dataset.problem, seed=training.seed)
    )
    setup.break_model(model)
    flags = {"epochs": str(training.epochs), "model": setup.model.model, "optimizer": setup.optimizer.optimizer}
    flags |= {"learning_rate": str(setup.optimizer.learning_rate)} if setup.optimizer.learning_rate else {}
    watch = Watch(model, dataset, training.epochs, flags)
    pipeline_ms = input_ms(dataset, training)
    fitted = fit(model, dataset, setup.optimizer, training, watchers=[watch])
    found, references = inspection.inspect(dataset)
    evidence = watch.evidence(fitted.records)
    metric = scores(dataset, model) if fitted.best_epoch else {}
    return dataclasses.replace(
        evidence,
        train_score=metric.get("train"),
        validation_score=metric.get("validation"),
        class_recall=tuple(metric.get("class_recall", ())),
        validation_examples=len(dataset.validation),
        stopped=fitted.stopped,
        step_ms=fitted.step_ms,
        input_ms=pipeline_ms,
        health=Health(found, references, tuple(watch.probes)),
    )


def to_json(evidence: Evidence) -> dict[str, Any]:
    """Returns plain JSON values; what is not finite is null."""
    record = dataclasses.asdict(evidence)
    for name in ("loss", "val_loss", "train_metric", "validation_metric"):
        record[name] = [float(v) if np.isfinite(v) else None for v in record[name]]
    return record


def evidence_of(record: dict[str, Any]) -> Evidence:
    """Returns the evidence that `to_json` gave."""
    curves = ("loss", "val_loss", "train_metric", "validation_metric")
    arrays = {name: recorded([{name: value} for value in record[name]], name) for name in curves}
    health = from_json(record["health"])
    return Evidence(**{**record, **arrays, "health": health, "class_recall": tuple(record["class_recall"])})


def record_all(folder: Path, seeds: int, tasks: tuple[str, ...] = TASKS) -> None:
    """Runs every case that is not in the folder yet."""
    todo = [case for case in cases(seeds) if case[0] in tasks]
    for done, (task, name, seed) in enumerate(todo):
        path = folder / task / f"{name}_{seed}.json"
        if path.exists():
            continue
        started = time.perf_counter()
        setup = setup_of(task, name, seed)
        try:
            record = {} if setup is None else to_json(run(setup))
        except UserError as error:  # The command would not have trained it.
            record = {"refused": error.message}
        files.write_json(path, record)
        keras.backend.clear_session()
        print(f"{done + 1}/{len(todo)} {task} {name} {seed}: {time.perf_counter() - started:.1f} s", flush=True)

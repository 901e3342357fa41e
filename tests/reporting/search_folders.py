"""Small folders of searches, written by hand: what `tfday7.tune` would leave behind, with numbers easy to check."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tfday7.core.run_folder import RunFolder

FLAGS = "--data=digits\n--model=mlp\n--trials=12\n--tune=optimizer,learning_rate,beta_1,batch_size\n"
OPTIMIZERS = ("adam", "sgd", "lion")
SEEDS = [0.930, 0.940, 0.950]  # Mean 0.94, standard deviation 0.01.


def parameter(name: str, ends: list[Any], scale: str, optimizer: str = "") -> dict[str, Any]:
    """A hyperparameter as the record has it."""
    return {"name": name, "optimizer": optimizer, "range": ends, "scale": scale}


def space() -> list[dict[str, Any]]:
    """Three optimizers, each with rates of its own; adam alone has beta_1."""
    return [
        parameter("optimizer", list(OPTIMIZERS), "choice"),
        parameter("learning_rate", [1e-4, 1e-2], "log", "adam"),
        parameter("learning_rate", [1e-2, 1.0], "log", "sgd"),
        parameter("learning_rate", [1e-5, 1e-3], "log", "lion"),
        parameter("beta_1", [0.8, 0.95], "linear", "adam"),
        parameter("batch_size", [16, 32, 64], "choice"),
    ]


def training(value: float | None, **more: Any) -> dict[str, Any]:
    """A trial or a rerun whose curve rises to its value."""
    curve = [None if value is None else value * (1 - 0.5 * 0.5**epoch) for epoch in range(1, 6)]
    reason = "" if value is not None else "diverged: the loss is not finite in epoch 3"
    return {"value": value, "reason": reason, "curve": curve, "epochs": 6, "seconds": 2.0, "by_fold": [], **more}


def trials(number: int = 12) -> list[dict[str, Any]]:
    """Trial 5 is the best with 0.97; every sixth diverged."""
    found = []
    for index in range(1, number + 1):
        optimizer = OPTIMIZERS[index % 3 - 1] if index != 5 else "adam"
        low, high = {"adam": (1e-4, 1e-2), "sgd": (1e-2, 1.0), "lion": (1e-5, 1e-3)}[optimizer]
        rate = low * (high / low) ** ((index * 0.37) % 1)
        values: dict[str, Any] = {"optimizer": optimizer, f"{optimizer}.learning_rate": rate}
        values["batch_size"] = (16, 32, 64)[index % 3]
        if optimizer == "adam":
            values["adam.beta_1"] = 0.8 + 0.15 * ((index * 0.61) % 1)
        value = None if index % 6 == 0 else 0.97 if index == 5 else 0.6 + 0.3 * abs(math.sin(index))
        found.append({"number": index, "values": values, "worker": "tuner0", **training(value)})
    return found


def search_record(**changes: Any) -> dict[str, Any]:
    """tuning.json of a search of twelve trials."""
    found = changes.get("trials") or trials()
    best = next((trial for trial in found if trial["number"] == 5), found[0])
    return {
        "hardware": {"machine": "x86_64", "system": "Linux", "cpu": "Example CPU", "cores": 2, "memory_bytes": 8e9},
        "versions": {"python": "3.11.2", "tensorflow": "2.21.0", "tfday7": None},
        "objective": {"name": "val_accuracy", "direction": "max"},
        "tuner": "quasi_random",
        "trials_asked": 8,
        "epochs": 6,
        "folds": 1,
        "workers": 1,
        "seed": 0,
        "space": space(),
        "widened": [parameter("learning_rate", [1e-2, 1e-1], "log", "adam")],
        "trials": found,
        "best": {
            "trial": 5,
            "value": 0.97,
            "values": best["values"],
            "flags": {"model": "mlp", "optimizer": "adam", "learning_rate": 0.0012345678, "epochs": 6},
            "reruns": [training(value, seed=seed) for seed, value in enumerate(SEEDS, start=1)],
            "spread": {"mean": 0.94, "std": 0.01, "low": 0.93, "high": 0.95},
            "failed": 0,
            "at_bound": {},
        },
        "importance": [
            {"name": "adam.learning_rate", "share": 0.62},
            {"name": "optimizer", "share": 0.30},
            {"name": "batch_size", "share": 0.08},
        ],
        "target": {"value": 0.9, "reached": {"trial": 5, "seconds": 10.0}},
        **changes,
    }


def compared(name: str, mean: float, epochs: float | None, rate: float, infeasible: int = 0) -> dict[str, Any]:
    """An optimizer of a bake-off."""
    values = [mean - 0.01, mean, mean + 0.01]
    return {
        "optimizer": name,
        "value": mean + 0.02,
        "spread": {"mean": mean, "std": 0.01, "low": values[0], "high": values[2]},
        "failed": 0,
        "settings": {"model": "mlp", "epochs": 6, "optimizer": name, "learning_rate": rate},
        "trials": 4,
        "infeasible": infeasible,
        "seconds": 8.0,
        "epochs_to_target": epochs,
        "seconds_to_target": None if epochs is None else epochs * 0.25,
        "curves": [training(value)["curve"] for value in values],
    }


def bakeoff_record(**changes: Any) -> dict[str, Any]:
    """tuning.json of a bake-off that adam wins: 0.94 before lion's 0.92 and sgd's 0.85."""
    rows = [
        compared("sgd", 0.85, None, 0.1, infeasible=1),
        compared("adam", 0.94, 3, 0.001),
        compared("lion", 0.92, 4, 0.0003),
    ]
    found = [trial for trial in trials() if trial["values"]["optimizer"] == "adam"]
    for trial in found:
        trial["values"] = {"learning_rate": trial["values"]["adam.learning_rate"]}
    return search_record(
        trials=found,
        space=[parameter("learning_rate", [1e-4, 1e-2], "log")],
        widened=[],
        importance=[],
        target=None,
        compare={"target": 0.9, "winner": "adam", "optimizers": rows},
        **changes,
    )


def range_test_record(**changes: Any) -> dict[str, Any]:
    """A range test whose loss falls from 2.3 to 0.5 and then explodes."""
    rates = [10 ** (-6 + 7 * step / 99) for step in range(100)]
    losses = [0.5 + 1.8 / (1 + (rate / 1e-3) ** 1.5) + (rate / 0.5) ** 2 for rate in rates]
    found = {"rates": rates[:90], "losses": losses[:90], "steepest": 1e-3, "lowest": 0.03}
    return {**found, "diverges_at": 0.8, "learning_rate": 0.00098, **changes}


def search_folder(path: Path, record: Any = None, flags: str = FLAGS) -> RunFolder:
    """Writes a search's folder."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "tuning.json").write_text(json.dumps(search_record() if record is None else record), encoding="utf-8")
    (path / "flags.txt").write_text(flags, encoding="utf-8")
    return RunFolder(path)

"""Does a process that trains, tunes and compresses for half an hour grow?

    python benchmarks/soak.py [--minutes=30]

One process goes through rounds of a whole training run with its export, a search for hyperparameters, and a
compression by two recipes, each replacing what the round before has left. After each round it is measured: resident
memory, open files, threads, child processes, and what lies in the folder of temporary files. The first third of the
rounds is for warming up (libraries load what they need when they first need it, allocators grow); what comes after it
must be flat. Growth is the slope of a line through those rounds, times an hour's rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7 import planning, stage_compress, stages
from tfday7.compression.config import CompressConfig
from tfday7.core import environment
from tfday7.core.errors import GateError
from tfday7.core.files import write_json
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import to_text
from tfday7.data.config import DataConfig
from tfday7.diagnosis.config import DiagnosisConfig
from tfday7.distribution import DistributionConfig
from tfday7.exporting.config import ExportConfig
from tfday7.models import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig
from tfday7.tuning import tuning
from tfday7.tuning.config import TuningConfig

RESULTS = Path(__file__).parent / "results" / "soak.json"
WARMING = 1 / 3
ALLOWED_SHARE = 0.05  # Of memory, in an hour of rounds.
FLAT = ("open_files", "threads", "children", "temporary_files")


def plan_of(seed: int) -> planning.Plan:
    """Returns a small run, another one each round."""
    return planning.Plan(
        DataConfig(data="digits"),
        ModelConfig(model="cnn"),
        OptimizerConfig(optimizer="adam"),
        TrainingConfig(epochs=2, batch_size=64, seed=seed),
        DiagnosisConfig(),
        ExportConfig(),
        DistributionConfig(),
    )


def one_round(folder: Path, seed: int) -> None:
    """Trains, tunes and compresses."""
    plan = plan_of(seed)
    run = RunFolder(folder / "run")
    with contextlib.suppress(GateError):  # After two epochs an int8 file of some seed loses more than may be.
        stages.run(plan, run, {"seed": str(seed)}, overwrite=True)
    dataset = planning.load(plan, lambda sentence: None)
    searched = (plan.implied_data(), plan.model, plan.optimizer, plan.training)
    tuned = TuningConfig(trials=2)
    tuning.run(searched, dataset, tuned, RunFolder(folder / "tune"), to_text(tuned), True, lambda sentence: None)
    config = CompressConfig(run_dir=str(run.path), recipe="int8,shrink50_int8", seconds=0.5, overwrite=True)
    stage_compress.compress(stage_compress.plan(config, None))


def measured() -> dict[str, int]:
    """Returns what this process has of the machine now."""
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8").split()
    return {
        "memory_bytes": int(status["VmRSS"].split()[0]) * 1024,
        "open_files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": int(status["Threads"]),
        "children": len(children),
        "temporary_files": len(list(Path(tempfile.gettempdir()).iterdir())),
    }


def growth(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Returns what each figure grows by in an hour, behind the rounds of warming up."""
    late = rounds[int(len(rounds) * WARMING) :]
    hours = np.array([each["seconds"] for each in late]) / 3600.0
    return {
        name: float(np.polyfit(hours, [each[name] for each in late], 1)[0]) for name in rounds[0] if name != "seconds"
    }


def main() -> None:
    """Goes round and round, and writes down what that has cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    started, rounds = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        tempfile.tempdir = str(Path(folder) / "temporary")
        Path(tempfile.tempdir).mkdir()
        while time.monotonic() - started < minutes * 60.0:
            one_round(Path(folder), len(rounds))
            rounds.append({"seconds": round(time.monotonic() - started, 1), **measured()})
            print(rounds[-1], flush=True)
    grown = growth(rounds)
    memory = rounds[int(len(rounds) * WARMING)]["memory_bytes"]
    flat = grown["memory_bytes"] <= ALLOWED_SHARE * memory and all(grown[name] < 1.0 for name in FLAT)
    record = {
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/soak.py",
        "minutes": minutes,
        "flat": flat,
        "growth_an_hour": {name: round(value, 1) for name, value in grown.items()},
        "rounds": rounds,
        "hardware": environment.hardware(),
        "versions": environment.versions(),
    }
    write_json(RESULTS, record)
    print({"rounds": len(rounds), "flat": flat, **record["growth_an_hour"]})


if __name__ == "__main__":
    main()

"""What does a search under a budget find in 20 minutes, beside other kits' recipes and beside chance?

    python benchmarks/budget.py                          # four workloads: about five hours
    python benchmarks/budget.py --workloads=digits_cnn --minutes=5

On each workload the same float model is given to three: `compression.search.searching.Search`; every recipe of
`compression_peers` that takes the model, with as many epochs as a finished candidate of ours has, each once however
long that takes, and again with other seeds until the time is over; and points drawn at random from our own space
(uneven ones aside, whose channels the search has to measure first), with all epochs each, for the same time. What is
not done when it is over does not count. What each would show, by validation, as its frontier of metric, packed size
and latency is then scored on the test split, all files timed by turns. Compared is the hypervolume behind the drop of
the metric (at most 0.1), and packed size and latency relative to the float32 file (at most 1). What each made stays in
runs/bench_budget: a benchmark that was interrupted goes on behind it. How it is scored: `budget_scoring`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import budget_scoring as scoring
import compression as bench
from compression_peers import PEERS

from tfday7 import data as library
from tfday7 import models
from tfday7.benchmarking.devices import WITHOUT_AMX
from tfday7.compression import compressing
from tfday7.compression.config import BudgetConfig, SearchConfig
from tfday7.compression.search import space
from tfday7.compression.search.searching import Search
from tfday7.core import amx, environment
from tfday7.core.files import read_json, write_json
from tfday7.core.frameworks import keras
from tfday7.core.settings import to_text
from tfday7.data import Dataset
from tfday7.data.config import DataConfig
from tfday7.exporting.exporting import Origin
from tfday7.models import ModelConfig, building
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training import fitting
from tfday7.training.config import TrainingConfig

RESULTS = Path(__file__).parent / "results" / "budget.json"
RUNS = Path("runs/bench_budget")
EPOCHS = 6
BUDGET = BudgetConfig(max_accuracy_drop=0.01, device=WITHOUT_AMX)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A float model and how it is trained; fine-tuning trains alike."""

    data: DataConfig
    model: ModelConfig
    rate: float
    epochs: int
    batch_size: int = 32


FASHION = DataConfig(data="fashion_mnist")
WORKLOADS = {
    "fashion_resnet8": Workload(FASHION, ModelConfig(model="resnet8", l2=1e-4), 3e-3, 8),
    "fashion_mobilenet_v2": Workload(FASHION, ModelConfig(model="mobilenet_v2", width=11), 3e-3, 6),
    "digits_cnn": Workload(DataConfig(data="digits"), ModelConfig(model="cnn"), 3e-3, 30),
    "text_transformer": Workload(DataConfig(data="stdlib_text"), ModelConfig(model="transformer"), 1e-3, 6),
}


def dataset_of(work: Workload) -> Dataset:
    """Returns the data: of Fashion-MNIST the first 30,000 images, as `compression` takes them."""
    return bench.fashion() if work.data == FASHION else library.load(work.data)


def trained(name: str, work: Workload, dataset: Dataset) -> Any:
    """Returns the float model, trained once and kept."""
    path = RUNS / name / "model.keras"
    if not path.exists():
        model = building.build(work.model, dataset.problem, "float32", 0)
        training = TrainingConfig(epochs=work.epochs, batch_size=4 * work.batch_size)
        optimizer = OptimizerConfig(optimizer="adam", learning_rate=work.rate, schedule="cosine")
        fitting.fit(model, dataset, optimizer, training)
        path.parent.mkdir(parents=True, exist_ok=True)
        models.save(model, path)
    return models.load(path)


def kept(
    name: str, who: str, make: Callable[[], tuple[scoring.Made, dict[str, Any]]]
) -> tuple[scoring.Made, dict[str, Any]]:
    """Returns what one of the three has made, and says of itself; made now, where it was not made before."""
    folder = RUNS / name / f"{who}_made"
    if not (folder / "made.json").exists():
        made, said = make()
        folder.mkdir(parents=True, exist_ok=True)
        for at, (_, _, content) in enumerate(made):
            (folder / f"{at}.tflite").write_bytes(content)
        write_json(folder / "made.json", {"made": [[one, value] for one, value, _ in made], "said": said})
    record = read_json(folder / "made.json")
    contents = [(folder / f"{at}.tflite").read_bytes() for at in range(len(record["made"]))]
    return [(*one, content) for one, content in zip(record["made"], contents, strict=True)], record["said"]


def job_of(name: str, work: Workload, dataset: Dataset, model: Any, who: str) -> compressing.Compression:
    """Returns what makes candidates."""
    return compressing.Compression(
        model, dataset, Origin(name, name, "logits", to_text(work.data)),
        RUNS / name / who, RUNS / name / f"{who}_files",
        OptimizerConfig(optimizer="adam", learning_rate=work.rate), TrainingConfig(batch_size=work.batch_size),
        say=lambda sentence: print(f"{name}, {who}: {sentence}", flush=True), device=BUDGET.device,
    )  # fmt: skip


def ours(job: compressing.Compression, minutes: float) -> tuple[scoring.Made, dict[str, Any]]:
    """Returns what the search finds, and what it says of itself."""
    record = Search(job, BUDGET, SearchConfig(search_minutes=minutes, search_epochs=EPOCHS)).run()
    made = [
        (one["name"], one["metric"]["value"], Path(one["path"]).read_bytes())
        for one in record["candidates"]
        if one["path"]
    ]
    return made, {
        "chosen": record["chosen"],
        **{key: record["search"][key] for key in ("candidates", "overhead_share")},
    }


def peers(model: Any, dataset: Dataset, minutes: float) -> scoring.Made:
    """Returns the files of other kits' recipes: each one once, and seed after seed until the time is over."""
    ends, made, path = time.monotonic() + minutes * 60.0, [], RUNS / "scored.tflite"
    for seed in range(100):
        for name, make in PEERS.items():
            if seed and time.monotonic() > ends:
                return made
            keras.utils.set_random_seed(seed)
            content, failure, _ = bench.attempt(lambda make=make: make(model, dataset, EPOCHS))
            print(f"peer {name}, seed {seed}: {failure or 'made'}", flush=True)
            if content and (not seed or time.monotonic() <= ends):
                path.write_bytes(content)
                accuracy = float(scoring.right(path, dataset, "validation").mean())
                made.append((f"{name}, seed {seed}", accuracy, content))
        if not made:
            return []
    return made


class TimeIsOverError(BaseException):
    """Not an Exception: nothing that makes a candidate may take it for a failure of its own."""


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Ends what is within after so many seconds."""

    def end(*_: Any) -> None:
        raise TimeIsOverError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)  # Again, as an exception in a `__del__` gets lost.
    try:
        yield
    except TimeIsOverError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def by_chance(job: compressing.Compression, minutes: float) -> scoring.Made:
    """Returns random points of our own space, each once, with all epochs, until the time is over."""
    made: scoring.Made = []
    points, generator = [one for one in space.points() if not one.uneven], np.random.default_rng(0)
    drawn = {space.Point(kind="float32")}
    with ended_after(minutes * 60.0):
        while len(drawn) < len(points):
            point = points[generator.integers(len(points))]
            if point in drawn:
                continue
            drawn.add(point)
            candidate = compressing.attempt(job, space.recipe(point, EPOCHS))
            if not candidate.failure and candidate.path and candidate.value is not None:
                made.append((candidate.name, float(candidate.value or 0.0), Path(str(candidate.path)).read_bytes()))
    return made


def workload(name: str, minutes: float) -> dict[str, Any]:
    """Returns the record of a workload."""
    work = WORKLOADS[name]
    dataset = dataset_of(work)
    model = trained(name, work, dataset)
    job = job_of(name, work, dataset, model, "search")
    baseline = Path(str(job.baseline().path)).read_bytes()
    found, about = kept(name, "search", lambda: ours(job, minutes))
    chance = job_of(name, work, dataset, model, "chance")
    drawn = kept(name, "chance", lambda: (by_chance(chance, minutes), {}))[0]
    others = kept(name, "peers", lambda: (peers(model, dataset, minutes), {}))[0]  # Last, as it hangs on time least.
    sets = {"search": found, "peers": others, "chance": drawn}
    record = scoring.compared(baseline, sets, about["chosen"] or "", dataset, RUNS / name / "timed", BUDGET.device)
    return {"date": datetime.date.today().isoformat(), "minutes": minutes, "search_says": about, **record}


def main() -> None:
    """Measures what is named and is not in the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--minutes", type=float, default=20.0)
    given = parser.parse_args()
    record = read_json(RESULTS) if RESULTS.exists() else {"workloads": {}}
    for name in given.workloads.split(","):
        record["workloads"][name] = workload(name, given.minutes)
        record |= {
            "date": datetime.date.today().isoformat(),
            "command": "python benchmarks/budget.py",
            "hardware": environment.hardware() | {"amx": amx.is_there()},
            "versions": environment.versions(),
        }
        write_json(RESULTS, record)
        found = record["workloads"][name]
        print(name, {who: found[who]["hypervolume"] for who in ("search", "peers", "chance")}, found["ahead"])


if __name__ == "__main__":
    main()

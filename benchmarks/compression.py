"""How small, fast and right is a compressed ResNet-8, beside what other kits make of the same float model?

    python benchmarks/compression.py                        # three seeds and the other families: about two hours
    python benchmarks/compression.py --seeds=0 --families=  # one seed of the ResNet-8 alone: about 25 minutes
    python benchmarks/compression.py --families=lstm        # its part of the record is replaced

What is made stays in runs/bench_compression and is not made again; measuring comes last, when nothing else runs.
A ResNet-8 is trained on 30,000 images of Fashion-MNIST for 8 epochs (examples: the first 30,000 of
numpy.random.RandomState(0).permutation(60,000); the next 5,000 validate). Then every row of `compression_peers` and
every recipe of ours compresses the same float model with the same number of fine-tuning epochs, 3 in all. The test set
is measured at the end, through LiteRT; no row was chosen by it. All files are timed in one process, in interleaved
rounds, one thread, one image at a time; a ratio is taken within each round. Where the CPU has AMX they are timed
without it, as on the devices that such files are for, and once more with it. Medians over the seeds.

Then every technique runs on the transformer and the LSTM of `tfday7.models` on the words of the standard library.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7 import data as library
from tfday7 import models
from tfday7.benchmarking.devices import WITHOUT_AMX
from tfday7.compression import compressing, recipe
from tfday7.compression.config import BudgetConfig
from tfday7.core import amx, environment
from tfday7.core.files import read_json, write_json
from tfday7.core.frameworks import keras
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import to_text
from tfday7.data import Dataset, Examples
from tfday7.data.config import DataConfig
from tfday7.data.source import find_source
from tfday7.exporting.config import ExportConfig
from tfday7.exporting.exporting import Origin
from tfday7.models import ModelConfig, building
from tfday7.optimizers.config import OptimizerConfig
from tfday7.planning import Plan
from tfday7.stages import run
from tfday7.training import fitting
from tfday7.training.config import TrainingConfig

RESULTS = Path(__file__).parent / "results" / "compression.json"
RUNS = Path("runs/bench_compression")
EPOCHS = 3  # Of fine-tuning, in all.
INT8 = {"technique": "quantize", "kind": "int8"}
BATCH = 32  # Of our fine-tuning; the peers' is 128, as the float model's.
# Of each the epochs add up to `EPOCHS`. Chosen, as the batch size, on images 35,000 to 60,000 of the permutation, which
# nothing else looks at: with 3 epochs small batches gave more (shrink38_prune50: 0.907 at 128, 0.913 at 32).
OURS: dict[str, list[dict[str, Any]]] = {
    "int8": [INT8],
    "shrink50_prune40_int8": [
        {"technique": "shrink", "ratio": 0.5, "epochs": 0},
        {"technique": "prune", "sparsity": 0.4, "epochs": 3},
        INT8,
    ],
    "shrink25_int8": [{"technique": "shrink", "ratio": 0.25, "epochs": 3}, INT8],
    "shrink38_prune50_int8": [
        {"technique": "shrink", "ratio": 0.375, "epochs": 0},
        {"technique": "prune", "sparsity": 0.5, "epochs": 3},
        INT8,
    ],
    "shrink_by_hand_int8": [  # Between a half and 62%: narrow at the ends, wide in the middle.
        {
            "technique": "shrink",
            "epochs": 3,
            "round_to": 1,
            "counts": "stem_conv=10, stack_1_conv_1=12, stack_2_conv_1=18, stack_2_conv_2=18, stack_3_conv_1=22, "
            "stack_3_conv_2=20",
        },
        INT8,
    ],
    "shrink62_int8": [{"technique": "shrink", "ratio": 0.625, "epochs": 3}, INT8],
    "shrink50_int8": [{"technique": "shrink", "ratio": 0.5, "epochs": 3}, INT8],
    "prune80_int8": [{"technique": "prune", "sparsity": 0.8, "epochs": 3}, INT8],
    "cluster16_int8": [{"technique": "cluster", "clusters": 16, "epochs": 3}, INT8],
    "qat": [{"technique": "qat", "epochs": 3}, INT8],
}
TEXT = {name: steps for name, steps in OURS.items() if name in ("int8", "qat", "prune80_int8", "cluster16_int8")} | {
    "shrink50_int8": OURS["shrink50_int8"],
    "shrink50_prune40_int8": OURS["shrink50_prune40_int8"],
    "dynamic": [{"technique": "quantize", "kind": "dynamic"}],
    "float16": [{"technique": "quantize", "kind": "float16"}],
    "low_rank_dynamic": [
        {"technique": "low_rank", "energy": 0.9, "epochs": 3},
        {"technique": "quantize", "kind": "dynamic"},
    ],
    "distil_int8": [{"technique": "distil", "epochs": 3}, INT8],
}
FAMILIES = ("transformer", "lstm")


def fashion() -> Dataset:
    """Returns 30,000 images to train on, 5,000 to decide, and the 10,000 of the test."""
    whole = library.load(DataConfig(data="fashion_mnist"))
    raw = find_source(DataConfig(data="fashion_mnist")).load(DataConfig(data="fashion_mnist"))
    order = np.random.RandomState(0).permutation(60_000)
    x, y = raw.x.astype(np.float32) / 255.0, raw.y

    def part(indices: np.ndarray) -> Examples:
        return Examples(x[indices], y[indices])

    test = Examples(raw.test[0].astype(np.float32) / 255.0, raw.test[1])
    made = {"train": part(order[:30_000]), "validation": part(order[30_000:35_000]), "test": test}
    return Dataset(whole.name, whole.problem, **made, fingerprint=whole.fingerprint, preprocessing="pixels / 255")


def trained(dataset: Dataset, seed: int) -> Any:
    """Returns the float model of a seed; trained once and kept."""
    path = RUNS / f"resnet8_{seed}.keras"
    if path.exists():
        return models.load(path)
    keras.utils.set_random_seed(seed)
    model = building.build(ModelConfig(model="resnet8", l2=1e-4), dataset.problem, "float32", seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.99
    optimizer = OptimizerConfig(optimizer="adam", learning_rate=3e-3, schedule="cosine")
    fitting.fit(model, dataset, optimizer, TrainingConfig(epochs=8, batch_size=128, seed=seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    models.save(model, path)
    return model


def attempt(make: Callable[[], bytes]) -> tuple[bytes | None, str, float]:
    """Returns a file, or why there is none, and the seconds that it took."""
    started = time.perf_counter()
    try:
        return make(), "", time.perf_counter() - started
    except Exception as error:  # noqa: BLE001 - a row that fails is a result, and does not lose the others.
        said = (str(error).strip().splitlines() or [""])[0]
        return None, f"{type(error).__name__}: {said}"[:300], time.perf_counter() - started


def ours(job: compressing.Compression, name: str) -> bytes:
    """Returns the file that a recipe of ours makes."""
    candidate = job.candidate(recipe.parse({"name": name, "steps": OURS[name]}))
    if candidate.failure:
        raise RuntimeError(candidate.failure)
    return Path(str(candidate.path)).read_bytes()


def candidate_figures(job: compressing.Compression, name: str) -> dict[str, Any]:
    """Returns what compression.json says of a candidate besides its file."""
    found = read_json(job.folder / name / "candidate.json")
    keys = ("parameters", "macs", "skipped_layers")
    return {"recipe": OURS[name], "validation": found["metric"]["value"], **{key: found[key] for key in keys}}


def score_of(content: bytes, dataset: Dataset) -> float:
    """Returns the accuracy of a `.tflite` file on the test split."""
    from tfday7.runtimes import open_artefact

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        runner = open_artefact(path, "litert")
        outputs = runner.predict(np.asarray(dataset.test.x[:]))
    return float((outputs.argmax(-1) == np.asarray(dataset.test.y[:])).mean())


def ratios(paths: dict[str, Path], device: str) -> dict[str, dict[str, Any]]:
    """Returns each file's time relative to the first one's, in a process of its own.

    Args:
        paths: of the files.
        device: "cpu", or "cpu_without_amx" (see `tfday7.core.amx`).
    """
    called = [sys.executable, __file__, "--time", device, *map(str, paths.values())]
    said = subprocess.run(called, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    return dict(zip(paths, json.loads(said), strict=True))


def timed(device: str, paths: list[str], rounds: int = 60) -> list[dict[str, Any]]:
    """Returns the time of each file: all in this process, one thread, one example, in interleaved rounds."""
    if device == WITHOUT_AMX:
        amx.forbid()
    from ai_edge_litert.interpreter import Interpreter

    opened = []
    for path in paths:
        interpreter = Interpreter(model_path=path, num_threads=1)
        interpreter.allocate_tensors()
        given = interpreter.get_input_details()[0]
        value = np.random.default_rng(0).uniform(0, 1, given["shape"])
        if given["dtype"] == np.int8:
            scale, zero = given["quantization"]
            value = np.clip(np.rint(value / scale + zero), -128, 127)
        interpreter.set_tensor(given["index"], value.astype(given["dtype"]))
        opened.append(interpreter)
    taken: list[list[float]] = [[] for _ in paths]
    for number in range(rounds + 5):
        for at in [(number + step) % len(paths) for step in range(len(paths))]:
            for _ in range(10):  # The caches belonged to another file.
                opened[at].invoke()
            started = time.perf_counter()
            for _ in range(40):
                opened[at].invoke()
            if number >= 5:
                taken[at].append((time.perf_counter() - started) / 40.0 * 1000.0)
    found = []
    for times in taken:
        low, middle, high = np.percentile(np.array(times) / np.array(taken[0]), [10, 50, 90])
        found.append(
            {
                "latency_ms": round(float(np.median(times)), 4),
                "latency_ratio": round(float(middle), 4),
                "latency_ratio_range": [round(float(low), 4), round(float(high), 4)],
            }
        )
    return found


def one_seed(seed: int, dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Makes every file of one seed that is not there yet; returns the rows without what the test set and time say."""
    from compression_peers import PEERS

    model, made = trained(dataset, seed), RUNS / f"made_{seed}"
    job = compressing.Compression(
        model, dataset, Origin("resnet8", f"resnet8_{seed}", "logits", {"data": "fashion_mnist"}),
        RUNS / f"seed_{seed}", RUNS / "files",
        OptimizerConfig(optimizer="adam", learning_rate=3e-3), TrainingConfig(batch_size=BATCH, seed=seed),
    )  # fmt: skip
    rows: dict[str, dict[str, Any]] = {}
    for name in (*PEERS, *OURS):
        record = made / f"{name}.json"
        if record.exists():
            rows[name] = read_json(record)
            continue
        keras.utils.set_random_seed(seed)
        make = (
            (lambda peer=PEERS[name]: peer(model, dataset, EPOCHS)) if name in PEERS else (lambda n=name: ours(job, n))
        )
        content, failure, seconds = attempt(make)
        about = candidate_figures(job, name) if name in OURS and content else {}
        rows[name] = {
            "who": "tfday7" if name in OURS else "peer", "failure": failure, "seconds": round(seconds, 1), **about
        }  # fmt: skip
        made.mkdir(parents=True, exist_ok=True)
        if content:
            (made / f"{name}.tflite").write_bytes(content)
        write_json(record, rows[name])
        print(f"seed {seed}: {name}: {failure or 'made'} in {seconds:.0f} s {about.get('validation', '')}", flush=True)
    return rows


def measured(seed: int, rows: dict[str, dict[str, Any]], dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Returns the rows of a seed with accuracy, sizes and times."""
    paths = {name: RUNS / f"made_{seed}" / f"{name}.tflite" for name in rows if not rows[name]["failure"]}
    times = ratios(paths, WITHOUT_AMX)
    with_amx = ratios(paths, "cpu") if amx.is_there() else {}
    figures = {}
    for name, path in paths.items():
        content = path.read_bytes()
        figures[name] = {
            "accuracy": round(score_of(content, dataset), 4),
            "size_bytes": len(content),
            "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
            **times[name],
            "latency_ratio_with_amx": with_amx[name]["latency_ratio"] if with_amx else None,
        }
    return {name: row | figures.get(name, {}) for name, row in rows.items()}


def median_rows(seeds: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Returns the median of every figure over the seeds, and each seed's accuracy."""
    figures = ("accuracy", "validation", "size_bytes", "gzip_bytes", "latency_ms", "latency_ratio",
               "latency_ratio_with_amx")  # fmt: skip
    found = {}
    for name in seeds[0]:
        rows = [seed[name] for seed in seeds if name in seed]
        known = {key: [row[key] for row in rows if row.get(key) is not None] for key in figures}
        middle = {key: round(float(np.median(values)), 4) for key, values in known.items() if values}
        found[name] = {
            "who": rows[0]["who"],
            "recipe": rows[0].get("recipe"),
            **middle,
            "by_seed": known["accuracy"],
            "failures": [row["failure"] for row in rows if row["failure"]],
            "macs": rows[0].get("macs"),
            "parameters": rows[0].get("parameters"),
        }
    return found


def verdict(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns whether the targets are met: by arithmetic on the rows."""
    peers = {name: row for name, row in rows.items() if row["who"] == "peer" and "accuracy" in row}
    mine = {name: row for name, row in rows.items() if row["who"] == "tfday7" and "accuracy" in row}
    top = peers["float32"]["accuracy"]
    small = [
        name
        for name, row in mine.items()
        if row["accuracy"] >= top - 0.01
        and row["latency_ratio"] <= 0.45
        and row["gzip_bytes"] <= 20_000
        and row["size_bytes"] <= 40_000
    ]

    def matched(peer: dict[str, Any]) -> list[str]:
        return [
            name
            for name, row in mine.items()
            if row["accuracy"] >= peer["accuracy"] - 0.003
            and row["latency_ratio"] < peer["latency_ratio"]
            and row["gzip_bytes"] < peer["gzip_bytes"]
        ]

    def dominates(peer: dict[str, Any], row: dict[str, Any]) -> bool:
        return (
            peer["accuracy"] >= row["accuracy"]
            and peer["latency_ratio"] <= row["latency_ratio"]
            and peer["gzip_bytes"] <= row["gzip_bytes"]
        )

    return {
        "one artefact within 1 point, <= 0.45x latency, <= 20 kB gzip, <= 40 kB": small,
        "dominated by": {name: [peer for peer, row in peers.items() if dominates(row, mine[name])] for name in small},
        "ours beside each peer (accuracy less 0.3 points, faster, smaller)": {
            name: matched(peer) for name, peer in peers.items()
        },
    }


def family(name: str) -> dict[str, Any]:
    """Returns every technique on a family of `tfday7.models` on text."""
    folder = RunFolder(RUNS / name)
    settings = {"lstm": ModelConfig(model="lstm", depth=1), "transformer": ModelConfig(model="transformer")}
    plan = Plan(
        DataConfig(data="stdlib_text"), settings[name],
        OptimizerConfig(optimizer="adamw", learning_rate=1e-3, schedule="cosine"),
        TrainingConfig(epochs=6, batch_size=32), export=ExportConfig(export=""),
    )  # fmt: skip
    flags = {k: v for part in (plan.data, plan.model, plan.optimizer, plan.training) for k, v in to_text(part).items()}
    run(plan, folder, flags)
    model, dataset = models.load(folder / "model.keras"), library.load(plan.data)
    job = compressing.Compression(
        model, dataset, Origin(name, name, "logits", to_text(plan.data)), RUNS / f"{name}_work", RUNS / f"{name}_files",
        plan.optimizer, plan.training, say=lambda sentence: print(sentence, flush=True),
    )  # fmt: skip
    recipes = [recipe.parse({"name": title, "steps": steps}) for title, steps in TEXT.items()]
    found = compressing.compress(job, recipes, BudgetConfig(), 3.0)
    keys = ("name", "metric", "test_metric", "size_bytes", "gzip_bytes", "latency_ms", "latency_ratio",
            "latency_spread", "macs", "parameters", "pareto", "failure", "skipped_layers")  # fmt: skip
    rows = [{key: row[key] for key in keys} for row in (found["baseline"], *found["candidates"])]
    return {"rows": rows, "chosen": found["chosen"]}


def main() -> None:
    """Measures what is named, and brings the record up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--time", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time:
        print(json.dumps(timed(given.time[0], given.time[1:])))
        return
    record = read_json(RESULTS) if RESULTS.exists() else {"families": {}}
    record |= {
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/compression.py",
        "hardware": environment.hardware() | {"amx": amx.is_there()},
        "versions": environment.versions(),
        "fine_tuning_epochs": EPOCHS,
        "fine_tuning_batch_size": {"tfday7": BATCH, "peers": 128},
    }
    seeds = [int(seed) for seed in given.seeds.split(",") if seed]
    if seeds:
        dataset = fashion()
        made = {seed: one_seed(seed, dataset) for seed in seeds}
        rows = [measured(seed, made[seed], dataset) for seed in seeds]
        record["seeds"] = seeds
        record["resnet8"] = median_rows(rows)
        record["verdict"] = verdict(record["resnet8"])
        write_json(RESULTS, record)
        print(json.dumps(record["verdict"], indent=1))
    for name in (name for name in given.families.split(",") if name):
        record["families"][name] = family(name)
        write_json(RESULTS, record)


if __name__ == "__main__":
    main()

"""Small run folders, written by hand: what a run would leave behind, with numbers that are easy to check."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tfday7.core.run_folder import RunFolder

EPOCHS = 20


def metrics(epochs: int = EPOCHS) -> list[dict[str, Any]]:
    """A run whose validation loss turns at three quarters of the way."""
    turn = 0.75 * epochs
    return [
        {
            "epoch": epoch,
            "loss": 2.0 * math.exp(-5 * epoch / epochs) + 0.01,
            "accuracy": 1 - 0.6 * math.exp(-5 * epoch / epochs),
            "val_loss": 1.8 * math.exp(-4 * epoch / epochs) + 0.2 * max(0.0, (epoch - turn) / epochs) + 0.05,
            "val_accuracy": 0.97 - 0.55 * math.exp(-5 * epoch / epochs),
            "learning_rate": 0.0005 * (1 + math.cos(math.pi * epoch / epochs)),
            "seconds": 0.1,
        }
        for epoch in range(1, epochs + 1)
    ]


def run_record() -> dict[str, Any]:
    """run.json of a finished run."""
    return {
        "status": "finished",
        "name": "quickstart",
        "gate": None,
        "started": "2026-11-23T18:04:00+00:00",
        "versions": {"python": "3.11.2", "tensorflow": "2.21.0", "tf_keras": "2.21.0"},
        "hardware": {
            "machine": "x86_64",
            "system": "Linux",
            "cpu": "Example CPU",
            "cores": 2,
            "memory_bytes": 8_000_000_000,
        },
        "seed": 0,
        "data": {
            "name": "digits",
            "fingerprint": "sha256:0123456789abcdef",
            "task": "classification",
            "kind": "image",
            "input_shape": [8, 8, 1],
            "outputs": 10,
            "class_names": [str(digit) for digit in range(10)],
            "examples": {"train": 1245, "validation": 291, "test": 261},
            "preprocessing": "pixels / 16",
        },
        "model": {"name": "cnn", "parameters": 85_066},
        "training": {
            "epochs": EPOCHS,
            "best_epoch": 15,
            "stopped": "finished",
            "seconds": 12.3,
            "resumed_at": [],
            "regularization_changes": [],
        },
        "metric": {"name": "accuracy", "validation": 0.9828, "test": 0.9808, "baseline": 0.1073, "train": 0.9992},
    }


def diagnosis_record() -> dict[str, Any]:
    """diagnosis.json of a run that overfits."""
    evidence = {"best_epoch": 15, "epochs": 20, "lowest": 0.0868, "last": 0.1302, "rise_percent": 50.0}
    base = "diagnosis.overfit"
    return {
        "verdict": "overfit",
        "confidence": 0.8,
        "findings": [
            {
                "id": "overfit",
                "severity": "warning",
                "title": "Validation loss is lowest in epoch 15 of 20 (0.0868) and ends 50.0% higher (0.1302).",
                "evidence": evidence,
                "causes": [
                    {
                        "id": f"{base}.cause.capacity",
                        "text": "The model is large for the number of examples and can memorize them.",
                        "flag": "",
                    }
                ],
                "remedies": [
                    {
                        "id": f"{base}.remedy.dropout",
                        "text": "Drop hidden units at random during training.",
                        "flag": "--dropout=0.3",
                    },
                    {"id": f"{base}.remedy.l2", "text": "Penalize large weights.", "flag": "--l2=0.001"},
                ],
            }
        ],
    }


def parity(**changes: Any) -> dict[str, Any]:
    """A comparison that holds."""
    return {
        "metric": "accuracy",
        "keras_metric": 0.9808,
        "artefact_metric": 0.9808,
        "largest_difference": 2.5e-6,
        "mean_difference": 1e-7,
        "relative_difference": 2e-7,
        "agreement": 1.0,
        "worst_examples": [{"example": 7, "difference": 2.5e-6}],
        "examples": 261,
        "limits": {"relative_difference": 1e-4, "metric_drop": 0.004},
        "failures": [],
        **changes,
    }


def artefact(kind: str, bytes_: int, **changes: Any) -> dict[str, Any]:
    """A `.tflite` file that was made and verified."""
    quantized = kind == "int8"
    return {
        "name": f"quickstart_{kind}",
        "format": "tflite",
        "kind": kind,
        "path": f"tflite_models/quickstart/quickstart_{kind}.tflite",
        "failure": "",
        "size_bytes": bytes_,
        "gzip_bytes": bytes_ - 10_000,
        "sha256": "ab" * 32,
        "input": {
            "dtype": "int8" if quantized else "float32",
            "shape": [1, 8, 8, 1],
            "scale": 0.00392156862745098 if quantized else None,
            "zero_point": -128 if quantized else None,
            "preprocessing": "pixels / 16",
            "standardization": None,
        },
        "output": {
            "dtype": "int8" if quantized else "float32",
            "shape": [1, 10],
            "scale": 0.125 if quantized else None,
            "zero_point": 4 if quantized else None,
            "meaning": "logits",
        },
        "labels": [str(digit) for digit in range(10)],
        "parity": parity(),
        **changes,
    }


def exports_record() -> dict[str, Any]:
    """exports.json: a float32 file, an int8 file a quarter its size, and a file that does not hold."""
    int8 = parity(
        artefact_metric=0.9770, largest_difference=0.42, relative_difference=0.031, agreement=0.9923,
        limits={"relative_difference": 0.15, "metric_drop": 0.005},
    )  # fmt: skip
    broken = parity(
        artefact_metric=0.9310, largest_difference=2.1, relative_difference=0.162, agreement=0.94,
        limits={"relative_difference": 0.15, "metric_drop": 0.005},
        failures=["largest difference is 16.2% of the largest output; allowed 15.00%", "accuracy drops by 0.0498"],
    )  # fmt: skip
    return {
        "artefacts": [
            artefact("float32", 344_000),
            artefact("int8", 86_000, parity=int8),
            artefact("int8_small", 43_000, parity=broken),
        ]
    }


def benchmark_record() -> dict[str, Any]:
    """benchmark.json: int8 takes three quarters of float32's time."""
    times = {"float32": (0.040, 0.045, 0.060), "int8": (0.030, 0.033, 0.050)}
    return {
        "rows": [
            {
                "artefact": f"quickstart_{kind}",
                "runtime": "LiteRT",
                "device": "Example CPU",
                "threads": 1,
                "batch_size": 1,
                "latency_ms": dict(zip(("p50", "p90", "p99"), values, strict=True)),
                "runs": 500,
                "peak_memory_bytes": None,
                "size_bytes": 1,
                "metric": None,
            }
            for kind, values in times.items()
        ]
    }


def layer_probe(name: str, epoch: int, **changes: Any) -> dict[str, Any]:
    """One layer of a probe: a ReLU whose gradient halves and whose dead units grow by a hundredth each epoch."""
    return {
        "name": name, "kind": "Conv2D", "activation": "relu", "mean": 0.3, "std": 1.2, "dead_share": 0.01 * epoch,
        "saturated_share": None, "spread": 0.9, "gradient": 0.1 * 0.5**epoch, "weight": 0.2,
        "change": 0.02 * epoch if epoch else None, "statistics_gap": None, **changes,
    }  # fmt: skip


def health_record(layers: int = 2, epochs: tuple[int, ...] = (0, 1, 2, 3)) -> dict[str, Any]:
    """health.json: references that the model beats, and layers without anything unusual but the last's missing ends."""
    names = [f"conv_{index}" for index in range(1, layers + 1)]
    return {
        "data": None,
        "references": {
            "constant": 0.1073, "linear": 0.9313, "neighbours": 0.9725, "linear_train": 0.98, "shuffled": 0.12,
            "ceiling": None,
        },
        "probes": [
            {"epoch": epoch, "loss": 1.0 / (1 + epoch), "layers": [layer_probe(name, epoch) for name in names]}
            for epoch in epochs
        ],
    }  # fmt: skip


def fix_record() -> dict[str, Any]:
    """fix.json of a repair that kept dropout: its mean is (0.96 + 0.97 + 0.98) / 3 = 0.97, the original's 0.94."""
    dropout = {"flags": {"dropout": "0.3"}, "value": 0.97, "by_seed": [0.96, 0.97, 0.98]}
    return {
        "metric": "accuracy",
        "seeds": [0, 1, 2],
        "spread": 0.012,
        "before": {"flags": {}, "value": 0.94, "by_seed": [0.93, 0.94, 0.95]},
        "attempts": [
            {**dropout, "remedy": "diagnosis.overfit.remedy.dropout", "kept": True, "reason": ""},
            {
                "flags": {"width": "8"}, "value": 0.9, "by_seed": [0.9], "remedy": "diagnosis.overfit.remedy.smaller",
                "kept": False, "reason": "worse with the first seed",
            },
        ],
        "after": dropout,
        "test": {"before": 0.9502, "after": 0.9655},
        "seconds": 63.2,
        "trainings": 7,
        "budget_minutes": 5.0,
        "command": "python -m tfday7.train --flagfile=runs/quickstart/fixed.flags",
    }  # fmt: skip


FLAGS = "--batch_size=64\n--data=digits\n--epochs=20\n--model=cnn\n"


def write(path: Path, **records: Any) -> RunFolder:
    """Writes a run folder with the records given by the first part of their name; metrics as a list of lines."""
    path.mkdir(parents=True, exist_ok=True)
    for name, record in records.items():
        if name == "metrics":
            (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in record), encoding="utf-8")
        elif name == "flags":
            (path / "flags.txt").write_text(record, encoding="utf-8")
        else:
            (path / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    return RunFolder(path)


def complete(path: Path, **changes: Any) -> RunFolder:
    """Writes a whole run folder; `changes` replace records."""
    records = {
        "run": run_record(),
        "metrics": metrics(),
        "diagnosis": diagnosis_record(),
        "exports": exports_record(),
        "benchmark": benchmark_record(),
        "flags": FLAGS,
    }
    return write(path, **{**records, **changes})

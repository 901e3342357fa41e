"""What does a `.tflite` transformer gain from layer normalizations that are written by the centered tensor?

    python benchmarks/layer_normalization.py            # about 5 minutes

The transformer of `budget.py` on the words of the standard library is exported as float32, dynamic and int8, with its
layer normalizations as Keras writes them and as `tfday7.exporting.normalization` does. All six files are timed in
interleaved rounds, one thread, one example, relative to the first; each is compared with the Keras model on the test
split by its export.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import budget
import compression as bench

from tfday7.benchmarking.devices import WITHOUT_AMX
from tfday7.core import amx, environment
from tfday7.core.files import write_json
from tfday7.exporting import exporting
from tfday7.exporting.config import wanted
from tfday7.exporting.format import FORMATS
from tfday7.exporting.records import Artefact, Origin

RESULTS = Path(__file__).parent / "results" / "layer_normalization.json"
NAME = "text_transformer"
KINDS = ("float32", "dynamic", "int8")


def exported(model: Any, dataset: Any, folder: Path, centered: bool) -> dict[str, Artefact]:
    """Returns the files of a model by kind."""
    FORMATS.get("tflite").centered = centered
    origin = Origin("small", "small", "logits", data={})
    made = exporting.export(model, dataset, wanted(("tflite",), ",".join(KINDS)), folder, origin)
    return {artefact.kind: artefact for artefact in made}


def main() -> None:
    """Measures, and writes the record."""
    work = budget.WORKLOADS[NAME]
    dataset = budget.dataset_of(work)
    model = budget.trained(NAME, work, dataset)
    files: dict[str, Artefact] = {}
    with tempfile.TemporaryDirectory() as folder:
        for way, centered in (("keras", False), ("centered", True)):
            made = exported(model, dataset, Path(folder) / way, centered)
            files |= {f"{way} {kind}": artefact for kind, artefact in made.items()}
        paths = {name: Path(str(artefact.path)) for name, artefact in files.items()}
        devices = ["cpu", *([WITHOUT_AMX] if amx.is_there() else [])]
        times = {device: bench.ratios(paths, device) for device in devices}
    rows = {}
    for name, artefact in files.items():
        assert artefact.parity is not None, artefact.failure
        parity = artefact.parity
        rows[name] = {
            "metric": parity.artefact_metric,
            "relative_difference": parity.relative_difference,
            "size_bytes": artefact.size_bytes,
            "latency_ratio": {device: times[device][name]["latency_ratio"] for device in devices},
        }
    gain = {
        kind: {
            device: round(
                times[device][f"centered {kind}"]["latency_ratio"] / times[device][f"keras {kind}"]["latency_ratio"], 3
            )
            for device in devices
        }
        for kind in KINDS
    }
    record = {
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/layer_normalization.py",
        "files": rows,
        "centered_to_keras": gain,
        "hardware": environment.hardware() | {"amx": amx.is_there()},
        "versions": environment.versions(),
    }
    write_json(RESULTS, record)
    print(gain)


if __name__ == "__main__":
    main()

"""Do exported files give the model's answers, how fast are they on each runtime, and is ours as fast as a plain one?

    python benchmarks/runtimes.py                        # all of it: about an hour on 2 cores, most of it training
    python benchmarks/runtimes.py resnet8 lstm           # some workloads: their part of the record is replaced
    python benchmarks/runtimes.py --zoo [NAME ...]       # models by others alone

Five models are trained, exported by `tfday7.export` as float32 and int8 for TFLite, ONNX and OpenVINO, each verified on
the whole test set, and timed by `tfday7.benchmark` in interleaved rounds, one thread, one example at a time. Among the
rows is the file that plain `TFLiteConverter.from_keras_model` writes of the same model: our float file is to be no
slower. Then models by others are exported and compared: keras.applications with random weights, and an `.h5` file as
Keras 2.2 wrote them. Run folders stay in runs/bench_runtimes, so that training is not repeated.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7.core import environment
from tfday7.core.files import read_json, write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results" / "runtimes.json"
RUNS = Path("runs/bench_runtimes")
WORKLOADS = {
    "resnet8": ["--flagfile=configs/fashion_resnet8.flags"],
    "mobilenet_v2": [
        "--flagfile=configs/fashion_resnet8.flags", "--model=mobilenet_v2", "--width=11", "--epochs=4", "--l2=0",
        "--learning_rate=0.002",
    ],
    "ds_cnn": ["--flagfile=configs/keyword_ds_cnn.flags"],
    "lstm": ["--flagfile=configs/text_transformer.flags", "--model=lstm", "--depth=1"],
    "transformer": ["--flagfile=configs/text_transformer.flags"],
}  # fmt: skip
ZOO = (
    "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0",
    "ResNet50", "ResNet50V2", "DenseNet121", "NASNetMobile", "InceptionV3", "Xception", "RegNetX002", "RegNetY002",
    "ResNetRS50", "ConvNeXtTiny", "VGG16",
)  # fmt: skip
LEGACY = "keras_2_2.h5"
RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "openvino": "openvino"}
SECONDS = 5.0
# Makes the file that a user without tfday7 would: arguments are the model and the file to write.
PLAIN = """
import sys
from tfday7.core.frameworks import tf
from tfday7 import models
model = models.load(sys.argv[1])
open(sys.argv[2], "wb").write(tf.lite.TFLiteConverter.from_keras_model(model).convert())
"""


def command(name: str, *flags: str, gates: bool = False) -> Any:
    """Runs a command of tfday7 and returns what it prints as JSON; a gate that fails is a result where `gates`."""
    ended = subprocess.run(
        [sys.executable, "-m", f"tfday7.{name}", *flags, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if ended.returncode not in ((0, 3) if gates else (0,)):
        raise SystemExit(f"tfday7.{name} {' '.join(flags)} ended with {ended.returncode}")
    return json.loads(ended.stdout)


def workload(name: str) -> dict[str, Any]:
    """Returns parity and latency of one trained model on every runtime."""
    run = RUNS / name
    folder = run / "artefacts"
    command("train", *WORKLOADS[name], "--export=", f"--run_dir={run}", gates=True)
    flags = (f"--run_dir={run}", "--formats=tflite,onnx,openvino", "--kinds=float32,int8", f"--export_dir={folder}")
    exported = command("export", *flags, gates=True)["artefacts"]
    plain = run / "plain.tflite"
    called = [sys.executable, "-c", PLAIN, str(run / "model.keras"), str(plain)]
    converted = subprocess.run(called, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    made = [artefact for artefact in exported if artefact["path"]]
    files = [artefact["path"] for artefact in made] + ([] if converted.returncode else [str(plain)])
    measured = command(
        "benchmark", f"--artefacts={','.join(files)}", f"--seconds={SECONDS}", "--profile=false",
        "--metric=false", f"--output={run}/runtimes.json",
    )  # fmt: skip
    rows = {(row["artefact"], row["runtime"]): row for row in measured["rows"]}
    found = {"parameters": read_json(ROOT / run / "run.json")["model"]["parameters"], "artefacts": {}}
    for artefact in exported:
        row = rows.get((artefact["name"], RUNTIMES[artefact["format"]]), {})
        found["artefacts"][f"{artefact['format']} {artefact['kind']}"] = {**_parity(artefact), **_times(row)}
    found["plain tflite float32"] = _times(
        next((row for (file, _), row in rows.items() if file.startswith("plain")), {})
    )
    if converted.returncode:
        said = [line for line in converted.stderr.splitlines() if "error" in line.lower()]
        found["plain tflite float32"]["failure"] = said[-1][:300] if said else "the converter failed"
    return found


def _parity(artefact: dict[str, Any]) -> dict[str, Any]:
    parity = artefact["parity"] or {}
    names = ("metric", "keras_metric", "artefact_metric", "relative_difference", "agreement", "examples", "failures")
    return {"failure": artefact["failure"], "size_bytes": artefact["size_bytes"], **{n: parity.get(n) for n in names}}


def _times(row: dict[str, Any]) -> dict[str, Any]:
    names = ("latency_ms", "latency_ratio", "latency_ratio_range", "latency_spread", "load_ms", "peak_memory_bytes")
    return {name: row.get(name) for name in names}


def zoo(name: str) -> dict[str, Any]:
    """Returns how a model of keras.applications exports: parity on made-up inputs."""
    flags = (f"--model=keras.applications:{name}", "--formats=tflite,onnx,openvino", "--kinds=float32")
    exported = command("export", *flags, f"--export_dir={RUNS}/zoo_{name}", "--overwrite", gates=True)["artefacts"]
    return {artefact["format"]: _parity(artefact) for artefact in exported}


def legacy_h5() -> dict[str, Any]:
    """Returns how an `.h5` file exports that says what Keras 2.2 wrote."""
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "models" / "door")]
    from test_formats import keras_2_2_file

    path = ROOT / RUNS / "keras_2_2.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    gates = {"activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True, "unit_forget_bias": True}
    keras_2_2_file(path, "LSTM", gates, np.zeros(8))
    flags = (f"--model={path}", "--formats=tflite,onnx,openvino", "--kinds=float32")
    exported = command("export", *flags, f"--export_dir={RUNS}/keras_2_2", "--overwrite", gates=True)["artefacts"]
    return {artefact["format"]: _parity(artefact) for artefact in exported}


def main(arguments: list[str]) -> None:
    """Measures what is named, and brings the record up to date."""
    only_zoo = "--zoo" in arguments
    names = [name for name in arguments if not name.startswith("-")]
    known = (*WORKLOADS, *ZOO, LEGACY)
    unknown = set(names) - set(known)
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    record = read_json(RESULTS) if RESULTS.exists() else {"workloads": {}, "zoo": {}}
    record |= {
        "date": datetime.date.today().isoformat(),
        "command": "python benchmarks/runtimes.py",
        "hardware": environment.hardware(),
        "versions": environment.versions(),
    }
    for name in [] if only_zoo else [name for name in WORKLOADS if not names or name in names]:
        record["workloads"][name] = workload(name)
        write_json(RESULTS, record)
        show(name, record["workloads"][name])
    for name in [name for name in ZOO if (not names or name in names)]:
        record["zoo"][name] = zoo(name)
        write_json(RESULTS, record)
        print(
            name, {format: parity["relative_difference"] for format, parity in record["zoo"][name].items()}, flush=True
        )
    if not names or LEGACY in names:
        record["zoo"][LEGACY] = legacy_h5()
        write_json(RESULTS, record)


def show(name: str, found: dict[str, Any]) -> None:
    """Prints a table of one workload."""
    print(f"\n{name}, {found['parameters']:,} parameters", flush=True)
    print(f"{'':20} {'metric':>8} {'keras':>8} {'largest diff.':>14} {'p50 ms':>9} {'ratio':>7} {'bytes':>10}")
    for key, row in [*found["artefacts"].items(), ("plain tflite float32", found["plain tflite float32"])]:
        metric, keras, relative = (row.get(n) for n in ("artefact_metric", "keras_metric", "relative_difference"))
        ratio = row["latency_ratio"]
        cells = [f"{key:20}", *(f"{v:8.4f}" if v is not None else f"{'':8}" for v in (metric, keras))]
        cells.append(f"{relative:14.2e}" if relative is not None else f"{'':14}")
        p50 = (row["latency_ms"] or {}).get("p50")
        cells.append(f"{p50:9.4f}" if p50 is not None else f"{'?':>9}")
        cells.append(f"{ratio:7.3f}" if ratio is not None else f"{'?':>7}")
        print(
            *cells, f"{row.get('size_bytes') or 0:10,}", "; ".join(row.get("failures") or []), row.get("failure") or ""
        )


if __name__ == "__main__":
    main(sys.argv[1:])

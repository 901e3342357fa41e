"""The quickstart, run as a new user runs it: from data to verified TFLite files and a report."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import ROOT, Ended, run_command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("quickstart")
    ended = run_command("train", f"--flagfile={ROOT}/configs/quickstart.flags", cwd=folder, fresh=True)
    assert ended.code == 0, ended.err
    return folder, ended


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / "runs" / "quickstart" / name).read_text(encoding="utf-8"))


def test_it_reaches_the_expected_accuracy_and_int8_stays_within_half_a_point(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    assert read(folder, "run.json")["metric"]["test"] >= 0.97
    by_kind = {artefact["kind"]: artefact for artefact in read(folder, "exports.json")["artefacts"]}
    float32, int8 = by_kind["float32"]["parity"], by_kind["int8"]["parity"]
    assert float32["artefact_metric"] == pytest.approx(float32["keras_metric"], abs=1e-9)
    assert abs(float32["artefact_metric"] - int8["artefact_metric"]) <= 0.005
    assert by_kind["int8"]["size_bytes"] < by_kind["float32"]["size_bytes"] / 3


def test_the_folder_holds_every_record_and_nothing_half_written(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    names = {entry.name for entry in (folder / "runs" / "quickstart").iterdir()} - {".lock"}
    assert names == {
        "flags.txt", "run.json", "metrics.jsonl", "checkpoints", "tensorboard", "model.keras", "health.json",
        "diagnosis.json", "exports.json", "benchmark.json", "report.html",
    }  # fmt: skip
    exported = {entry.name for entry in (folder / "tflite_models" / "quickstart").iterdir()}
    kinds = ("float32", "int8")
    of_kinds = {f"quickstart_{kind}.{suffix}" for kind in kinds for suffix in ("tflite", "tflite.json")}
    assert exported == {*of_kinds, "README.md", "quickstart_vectors.npz"}
    assert len((folder / "runs" / "quickstart" / "metrics.jsonl").read_text().splitlines()) == 30


def test_records_agree_with_the_files_that_they_describe(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    for artefact in read(folder, "exports.json")["artefacts"]:
        content = (folder / artefact["path"]).read_bytes()
        assert artefact["size_bytes"] == len(content)
        assert artefact["gzip_bytes"] == len(gzip.compress(content, 9, mtime=0))
        assert artefact["sha256"] == hashlib.sha256(content).hexdigest()
        beside = json.loads((folder / f"{artefact['path']}.json").read_text(encoding="utf-8"))
        assert beside == artefact


def test_plain_keras_3_opens_the_model_and_agrees_with_the_record(quickstart: tuple[Path, Ended]) -> None:
    """In a process that imports neither tfday7 nor tf_keras; the split is made again here, by its documented rule."""
    folder, _ = quickstart
    code = """
import hashlib, json, sys
import numpy as np
from sklearn.datasets import load_digits
import keras
digits = load_digits()
x = (digits.images / 16.0).astype(np.float32)[..., np.newaxis]
side = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "big") / 2**64 for row in x]
test = np.array(side) < 0.15
model = keras.models.load_model(sys.argv[1])
outputs = model.predict(x[test], verbose=0)
assert not {name for name in sys.modules if name.split(".")[0] in ("tfday7", "tf_keras")}
print(json.dumps([int(test.sum()), float((outputs.argmax(-1) == digits.target[test]).mean())]))
"""
    path = folder / "runs" / "quickstart" / "model.keras"
    plain = {name: value for name, value in os.environ.items() if name not in ("TF_USE_LEGACY_KERAS", "KERAS_BACKEND")}
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=folder, env=plain, check=False
    )
    assert ended.returncode == 0, ended.stderr
    examples, accuracy = json.loads(ended.stdout.splitlines()[-1])
    record = read(folder, "run.json")
    assert examples == record["data"]["examples"]["test"]
    assert accuracy == pytest.approx(record["metric"]["test"], abs=1e-9)


def test_the_int8_file_runs_with_the_runtime_alone(quickstart: tuple[Path, Ended]) -> None:
    """By the numbers in its record, as an app would feed it: quantize, invoke, take the largest."""
    from ai_edge_litert.interpreter import Interpreter
    from sklearn.datasets import load_digits

    folder, _ = quickstart
    path = folder / "tflite_models" / "quickstart" / "quickstart_int8.tflite"
    record = json.loads(path.with_suffix(".tflite.json").read_text(encoding="utf-8"))
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    digits = load_digits()
    right = 0
    for image, label in zip(digits.images[:200], digits.target[:200], strict=True):
        values = (image / 16.0)[np.newaxis, ..., np.newaxis] / record["input"]["scale"] + record["input"]["zero_point"]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.round(values).astype(np.int8))
        interpreter.invoke()
        scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        right += record["labels"][int(scores.argmax())] == str(label)
    assert right >= 195


def test_the_terminal_says_what_matters_and_nothing_of_tensorflow(quickstart: tuple[Path, Ended]) -> None:
    _, ended = quickstart
    assert "quickstart_int8" in ended.out
    assert "report.html" in ended.out
    assert "epoch 30/30" in ended.out
    assert ended.err == ""


def test_the_same_command_again_says_that_it_is_finished(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    model = folder / "runs" / "quickstart" / "model.keras"
    before = model.stat().st_mtime_ns
    ended = run_command("train", f"--flagfile={ROOT}/configs/quickstart.flags", cwd=folder)
    assert ended.code == 0
    assert "is finished" in ended.out
    assert model.stat().st_mtime_ns == before


def test_other_flags_in_the_same_folder_are_refused_by_name(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    ended = run_command("train", f"--flagfile={ROOT}/configs/quickstart.flags", "--batch_size=64", cwd=folder)
    assert ended.code == 2
    assert "--batch_size=64 (was 32)" in ended.err
    assert "--overwrite" in ended.err


def test_json_prints_the_record_and_nothing_else_on_stdout(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    ended = run_command("report", "--run_dir=runs/quickstart", "--json", cwd=folder)
    assert ended.code == 0
    assert json.loads(ended.out) == read(folder, "run.json")


def test_diagnose_judges_the_run_again(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    ended = run_command("diagnose", "--run_dir=runs/quickstart", "--json", cwd=folder)
    assert ended.code == 0
    assert json.loads(ended.out)["verdict"] == "good_fit"
    assert json.loads(ended.out) == read(folder, "diagnosis.json")


def test_flags_txt_trains_the_same_again_in_a_new_folder(quickstart: tuple[Path, Ended]) -> None:
    folder, _ = quickstart
    ended = run_command(
        "train", "--flagfile=runs/quickstart/flags.txt", "--run_dir=runs/again", "--export=", cwd=folder
    )
    assert ended.code == 0, ended.err

    def losses(name: str) -> list[float]:
        lines = (folder / "runs" / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["val_loss"] for line in lines]

    assert losses("again") == pytest.approx(losses("quickstart"), rel=1e-3)
    assert not (folder / "tflite_models" / "again").exists()

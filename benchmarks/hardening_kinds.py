"""The sorts of files that benchmarks/hardening.py damages, the command that reads each, and a good one of each."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfday7.core.frameworks import keras, keras3, tf

ROOT = Path(__file__).resolve().parent.parent
TINY = ("--width=8", "--depth=1", "--epochs=2", "--batch_size=32")
SMALL = (*TINY, "--export=")
TUNED = ("--model=mlp", *TINY, "--tune=learning_rate=0.001..0.1", "--reruns=1", "--nowiden")
TUNE_ON = ("tune", "--data=mine.npz", *TUNED, "--trials=3", "--run_dir=runs/search")
SEARCH = ("compress", "--run_dir=runs/small", "--search_epochs=1", "--seconds=0.1", "--max_accuracy_drop=1")
SEARCH_ON = (*SEARCH, "--max_candidates=2", "--export_dir=out")
PACK = ("compress", "--run_dir=runs/packed", "--recipe=int8", "--seconds=0.1", "--max_accuracy_drop=1")
PACK_AGAIN = (*PACK, "--export_dir=out")
FIX = ("--fix", "--fix_budget_minutes=1", "--fix_trainings=3")


@dataclass(frozen=True)
class Kind:
    """A sort of file, and the command that reads it.

    Attributes:
        file: what is damaged, below the folder of good files; of many that a pattern means, the last by name.
        command: the arguments after `python -m tfday7.`; `{file}` stands for what is damaged.
        owned: whether the file is one that the program wrote and may replace.
    """

    file: str
    command: tuple[str, ...]
    owned: bool = False


KINDS: dict[str, Kind] = {
    "flagfile": Kind("mine.flags", ("train", "--flagfile={file}", "--run_dir=out")),
    "npz": Kind("mine.npz", ("train", "--data={file}", "--model=mlp", *SMALL, "--run_dir=out")),
    "npy": Kind("arrays/x_train.npy", ("train", "--data=arrays", "--model=mlp", *SMALL, "--run_dir=out")),
    "csv": Kind("mine.csv", ("train", "--data={file}", "--target=y", "--model=mlp", *SMALL, "--run_dir=out")),
    "series": Kind("mine.csv", ("train", "--data={file}", "--target=a", "--columns=y=drop", "--window=4",
                                "--model=lstm", *SMALL, "--run_dir=out")),
    "image": Kind("photos/dark/0.png", ("train", "--data=photos", "--image_size=8", "--model=mlp", *SMALL,
                                        "--run_dir=out")),
    "idx": Kind("idx/train-images-idx3-ubyte.gz", ("train", "--data=fashion_mnist", "--data_dir=idx", "--model=mlp",
                                                   *SMALL, "--run_dir=out")),
    "tfrecord": Kind("mine.tfrecord", ("train", "--data={file}", "--features=features.json", "--target=y",
                                       "--model=mlp", *SMALL, "--run_dir=out")),
    "keras": Kind("mine.keras", ("export", "--model={file}", "--export_dir=out", "--formats=saved_model")),
    "tf_keras": Kind("older.keras", ("export", "--model={file}", "--export_dir=out", "--formats=saved_model")),
    "h5": Kind("mine.h5", ("export", "--model={file}", "--export_dir=out", "--formats=saved_model")),
    "saved_model": Kind("saved/keras_metadata.pb", ("export", "--model=saved", "--export_dir=out", "--formats=keras")),
    "saved_model_weights": Kind("saved/variables/variables.data-00000-of-00001",
                                ("export", "--model=saved", "--export_dir=out", "--formats=keras")),
    "tflite": Kind("files/mine_float32.tflite", ("benchmark", "--artefacts={file}", "--check")),
    "tflite_deployed": Kind("files/mine_int8.tflite", ("deploy", "--artefact={file}", "--device=android",
                                                       "--output_dir=out")),
    "artefact_record": Kind("files/mine_int8.tflite.json", ("deploy", "--artefact=files/mine_int8.tflite",
                                                            "--device=android", "--output_dir=out")),
    "onnx": Kind("files/mine_float32.onnx", ("benchmark", "--artefacts={file}", "--seconds=0.1", "--metric=false",
                                             "--output=out")),
    "history_csv": Kind("history.csv", ("diagnose", "--history={file}")),
    "history_json": Kind("history.json", ("diagnose", "--history={file}")),
    "history_lines": Kind("history.jsonl", ("diagnose", "--history={file}")),
    "history_gzip": Kind("history.json.gz", ("diagnose", "--history={file}")),
    "history_events": Kind("logs/events.out.tfevents.1", ("diagnose", "--history=logs")),
    "run_record": Kind("run/run.json", ("report", "--run_dir=run"), owned=True),
    "metrics": Kind("run/metrics.jsonl", ("diagnose", "--run_dir=run"), owned=True),
    "health": Kind("run/health.json", ("diagnose", "--run_dir=run"), owned=True),
    "diagnosis": Kind("run/diagnosis.json", ("report", "--run_dir=run"), owned=True),
    "run_flags": Kind("run/flags.txt", ("export", "--run_dir=run", "--export_dir=out", "--formats=saved_model"),
                      owned=True),
    "run_model": Kind("run/model.keras", ("export", "--run_dir=run", "--export_dir=out", "--formats=saved_model"),
                      owned=True),
    "checkpoint": Kind("run/checkpoints/*.npz", ("train", "--data=mine.npz", "--model=mlp", *SMALL, "--epochs=3",
                                                    "--run_dir=run"), owned=True),
    "recipe": Kind("recipe.json", ("compress", "--run_dir=run", "--recipe={file}", "--export_dir=out"), owned=False),
    "advised_model": Kind("mine.keras", ("advise", "--topic=compression", "--device=raspberry_pi", "--model={file}",
                                         "--data=mine.npz")),
    "tuned_data": Kind("mine.npz", ("tune", "--data={file}", *TUNED, "--trials=2", "--run_dir=out")),
    "tuning": Kind("runs/search/tuning.json", ("report", "--run_dir=runs/search"), owned=True),
    "tuning_begun": Kind("runs/search/trials/begun.json", TUNE_ON, owned=True),
    "tuning_outcome": Kind("runs/search/trials/search/trial_0/outcome.json", TUNE_ON, owned=True),
    "tuning_oracle": Kind("runs/search/trials/search/oracle.json", TUNE_ON, owned=True),
    "launched_data": Kind("mine.npz", ("launch", "--workers=2", "--log_dir=out", "--", "--data={file}", "--model=mlp",
                                       *SMALL, "--run_dir=out/run")),
    "search_log": Kind("runs/small/compression/search.json", SEARCH_ON, owned=True),
    "search_groups": Kind("runs/small/compression/groups.json", SEARCH_ON, owned=True),
    "candidate": Kind("runs/packed/compression/int8/candidate.json", PACK_AGAIN, owned=True),
    "candidate_key": Kind("runs/packed/compression/int8/key.json", PACK_AGAIN, owned=True),
    "candidate_state": Kind("runs/packed/compression/int8/work.json", PACK_AGAIN, owned=True),
    "candidate_model": Kind("runs/packed/compression/int8/model.keras", PACK_AGAIN, owned=True),
    "compression": Kind("runs/small/compression.json", ("report", "--run_dir=runs/small"), owned=True),
    "exports": Kind("run/exports.json", ("benchmark", "--run_dir=run", "--seconds=0.1", "--metric=false"), owned=True),
    "exports_again": Kind("run/exports.json", ("export", "--run_dir=run", "--export_dir=out",
                                               "--formats=saved_model"), owned=True),
    "benchmarked": Kind("run/benchmark.json", ("benchmark", "--run_dir=run", "--seconds=0.1", "--metric=false"),
                        owned=True),
    "fixed": Kind("runs/small/fix_trials/*.json", ("diagnose", "--run_dir=runs/small", *FIX), owned=True),
}  # fmt: skip


def make_good(folder: Path) -> None:
    """Makes a good file of every kind, with the commands themselves; in a process of its own, as TensorFlow works."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(160, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    _write_arrays(folder, x, y)
    _write_images(folder, generator)
    _write_models(folder)
    _write_histories(folder)
    steps = [{"technique": "shrink", "ratio": 0.5, "epochs": 1}, {"technique": "quantize", "kind": "int8"}]
    (folder / "recipe.json").write_text(json.dumps({"name": "mine", "steps": steps}), encoding="utf-8")
    for command in (
        ("train", "--data=mine.npz", "--model=mlp", *SMALL, "--run_dir=run"),
        ("export", "--run_dir=run", "--export_dir=files", "--name=mine", "--formats=tflite,onnx"),
        ("benchmark", "--run_dir=run", "--seconds=0.1", "--metric=false"),
        ("tune", "--data=mine.npz", *TUNED, "--trials=2", "--run_dir=runs/search"),
        ("train", "--data=mine.npz", "--model=mlp", *SMALL, "--run_dir=runs/small"),
        (*SEARCH, "--max_candidates=1", "--export_dir=runs/files"),
        ("diagnose", "--run_dir=runs/small", *FIX),
        ("train", "--data=mine.npz", "--model=mlp", *SMALL, "--run_dir=runs/packed"),
        (*PACK, "--export_dir=runs/packed_files"),
    ):
        subprocess.run([sys.executable, "-m", f"tfday7.{command[0]}", *command[1:]], cwd=folder, check=True,
                       env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)  # fmt: skip


def _write_arrays(folder: Path, x: np.ndarray, y: np.ndarray) -> None:
    np.savez(folder / "mine.npz", x_train=x, y_train=y)
    (folder / "arrays").mkdir()
    np.save(folder / "arrays" / "x_train.npy", x)
    np.save(folder / "arrays" / "y_train.npy", y)
    rows = [
        "a,b,c,d,y",
        *(",".join(f"{v:.4f}" for v in row) + f",{'yes' if t else 'no'}" for row, t in zip(x, y, strict=True)),
    ]
    (folder / "mine.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    flags = ["--data=mine.npz", "--model=mlp", *SMALL]
    (folder / "mine.flags").write_text("\n".join(flags) + "\n", encoding="utf-8")
    with tf.io.TFRecordWriter(str(folder / "mine.tfrecord")) as writer:
        for row, label in zip(x, y, strict=True):
            features = {
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=row)),
                "y": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    described = {"x": {"kind": "float", "shape": [4]}, "y": {"kind": "int64"}}
    (folder / "features.json").write_text(json.dumps(described), encoding="utf-8")


def _write_images(folder: Path, generator: np.random.Generator) -> None:
    for name, low in (("dark", 0), ("light", 128)):
        (folder / "photos" / name).mkdir(parents=True)
        for index in range(30):
            pixels = generator.integers(low, low + 128, size=(8, 8, 3)).astype(np.uint8)
            (folder / "photos" / name / f"{index}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    (folder / "idx").mkdir()
    for part, count in (("train", 120), ("t10k", 40)):
        images = generator.integers(0, 256, size=(count, 28, 28)).astype(np.uint8)
        head = (0x0803).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in images.shape)
        (folder / "idx" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes()))
        labels = (np.arange(count) % 10).astype(np.uint8)
        head = (0x0801).to_bytes(4, "big") + count.to_bytes(4, "big")
        (folder / "idx" / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels.tobytes()))


def _write_models(folder: Path) -> None:
    for kit, name in ((keras3, "mine.keras"), (keras, "older.keras"), (keras, "mine.h5")):
        inputs = kit.Input((4,))
        model = kit.Model(inputs, kit.layers.Dense(2)(kit.layers.Dense(8, activation="relu")(inputs)))
        model.save(folder / name)
    model.save(folder / "saved", save_format="tf")


def _write_histories(folder: Path) -> None:
    losses = [2.0 * 0.7**i for i in range(12)]
    history = {"loss": losses, "val_loss": [loss + 0.02 * i for i, loss in enumerate(losses)]}
    (folder / "history.json").write_text(json.dumps(history), encoding="utf-8")
    (folder / "history.json.gz").write_bytes(gzip.compress(json.dumps(history).encode()))
    lines = [{"epoch": i, **{k: v[i] for k, v in history.items()}} for i in range(12)]
    (folder / "history.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    table = ["epoch,loss,val_loss", *(f"{line['epoch']},{line['loss']},{line['val_loss']}" for line in lines)]
    (folder / "history.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    writer = tf.summary.create_file_writer(str(folder / "made_logs"))
    with writer.as_default():
        for line in lines:
            tf.summary.scalar("epoch_loss", line["loss"], step=line["epoch"])
    writer.close()
    (folder / "logs").mkdir()
    next((folder / "made_logs").iterdir()).rename(folder / "logs" / "events.out.tfevents.1")
    (folder / "made_logs").rmdir()

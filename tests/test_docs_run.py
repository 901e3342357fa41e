"""Every command line of the docs runs, in a folder that has what its reader has; long ones in a short form."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT, Ended, run_command
from test_docs import LINES

pytestmark = pytest.mark.slow

RUN, FILE = "runs/quickstart", "tflite_models/quickstart/quickstart_int8.tflite"
NAMES = {  # What a page calls it, and what the reader of this test has.
    "--run_dir=RUN": f"--run_dir={RUN}",
    "--run_dir=runs/NAME": f"--run_dir={RUN}",
    "--run_dir=runs/edge_fashion": f"--run_dir={RUN}",
    "--artefact=FILE": f"--artefact={FILE}",
    "--artefact=FILE.tflite": f"--artefact={FILE}",
    "--artefacts=FILE": f"--artefacts={FILE}",
    "--artefacts=FILE.tflite": f"--artefacts={FILE}",
    "--artefact=tflite_models/edge_fashion/edge_fashion_int8.tflite": f"--artefact={FILE}",
    "--model=MODEL.keras": "--model=mine.keras",
    "--model=MODEL": "--model=cnn",
    "--data=DATA": "--data=digits",
}
SHORT = {
    "train": ["--epochs=1", "--max_examples=400"],
    "tune": ["--epochs=1", "--max_examples=400", "--trials=2"],
    "compress": ["--seconds=0.2"],
    "benchmark": ["--seconds=0.2"],
}
FAR = re.compile(r"ssh://|10\.0\.0\.1")  # Devices and machines that are not here.
LEAST_CELLS = 16


def unlike() -> Iterator[tuple[str, list[str]]]:
    """Yields the command lines, each once."""
    seen = set()
    for _, name, rest in LINES:
        if (name, *rest) not in seen and "--..." not in rest:
            seen.add((name, *rest))
            yield name, rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a finished run, models, and data of every kind that the pages name."""
    made = tmp_path_factory.mktemp("reader")
    (made / "configs").symlink_to(ROOT / "configs")
    generator = np.random.default_rng(0)
    _write_tables(made, generator)
    x, y = generator.normal(size=(200, 8, 8, 1)).astype(np.float32), np.arange(200) % 3
    x[y == 1] += 1.0
    x[y == 2, :4] -= 1.0
    np.savez(made / "mine.npz", x_train=x, y_train=y)
    for name in ("left", "right"):
        (made / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 255, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(made / "photos" / name / f"{number}.png")
    curves = {"loss": [1.0, 0.6, 0.4, 0.2, 0.1, 0.05], "val_loss": [1.1, 0.8, 0.7, 0.8, 0.9, 1.0]}
    (made / "history.json").write_text(json.dumps(curves))
    (made / "mine.json").write_text('{"name": "mine", "steps": [{"technique": "quantize", "kind": "dynamic"}]}')
    (made / "runs" / "quickstart_tune").mkdir(parents=True)
    (made / "runs" / "quickstart_tune" / "best.flags").write_text("--data=digits\n--model=cnn\n--learning_rate=0.01\n")
    (made / "my_module.py").write_text(MODULE)
    from tfday7.core.frameworks import keras

    for name in ("mine.keras", "mine.h5", "large.keras", "other.keras"):
        tensor = keras.Input((8, 8, 1))
        hidden = keras.layers.Conv2D(LEAST_CELLS, 3, activation="relu", padding="same")(tensor)
        outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(hidden))
        keras.Model(tensor, outputs).save(made / name)
    small = ["--data=digits", "--model=cnn", "--width=8", "--depth=2", "--learning_rate=0.01"]
    for run, flags in ((RUN, ["--epochs=4"]), ("runs/overfits", ["--epochs=2", "--max_examples=300", "--export="])):
        ended = run_command("train", *small, *flags, f"--run_dir={run}", cwd=made)
        assert ended.code == 0, ended.err
    return made


MODULE = """
def my_function(input_shape, outputs):
    import keras

    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(outputs)])
"""


def _write_tables(folder: Path, generator: np.random.Generator) -> None:
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rooms", "town", "price", "wet", "windy", "warm"])
        for rooms in generator.integers(1, 9, 200):
            writer.writerow([rooms, "ab"[rooms % 2], 10.0 * rooms + generator.normal(), *generator.integers(0, 2, 3)])
    with (folder / "load.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["hour", "station", "load"])
        for station in ("east", "west"):
            writer.writerows([hour, station, np.sin(hour / 4.0) + 0.1 * generator.normal()] for hour in range(500))


def shortened(name: str, rest: list[str], number: int) -> list[str]:
    """Returns a line's arguments with the reader's names, its own folders, and what makes it short."""
    given = [NAMES.get(word, word) for word in rest]
    known = {word.partition("=")[0] for word in given}
    given += SHORT.get("train" if name == "launch" and "--" in rest else name, [])
    trains = name in ("train", "tune") or (name == "launch" and "--" in rest)
    if trains or (name in ("compress", "export") and "--run_dir" not in known):
        given += [f"--run_dir=runs/line_{number}"] if trains or name == "compress" else []
        given += [f"--export_dir=files/line_{number}"] if name != "tune" else []
    if name == "compress" and "--recipe" not in known:
        given += ["--search_epochs=1", *(["--search_minutes=0.5"] if "--max_candidates" not in known else [])]
    if name == "compress" and "--max_candidates" in known:
        given += ["--max_candidates=4"]
    if "--flagfile=configs/edge_fashion.flags" in given:
        given += ["--search_epochs=1", "--search_minutes=0.5"]
    if "--fix" in known:
        given += ["--fix_budget_minutes=0.2"]
    return given


@pytest.mark.parametrize(("name", "rest"), unlike(), ids=lambda part: str(part)[:100])
def test_a_command_line_runs(name: str, rest: list[str], folder: Path) -> None:
    number = list(unlike()).index((name, rest))
    given = shortened(name, rest, number)
    far = FAR.search(" ".join(given)) is not None and "--dry_run" not in given
    if far and name == "train":
        given.append("--only_check_args")  # It would wait for the others.
    ended: Ended = run_command(name, *given, cwd=folder)
    assert "Traceback" not in ended.err, ended.err
    if far and name != "train":
        assert ended.code == 2, ended.err
        assert "pi@raspberrypi" in ended.err
    else:
        # After an epoch on few examples a file may lose too much, and nothing may be within a budget: exit code 3.
        assert ended.code == 0 or (ended.code == 3 and name in ("train", "compress", "launch")), ended.err

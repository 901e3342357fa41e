"""Every command line of the docs runs, in a folder that has what its reader has; long ones in a short form."""

from __future__ import annotations

import csv
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT, run_command, run_python
from test_docs import LINES

from tfday7.data.sources.fashion_mnist import FILES

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
    "--artefact=tflite_models/edge_fashion/NAME/edge_fashion_NAME_int8.tflite": f"--artefact={FILE}",
    "--model=MODEL.keras": "--model=mine.keras",
    "--model=MODEL": "--model=cnn",
    "--data=DATA": "--data=digits",
}
# What makes a training short, by a word that its command line has; each adds to those before.
SMALL = {
    "": ("--epochs=1",),
    "fashion": ("--data_dir=fashion",),
    "text": ("--width=16", "--depth=1", "--warmup_steps=5"),
    "quickstart.flags": ("--warmup_steps=5",),
    "multiworker.flags": ("--warmup_steps=5",),
    "mirrored": ("--warmup_steps=5",),
    "mobilenet": ("--width=4", "--depth=2"),
    "edge_fashion": (
        "--width=8",
        "--max_candidates=1",
        "--search_epochs=1",
        "--search_minutes=1",
        "--max_accuracy_drop=1",
    ),
}
FAR = "ssh://pi@raspberrypi"  # A device that is not here.
CHECKED = ("10.0.0.1", "hybrid")  # It would wait for the others; meshes are trained by tests of their own.


def unlike() -> list[tuple[str, list[str]]]:
    """Returns the command lines, each once; not those that only name a command, or leave the flags to the reader.

    Lines that are the same to the reader of this test are one.
    """
    lines = {(name, *named(rest)): (name, rest) for _, name, rest in LINES if rest and "--..." not in rest}
    return list(lines.values())


def named(rest: list[str]) -> list[str]:
    """Returns a line's arguments with the reader's names."""
    return [NAMES.get(word, word) for word in rest]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a finished run, models, and data of every kind that the pages name."""
    made = tmp_path_factory.mktemp("reader")
    (made / "configs").symlink_to(ROOT / "configs")
    generator = np.random.default_rng(0)
    _write_tables(made, generator)
    _write_images(made, generator)
    curves = {"loss": [1.0, 0.6, 0.4, 0.2, 0.1, 0.05], "val_loss": [1.1, 0.8, 0.7, 0.8, 0.9, 1.0]}
    (made / "history.json").write_text(json.dumps(curves))
    (made / "mine.json").write_text('{"name": "mine", "steps": [{"technique": "quantize", "kind": "dynamic"}]}')
    (made / "runs" / "quickstart_tune").mkdir(parents=True)
    (made / "runs" / "quickstart_tune" / "best.flags").write_text("--data=digits\n--model=cnn\n--learning_rate=0.01\n")
    (made / "my_module.py").write_text(MODULE)
    _save_models(made)
    (script,) = re.findall(r"cat > few.py <<'END'\n(.*?)    END\n", _exercises(), re.DOTALL)
    assert run_python("-c", re.sub("^    ", "", script, flags=re.MULTILINE), cwd=made).code == 0
    own = ["--flagfile=configs/quickstart.flags", "--data=mine.npz", "--warmup_steps=5"]
    few = ["--data=few.npz", "--model=cnn", "--epochs=1", "--export=", "--run_dir=runs/overfits"]
    for arguments in (own, few):
        ended = run_command("train", *arguments, cwd=made)
        assert ended.code == 0, ended.err
    return made


MODULE = """
def my_function(input_shape, outputs):
    import keras

    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(outputs)])
"""


def _exercises() -> str:
    return (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")


def _save_models(folder: Path) -> None:
    from tfday7.core.frameworks import keras

    for name in ("mine.keras", "mine.h5", "large.keras", "other.keras"):
        tensor = keras.Input((8, 8, 1))
        hidden = keras.layers.Conv2D(16, 3, activation="relu", padding="same")(tensor)
        outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(hidden))
        keras.Model(tensor, outputs).save(folder / name)


def _write_images(folder: Path, generator: np.random.Generator) -> None:
    x, y = generator.normal(size=(200, 8, 8, 1)).astype(np.float32), np.arange(200) % 3
    x[y == 1] += 1.0
    x[y == 2, :4] -= 1.0
    np.savez(folder / "mine.npz", x_train=x, y_train=y)
    for name in ("left", "right"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(40):
            pixels = generator.integers(0, 255, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")
    (folder / "fashion").mkdir()
    for images, labels, count in ((FILES[0], FILES[1], 400), (FILES[2], FILES[3], 100)):
        clothes = np.arange(count) % 10
        pixels = generator.integers(0, 20, (count, 28, 28)) + 20 * clothes[:, np.newaxis, np.newaxis]
        (folder / "fashion" / images).write_bytes(
            struct.pack(">4i", 2051, count, 28, 28) + pixels.astype(">u1").tobytes()
        )
        (folder / "fashion" / labels).write_bytes(struct.pack(">2i", 2049, count) + clothes.astype(">u1").tobytes())


def _write_tables(folder: Path, generator: np.random.Generator) -> None:
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rooms", "town", "price", "wet", "windy", "warm"])
        for rooms in generator.integers(1, 9, 200):
            writer.writerow([rooms, "ab"[rooms % 2], 10.0 * rooms + generator.normal(), *generator.integers(0, 2, 3)])
    for name, stations in (("load.csv", ("east", "west")), ("one_station.csv", ("",))):
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["hour", *["station"][: len(stations) - 1], "load"])
            for station in stations:
                named = [station] if station else []
                writer.writerows([hour, *named, np.sin(hour / 4.0) + 0.1 * generator.normal()] for hour in range(500))


def shortened(name: str, rest: list[str], number: int) -> list[str]:
    """Returns a line's arguments with the reader's names, short, and off the files of other lines."""
    given = named(rest)
    known = {word.partition("=")[0] for word in given}
    if name in ("train", "tune") or (name == "launch" and "--emit" not in known):
        given += [flag for word, flags in SMALL.items() if word in " ".join(given) for flag in flags]
    group = name == "launch" and "--emit" not in known and "quickstart.flags" not in " ".join(given)
    if "--export" not in known and (group or (name == "train" and "--flagfile" not in known)):
        given.append("--export=")  # The files of every kind of model and data are made in tests; one group makes some.
    given += list(_folders(name, known | ({"--export="} & set(given)), number))
    if "--series" not in known:  # That page's reader has a single one.
        given = [word.replace("--data=load.csv", "--data=one_station.csv") for word in given]
    if name == "tune":
        given += ["--trials=2", "--reruns=1"]
    if name == "compress" and "--recipe" not in known:
        given += ["--search_epochs=1", "--max_candidates=1", "--search_minutes=1"]
    if name in ("compress", "benchmark") and "--check" not in known:
        given += ["--seconds=0.2"]
    if "--fix" in known:
        given += ["--fix_budget_minutes=0.1"]
    return given


def _folders(name: str, known: set[str], number: int) -> Iterator[str]:
    if name in ("train", "tune", "compress") and "--run_dir" not in known:
        yield f"--run_dir=runs/line_{number}"
    if name == "launch" and "--emit" not in known:
        yield f"--run_dir=runs/line_{number}"
    if name in ("train", "compress", "export", "launch") and not known & {"--emit", "--export="}:
        yield f"--export_dir=files/line_{number}"


@pytest.mark.parametrize(("name", "rest"), unlike(), ids=lambda part: str(part)[:100])
def test_a_command_line_runs(name: str, rest: list[str], folder: Path) -> None:
    given = shortened(name, rest, unlike().index((name, rest)))
    if any(word in " ".join(given) for word in CHECKED):
        given.append("--only_check_args")
    ended = run_command(name, *given, cwd=folder)
    assert "Traceback" not in ended.err, ended.err
    if FAR in " ".join(given) and "--dry_run" not in given:
        assert ended.code == 2, ended.err
        assert "raspberrypi" in ended.err
    elif ended.code == 3 and name in ("train", "compress", "launch"):
        # After an epoch a file may lose too much, and nothing may be within a budget: it says so, and what to do.
        assert "hint:" in ended.err or "relax" in ended.out, ended.err + ended.out
    else:
        assert ended.code == 0, ended.err


def test_what_is_not_run_is_little() -> None:
    told = [(name, rest) for _, name, rest in LINES]
    run = [(name, named(rest)) for name, rest in unlike()]
    left = [(name, rest) for name, rest in told if (name, named(rest)) not in run]
    assert all(not rest or "--..." in rest for _, rest in left)
    assert len(left) < len(told) / 5

"""`tfday7.export` as a user runs it: a run's model, a model file with and without data, and what goes wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support import run_command

from tfday7 import stage_export
from tfday7.core import files
from tfday7.core.frameworks import keras
from tfday7.core.run_folder import EXPORTS, RunFolder
from tfday7.exporting.records import Artefact, Parity, relative_source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a finished run, an .h5 file, and data for it."""
    path = tmp_path_factory.mktemp("work")
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(300, 6, 6, 1)).astype(np.float32)
    y = (x[:, :3].sum(axis=(1, 2, 3)) > x[:, 3:].sum(axis=(1, 2, 3))).astype(int)
    np.savez(path / "mine.npz", x_train=x, y_train=y)
    flags = ("--data=mine.npz", "--model=mlp", "--width=8", "--depth=1", "--epochs=4", "--learning_rate=0.01")
    ended = run_command("train", *flags, "--export=", "--run_dir=runs/small", cwd=path)
    assert ended.code == 0, ended.err
    inputs = keras.Input((6, 6, 1))
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(path / "mine.h5")
    (path / "taken").mkdir()
    (path / "taken" / "README.md").write_text("# My own", encoding="utf-8")
    ended = run_command("export", "--run_dir=runs/small", "--formats=tflite,onnx", "--kinds=float32", cwd=path)
    assert ended.code == 0, ended.err
    assert "verified on" in ended.out
    return path


def test_a_runs_model_is_exported_on_its_own_data_into_its_record_and_report(folder: Path) -> None:
    made = folder / "tflite_models" / "small"
    assert {path.name for path in made.iterdir()} == {
        "small_float32.tflite", "small_float32.tflite.json", "small_float32.onnx", "small_float32.onnx.json",
        "small_vectors.npz", "README.md",
    }  # fmt: skip
    record = json.loads((made / "small_float32.tflite.json").read_text(encoding="utf-8"))
    assert record["run"] == "../../runs/small"
    assert record["recipe"]["data"]["flags"]["data"] == "mine.npz"
    again = run_command("export", "--run_dir=runs/small", "--formats=keras", "--json", cwd=folder)
    assert again.code == 0, again.err
    assert [each["name"] for each in json.loads(again.out)["artefacts"]] == ["small_float32.keras"]
    recorded = json.loads((folder / "runs" / "small" / "exports.json").read_text(encoding="utf-8"))["artefacts"]
    assert [each["name"] for each in recorded] == ["small_float32", "small_float32.onnx", "small_float32.keras"]
    assert "small_float32.onnx" in (folder / "runs" / "small" / "report.html").read_text(encoding="utf-8")


def test_a_model_file_is_verified_on_the_data_given_with_it_and_its_command_makes_it_again(folder: Path) -> None:
    flags = ("--model=mine.h5", "--data=mine.npz", "--formats=tflite", "--name=it's mine")
    ended = run_command("export", *flags, "--json", cwd=folder)
    assert ended.code == 0, ended.err
    float32, int8 = json.loads(ended.out)["artefacts"]
    assert float32["parity"]["metric"] == "accuracy"
    assert int8["recipe"]["calibration"]["examples"] > 100
    expected = "python -m tfday7.export --model=mine.h5 '--name=it'\"'\"'s mine' --data=mine.npz"
    assert float32["recipe"]["command"] == expected
    before = (folder / int8["path"]).read_bytes()
    again = run_command("export", *flags, cwd=folder)
    assert again.code == 0, again.err
    assert (folder / int8["path"]).read_bytes() == before


def test_without_data_inputs_are_made_up_and_int8_is_left_out_with_a_word(folder: Path) -> None:
    ended = run_command("export", "--model=mine.h5", "--export_dir=bare", "--formats=tflite", "--json", cwd=folder)
    assert ended.code == 0, ended.err
    assert "int8 is left out" in ended.err
    (artefact,) = json.loads(ended.out)["artefacts"]
    assert artefact["parity"]["metric"] is None
    assert artefact["parity"]["relative_difference"] < 1e-5
    assert artefact["recipe"]["data"] is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--model is missing"),
        (["--model=mine.h5", "--run_dir=runs/small"], "contradicts --run_dir=runs/small"),
        (["--run_dir=runs/none"], "no run was started there"),
        (["--model=none.h5"], "--model=none.h5: no such file"),
        (["--model=cnn"], "--model=cnn is an architecture"),
        (["--model=mine.h5", "--formats=tflight"], "unknown export format 'tflight'"),
        (["--model=mine.h5", "--kinds=int8"], "int8 is calibrated on data"),
        (["--model=mine.h5", "--formats=keras", "--kinds=float16"], "none of keras has float16"),
        (["--model=mine.h5", "--data=none.npz"], "none.npz"),
        (["--model=mine.h5", "--export_dir=mine.npz"], "is a file; expected a folder"),
        (["--model=mine.h5", "--input_shape=1,2"], "takes inputs of shape (6, 6, 1)"),
        (["--model=mine.npz", "--formats=tflite"], "mine.npz"),
        (["--model=mine.h5", "--data=digits"], "takes inputs of shape (6, 6, 1)"),
        (["--run_dir=runs/small", "--data=digits"], "--data=digits contradicts --run_dir=runs/small"),
        (["--model=mine.h5", "--data=mine.npz", "--input_shape=6,6,1"], "contradicts --data=mine.npz"),
        (["--run_dir=runs/small", "--input_shape=6,6,1"], "--input_shape=6,6,1 contradicts --run_dir=runs/small"),
        (["--model=runs/small/model.keras", "--input_shape=6,6,1"], "contradicts --run_dir=runs/small"),
        (["--model=mine.h5", "--export_dir=taken"], "README.md was not written by an export"),
        (["--model=mine.h5", "--export_dir=tflite_models/small"], "holds the artefacts of another run"),
    ],
)
def test_a_mistake_is_exit_2_with_a_reason_and_leaves_nothing(flags: list[str], message: str, folder: Path) -> None:
    before = sorted(path for path in folder.rglob("*"))
    ended = run_command("export", *flags, cwd=folder)
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert sorted(path for path in folder.rglob("*")) == before


def test_a_file_that_parts_from_its_model_is_exit_3_with_the_layer(folder: Path) -> None:
    inputs = keras.Input((6, 6, 1))
    wide = keras.layers.Dense(2, use_bias=False, name="wide")
    pick = keras.layers.Dense(2, use_bias=False, name="pick")
    model = keras.Model(inputs, pick(wide(keras.layers.Flatten()(inputs))))
    weights = np.zeros((36, 2), np.float32)
    weights[0, 0], weights[1, 1] = 1000.0, 1.0
    wide.set_weights([weights])
    pick.set_weights([np.array([[0.0, 0.0], [1.0, -1.0]], np.float32)])
    model.save(folder / "wide.h5")
    ended = run_command("export", "--model=wide.h5", "--data=mine.npz", "--formats=tflite", cwd=folder)
    assert ended.code == 3
    assert "up to wide it holds, with pick it differs by" in ended.err
    record = json.loads((folder / "tflite_models" / "wide" / "wide_int8.tflite.json").read_text(encoding="utf-8"))
    assert record["parting"]["first_that_parts"] == "pick"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run that has exported a broken int8 file, and could not make an int16x8 one; its report is not written."""
    monkeypatch.setattr("tfday7.reporting.write_report", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    made = RunFolder(Path("runs/small"))
    made.path.mkdir(parents=True)
    made.update(gate={"message": "small_int8: too far", "hint": ""})
    failed = Artefact("small_int16x8", "tflite", "int16x8", failure="no such operator")
    files.write_json(made / EXPORTS, {"artefacts": [artefact(broken="too far").to_json(), failed.to_json()]})
    return made


def artefact(kind: str = "int8", broken: str = "", folder: str = "tflite_models/small") -> Artefact:
    """A file of the run, compared with the model."""
    path = Path(folder) / f"small_{kind}.tflite"
    files.write_bytes(path, b"x")
    parity = Parity(None, None, None, 0.1, 0.1, 0.1, None, [], 9, {}, [broken] if broken else [])
    source = relative_source(str(Path("runs/small").resolve()), path.parent)
    return Artefact(f"small_{kind}", "tflite", kind, run=source, path=str(path), parity=parity)


def listed(run: RunFolder) -> list[str]:
    return [each["name"] for each in files.read_json(run / EXPORTS)["artefacts"]]


def test_a_gate_that_failed_stays_until_what_failed_it_is_made(run: RunFolder) -> None:
    stage_export._record(run, [artefact("float32")], "en")
    assert listed(run) == ["small_int8", "small_int16x8", "small_float32"]
    assert run.record()["gate"]["message"] == "small_int8: too far; small_int16x8: no such operator"
    stage_export._record(run, [artefact("int8")], "en")
    assert run.record()["gate"]["message"] == "small_int16x8: no such operator"
    stage_export._record(run, [artefact("int16x8")], "en")
    assert run.record()["gate"] is None


@pytest.mark.parametrize("folder", ["tflite_models/small", "out", "runs/small/files", "runs/small", "."])
def test_what_a_run_has_exported_is_found_from_another_folder(
    folder: str, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_json(run / EXPORTS, {"artefacts": [artefact(broken="too far", folder=folder).to_json()]})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = RunFolder(tmp_path / "runs" / "small")
    (found,) = stage_export._recorded(there)
    assert found.path == str(tmp_path / folder / "small_int8.tflite")
    Path(found.path).unlink()
    assert stage_export._recorded(there) == []


def test_an_entry_of_which_nobody_can_say_where_it_lies_stays(run: RunFolder) -> None:
    """It was exported in a folder of which the record says no more than that the run is beside it."""
    somewhere = dataclasses.replace(artefact(), run="../runs/small", path="small_int8.tflite")
    gone = dataclasses.replace(somewhere, name="gone", path="/gone/small_int8.tflite")
    files.write_json(run / EXPORTS, {"artefacts": [somewhere.to_json(), gone.to_json()]})
    assert stage_export._recorded(run) == [somewhere]

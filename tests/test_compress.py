"""`python -m tfday7.compress` as a user runs it: on a run, on a model file, again, and with mistakes."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import run_command

from tfday7 import stage_compress
from tfday7.core.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compress") / "digits"
    shutil.copytree(digits_run, folder)
    steps = [{"technique": "quantize", "kind": "int8", "fallback": "float"}]
    (folder.parent / "mixed.json").write_text(json.dumps({"name": "mixed", "steps": steps}))
    steps = [{"technique": "distil", "teacher": "nowhere.keras"}]
    (folder.parent / "taught.json").write_text(json.dumps({"name": "taught", "steps": steps}))
    return folder


@pytest.fixture(scope="module")
def compressed(run: Path) -> tuple[dict[str, Any], Path]:
    recipe = run.parent / "small.json"
    steps = [
        {"technique": "shrink", "ratio": 0.5, "epochs": 2, "round_to": 1},
        {"technique": "quantize", "kind": "int8"},
    ]
    recipe.write_text(json.dumps({"name": "small", "steps": steps}))
    rounded = run.parent / "rounded.json"  # Its model, when it is opened again, becomes a file of other bytes.
    steps = [{"technique": "qat", "epochs": 1}, {"technique": "quantize", "kind": "int8"}]
    rounded.write_text(json.dumps({"name": "rounded", "steps": steps}))
    target = run.parent / "artefacts"
    ended = run_command(
        "compress", f"--run_dir={run}", f"--recipe={recipe},int8,{rounded}", "--max_accuracy_drop=0.1", "--seconds=0.5",
        f"--export_dir={target}", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return json.loads(ended.out), target


def test_every_candidate_is_smaller_measured_and_delivered_with_its_recipe(compressed: Any) -> None:
    record, target = compressed
    baseline, small, int8, rounded = record["baseline"], *record["candidates"]
    assert (small["name"], int8["name"], rounded["name"]) == ("small", "int8", "rounded")
    assert small["parameters"] < 0.5 * baseline["parameters"]
    assert small["macs"] < 0.5 * baseline["macs"]
    assert int8["parameters"] == baseline["parameters"]
    for one in record["candidates"]:
        assert one["failure"] == ""
        assert one["gzip_bytes"] < baseline["gzip_bytes"]
        assert one["latency_ratio"] > 0
        low, high = one["latency_spread"]
        assert low <= one["latency_ratio"] <= high
        if one["path"]:
            assert json.loads((target / one["name"] / "recipe.json").read_text())["name"] == one["name"]
            assert one["test_metric"] is not None
            content = Path(one["path"]).read_bytes()
            assert one["size_bytes"] == len(content)
            assert one["gzip_bytes"] == len(gzip.compress(content, 9, mtime=0))
            assert one["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["chosen"] in ("small", "int8", "rounded")


def test_the_metric_is_the_file_s_own_on_the_split_that_it_says(compressed: Any) -> None:
    from tfday7 import data
    from tfday7.data.config import DataConfig
    from tfday7.exporting import feeding
    from tfday7.exporting.records import read_artefact
    from tfday7.runtimes import open_artefact

    record, _ = compressed
    dataset = data.load(DataConfig(data="digits"))
    one = next(each for each in record["candidates"] if each["path"])
    path = Path(one["path"])
    runner, artefact = open_artefact(path, "litert"), read_artefact(path)
    for split, value in ((dataset.validation, one["metric"]["value"]), (dataset.test, one["test_metric"])):
        outputs = feeding.predict(runner, artefact, np.asarray(split.x[:]))
        assert (outputs.argmax(-1) == split.y).mean() == pytest.approx(value)


def test_the_run_keeps_its_model_and_its_report_shows_the_candidates(run: Path, compressed: Any) -> None:
    record, _ = compressed
    assert json.loads((run / "compression.json").read_text())["chosen"] == record["chosen"]
    page = (run / "report.html").read_text()
    assert 'id="compression"' in page
    assert "small" in page
    assert (run / "model.keras").exists()


def test_the_same_again_makes_nothing_again(run: Path, compressed: Any) -> None:
    _, target = compressed
    ended = run_command(
        "compress", f"--run_dir={run}", f"--recipe={run.parent}/small.json", "--measure=false",
        "--max_accuracy_drop=0.1", f"--export_dir={target}",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "small: made before" in ended.out
    assert "step 1 of 2" not in ended.out


def test_a_model_file_with_its_data_has_a_folder_of_its_own(run: Path, tmp_path: Path) -> None:
    ended = run_command(
        "compress", f"--model={run}/model.keras", "--data=digits", "--recipe=dynamic", "--measure=false",
        f"--run_dir={tmp_path}/mine", f"--export_dir={tmp_path}/files", "--lang=zh",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "选中" in ended.out
    assert (tmp_path / "mine" / "report.html").exists()
    assert json.loads((tmp_path / "mine" / "compression.json").read_text())["candidates"][0]["latency_ratio"] is None


@pytest.mark.slow
def test_a_model_and_a_teacher_that_bring_code_are_taken_and_delivered_where_that_is_allowed(tmp_path: Path) -> None:
    from tfday7.core.frameworks import keras

    tensor = keras.Input((8, 8, 1))
    doubled = keras.layers.Lambda(lambda x: 2.0 * x)(keras.layers.Flatten()(tensor))
    keras.Model(tensor, keras.layers.Dense(10)(doubled)).save(tmp_path / "mine.keras")
    ended = run_command(
        "compress", f"--model={tmp_path}/mine.keras", "--data=digits", "--recipe=dynamic", "--measure=false",
        f"--teacher={tmp_path}/mine.keras", "--allow_unsafe_model", "--max_accuracy_drop=1", "--json",
        f"--run_dir={tmp_path}/run", f"--export_dir={tmp_path}/files",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["chosen"] == "dynamic"


def test_a_run_whose_model_brings_code_is_compressed_as_it_was_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tfday7 import stage_compress, train
    from tfday7.core.run_folder import RunFolder
    from tfday7.models.config import ModelConfig

    def config(kind: Any) -> Any:
        return kind(allow_unsafe_model=True) if kind is ModelConfig else kind()

    monkeypatch.setattr(train, "COMMAND", SimpleNamespace(config=config))
    monkeypatch.setattr(stage_compress, "plan", lambda config, *others: config)
    monkeypatch.setattr(stage_compress, "compress", lambda task, *others: {"task": task})
    record = train.compress(RunFolder(tmp_path), print, "en")
    assert record is not None
    assert record["task"].allow_unsafe_model
    assert record["task"].run_dir == str(tmp_path)


@pytest.mark.parametrize(("runtime", "suffix"), [("onnxruntime", ".onnx"), ("openvino", ".xml")])
def test_another_runtime_gets_files_of_its_own_which_it_scores_and_times(
    runtime: str, suffix: str, run: Path, compressed: Any, tmp_path: Path
) -> None:
    ended = run_command(
        "compress", f"--model={run}/model.keras", "--data=digits", f"--recipe={run.parent}/small.json,int8",
        f"--runtime={runtime}", "--max_accuracy_drop=0.5", "--seconds=0.5", f"--run_dir={tmp_path}/mine",
        f"--export_dir={tmp_path}/files", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    small, int8 = record["candidates"]
    for one in (record["baseline"], small, int8):
        assert not one["failure"]
        assert one["runtime"] == runtime
        assert one["latency_ratio"] > 0
    assert small["gzip_bytes"] < int8["gzip_bytes"] < record["baseline"]["gzip_bytes"]
    chosen = next(one for one in record["candidates"] if one["name"] == record["chosen"])
    assert Path(chosen["path"]).suffix == suffix
    assert (Path(chosen["path"]).parent / "README.md").exists()
    # The shrunk model is the same one, whatever runs it: its int8 file decides alike, up to a few examples.
    there = next(one for one in compressed[0]["candidates"] if one["name"] == "small")
    assert small["parameters"] == there["parameters"]
    assert small["metric"]["value"] == pytest.approx(there["metric"]["value"], abs=0.05)
    assert f"--runtime={runtime}" in record["command"]


def test_a_recipe_that_fails_does_not_lose_the_others(run: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"name": "bad", "steps": [{"technique": "shrink", "ratio": 0.5, "keep": "no_such_layer"}]}')
    ended = run_command(
        "compress", f"--run_dir={run}", f"--recipe={bad},float16", "--measure=false",
        f"--export_dir={tmp_path}/files", "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    failed, made = json.loads(ended.out)["candidates"]
    assert "no_such_layer" in failed["failure"]
    assert made["failure"] == ""


def test_a_budget_that_nothing_meets_ends_with_3_and_says_what_is_nearest(run: Path, tmp_path: Path) -> None:
    ruin = tmp_path / "ruin.json"
    ruin.write_text('{"name": "ruin", "steps": [{"technique": "prune", "sparsity": 0.97, "epochs": 0}]}')
    ended = run_command(
        "compress", f"--run_dir={run}", f"--recipe={ruin}", "--measure=false", f"--export_dir={tmp_path}/files"
    )
    assert ended.code == 3, ended.err
    assert "no candidate is within the budget; the nearest, ruin, has a validation metric of" in ended.err
    assert "hint: --max_accuracy_drop=" in ended.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--model or --run_dir is missing"),
        (("--run_dir={run}", "--recipe=int8", "--search_minutes=3"), "--search_minutes=3.0 contradicts --recipe=int8"),
        (("--run_dir={run}", "--max_latency_ms=3", "--measure=false"), "--nomeasure contradicts a limit"),
        (("--run_dir={run}", "--max_size_kb=-3"), "max_size_kb"),
        (("--run_dir={run}", "--batch_size=0"), "--batch_size=0: expected a whole number at least 1"),
        (("--run_dir={run}", "--recipe={run}/../taught.json"), "taught: teacher nowhere.keras: no such file"),
        (("--run_dir={run}", "--device=gpu"), "unknown device 'gpu'"),
        (("--run_dir={run}", "--device=ssh://-oProxyCommand=x"), "not an address of ssh"),
        (("--run_dir={run}", "--device=ssh://pi", "--ssh_config=nowhere"), "--ssh_config=nowhere: no such file"),
        (("--run_dir={run}", "--ssh_config=nowhere"), "--ssh_config=nowhere contradicts --device=cpu"),
        (("--run_dir={run}", "--runtime=tensorflow"), "--runtime=tensorflow: expected one of litert"),
        (("--run_dir={run}", "--runtime=onnxruntime", "--device=ssh://pi"), "contradicts --device=ssh://pi"),
        (("--run_dir={run}", "--runtime=onnxruntime", "--recipe=float16"), "asks for float16, which its format"),
        (("--run_dir={run}", "--runtime=openvino", "--recipe=int8,shrink50_qat"), "recipe shrink50_qat has qat"),
        (("--run_dir={run}", "--runtime=openvino", "--recipe={run}/../mixed.json"), "leaves layers in float32"),
        (("--run_dir={run}", "--runtime=openvino", "--recipe=int8,float16"), ""),
        (("--recipe=int8",), "--model or --run_dir is missing"),
        (("--recipe=int8", "--model=no.keras", "--data=digits"), "no.keras"),
        (("--recipe=int9", "--run_dir={run}"), "unknown recipe 'int9'"),
        (("--recipe=int8", "--run_dir={run}", "--teacher=no.keras"), "--teacher=no.keras: no such file"),
        (("--recipe=int8", "--run_dir={run}", "--augment=blur"), "blur"),
        (("--recipe=int8", "--run_dir={run}", "--data=digits"), "contradicts"),
        (("--recipe=int8", "--run_dir=nowhere"), "no run was started there"),
        (("--recipe=int8", "--model={run}/model.keras", "--run_dir=mine"), ""),
    ],
)
def test_a_mistake_ends_with_2_before_anything_is_written(
    flags: tuple[str, ...], message: str, run: Path, tmp_path: Path
) -> None:
    ended = run_command("compress", *(flag.format(run=run) for flag in flags), "--only_check_args", cwd=tmp_path)
    assert ended.code == (2 if message else 0), ended.err
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_with_other_outputs_is_refused(run: Path, tmp_path: Path) -> None:
    from tfday7 import models
    from tfday7.core.frameworks import keras

    tensor = keras.Input((8, 8, 1))
    models.save(keras.Model(tensor, keras.layers.Dense(7)(keras.layers.Flatten()(tensor))), tmp_path / "other.keras")
    ended = run_command(
        "compress", f"--run_dir={run}", "--recipe=qat", f"--teacher={tmp_path}/other.keras",
        f"--export_dir={tmp_path}/files",
    )  # fmt: skip
    assert ended.code == 2, ended.err
    assert "7" in ended.err


def test_files_of_others_in_a_recipes_folder_are_not_replaced(run: Path, compressed: Any, tmp_path: Path) -> None:
    _, target = compressed
    (tmp_path / "int8").mkdir()
    (tmp_path / "int8" / "README.md").write_text("mine")
    flags = ("compress", "--recipe=int8", "--only_check_args")
    ended = run_command(*flags, f"--run_dir={run}", f"--export_dir={tmp_path}")
    assert ended.code == 2
    assert "README.md was not written by an export" in ended.err
    other = ("--model=keras.applications:MobileNet", "--data=digits", f"--run_dir={tmp_path}/other")
    delivered = next(path for path in target.iterdir() if path.name != "float32")
    recipe = "int8" if delivered.name == "int8" else f"{run.parent}/{delivered.name}.json"
    ended = run_command("compress", *other, f"--recipe={recipe}", f"--export_dir={target}", "--only_check_args")
    assert ended.code == 2
    assert "holds the artefacts of another run or model" in ended.err


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    (tmp_path / ".partial-abc").mkdir()
    monkeypatch.setattr(stage_compress, "_job", lambda *_: None)
    monkeypatch.setattr(stage_compress, "_begin", stop)
    task: Any = SimpleNamespace(folder=RunFolder(tmp_path), found=SimpleNamespace(run=None))
    with pytest.raises(KeyboardInterrupt):
        stage_compress._concluded(task, None, None, "", lambda sentence: None, "en")  # type: ignore[arg-type]
    assert not list(tmp_path.glob(".partial-*"))

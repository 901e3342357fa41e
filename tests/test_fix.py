"""`tfday7.diagnose --fix` as a user runs it: a broken rate is repaired, and what is delivered is never touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import run_command, run_python

from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset

FLAGS = ("--data=digits", "--model=mlp", "--width=16", "--depth=1", "--epochs=4", "--export=")
FIX = ("--run_dir=run", "--fix", "--fix_trainings=4", "--fix_budget_minutes=60")


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a rate of 30, repaired."""
    folder = tmp_path_factory.mktemp("fix")
    assert run_command("train", *FLAGS, "--learning_rate=30", "--run_dir=run", cwd=folder).code == 0
    shutil.copy(folder / "run" / "model.keras", folder / "before.keras")
    ended = run_command("diagnose", *FIX, "--json", cwd=folder)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == _read(folder / "run" / "fix.json")
    assert "fix: accuracy " in ended.err
    return folder


@pytest.mark.slow
def test_the_rate_is_put_back_and_proven_with_another_seed(fixed: Path) -> None:
    record = _read(fixed / "run" / "fix.json")
    assert record["after"]["flags"] == {"learning_rate": "0.001"}
    assert len(record["after"]["by_seed"]) >= 2
    assert record["test"]["after"] > record["test"]["before"] + 0.3
    assert record["trainings"] <= 4
    assert (fixed / "run" / "model.keras").read_bytes() == (fixed / "before.keras").read_bytes()


@pytest.mark.slow
def test_the_flagfile_trains_the_repaired_model_again_and_the_file_is_that_model(fixed: Path) -> None:
    record = _read(fixed / "run" / "fix.json")
    command = record["command"].removeprefix("python -m tfday7.train ").split()
    ended = run_command("train", *command, "--run_dir=again", cwd=fixed)
    assert ended.code == 0, ended.err
    assert _read(fixed / "again" / "run.json")["metric"]["test"] == pytest.approx(record["test"]["after"], abs=1e-6)
    # Keras 3 opens it without tfday7: the accuracy is counted on the data set itself.
    code = (
        "import sys, keras, numpy as np; from tfday7 import data; test = data.load(data.DataConfig()).test;"
        "model = keras.models.load_model(sys.argv[1]);"
        "print(float(np.mean(model.predict(test.x, verbose=0).argmax(-1) == test.y)))"
    )
    counted = run_python("-c", code, str(fixed / "run" / "fixed.keras"), cwd=fixed)
    assert float(counted.out.split()[-1]) == pytest.approx(record["test"]["after"], abs=1e-6)


@pytest.mark.slow
def test_the_same_command_again_trains_nothing_and_says_the_same(fixed: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (fixed / "run" / "fix_trials").glob("*.json")}
    record = _read(fixed / "run" / "fix.json")
    assert run_command("diagnose", *FIX, cwd=fixed).code == 0
    assert {path.name: path.stat().st_mtime_ns for path in (fixed / "run" / "fix_trials").glob("*.json")} == before
    assert _read(fixed / "run" / "fix.json") == record


def _run_folder(folder: Path, **record: Any) -> Path:
    """Makes the folder of a run that is a good fit, as far as its records say."""
    run = folder / "run"
    run.mkdir()
    flags = "--data=digits\n--model=mlp\n--epochs=8\n--seed=3\n"
    (run / "flags.txt").write_text(flags, encoding="utf-8")
    metric = {"name": "accuracy", "train": 0.98, "validation": 0.97, "test": 0.96, "baseline": 0.1}
    data = {"fingerprint": "f", "examples": {"train": 1245, "validation": 291, "test": 261}}
    whole = {"status": "finished", "metric": metric, "data": data, "training": {"stopped": "finished", "seconds": 1.0}}
    (run / "run.json").write_text(json.dumps({**whole, **record}), encoding="utf-8")
    losses = [2.0 * 0.6**epoch for epoch in range(8)]
    lines = [json.dumps({"epoch": i + 1, "loss": loss, "val_loss": 1.05 * loss}) for i, loss in enumerate(losses)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return run


def test_a_good_fit_is_left_alone_and_the_record_says_so(tmp_path: Path) -> None:
    run = _run_folder(tmp_path)
    (run / ".partial-abc").mkdir()  # A process was killed here.
    ended = run_command("diagnose", "--run_dir=run", "--fix", cwd=tmp_path)
    assert ended.code == 0, ended.err
    record = _read(run / "fix.json")
    assert (record["after"], record["attempts"], record["trainings"]) == (None, [], 0)
    assert record["before"] == {"flags": {}, "value": 0.97, "by_seed": [0.97]}
    assert "good fit" in record["reason"]
    assert not (run / "fix_trials").exists()
    assert not (run / ".partial-abc").exists()


@pytest.mark.parametrize(
    ("flags", "record", "message"),
    [
        (["--fix_trainings=4"], {}, "--fix_trainings=4 needs --fix"),
        (["--fix_budget_minutes=2"], {}, "--fix_budget_minutes=2.0 needs --fix"),
        (["--allow_unsafe_model"], {}, "--allow_unsafe_model=true needs --fix"),
        (["--fix", "--fix_budget_minutes=0"], {}, "--fix_budget_minutes=0.0: expected a number above 0"),
        (["--fix", "--fix_trainings=-1"], {}, "--fix_trainings=-1"),
        (["--fix"], {"status": "interrupted"}, "--run_dir=run: the run is not finished"),
    ],
)
def test_a_mistake_is_exit_2_and_trains_nothing(
    flags: list[str], record: dict[str, Any], message: str, tmp_path: Path
) -> None:
    run = _run_folder(tmp_path, **record)
    ended = run_command("diagnose", "--run_dir=run", *flags, cwd=tmp_path)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (run / "fix.json").exists()


@pytest.mark.slow
def test_other_data_than_the_run_was_trained_on_are_refused(tmp_path: Path) -> None:
    metric = {"name": "accuracy", "train": 0.1, "validation": 0.1, "test": 0.1, "baseline": 0.1}
    _run_folder(tmp_path, metric=metric)
    ended = run_command("diagnose", "--run_dir=run", "--fix", cwd=tmp_path)
    assert ended.code == 2
    assert "run was trained on other data (fingerprint f, now " in ended.err
    assert not (tmp_path / "run" / "fix.json").exists()


def test_a_search_is_no_run(tmp_path: Path) -> None:
    run = _run_folder(tmp_path)
    (run / "tuning.json").write_text("{}", encoding="utf-8")
    ended = run_command("diagnose", "--run_dir=run", "--fix", cwd=tmp_path)
    assert ended.code == 2
    assert "holds a search, not a run" in ended.err


@pytest.mark.parametrize(("before", "worse"), [(1.1, True), (0.0, False), (None, False)])
def test_validation_alone_decides_what_is_delivered(
    before: float | None, worse: bool, blobs: Dataset, tmp_path: Path
) -> None:
    from tfday7.models import ModelConfig, building
    from tfday7.stage_fix import _delivered
    from tfday7.training.scores import score_of

    model = building.build(ModelConfig(model="linear"), blobs.problem)
    found = {"metric": "accuracy", "before": {"value": 0.5}, "after": {"value": 0.9, "flags": {"epochs": "9"}}}
    current = SimpleNamespace(flags={"model": "linear", "epochs": "9"})
    repair: Any = SimpleNamespace(record=lambda: found, current=current, seed=0, weights=list)
    retrainer: Any = SimpleNamespace(dataset=blobs, deliver=lambda *_: model)
    folder, said = RunFolder(_run_folder(tmp_path, metric={"test": before})), []
    record = _delivered(folder, repair, retrainer, said.append)
    assert record["after"] == found["after"]
    assert record["test"] == {"before": before, "after": pytest.approx(score_of(model, blobs, blobs.test))}
    assert (folder / "fixed.keras").exists()
    assert "--epochs=9" in (folder / "fixed.flags").read_text(encoding="utf-8")
    assert any("it is worse there" in sentence for sentence in said) is worse


def test_a_run_that_found_its_micro_batches_keeps_what_it_found(tmp_path: Path) -> None:
    """The memory of its devices decided it: what is trained to repair it takes the same steps."""
    from tfday7.stage_fix import _plan

    run = _run_folder(tmp_path, distribution={"accumulate_steps": 4})
    (run / "flags.txt").write_text("--data=digits\n--model=mlp\n--micro_batch_size=auto\n", encoding="utf-8")
    plan, flags = _plan(RunFolder(run))
    assert (plan.training.accumulate_steps, plan.training.micro_batch_size) == (4, "")
    assert (flags["accumulate_steps"], flags["micro_batch_size"]) == ("4", "")

"""`tfday7.train` from the outside: resuming, signals, gates, and what happens to bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forking import Started
from support import run_command, start_command, start_fresh

SMALL = ("--data=digits", "--model=mlp", "--width=8", "--depth=1", "--export=", "--dropout=0.1")


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


Process = Started | subprocess.Popen[str]


def start(folder: Path, *arguments: str, fresh: bool = False) -> Process:
    starting = start_fresh if fresh else start_command
    return starting("train", *SMALL, f"--run_dir={folder}", *arguments, cwd=folder.parent)


def wait_for_epochs(folder: Path, count: int, child: Process) -> None:
    for _ in range(600):
        if (folder / "metrics.jsonl").exists() and len(metrics(folder)) >= count:
            return
        if child.poll() is not None:
            raise AssertionError(child.communicate())
        time.sleep(0.05)
    raise AssertionError("training did not get that far")


@pytest.mark.slow
def test_more_epochs_go_on_from_a_finished_run(tmp_path: Path) -> None:
    run = f"--run_dir={tmp_path}/run"
    assert run_command("train", *SMALL, run, "--epochs=2", cwd=tmp_path).code == 0
    first = metrics(tmp_path / "run")
    ended = run_command("train", *SMALL, run, "--epochs=4", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert metrics(tmp_path / "run")[:2] == first
    assert [record["epoch"] for record in metrics(tmp_path / "run")] == [1, 2, 3, 4]
    assert run_command("train", *SMALL, run, "--epochs=3", cwd=tmp_path).code == 2


LONG = ("--epochs=60", "--deterministic")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long run that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    child = start(folder, *LONG)
    _, errors = child.communicate(timeout=300)
    assert child.returncode == 0, errors
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_same_command_ends_with_the_same_weights(
    number: signal.Signals, code: int, whole: Path, tmp_path: Path
) -> None:
    stopped = start(tmp_path / "stopped", *LONG, fresh=number == signal.SIGINT)
    wait_for_epochs(tmp_path / "stopped", 5, stopped)
    stopped.send_signal(number)
    _, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == code
    assert errors.startswith("error: stopped in epoch ")
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "stopped" / "run.json").read_text())["status"] == "interrupted"
    resumed = start(tmp_path / "stopped", *LONG)
    assert resumed.wait(timeout=300) == 0, resumed.communicate()
    assert same_final_weights(whole, tmp_path / "stopped")


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    killed = start(tmp_path / "killed", *LONG)
    wait_for_epochs(tmp_path / "killed", 10, killed)
    killed.kill()
    assert killed.wait(timeout=60) == -signal.SIGKILL
    resumed = start(tmp_path / "killed", *LONG)
    assert resumed.wait(timeout=300) == 0, resumed.communicate()
    assert same_final_weights(whole, tmp_path / "killed")
    assert not list((tmp_path / "killed").glob(".partial-*"))


def same_final_weights(one: Path, other: Path) -> bool:
    """Compares the newest checkpoints bit for bit: weights, optimizer, generators and best weights."""
    newest = [max((folder / "checkpoints").glob("*.npz")) for folder in (one, other)]
    with np.load(newest[0]) as first, np.load(newest[1]) as second:
        names = [name for name in first.files if not name.startswith("metric/")]
        assert set(first.files) == set(second.files)
        return all(np.array_equal(first[name], second[name]) for name in names)


@pytest.mark.slow
def test_a_run_that_diverges_is_recorded_and_exits_3(tmp_path: Path) -> None:
    arguments = [*SMALL, "--optimizer=sgd", "--learning_rate=1e30", "--epochs=3", f"--run_dir={tmp_path}/run"]
    ended = run_command("train", *arguments, cwd=tmp_path)
    assert ended.code == 3
    assert "error: training diverged: the loss is not finite in epoch 1" in ended.err
    assert "--learning_rate" in ended.err.partition("hint: ")[2]
    assert json.loads((tmp_path / "run" / "diagnosis.json").read_text())["verdict"] == "broken"
    assert (tmp_path / "run" / "report.html").exists()
    assert not (tmp_path / "run" / "model.keras").exists()
    assert run_command("train", *arguments, cwd=tmp_path).code == 3  # It is finished, and its gate still does not hold.


@pytest.mark.slow
def test_a_hopeless_run_is_ended_when_asked_with_what_was_wrong_and_nothing_is_exported(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ("--learning_rate=3", "--epochs=40", "--stop_when_broken", "--export=tflite")
    ended = run_command("train", *SMALL, *arguments, f"--run_dir={folder}", cwd=tmp_path)
    assert ended.code == 3, ended.err
    assert "stopped in epoch" in ended.err
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["training"]["stopped"] == "broken"
    assert 5 <= len(metrics(folder)) < 40
    found = json.loads((folder / "diagnosis.json").read_text(encoding="utf-8"))
    assert (found["verdict"], found["findings"][0]["id"]) == ("broken", "rate_high")
    assert "epoch " in ended.out
    assert not (folder / "exports.json").exists()


@pytest.mark.slow
def test_overwrite_replaces_a_run_but_never_other_files(tmp_path: Path) -> None:
    run = f"--run_dir={tmp_path}/run"
    assert run_command("train", *SMALL, run, "--epochs=1", cwd=tmp_path).code == 0
    (tmp_path / "run" / "notes.txt").write_text("mine", encoding="utf-8")
    ended = run_command("train", *SMALL, run, "--epochs=2", "--seed=5", "--overwrite", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert (tmp_path / "run" / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert len(metrics(tmp_path / "run")) == 2


@pytest.mark.slow
def test_a_model_that_this_program_saved_trains_on(tmp_path: Path) -> None:
    assert run_command("train", *SMALL, f"--run_dir={tmp_path}/a", "--epochs=3", cwd=tmp_path).code == 0
    ended = run_command(
        "train", f"--model={tmp_path}/a/model.keras", "--export=", f"--run_dir={tmp_path}/b", "--epochs=1", cwd=tmp_path
    )
    assert ended.code == 0, ended.err
    assert metrics(tmp_path / "b")[0]["loss"] < metrics(tmp_path / "a")[0]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_delivers_a_float32_model(precision: str, tmp_path: Path) -> None:
    arguments = ["--data=digits", "--model=mlp", "--epochs=2", f"--precision={precision}", f"--run_dir={tmp_path}/run"]
    ended = run_command("train", *arguments, f"--export_dir={tmp_path}/out", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert {entry.suffix for entry in (tmp_path / "out").iterdir()} == {".tflite", ".json", ".md", ".npz"}


def write_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def bad_files(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Returns, by name, the flags that name a bad input and a part of the message that it must give."""
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    y = np.arange(50) % 2
    nan = np.where(np.arange(150).reshape(50, 3) == 7, np.nan, x)
    (folder / "empty.npz").write_bytes(b"")
    (folder / "text.npz").write_text("no archive", encoding="utf-8")
    (folder / "folder.npz").mkdir()
    (folder / "short.csv").write_text("a,b\n1\n", encoding="utf-8")
    (folder / "words.csv").write_text("a,b\n1,1\nred,2\n", encoding="utf-8")
    good = write_npz(folder / "good.npz", x_train=x, y_train=y)
    images = write_npz(folder / "images.npz", x_train=np.zeros((50, 4, 4, 1)) + x[:, :1, None, None], y_train=y)
    return {
        "missing": ([f"--data={folder}/none.npz"], "no such file"),
        "empty": ([f"--data={folder}/empty.npz"], "the file is empty"),
        "corrupt": ([f"--data={folder}/text.npz"], "not a readable .npz archive"),
        "a folder": ([f"--data={folder}/folder.npz"], "the folder is empty"),
        "unknown": (["--data=digit"], "unknown data set 'digit'"),
        "unknown suffix": ([f"--data={folder}/x.parquet"], "no such file or folder"),
        "nan": ([f"--data={write_npz(folder / 'nan.npz', x_train=nan, y_train=y)}"], "inputs of example 2 hold NaN"),
        "label": (
            [f"--data={write_npz(folder / 'label.npz', x_train=x, y_train=np.where(y == 1, -1, 0))}"],
            "label -1; expected 0 to",
        ),
        "lengths": (
            [f"--data={write_npz(folder / 'len.npz', x_train=x, y_train=y[:9])}"],
            "50 inputs but labels of shape",
        ),
        "shape": ([f"--data={good}", "--model=cnn"], "--model=cnn takes image data"),
        "too large batch": ([f"--data={good}", "--model=mlp", "--batch_size=1000"], "--batch_size=1000 is larger"),
        "no target": ([f"--data={folder}/words.csv"], "needs --target"),
        "row": ([f"--data={folder}/short.csv", "--target=b"], "line 2: 1 values; expected 2"),
        "cell": ([f"--data={folder}/words.csv", "--target=b"], "line 3, column 'a': 'red'; expected a number"),
        "flag of another source": (["--data=digits", "--target=b"], "--target=b has no meaning for --data=digits"),
        "idx folder": (["--data=fashion_mnist", f"--data_dir={folder}"], "is missing"),
        "augment": ([f"--data={good}", "--model=mlp", "--augment=flip"], "--augment=flip takes image data"),
        "warm-up": (["--warmup_steps=40", "--epochs=1"], "--warmup_steps=40 is not shorter than the run"),
        "contradiction": (["--adaptive_regularization"], "--dropout=0 and --l2=0"),
        "task": ([f"--data={images}", "--task=regression", "--label_smoothing=0.1"], "--label_smoothing=0.1"),
        "run_dir is a file": ([f"--run_dir={good}"], "is a file; expected a folder"),
        "run_dir below a file": ([f"--run_dir={good}/run"], "is a file; expected a folder"),
        "export_dir below a file": ([f"--export_dir={good}/out"], "is a file; expected a folder"),
        "foreign run_dir": ([f"--run_dir={folder}"], "holds files that no run made"),
        "model module": (["--model=python:no_such_module:f"], "cannot import no_such_module"),
        "model function": (["--model=python:json:no_such_function"], "json has no no_such_function"),
        "model file": ([f"--model={folder}/text.npz"], "text.npz"),
    }


@pytest.mark.slow
def test_bad_input_is_exit_2_with_one_message_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, (arguments, message) in bad_files(tmp_path / "data").items():
        where = tmp_path / name.replace(" ", "_")
        where.mkdir()
        ended = run_command("train", "--epochs=1", *arguments, cwd=where)
        assert ended.code == 2, f"{name}: {ended}"
        assert ended.err.startswith("error: "), f"{name}: {ended.err}"
        assert message in ended.err, f"{name}: {ended.err}"
        assert "Traceback" not in ended.err, name
        assert list(where.iterdir()) == [], f"{name} left {list(where.iterdir())}"


@pytest.mark.slow
def test_a_run_that_left_out_whole_epochs_counts_them(tmp_path: Path) -> None:
    """Five steps are all of an epoch; where it blows up, and they are left out, it has no record."""
    ended = run_command(
        "train", "--data=digits", "--model=mlp", "--optimizer=sgd", "--learning_rate=1e5", "--batch_size=256",
        "--epochs=6", "--recoveries=20", "--export=", "--run_dir=run", cwd=tmp_path,
    )  # fmt: skip
    training = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["training"]
    last = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert training["recoveries"], ended.err
    assert len(last) < 6
    assert training["epochs"] == last[-1]["epoch"] >= training["best_epoch"]


@pytest.mark.slow
def test_a_run_is_not_resumed_on_other_data(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2
    data = write_npz(tmp_path / "data.npz", x_train=x, y_train=y)
    arguments = [f"--data={data}", "--model=mlp", "--export=", f"--run_dir={tmp_path}/run"]
    assert run_command("train", *arguments, "--epochs=1", cwd=tmp_path).code == 0
    write_npz(data, x_train=x + 1, y_train=y)
    ended = run_command("train", *arguments, "--epochs=2", cwd=tmp_path)
    assert ended.code == 2
    assert "was started on other data (fingerprint " in ended.err
    assert len(metrics(tmp_path / "run")) == 1


@pytest.mark.slow
def test_json_is_printed_also_when_a_gate_fails(tmp_path: Path) -> None:
    arguments = [*SMALL, "--optimizer=sgd", "--learning_rate=1e30", "--epochs=2", f"--run_dir={tmp_path}/run", "--json"]
    ended = run_command("train", *arguments, cwd=tmp_path)
    assert ended.code == 3
    assert json.loads(ended.out)["gate"]["message"].startswith("training diverged")


@pytest.mark.slow
def test_overwrite_replaces_a_damaged_run_and_an_unfinished_clearing_never_feeds_a_new_run(tmp_path: Path) -> None:
    run = f"--run_dir={tmp_path}/run"
    assert run_command("train", *SMALL, run, "--epochs=3", cwd=tmp_path).code == 0
    (tmp_path / "run" / "run.json").write_text("{", encoding="utf-8")
    ended = run_command("train", *SMALL, run, "--epochs=3", cwd=tmp_path)
    assert ended.code == 2
    assert "not a readable JSON file" in ended.err
    assert run_command("train", *SMALL, run, "--epochs=2", "--overwrite", cwd=tmp_path).code == 0
    for name in ("flags.txt", "run.json"):  # As a kill in the middle of an older version's clearing left it.
        (tmp_path / "run" / name).unlink()
    ended = run_command("train", *SMALL, run, "--epochs=4", "--seed=9", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert [record["epoch"] for record in metrics(tmp_path / "run")] == [1, 2, 3, 4]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["training"]["resumed_at"] == 0


@pytest.mark.slow
def test_a_validation_loss_that_is_never_finite_is_a_failed_gate(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    far = np.full(10, 1e38)  # Its square is beyond float32.
    splits = {"x_val": x[:10] + 0.5, "y_val": far, "x_test": x[:9] - 0.5, "y_test": x[:9, 0]}
    data = write_npz(tmp_path / "data.npz", x_train=x, y_train=x[:, 0], **splits)
    arguments = [f"--data={data}", "--model=mlp", "--epochs=2", f"--run_dir={tmp_path}/run"]
    ended = run_command("train", *arguments, cwd=tmp_path)
    assert ended.code == 3, ended
    assert "val_loss is not finite" in ended.err


@pytest.mark.slow
def test_results_of_a_shorter_run_do_not_survive_a_longer_one_that_diverges(tmp_path: Path) -> None:
    """The records would describe other weights than those that the folder's run ended with."""
    run = f"--run_dir={tmp_path}/run"
    assert run_command("train", *SMALL, run, "--epochs=2", cwd=tmp_path).code == 0
    child = start(tmp_path / "run", "--epochs=100000")
    wait_for_epochs(tmp_path / "run", 4, child)
    assert not (tmp_path / "run" / "model.keras").exists()
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["metric"] == {}


def test_only_check_args_finds_what_needs_no_data(tmp_path: Path) -> None:
    for arguments, message in (
        (["--data=nosuch"], "unknown data set 'nosuch'"),
        (["--data=digits", "--target=x"], "--target=x has no meaning"),
        (["--adaptive_regularization"], "--dropout=0 and --l2=0"),
        (["--export=", "--export_dir=out"], "--export_dir=out has no meaning with an empty --export"),
    ):
        ended = run_command("train", *arguments, "--only_check_args", cwd=tmp_path)
        assert (ended.code, message in ended.err) == (2, True), ended


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_stop_the_training(tmp_path: Path) -> None:
    child = start_fresh("train", *SMALL, "--epochs=3", "--run_dir=run", cwd=tmp_path)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=120) == 0
    assert (tmp_path / "run" / "report.html").exists()

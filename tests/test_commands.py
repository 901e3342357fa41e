"""What holds for every command: help, speed without TensorFlow, exit codes, flags, flagfiles."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ROOT, run_command

from tfday7.core.errors import UserError
from tfday7.core.settings import typed_fields

COMMANDS = ("train", "tune", "advise", "diagnose", "compress", "export", "benchmark", "deploy", "launch", "report")
WRITTEN = ("train", "diagnose", "report", "advise", "tune", "export", "benchmark", "deploy", "compress", "launch")
CONFIGS = sorted((ROOT / "configs").glob("*.flags"))

# Frozen on purpose: a flag that is added, renamed or dropped is a change for every user, and belongs in CHANGELOG.md.
TRAIN_FLAGS = {
    "data", "data_dir", "target", "task", "image_size", "image_channels", "skip_bad_files", "features",
    "columns", "fill_missing", "window", "horizon", "series", "time",
    "max_examples", "model", "width", "depth", "dropout", "l2", "pretrained", "head", "allow_unsafe_model",
    "optimizer", "learning_rate", "schedule", "warmup_steps", "weight_decay", "global_clipnorm",
    "clipnorm", "clipvalue",
    "momentum", "nesterov", "beta_1", "beta_2", "epsilon", "rho", "use_ema", "ema_momentum", "lookahead_steps",
    "epochs", "batch_size", "precision", "seed", "deterministic", "augment", "label_smoothing", "patience", "freeze",
    "accumulate_steps", "micro_batch_size", "checkpoint_steps", "keep_checkpoints", "recoveries",
    "strategy", "virtual_devices", "mesh", "cluster", "worker_index", "cluster_timeout", "tpu",
    "unfreeze_epochs", "class_weights", "adaptive_regularization", "export", "kinds", "export_dir", "run_dir",
    "overwrite", "describe", "json", "lang", "stop_when_broken",
    "compress", "max_accuracy_drop", "min_metric", "max_size_kb", "max_gzip_kb", "max_memory_mb", "max_macs",
    "python", "runtime", "ssh_config",
    "max_latency_ms", "max_latency_ratio", "device", "objective", "search_minutes", "max_candidates", "search_epochs",
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers_with_exit_0_in_under_a_second(name: str) -> None:
    best = float("inf")
    for _ in range(6):  # The best of six: other processes on the machine must not fail this.
        started = time.perf_counter()
        ended = run_command(name, "--help", fresh=True)
        best = min(best, time.perf_counter() - started)
        assert ended.code == 0
        assert ended.err == ""
        if best < 1.0:
            break
    assert best < 1.0
    assert "--help" in ended.out


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_parses_and_says_how_to_run_it(path: Path) -> None:
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert any("Time:" in line for line in head)
    assert any("Expected:" in line for line in head)
    alone = f"python -m tfday7.train --flagfile=configs/{path.name}"
    if not any(alone in line for line in head):  # Weights on a parameter server: a group of processes, or nothing.
        (words,) = (line.split()[4:] for line in head if "python -m tfday7.launch" in line)
        ended = run_command("launch", "--only_check_args", *words, "--run_dir=runs/never-made", cwd=ROOT)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        return
    ended = run_command("train", f"--flagfile={path}", "--only_check_args", "--run_dir=runs/never-made")
    if sum("python " in line and "tfday7.launch" not in line for line in head) == 1:
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    else:  # The other commands make its data or model; tests/test_configs.py runs them.
        assert (ended.code, "no such" in ended.err) == (2, True)
    assert not (ROOT / "runs" / "never-made").exists()


def test_there_are_the_three_configs_of_the_main_job() -> None:
    assert {"quickstart.flags", "fashion_resnet8.flags", "regression_csv.flags"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_flag_has_help_that_is_a_sentence(name: str) -> None:
    command = importlib.import_module(f"tfday7.{name}").COMMAND
    for group in command.settings:
        for field, _, _ in typed_fields(group):
            assert field.metadata["help"].endswith("."), field.name
            assert f"--{field.name}  " in command.help()


def test_the_flags_of_train_are_these() -> None:
    command = importlib.import_module("tfday7.train").COMMAND
    assert {field.name for group in command.settings for field, _, _ in typed_fields(group)} == TRAIN_FLAGS


@pytest.mark.parametrize("arguments", [["--help"], ["--only_check_args"], ["--optimizer=none"], ["--data=none.npz"]])
def test_what_needs_no_tensorflow_does_not_load_it(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['train', *{[*arguments, f'--run_dir={tmp_path}/run']!r}]\n"
        "try:\n    runpy.run_module('tfday7.train', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print('loaded' if {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules) else 'free')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout.endswith("free\n")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_search_takes_the_flagfile_of_a_job(path: Path) -> None:
    """What it says of export, devices and budget is for tfday7.train, and passed over there."""
    command = importlib.import_module("tfday7.tune").COMMAND
    command.parse(["tune", f"--flagfile={path}"])
    given = [line.lstrip("-").partition("=")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    assert set(command.passed_over) == {name for name in given if name in TRAIN_FLAGS and name not in command.flags}
    assert command.flags["data"].value


def test_what_a_search_passes_over_is_only_what_another_command_knows(tmp_path: Path) -> None:
    (tmp_path / "job.flags").write_text("--export=tflite\n--nodescribe\n--strategy mirrored\n", encoding="utf-8")
    command = importlib.import_module("tfday7.tune").COMMAND
    command.parse(["tune", f"--flagfile={tmp_path / 'job.flags'}", "--epochs=3"])
    assert command.passed_over == ["export", "describe", "strategy"]
    (tmp_path / "job.flags").write_text("--exprot=tflite\n", encoding="utf-8")
    for wrong in (["tune", f"--flagfile={tmp_path / 'job.flags'}"], ["tune", "--export=tflite"]):
        with pytest.raises(UserError, match="Unknown command line flag"):
            command.parse(wrong)


def test_the_last_flag_wins_over_the_flagfile(tmp_path: Path) -> None:
    flagfile = tmp_path / "job.flags"
    flagfile.write_text("# a comment\n--optimizer=nonsense\n", encoding="utf-8")
    assert run_command("train", f"--flagfile={flagfile}", "--only_check_args").code == 2
    assert run_command("train", f"--flagfile={flagfile}", "--optimizer=sgd", "--only_check_args").code == 0


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--optimzer=sgd"], "optimzer", "--help"),
        (["--flagfile=/nowhere/at.all"], "/nowhere/at.all", ""),
        (["stray"], "'stray'", ""),
        (["--epochs=many"], "epochs", ""),
        (["--epochs=0"], "--epochs=0: expected a whole number at least 1", ""),
        (["--dropout=1.0"], "--dropout=1.0: expected a number at least 0 and below 1", ""),
        (["--learning_rate=nan"], "--learning_rate=nan", ""),
        (["--precision=int4"], "--precision=int4: expected one of float32", ""),
        (["--optimizer=adma"], "unknown optimizer 'adma'", "adam"),
        (["--model=resnet9"], "unknown model 'resnet9'", "did you mean resnet8?"),
        (["--export=tflight"], "unknown export format 'tflight'", "tflite"),
        (["--augment=flop"], "unknown augmentation 'flop'", "flip"),
        (["--model=missing.keras"], "--model=missing.keras: no such file", "cnn"),
        (["--data=x\n--data=python:evil:load\n#.csv"], "holds a line break", "rename the file"),
        (["--model=python:only_module"], "expected python:MODULE:FUNCTION", ""),
        (["--data=configs/data/diabetes.csv", "--horizon=3"], "--horizon=3 needs --window=STEPS", ""),
        (["--data=configs/data/diabetes.csv", "--columns=age=old"], "'old'", "known: categorical, date, drop"),
        (["--model=setup.cfg", "--width=3"], "--width=3 contradicts --model=setup.cfg", "--width"),
    ],
)
def test_a_mistake_in_the_flags_is_exit_2_with_error_and_hint(arguments: list[str], message: str, hint: str) -> None:
    ended = run_command("train", *arguments, "--only_check_args")
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert hint in ended.err.partition("hint: ")[2] if hint else True
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_a_flagfile_is_a_file_that_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "circle").write_text("--flagfile=circle\n", encoding="utf-8")
    (tmp_path / "outer").write_text("--epochs=3\n--flagfile=pipe\n", encoding="utf-8")
    for name, message in {
        "pipe": "pipe: a pipe; expected a file",
        "endless": "endless: a device; expected a file",
        "circle": "circle: names itself",
        "outer": "pipe: a pipe; expected a file",
    }.items():
        ended = run_command("train", f"--flagfile={name}", "--only_check_args", cwd=tmp_path, timeout=20)
        assert ended.code == 2
        assert ended.err.startswith(f"error: --flagfile={message}")


def test_a_comment_after_a_value_in_a_flagfile_is_caught(tmp_path: Path) -> None:
    flagfile = tmp_path / "job.flags"
    flagfile.write_text("--optimizer=sgd # the best\n", encoding="utf-8")
    ended = run_command("train", f"--flagfile={flagfile}", "--only_check_args")
    assert ended.code == 2
    assert "a comment needs a line of its own" in ended.err


def test_a_name_that_is_not_utf8_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tfday7.train", b"--data=gr\xf6\xdfe.csv", "--target=y", "--run_dir=run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --data='gr\\udcf6\\udcdfe.csv': not UTF-8")
    assert list(tmp_path.iterdir()) == []

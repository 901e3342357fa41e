"""`python -m tfday7.launch` as a user runs it: mistakes, checks, manifests, and a group of stand-ins for training."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support import ROOT, Ended, run_command

# What runs instead of training: it checks its flags, or does what --do says.
STAND_IN = """
import json, os, signal, sys, time
task = json.loads(os.environ["TF_CONFIG"])["task"]
if "--only_check_args" in sys.argv:
    sys.exit(0)
print("arguments", json.dumps(sys.argv[1:]))
def save(number, frame):
    print("saved")
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, save)
signal.signal(signal.SIGINT, save)
if task["type"] == "worker":
    exec(sys.argv[1].removeprefix("--do="))
else:
    time.sleep(60)
"""
LAUNCH = """
import sys
from tfday7 import launch
launch.TRAIN = (sys.executable, "-c", {stand_in!r})
launch._run()
"""


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LAUNCH.format(stand_in=STAND_IN), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True)


def launch(*arguments: str, cwd: Path) -> Ended:
    process = start(*arguments, cwd=cwd)
    out, err = process.communicate(timeout=120)
    return Ended(process.returncode, out, err)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ((), "the flags of training are missing: expected them after --", "-- --flagfile="),
        (("--data=digits",), "Unknown command line flag 'data'", "--help"),
        (("--workers=0", "--"), "--workers=0: expected a whole number at least 1", ""),
        (("stray", "--"), "unexpected 'stray'", ""),
        (("--", "--optimizer=adma"), "unknown optimizer 'adma'", "adam"),
        (("--", "--optimzer=adam"), "Unknown command line flag 'optimzer'", "python -m tfday7.train --help"),
        (("--", "--data=digits", "more"), "unexpected 'more'", ""),
        (("--", "--flagfile=/nowhere"), "/nowhere", ""),
        (("--log_dir=file/logs", "--", "--data=digits"), "--log_dir=file/logs", ""),
        (("--image=a", "--"), "--image has no meaning with --emit=none", "--emit=kubernetes"),
        (("--emit=kubernetes", "--"), "--image is missing", "docs/launching.md"),
        (("--emit=slurm", "--emit_file=file/x", "--", "--data=digits"), "--emit_file", ""),
    ],
)
def test_a_mistake_ends_with_2_once_before_anything_starts(
    arguments: tuple[str, ...], message: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    ended = run_command("launch", *arguments, cwd=tmp_path)
    assert ended.code == 2, ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.count(message) == 1
    assert hint in ended.err.partition("hint: ")[2]
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_checking_starts_nothing(tmp_path: Path) -> None:
    for group in (("--workers=2",), ("--emit=slurm", "--emit_file=job.sh")):
        ended = run_command("launch", *group, "--only_check_args", "--", "--data=digits", cwd=tmp_path)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_the_commands_at_the_heads_of_configs_are_complete(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    begin, found = "#   python -m tfday7.launch ", 0
    for path in (ROOT / "configs").glob("*.flags"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(begin):
                ended = run_command("launch", "--only_check_args", *shlex.split(line.removeprefix(begin)), cwd=tmp_path)
                assert (ended.code, ended.err) == (0, ""), path.name
                found += 1
    assert found >= 3


def test_no_tensorflow_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom tfday7 import launch\n"
        "try:\n    launch._run()\nexcept SystemExit:\n    pass\n"
        "print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "--only_check_args", "--", "--data=digits"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert ended.stdout == "set()\n"


def test_a_group_runs_the_command_that_train_is(tmp_path: Path) -> None:
    ended = run_command("launch", "--workers=2", "--", "--help", cwd=tmp_path)
    assert ended.code == 0, ended.err
    (folder,) = (tmp_path / "runs" / "launch_logs").iterdir()
    assert f"2 processes; the output of each is kept in runs/launch_logs/{folder.name}" in ended.err
    said = run_command("train", "--help").out
    for index in range(2):
        assert (folder / f"worker_{index}.log").read_text() == said
        prefix = f"[worker {index}] "
        lines = [line.removeprefix(prefix) for line in ended.out.splitlines() if line.startswith(prefix)]
        assert lines == said.splitlines()


def test_what_follows_the_dashes_is_passed_on_unchanged(tmp_path: Path) -> None:
    ended = launch("--workers=2", "--log_dir=logs", "--", "--do=sys.exit(7)", "a b", "$x", "--", "-", "", cwd=tmp_path)
    assert ended.code == 7
    said = '[worker 1] arguments ["--do=sys.exit(7)", "a b", "$x", "--", "-", ""]'
    assert said in ended.out.splitlines()
    assert "[launch] worker 1 ended with exit code 7: stopping worker 0" in ended.err
    assert "error: worker 1 ended with exit code 7; it said at last:\n    arguments" in ended.err
    assert "hint: its whole output is in logs/worker_1.log" in ended.err
    assert "[worker 0] saved" in ended.out.splitlines()


def test_death_by_a_signal_is_exit_code_1(tmp_path: Path) -> None:
    ended = launch("--", "--do=os.kill(os.getpid(), signal.SIGKILL)", cwd=tmp_path)
    assert ended.code == 1
    assert "error: worker 1 was killed by SIGKILL" in ended.err


def test_the_group_is_started_again(tmp_path: Path) -> None:
    ended = launch("--restarts=1", "--", "--do=sys.exit(75)", cwd=tmp_path)
    assert ended.code == 75
    assert ended.err.count("the group is started again (1 of 1)") == 1
    assert ended.out.count("[worker 1] arguments") == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_all_after_saving(number: int, code: int, tmp_path: Path) -> None:
    process = start("--log_dir=logs", "--", "--do=time.sleep(60)", cwd=tmp_path)
    logs = [tmp_path / "logs" / f"worker_{index}.log" for index in range(2)]
    while not all(log.exists() and log.stat().st_size for log in logs):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)  # The handlers are set right after the first line.
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert f"error: {signal.Signals(number).name} was passed on; all processes have ended" in err
    assert [log.read_text().endswith("saved\n") for log in logs] == [True, True]
    assert out.count("saved") == 2


def test_a_reader_that_leaves_does_not_end_the_group(tmp_path: Path) -> None:
    process = start("--log_dir=logs", "--", "--do=time.sleep(1); print('done'); sys.exit(7)", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 7
    process.stderr.close()
    assert (tmp_path / "logs" / "worker_1.log").read_text().endswith("done\n")


def test_a_manifest_goes_to_stdout_or_to_a_file(tmp_path: Path) -> None:
    flags = ("--emit=kubernetes", "--image=a", "--workers=3")
    printed = run_command("launch", *flags, "--", "--data=digits", cwd=tmp_path)
    assert (printed.code, printed.err) == (0, "")
    assert yaml.safe_load(printed.out)["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] == 2
    assert list(tmp_path.iterdir()) == []
    written = run_command("launch", *flags, "--emit_file=new/job.yaml", "--", "--data=digits", cwd=tmp_path)
    assert (written.code, written.out, written.err) == (0, "", "")
    assert (tmp_path / "new" / "job.yaml").read_text() == printed.out


def test_files_that_only_the_cluster_has_are_a_warning(tmp_path: Path) -> None:
    ended = run_command("launch", "--emit=slurm", "--", "--data=/cluster/only.npz", cwd=tmp_path)
    assert ended.code == 0
    assert ended.err.startswith("[launch] warning: on this machine the flags of training would not do: ")
    assert "/cluster/only.npz" in ended.err
    assert "--data=/cluster/only.npz" in ended.out

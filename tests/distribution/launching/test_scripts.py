"""The sbatch script and the gcloud commands: bash itself says what each program gets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from tfday7.distribution.launching import emitting
from tfday7.distribution.launching.config import EmitConfig, LaunchConfig
from tfday7.distribution.launching.train_flags import TrainFlags

BASH = shutil.which("bash") or "bash"
TPU = EmitConfig(emit="gcloud", zone="europe-west4-a", tpu_version="tpu-vm-tf-2.21.0-pjrt", job_name="my-tpu")
STEPS = ("create", "train", "fetch", "delete")
TEXT = strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SHOW = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
sys.exit(int(os.environ.get("CODE_OF_" + {name!r} + ("_SSH" if "ssh" in sys.argv else ""), 0)))
"""


def script(settings: EmitConfig, arguments: list[str], flags: TrainFlags | None = None, **group: Any) -> str:
    return emitting.emit(LaunchConfig(**group), settings, arguments, flags or TrainFlags())


def calls(text: str, folder: Path, *steps: str, **environment: str) -> tuple[int, list[list[str]]]:
    """Runs a script in which every program only notes what it gets; returns its exit code and the notes."""
    log, programs = folder / "calls", folder / "bin"
    programs.mkdir(exist_ok=True)
    log.write_text("")
    for name in ("srun", "scontrol", "gcloud", "python3"):
        (programs / name).write_text(SHOW.format(python=sys.executable, log=str(log), name=name))
        (programs / name).chmod(0o755)
    path = folder / "script.sh"
    path.write_text(text, encoding="utf-8", newline="")
    subprocess.run([BASH, "-n", path], check=True)
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_ID": "77", **environment}
    ended = subprocess.run([BASH, path, *steps], env=environ, cwd=folder, capture_output=True, check=False)
    return ended.returncode, [json.loads(line) for line in log.read_text().splitlines()]


def trained(text: str, folder: Path) -> list[str]:
    """Returns the arguments that training gets from an sbatch script."""
    code, ((program, *words),) = calls(text, folder)
    assert (code, program) == (0, "srun")
    assert words[:4] == ["--kill-on-bad-exit=1", "python", "-m", "tfday7.train"]
    return words[4:]


def test_slurm_has_what_was_asked_for() -> None:
    settings = EmitConfig(
        emit="slurm", job_name="my-job", gpus_per_worker=2, cpus_per_worker=8, memory_gib=64, partition="gpu",
        time_limit_hours=36.5,
    )  # fmt: skip
    text = script(settings, ["--data=digits"], workers=4)
    options = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert {
        "--job-name=my-job", "--nodes=4", "--ntasks=4", "--ntasks-per-node=1", "--time=1-12:30:00", "--requeue",
        "--signal=TERM@120", "--gpus-per-task=2", "--cpus-per-task=8", "--mem=64G", "--partition=gpu",
    } <= set(options)  # fmt: skip
    assert text.startswith("#!/bin/bash\n#SBATCH")
    assert "\n\nsrun --kill-on-bad-exit=1 --cpus-per-task=8 python -m tfday7.train" in text.replace("code=0\n", "\n")
    assert "scontrol" not in text
    assert "--signal=TERM@301" in script(settings, [], grace_seconds=300.5)
    for absent in ("--gpus-per-task", "--cpus-per-task", "--mem", "--partition"):
        assert absent not in script(EmitConfig(emit="slurm"), [])


def test_slurm_gives_every_argument_to_training(tmp_path: Path, hostile: list[str]) -> None:
    text = script(EmitConfig(emit="slurm"), hostile)
    assert trained(text, tmp_path) == ["--strategy=multiworker", *hostile]
    assert not (tmp_path / "pwned").exists()
    head = text[: text.index("srun")].splitlines()  # sbatch reads its options before the first command only.
    assert "#SBATCH --nodes=9" not in head
    assert trained(script(EmitConfig(emit="slurm"), ["x"], TrainFlags(strategy="auto")), tmp_path) == ["x"]
    assert trained(script(EmitConfig(emit="slurm"), ["x"], workers=1), tmp_path) == ["x"]


@hypothesis.settings(max_examples=20, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(arguments=strategies.lists(TEXT))
def test_slurm_gives_any_arguments_to_training(tmp_path: Path, arguments: list[str]) -> None:
    text = script(EmitConfig(emit="slurm"), arguments, TrainFlags(strategy="multiworker"))
    assert trained(text, tmp_path) == arguments


@pytest.mark.parametrize(
    ("code", "count", "again"),
    [("0", "0", False), ("2", "0", False), ("3", "0", False), ("1", "0", True), ("75", "1", True), ("143", "", True),
     ("137", "0", True), ("143", "2", False), ("130", "0", True), ("127", "0", False)],
)  # fmt: skip
def test_slurm_is_started_again_where_that_helps(tmp_path: Path, code: str, count: str, again: bool) -> None:
    text = script(EmitConfig(emit="slurm"), [], restarts=2)
    ended, made = calls(text, tmp_path, CODE_OF_srun=code, SLURM_RESTART_COUNT=count)
    assert [words for words in made if words[0] == "scontrol"] == ([["scontrol", "requeue", "77"]] if again else [])
    assert ended == (0 if again else int(code))


def test_gcloud_makes_trains_fetches_and_deletes(tmp_path: Path, hostile: list[str]) -> None:
    code, made = calls(script(TPU, hostile, TrainFlags(run_dir="runs/a b")), tmp_path, *STEPS)
    assert code == 0
    prefix = ["gcloud", "compute", "tpus", "tpu-vm"]
    assert [words[:4] for words in made] == [prefix] * 4
    create, ssh, fetch, delete = (words[4:] for words in made)
    zone = "--zone=europe-west4-a"
    assert create == ["create", "my-tpu", zone, "--accelerator-type=v3-8", "--version=tpu-vm-tf-2.21.0-pjrt"]
    assert ssh[:4] == ["ssh", "my-tpu", zone, "--worker=all"]
    assert fetch == ["scp", zone, "--worker=0", "--recurse", "my-tpu:runs/a b", "."]
    assert delete == ["delete", "my-tpu", zone, "--quiet"]
    (command,) = ssh[4:]
    _, made = calls(command.removeprefix("--command="), tmp_path)  # As the shell of the TPU's host reads it.
    assert made == [["python3", "-m", "tfday7.train", "--strategy=tpu", *hostile]]
    assert not (tmp_path / "pwned").exists()


def gcloud(folder: Path, *steps: str, **environment: str) -> tuple[int, list[str], str]:
    """Runs some steps; returns the exit code, what gcloud was told to do, and what the user reads."""
    text = script(TPU, ["--strategy=tpu"], TrainFlags(strategy="tpu"))
    text = text.replace("#!/bin/bash\n", "#!/bin/bash\nexec 2> told\n", 1)
    code, made = calls(text, folder, *steps, **environment)
    return code, [words[4] for words in made], (folder / "told").read_text()


def test_a_tpu_does_the_steps_that_are_asked_for_and_names_what_it_leaves(tmp_path: Path) -> None:
    left = "delete it with: gcloud compute tpus tpu-vm delete my-tpu --zone=europe-west4-a --quiet"
    code, made, told = gcloud(tmp_path, "create")
    assert (code, made) == (0, ["create"])
    assert "hosts need tfday7" in told
    assert left in told
    code, made, told = gcloud(tmp_path, *STEPS[1:])
    assert (code, made, told) == (0, ["ssh", "scp", "delete"], "")
    code, made, told = gcloud(tmp_path, "delete", "create")
    assert (code, made) == (0, ["delete", "create"])
    assert left in told
    for steps in ((), ("create", "destroy")):
        code, made, told = gcloud(tmp_path, *steps)
        assert (code, made) == (2, [])
        assert "expected" in told
        assert left not in told


def test_a_tpu_whose_training_failed_keeps_its_run(tmp_path: Path) -> None:
    code, made = calls(
        script(TPU, ["--strategy=tpu"], TrainFlags(strategy="tpu")), tmp_path, *STEPS, CODE_OF_gcloud_SSH="3"
    )
    assert code == 3
    assert [words[4] for words in made] == ["create", "ssh"]
    assert made[1][-1] == "--command=python3 -m tfday7.train --strategy=tpu"
    code, made, told = gcloud(tmp_path, *STEPS, CODE_OF_gcloud_SSH="3")
    assert (code, made) == (3, ["create", "ssh"])
    assert "delete it with: " in told

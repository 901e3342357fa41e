"""Flags of the launcher that contradict each other or those of training, and what it reads of the latter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.distribution.launching import emitting
from tfday7.distribution.launching.config import MEANING, EmitConfig, LaunchConfig, check
from tfday7.distribution.launching.train_flags import TrainFlags, read, split

K8S = {"emit": "kubernetes", "image": "a"}
TPU = {"emit": "gcloud", "zone": "z", "tpu_version": "v"}


def test_every_flag_has_a_meaning_somewhere() -> None:
    fields = {*LaunchConfig.__dataclass_fields__, *EmitConfig.__dataclass_fields__}
    assert set(MEANING) == fields - {"emit"}


@pytest.mark.parametrize(
    ("group", "settings", "flags", "message"),
    [
        ({}, {"image": "a"}, {}, "--image has no meaning with --emit=none"),
        ({}, {"emit_file": "a"}, {}, "--emit_file has no meaning with --emit=none"),
        ({"workers": 3}, TPU, {}, "--workers has no meaning with --emit=gcloud"),
        ({"log_dir": "x"}, {"emit": "slurm"}, {}, "--log_dir has no meaning with --emit=slurm"),
        ({}, {"emit": "slurm", "zone": "z"}, {}, "--zone has no meaning with --emit=slurm"),
        ({}, {**K8S, "volume_path": "/x"}, {}, "--volume_path=/x needs --volume_claim"),
        ({}, {}, {"cluster": "a:1"}, "--cluster=a:1 after -- contradicts tfday7.launch"),
        ({}, {"emit": "slurm"}, {"worker_index": "0"}, "--worker_index=0 after -- contradicts tfday7.launch"),
        ({"workers": 2}, {}, {"strategy": "mirrored"}, "--strategy=mirrored is for one process"),
        ({"workers": 2}, {"emit": "slurm"}, {"strategy": "one_device"}, "contradicts --workers=2"),
        ({"workers": 1}, {}, {"strategy": "mirrored"}, ""),
        ({"parameter_servers": 1}, {}, {}, "--parameter_servers=1 needs --strategy=parameter_server"),
        ({}, {}, {"strategy": "parameter_server"}, "--strategy=parameter_server needs --parameter_servers"),
        ({"parameter_servers": 1}, {}, {"strategy": "parameter_server"}, ""),
        ({}, TPU, {"strategy": "multiworker"}, "--strategy=multiworker contradicts --emit=gcloud"),
        ({}, TPU, {"strategy": "auto"}, "--strategy=auto contradicts --emit=gcloud"),  # It trains on the host's CPU.
        ({}, TPU, {"strategy": "tpu"}, ""),
        ({}, {}, {"strategy": "hybrid"}, ""),
    ],
)
def test_contradictions(group: Any, settings: Any, flags: Any, message: str) -> None:
    arguments = LaunchConfig(**group), EmitConfig(**settings), {*group, *settings} - {"emit"}, TrainFlags(**flags)
    if not message:
        return check(*arguments)
    with pytest.raises(UserError, match=message) as raised:
        check(*arguments)
    assert raised.value.hint
    return None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"emit": "kubernetes"}, "--image is missing"),
        ({"emit": "gcloud", "zone": "z"}, "--tpu_version is missing"),
        ({"emit": "gcloud", "tpu_version": "v"}, "--zone is missing"),
        ({**K8S, "image": "a b"}, "--image='a b' cannot"),
        ({**K8S, "image": "-a"}, "--image='-a' cannot"),
        ({**K8S, "volume_claim": "A"}, "--volume_claim='A' cannot"),
        ({**K8S, "volume_claim": "a", "volume_path": "x"}, "--volume_path='x' cannot"),
        ({**K8S, "job_name": "My_Job"}, "--job_name='My_Job' cannot"),
        ({**K8S, "job_name": ""}, "--job_name is empty"),
        ({"emit": "slurm", "job_name": "a\n#SBATCH --x"}, "--job_name="),
        ({"emit": "slurm", "job_name": "a\n"}, "--job_name="),
        ({"emit": "slurm", "partition": "gpu\n"}, "--partition="),
        ({**TPU, "zone": "$(x)"}, "--zone="),
        ({**TPU, "tpu_type": "--help"}, "--tpu_type="),
        ({**TPU, "tpu_version": "a;b"}, "--tpu_version="),
    ],
)
def test_names_that_no_manifest_can_have(settings: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        emitting.emit(LaunchConfig(), EmitConfig(**settings), [], TrainFlags())


def test_what_cannot_be_emitted_is_said() -> None:
    with pytest.raises(UserError, match="is not UTF-8"):
        emitting.emit(LaunchConfig(), EmitConfig(emit="slurm"), ["--x=\udcff"], TrainFlags())
    with pytest.raises(UserError, match="--strategy=hybrid with --workers=2 contradicts --emit=slurm"):
        emitting.emit(LaunchConfig(), EmitConfig(emit="slurm"), [], TrainFlags(strategy="hybrid"))


def test_the_first_dashes_end_the_launchers_own_flags() -> None:
    assert split(["launch", "--workers=2", "--", "--data=x", "--", "y"]) == (
        ["launch", "--workers=2"], ["--data=x", "--", "y"],
    )  # fmt: skip
    assert split(["launch", "--"]) == (["launch"], [])
    assert split(["launch", "--help"]) == (["launch", "--help"], None)


def test_the_strategy_is_read_wherever_it_stands(tmp_path: Path) -> None:
    flagfile = tmp_path / "job.flags"
    flagfile.write_text("# a comment\n--epochs=3\n--strategy=hybrid\n--run_dir=runs/x\n")
    assert read([f"--flagfile={flagfile}"]) == TrainFlags(strategy="hybrid", run_dir="runs/x")
    assert read([f"--flagfile={flagfile}", "--strategy=auto"]).strategy == "auto"
    assert read(["--epochs", "3", "--nodeterministic", "-strategy", "model_parallel"]).on_a_mesh
    assert read(["--data=--strategy=hybrid"]) == TrainFlags()
    assert read(["--flagfile=/no/such/file", "--strategy=hybrid"]) == TrainFlags()
    assert read(["--strategy"]) == TrainFlags()

"""The TFJob: its schema, and that every argument arrives as it was given; and the exit codes that start it again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies

from tfday7.distribution.launching import emitting
from tfday7.distribution.launching.config import EmitConfig, LaunchConfig
from tfday7.distribution.launching.train_flags import TrainFlags

FULL = EmitConfig(
    emit="kubernetes", image="reg.example:5000/team/tfday7:1", job_name="my-job", gpus_per_worker=2, cpus_per_worker=8,
    memory_gib=32, volume_claim="runs", volume_path="/data/x", time_limit_hours=1.5,
)  # fmt: skip

# The part that we write of manifests/base/crds/kubeflow.org_tfjobs.yaml (kubeflow/training-operator, v1): a dict holds
# the known properties, a list the items, "*" any key.
QUANTITY = re.compile(r"[0-9]+(Gi)?")
POD = {
    "terminationGracePeriodSeconds": int,
    "containers": [
        {
            "name": "tensorflow",
            "image": str,
            "command": [str],
            "args": [str],
            "workingDir": str,
            "volumeMounts": [{"name": str, "mountPath": re.compile("/[^:]*")}],
            "resources": {"limits": {"cpu": QUANTITY, "memory": QUANTITY, "nvidia.com/gpu": QUANTITY}},
        }
    ],
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str}}],
}
REPLICA = {"replicas": int, "restartPolicy": re.compile("Always|OnFailure|Never|ExitCode"), "template": {"spec": POD}}
TFJOB = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "TFJob",
    "metadata": {"name": re.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?")},
    "spec": {
        "runPolicy": {
            "cleanPodPolicy": re.compile("All|Running|None"),
            "activeDeadlineSeconds": int,
            "backoffLimit": int,
        },
        "tfReplicaSpecs": {"Chief": REPLICA, "Worker": REPLICA, "PS": REPLICA, "Evaluator": REPLICA},
    },
}


def check(value: Any, schema: Any, path: str = "") -> None:
    if isinstance(schema, dict):
        assert isinstance(value, dict), path
        assert set(value) <= set(schema), f"{path}: {set(value) - set(schema)}"
        for key, inner in value.items():
            check(inner, schema[key], f"{path}.{key}")
    elif isinstance(schema, list):
        assert isinstance(value, list), path
        for inner in value:
            check(inner, schema[0], path + "[]")
    elif isinstance(schema, type):
        assert type(value) is schema, f"{path}: {value!r}"
    elif isinstance(schema, re.Pattern):
        assert isinstance(value, str), path
        assert schema.fullmatch(value), f"{path}: {value!r}"
    else:
        assert value == schema, path


def expanded(text: str) -> str:
    """Replaces as Kubernetes does (kubernetes/kubernetes, third_party/forked/golang/expansion/expand.go)."""
    result, at = "", 0
    while at < len(text):
        if text[at] == "$" and at + 1 < len(text):
            following = text[at + 1]
            end = text.find(")", at + 2) if following == "(" else -1
            if following == "$":
                result, at = result + "$", at + 2
            elif end >= 0:
                result, at = result + "REPLACED", end + 1
            else:
                result, at = result + "$" + following, at + 2
        else:
            result, at = result + text[at], at + 1
    return result


def emit(arguments: list[str], flags: TrainFlags | None = None, settings: EmitConfig = FULL, **group: Any) -> str:
    return emitting.emit(LaunchConfig(**group), settings, arguments, flags or TrainFlags())


def given(text: str, role: str) -> list[str]:
    """Returns the arguments that training gets in a pod of this role."""
    job = yaml.safe_load(text)
    container = job["spec"]["tfReplicaSpecs"][role]["template"]["spec"]["containers"][0]
    assert container["command"][-3:] == ["python", "-m", "tfday7.train"]
    return [expanded(argument) for argument in container["args"]]


def test_the_job_fits_the_schema_and_has_what_was_asked_for() -> None:
    text = emit(["--data=digits"], workers=3, restarts=4, grace_seconds=90.5)
    job = yaml.safe_load(text)
    check(job, TFJOB)
    assert job["metadata"]["name"] == "my-job"
    assert job["spec"]["runPolicy"] == {
        "cleanPodPolicy": "Running", "activeDeadlineSeconds": 5400, "backoffLimit": 4,
    }  # fmt: skip
    replicas = job["spec"]["tfReplicaSpecs"]
    assert {role: replica["replicas"] for role, replica in replicas.items()} == {"Chief": 1, "Worker": 2}
    for replica in replicas.values():
        assert replica["restartPolicy"] == "ExitCode"
        pod = replica["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] == 91
        (container,) = pod["containers"]
        assert container["image"] == FULL.image
        assert container["resources"]["limits"] == {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"}
        assert container["workingDir"] == container["volumeMounts"][0]["mountPath"] == "/data/x"
        assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "runs"}
        assert pod["volumes"][0]["name"] == container["volumeMounts"][0]["name"]
        assert container["args"] == ["--strategy=multiworker", "--data=digits"]


def test_what_was_not_asked_for_is_not_there() -> None:
    job = yaml.safe_load(emit([], settings=EmitConfig(emit="kubernetes", image="a"), workers=1))
    check(job, TFJOB)
    assert list(job["spec"]["tfReplicaSpecs"]) == ["Chief"]
    pod = job["spec"]["tfReplicaSpecs"]["Chief"]["template"]["spec"]
    assert "volumes" not in pod
    assert set(pod["containers"][0]) == {"name", "image", "command", "args"}
    assert pod["containers"][0]["args"] == []


def test_parameter_servers_have_no_gpus() -> None:
    flags = TrainFlags(strategy="parameter_server")
    job = yaml.safe_load(emit(["--strategy=parameter_server"], flags, workers=3, parameter_servers=2))
    check(job, TFJOB)
    server = job["spec"]["tfReplicaSpecs"]["PS"]
    assert server["replicas"] == 2
    container = server["template"]["spec"]["containers"][0]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert container["args"] == ["--strategy=parameter_server"]


def test_every_argument_arrives(hostile: list[str]) -> None:
    text = emit(hostile, workers=2)
    check(yaml.safe_load(text), TFJOB)
    for role in ("Chief", "Worker"):
        assert given(text, role) == ["--strategy=multiworker", *hostile]


@hypothesis.given(strategies.lists(strategies.text(strategies.characters(exclude_categories=["Cs"]))))
def test_any_arguments_arrive(arguments: list[str]) -> None:
    assert given(emit(arguments, TrainFlags(strategy="auto")), "Chief") == arguments


def test_arguments_are_quoted_so_that_no_reader_of_yaml_takes_them_for_numbers() -> None:
    """Readers of YAML 1.2 see a number in 0o17 where PyYAML does not."""
    text = emit(["0o17", "1e3", "yes"])
    assert {'"0o17"', '"1e3"', '"yes"'} <= set(re.findall(r"- (.*)", text))


RETRYABLE = [sys.executable, "-m", "tfday7.distribution.launching.retryable", sys.executable, "-c"]


@pytest.mark.parametrize(
    ("code", "given_code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(2)", 2),
        ("sys.exit(3)", 3),
        ("sys.exit(75)", 138),
        ("sys.exit(143)", 143),
        ("import os; os.kill(os.getpid(), 9)", 137),
    ],
)
def test_a_lost_worker_becomes_an_exit_code_that_is_started_again(code: str, given_code: int) -> None:
    assert subprocess.run([*RETRYABLE, "import sys; " + code], check=False).returncode == given_code


def test_sigterm_is_passed_on_to_training(tmp_path: Path) -> None:
    here = tmp_path / "here"
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), print('saved'), sys.exit(143)))\n"
        f"open({str(here)!r}, 'w').close()\ntime.sleep(60)"
    )
    with subprocess.Popen([*RETRYABLE, code], stdout=subprocess.PIPE) as process:
        while not here.exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (143, b"saved\n")

"""A Kubeflow TFJob (kubeflow.org/v1) for the training operator.

The schema: https://github.com/kubeflow/training-operator, manifests/base/crds/kubeflow.org_tfjobs.yaml. The operator
gives each pod its TF_CONFIG. `restartPolicy: ExitCode` starts a pod again after exit codes of 128 or above (143: it was
preempted and has saved), and not after 2 or 3; `retryable` makes a restart of 75.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tfday7.distribution.launching.config import EmitConfig, LaunchConfig
from tfday7.distribution.launching.train_flags import TrainFlags

CONTAINER = "tensorflow"  # The operator finds its container by this name.
COMMAND = ("python", "-m", "tfday7.distribution.launching.retryable", "python", "-m", "tfday7.train")
VOLUME = "shared"


class Quoted(str):
    """Text that comes from the user: in double quotes, so that no reader of YAML takes it for a number or a date."""


def emit(config: LaunchConfig, settings: EmitConfig, arguments: Sequence[str], flags: TrainFlags) -> str:
    """Returns the manifest as YAML, with the command that submits it as a comment."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes lists indented and never by reference."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(
        Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
    )
    body = yaml.dump(
        tfjob(config, settings, arguments, flags),
        Dumper=Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=math.inf,
    )
    return f"# kubectl apply -f FILE; kubectl logs -f {settings.job_name}-chief-0\n{body}"


def tfjob(config: LaunchConfig, settings: EmitConfig, arguments: Sequence[str], flags: TrainFlags) -> dict[str, Any]:
    """Returns the manifest as plain data."""
    strategy = [] if flags.strategy or config.workers == 1 else ["--strategy=multiworker"]
    given = [escaped(argument) for argument in (*strategy, *arguments)]
    replicas = {"Chief": _replicas(1, config, settings, given, settings.gpus_per_worker)}
    if config.workers > 1:
        replicas["Worker"] = _replicas(config.workers - 1, config, settings, given, settings.gpus_per_worker)
    if config.parameter_servers:
        replicas["PS"] = _replicas(config.parameter_servers, config, settings, given, 0)
    policy: dict[str, Any] = {
        "cleanPodPolicy": "Running",
        "activeDeadlineSeconds": round(settings.time_limit_hours * 3600),
    }
    if config.restarts:
        policy["backoffLimit"] = config.restarts
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": Quoted(settings.job_name)},
        "spec": {"runPolicy": policy, "tfReplicaSpecs": replicas},
    }


def escaped(argument: str) -> str:
    """Returns an argument as Kubernetes must read it: "$(NAME)" would be replaced, "$$" means "$"."""
    return argument.replace("$", "$$")


def _replicas(
    count: int, config: LaunchConfig, settings: EmitConfig, arguments: Sequence[str], gpus: int
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": Quoted(settings.image),
        "command": list(COMMAND),
        "args": [Quoted(argument) for argument in arguments],
    }
    amounts = {
        "cpu": str(settings.cpus_per_worker or ""),
        "memory": f"{settings.memory_gib}Gi" if settings.memory_gib else "",
        "nvidia.com/gpu": str(gpus or ""),
    }
    if limits := {name: Quoted(amount) for name, amount in amounts.items() if amount}:
        container["resources"] = {"limits": limits}
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": math.ceil(config.grace_seconds),
        "containers": [container],
    }
    if settings.volume_claim:
        container["workingDir"] = Quoted(settings.volume_path)
        container["volumeMounts"] = [{"name": VOLUME, "mountPath": Quoted(settings.volume_path)}]
        claim = {"claimName": Quoted(settings.volume_claim)}
        pod["volumes"] = [{"name": VOLUME, "persistentVolumeClaim": claim}]
    return {"replicas": count, "restartPolicy": "ExitCode", "template": {"spec": pod}}

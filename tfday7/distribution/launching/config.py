"""What `tfday7.launch` is told, and which of it contradicts what is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting
from tfday7.distribution.launching.train_flags import TrainFlags

TARGETS = ("none", "kubernetes", "slurm", "gcloud")
# Where each flag has a meaning; those that are missing have one everywhere.
MEANING = {
    "workers": ("none", "kubernetes", "slurm"),
    "parameter_servers": ("none", "kubernetes"),
    "log_dir": ("none",),
    "restarts": ("none", "kubernetes", "slurm"),
    "grace_seconds": ("none", "kubernetes", "slurm"),
    "emit_file": ("kubernetes", "slurm", "gcloud"),
    "job_name": ("kubernetes", "slurm", "gcloud"),
    "image": ("kubernetes",),
    "volume_claim": ("kubernetes",),
    "volume_path": ("kubernetes",),
    "gpus_per_worker": ("kubernetes", "slurm"),
    "cpus_per_worker": ("kubernetes", "slurm"),
    "memory_gib": ("kubernetes", "slurm"),
    "time_limit_hours": ("kubernetes", "slurm"),
    "partition": ("slurm",),
    "tpu_type": ("gcloud",),
    "tpu_version": ("gcloud",),
    "zone": ("gcloud",),
}
ON_ONE_MACHINE = ("one_device", "mirrored", "tpu")


@dataclasses.dataclass(frozen=True)
class LaunchConfig(Settings):
    """The group of processes."""

    workers: int = setting(2, "Training processes to start, the chief included.", minimum=1, maximum=1024)
    parameter_servers: int = setting(
        0, "With --strategy=parameter_server: processes that hold the weights.", minimum=0, maximum=1024
    )
    log_dir: str = setting(
        "", "Folder for the whole output of each process, worker_0.log and so on; default: runs/launch_logs/<time>."
    )
    restarts: int = setting(
        0,
        "How often the whole group is started again after a process died by a signal or ended with exit code 1 or 75.",
        minimum=0,
        maximum=1000,
    )
    grace_seconds: float = setting(
        30.0, "Seconds that a process has to save and end after SIGTERM, before SIGKILL.", minimum=0.0, maximum=86_400.0
    )


@dataclasses.dataclass(frozen=True)
class EmitConfig(Settings):
    """The manifest that is printed instead of starting anything."""

    emit: str = setting(
        "none",
        "Start nothing, and print what starts the same group there: a Kubeflow TFJob, an sbatch script, or gcloud "
        "commands for a TPU.",
        choices=TARGETS,
    )
    emit_file: str = setting("", "Write the manifest to this file instead of stdout.")
    job_name: str = setting("tfday7-train", "Name of the job or TPU: lowercase letters, digits and hyphens.")
    image: str = setting("", "With --emit=kubernetes: the container image, which has tfday7 installed.")
    volume_claim: str = setting("", "With --emit=kubernetes: a volume claim that all pods share, for runs and data.")
    volume_path: str = setting("/workspace", "With --volume_claim: where it is mounted; training works in it.")
    gpus_per_worker: int = setting(0, "GPUs of each worker.", minimum=0, maximum=64)
    cpus_per_worker: int = setting(0, "CPU cores of each worker; 0: the cluster's default.", minimum=0, maximum=1024)
    memory_gib: int = setting(0, "Memory of each worker in GiB; 0: the cluster's default.", minimum=0, maximum=65_536)
    time_limit_hours: float = setting(
        24.0, "Hours after which the cluster ends the job.", minimum=0.1, maximum=8760.0
    )  # fmt: skip
    partition: str = setting("", "With --emit=slurm: the partition; default: the cluster's.")
    tpu_type: str = setting("v3-8", "With --emit=gcloud: the accelerator type.")
    tpu_version: str = setting(
        "", "With --emit=gcloud: the TPU's software version, one with tfday7's TensorFlow: tpu-vm-tf-VERSION-pjrt."
    )
    zone: str = setting("", "With --emit=gcloud: the zone, for example europe-west4-a.")


def check(config: LaunchConfig, emit: EmitConfig, given: Collection[str], flags: TrainFlags) -> None:
    """Checks the flags against each other, and against those of training.

    Args:
        given: names of the flags that were given, as a default contradicts nothing.
        flags: what is known of the flags after `--`.

    Raises:
        UserError: a contradiction; both flags are named.
    """
    for name, targets in MEANING.items():
        if name in given and emit.emit not in targets:
            expected = " or ".join(target for target in targets if target != "none")
            hint = f"give --emit={expected}" if "none" not in targets else f"leave --{name} or --emit out"
            raise UserError(f"--{name} has no meaning with --emit={emit.emit}", hint)
    if "volume_path" in given and not emit.volume_claim:
        raise UserError(f"--volume_path={emit.volume_path} needs --volume_claim", "give both, or neither")
    for name in ("cluster", "worker_index"):
        if getattr(flags, name):
            hint = f"leave --{name} out; each process is told of the others"
            raise UserError(f"--{name}={getattr(flags, name)} after -- contradicts tfday7.launch", hint)
    if emit.emit == "gcloud":
        if flags.strategy not in ("", "tpu"):
            raise UserError(f"--strategy={flags.strategy} contradicts --emit=gcloud", "give --strategy=tpu, or none")
        return
    _check_strategy(config, flags.strategy)


def _check_strategy(config: LaunchConfig, strategy: str) -> None:
    processes = config.workers + config.parameter_servers
    if strategy in ON_ONE_MACHINE and processes > 1:
        hint = "leave --strategy out, or start it alone with python -m tfday7.train"
        raise UserError(f"--strategy={strategy} is for one process; it contradicts --workers={config.workers}", hint)
    if config.parameter_servers and strategy != "parameter_server":
        raise UserError(
            f"--parameter_servers={config.parameter_servers} needs --strategy=parameter_server after --", "give both"
        )
    if strategy == "parameter_server" and not (config.parameter_servers and config.workers > 1):
        raise UserError(
            "--strategy=parameter_server needs --parameter_servers, and two --workers or more",
            "the first worker is the chief, which hands out the work",
        )

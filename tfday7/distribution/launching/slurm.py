"""An sbatch script: one task per node, each a worker, which reads the others from Slurm's variables.

Options: https://slurm.schedmd.com/sbatch.html. `--signal` sends SIGTERM to the tasks before the time is over, so that
they save; without "B:" it goes to the tasks and not to the script.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from tfday7.distribution.launching.config import EmitConfig, LaunchConfig
from tfday7.distribution.launching.train_flags import TrainFlags

SAVING_SECONDS, LONGEST_SIGNAL_SECONDS = 120, 65_535
RUN = "srun --kill-on-bad-exit=1{cores} python -m tfday7.train"
# Exit codes of srun: preempted, lost another worker, failed, or 128 + the signal that ended a task.
ANOTHER_START = """\
case $code in
  1|75|12[89]|1[3-9]?)
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ]; then
      exec scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
"""


def emit(config: LaunchConfig, settings: EmitConfig, arguments: Sequence[str], flags: TrainFlags) -> str:
    """Returns the script; `sbatch FILE` submits it from the folder in which training shall work."""
    strategy = [] if flags.strategy or config.workers == 1 else ["--strategy=multiworker"]
    # Since Slurm 22.05 srun does not take them from sbatch.
    cores = f" --cpus-per-task={settings.cpus_per_worker}" if settings.cpus_per_worker else ""
    command = " \\\n  ".join([RUN.format(cores=cores), *map(shlex.quote, [*strategy, *arguments])])
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in options(config, settings)), ""]
    lines += ["code=0", f"{command} || code=$?"]
    ending = ANOTHER_START.format(restarts=config.restarts) if config.restarts else ""
    return "\n".join(lines) + f'\n{ending}exit "$code"\n'


def options(config: LaunchConfig, settings: EmitConfig) -> list[str]:
    """Returns the options of sbatch."""
    saving = min(max(SAVING_SECONDS, math.ceil(config.grace_seconds)), LONGEST_SIGNAL_SECONDS)
    found = [
        f"--job-name={settings.job_name}",
        f"--nodes={config.workers}",
        f"--ntasks={config.workers}",
        "--ntasks-per-node=1",
        f"--time={_days(settings.time_limit_hours)}",
        f"--signal=TERM@{saving}",
        "--requeue",
        "--open-mode=append",
        "--output=%x-%j.out",
    ]
    if settings.gpus_per_worker:
        found.append(f"--gpus-per-task={settings.gpus_per_worker}")
    if settings.cpus_per_worker:
        found.append(f"--cpus-per-task={settings.cpus_per_worker}")
    if settings.memory_gib:
        found.append(f"--mem={settings.memory_gib}G")
    if settings.partition:
        found.append(f"--partition={settings.partition}")
    return found


def _days(hours: float) -> str:
    """Returns for example "1-12:30:00" for 36.5 hours."""
    minutes, seconds = divmod(round(hours * 3600), 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02d}:{minutes % 60:02d}:{seconds:02d}"

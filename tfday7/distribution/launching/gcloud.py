"""A script with the steps that make a Cloud TPU VM, train on all of its hosts, fetch the run, and delete the TPU.

Options: https://cloud.google.com/sdk/gcloud/reference/compute/tpus/tpu-vm. What `--command` has is read by a shell on
the TPU's hosts, so the arguments of training are quoted for that shell, and the whole for this one.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from tfday7.distribution.launching.config import EmitConfig, LaunchConfig
from tfday7.distribution.launching.train_flags import TrainFlags

TPU = "gcloud compute tpus tpu-vm"
TRAIN = ("python3", "-m", "tfday7.train")
SCRIPT = """\
#!/bin/bash
# The steps are asked for by name, in the order in which they are wanted. The TPU's hosts need tfday7 before they train,
# and training has to be what `python3` starts there (docs/launching.md has an example):
#   bash tpu.sh create                 # then install tfday7 on all hosts
#   bash tpu.sh train fetch delete
# A TPU costs money until it is deleted. After a step that failed none follows: the TPU stays, with the run.
set -e
[ $# -gt 0 ] || {{ echo "which steps? expected some of: create train fetch delete" >&2; exit 2; }}
for step; do
  case "$step" in
    create | train | fetch | delete) ;;
    *) echo "$step: expected create, train, fetch or delete" >&2; exit 2 ;;
  esac
done
trap '[ "$step" = deleted ] || echo "the TPU may still exist, and cost money; delete it with: {delete}" >&2' EXIT

for step; do
  case "$step" in
    create)
      {create}
      echo "its hosts need tfday7 before the next step, train" >&2 ;;
    train)
      {train} ;;
    fetch)
      {fetch} ;;
    delete)
      {delete}
      step=deleted ;;
  esac
done
"""


def emit(config: LaunchConfig, settings: EmitConfig, arguments: Sequence[str], flags: TrainFlags) -> str:
    """Returns the script."""
    del config
    strategy = [] if flags.strategy else ["--strategy=tpu"]
    command = shlex.join([*TRAIN, *strategy, *arguments])
    name, zone = settings.job_name, f"--zone={settings.zone}"
    delete = f"{TPU} delete {name} {zone} --quiet"
    run_dir = flags.run_dir or "runs"
    return SCRIPT.format(
        create=f"{TPU} create {name} {zone} --accelerator-type={settings.tpu_type} --version={settings.tpu_version}",
        train=f"{TPU} ssh {name} {zone} --worker=all --command={shlex.quote(command)}",
        fetch=f"{TPU} scp {zone} --worker=0 --recurse {shlex.quote(f'{name}:{run_dir}')} .",
        delete=delete,
    )

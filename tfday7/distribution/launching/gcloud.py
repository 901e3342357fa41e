"""Commands that make a Cloud TPU VM, train on all of its hosts, fetch the run, and delete the TPU.

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
# A TPU costs money until it is deleted. Its hosts need tfday7: install it before training, in the same way as training
# is started here. When training fails the TPU stays, with the run; delete it by the last command.
set -e
trap 'echo "the TPU may still exist; delete it with: {delete}" >&2' ERR

{create}
{train}
{fetch}
{delete}
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

"""The manifests that start a group elsewhere: what they share, and the table of them.

A manifest is a pure function of the flags: the arguments of training appear in it so that the program gets them exactly
as they were given, whatever characters they have.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from tfday7.core.errors import UserError
from tfday7.distribution.launching import gcloud, kubernetes, slurm
from tfday7.distribution.launching.config import EmitConfig, LaunchConfig
from tfday7.distribution.launching.train_flags import TrainFlags

Emitter = Callable[[LaunchConfig, EmitConfig, Sequence[str], TrainFlags], str]
EMITTERS: dict[str, Emitter] = {"kubernetes": kubernetes.emit, "slurm": slurm.emit, "gcloud": gcloud.emit}
REQUIRED = {"kubernetes": ("image",), "slurm": (), "gcloud": ("tpu_type", "tpu_version", "zone")}
NAMES = {
    "job_name": r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?",
    "image": r"[A-Za-z0-9][A-Za-z0-9._/:@-]*",
    "volume_claim": r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?",
    "volume_path": r"/[^:\x00-\x1f\x7f]*",
    "partition": r"[A-Za-z0-9_][A-Za-z0-9_.,-]*",
    "tpu_type": r"[A-Za-z0-9][A-Za-z0-9-]*",
    "tpu_version": r"[A-Za-z0-9][A-Za-z0-9.-]*",
    "zone": r"[a-z0-9][a-z0-9-]*",
}


def emit(config: LaunchConfig, settings: EmitConfig, arguments: Sequence[str], flags: TrainFlags) -> str:
    """Returns the manifest that `settings.emit` names, which is not "none".

    Args:
        config: the group; see `config.check`, which must have passed.
        arguments: of training.
        flags: what is known of them.

    Raises:
        UserError: a flag is missing, is no name of its kind, or cannot be carried out there.
    """
    target = settings.emit
    for name in REQUIRED[target]:
        if not getattr(settings, name):
            raise UserError(f"--{name} is missing", f"--emit={target} needs it; docs/launching.md has an example")
    for name, pattern in NAMES.items():
        value = getattr(settings, name)
        if value and not re.fullmatch(pattern, value):
            raise UserError(f"--{name}={value!r} cannot be written into a manifest", f"expected {pattern}")
    if not settings.job_name:
        raise UserError("--job_name is empty", "leave it out, or name the job")
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UserError(f"{argument!r} after -- is not UTF-8, which a manifest must be") from None
    if flags.on_a_mesh and config.workers > 1 and target != "gcloud":
        raise UserError(
            f"--strategy={flags.strategy} with --workers={config.workers} contradicts --emit={target}",
            "a mesh over several machines is started by hand, with the DTENSOR_ variables of docs/launching.md",
        )
    return EMITTERS[target](config, _plain(settings), arguments, flags)


def _plain(settings: EmitConfig) -> EmitConfig:
    """Returns the settings without a trailing slash in the path, which "/" itself keeps."""
    return dataclasses.replace(settings, volume_path=settings.volume_path.rstrip("/") or "/")

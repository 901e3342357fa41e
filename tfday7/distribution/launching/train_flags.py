"""What the launcher must know of the flags of training, which it passes on unchanged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from absl import flags

from tfday7.distribution.config import ON_A_MESH


@dataclasses.dataclass(frozen=True)
class TrainFlags:
    """The few flags of training that starting it depends on; "" where not given."""

    strategy: str = ""
    cluster: str = ""
    worker_index: str = ""
    run_dir: str = ""

    @property
    def on_a_mesh(self) -> bool:
        """Whether the processes join as clients of a DTensor mesh."""
        return self.strategy in ON_A_MESH


def split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Returns what stands before the first "--", and what after it; None for the latter where there is no "--"."""
    words = list(argv)
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def read(arguments: Sequence[str]) -> TrainFlags:
    """Returns what the arguments of training say, flagfiles included; nothing where training itself will complain."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # Values of flags that are unknown here may stand alone.
    for field in dataclasses.fields(TrainFlags):
        flags.DEFINE_string(field.name, "", "", flag_values=values)
    try:
        values(["train", *arguments], known_only=True)
    except (flags.Error, OSError, ValueError):  # A flagfile that only the cluster has, or a mistake.
        return TrainFlags()
    return TrainFlags(**{field.name: values[field.name].value for field in dataclasses.fields(TrainFlags)})

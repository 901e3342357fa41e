"""What is looked at while a model trains."""

from __future__ import annotations

import dataclasses

from tfday7.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class DiagnosisConfig(Settings):
    """The settings of the checks that run during training."""

    stop_when_broken: bool = setting(
        False,
        "End a run early that no further epoch can save: nothing learned, dead layers, exploding values; none with "
        "--class_weights=balanced, whose accuracy says little.",
    )

"""What a repair may spend."""

from __future__ import annotations

import dataclasses

from tfday7.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class FixConfig(Settings):
    """Whether to repair a run, and for how long."""

    fix: bool = setting(False, "Try remedies by training again, and keep those that are proven to help.")
    fix_budget_minutes: float = setting(5.0, "With --fix: minutes of training that it may take.", above=0)
    fix_trainings: int = setting(
        0, "With --fix: trainings that it may take, which is repeatable where minutes are not; 0: no limit.", minimum=0
    )
    allow_unsafe_model: bool = setting(
        False, "With --fix: run the code that the run's flags.txt names; it can do anything that you can."
    )

"""What a search may spend, and what it looks for."""

from __future__ import annotations

import dataclasses
import re

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting

TUNERS = ("quasi_random", "random", "bayesian", "hyperband")


@dataclasses.dataclass(frozen=True)
class TuningConfig(Settings):
    """The settings of a search, beside those of the training that it repeats."""

    trials: int = setting(20, "Trainings that the search may spend; hyperband: at most.", minimum=1, maximum=100_000)
    tuner: str = setting(
        "quasi_random",
        "How trials are chosen: evenly spread, at random, by a model of what was seen, or by early elimination.",
        choices=TUNERS,
    )
    tune: str = setting(
        "",
        "What to tune (comma list): NAME, NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=a|b|c, where NAME is a flag; "
        "default: what the advisor would tune with so many trials.",
    )
    objective: str = setting(
        "metric",
        "What decides, on the validation split: the metric of the task (accuracy, r2_score, ...) or the loss.",
        choices=("metric", "loss"),
    )
    folds: int = setting(
        1, "Folds of a cross-validation within the training split; 1: train on it, validate as usual.", minimum=1
    )
    reruns: int = setting(3, "Seeds with which the best setting is trained once more, for its spread.", minimum=1)
    widen: bool = setting(True, "Search once more, with half the trials, beyond a bound where the best setting lies.")
    tuner_workers: int = setting(
        1, "Processes that train trials at the same time on this machine.", minimum=1, maximum=256
    )
    tuner_address: str = setting(
        "", "HOST:PORT at which workers on other machines reach this search; default: this machine alone."
    )
    compare: str = setting(
        "", "Bake-off: optimizers (comma list) that each get the same trials and seeds; then reported side by side."
    )
    target_value: float | None = setting(
        None, "Value of the objective; the record says after which trial and how many seconds it was first reached."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tuner_address and not re.fullmatch(r"[A-Za-z0-9.-]+:[0-9]{1,5}", self.tuner_address):
            raise UserError(f"--tuner_address={self.tuner_address}: expected HOST:PORT, for example 10.0.0.1:7700")
        if self.tuner == "hyperband" and self.folds > 1:
            raise UserError(
                f"--tuner=hyperband contradicts --folds={self.folds}: it goes on with runs that are half done",
                "use another tuner, or leave --folds out",
            )
        if self.compare and self.folds > 1:
            raise UserError(
                f"--compare={self.compare} contradicts --folds={self.folds}: times to a target need whole trainings",
                "leave one of them out",
            )
        if self.compare and self.tune:
            raise UserError(
                f"--compare={self.compare} contradicts --tune={self.tune}: each optimizer gets the advisor's space",
                "leave one of them out",
            )

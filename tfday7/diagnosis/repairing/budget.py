"""What a repair may still spend: minutes of training, and trainings. What an earlier call has trained counts too."""

from __future__ import annotations

from tfday7.diagnosis.repairing.config import FixConfig
from tfday7.diagnosis.repairing.trained import Trained


class BudgetSpentError(Exception):
    """Another training would go beyond the budget."""


class Budget:
    """What has been spent, and what is left.

    Args:
        config: the limits.
        own: how the run that is repaired was trained, by which other trainings are estimated.
    """

    def __init__(self, config: FixConfig, own: Trained) -> None:
        self.config = config
        self.trainings, self.seconds = 0, 0.0
        self._seconds_per_epoch = own.seconds / max(1, len(own.loss))

    def spend(self, trained: Trained) -> None:
        """Counts a training; what never began is none."""
        self.seconds += trained.seconds
        self.trainings += not trained.contradicts

    def seconds_left(self) -> float:
        """Returns the seconds of training that are left."""
        return 60.0 * self.config.fix_budget_minutes - self.seconds

    def has_time_for(self, epochs: int) -> bool:
        """Returns whether a training of so many epochs would end in time."""
        return self._seconds_per_epoch * epochs <= self.seconds_left()

    def check(self, trainings: int) -> None:
        """Raises BudgetSpentError where so many more trainings are not allowed."""
        if self.config.fix_trainings and self.trainings + trainings > self.config.fix_trainings:
            raise BudgetSpentError

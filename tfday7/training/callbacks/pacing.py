"""Chooses how many steps run in one call of the graph: many where steps are short, few where they are long.

Returning to Python after every step is what makes `fit` slow on small models. A call should be long enough to hide
that, and short enough that progress is seen and Ctrl-C is heard.
"""

from __future__ import annotations

import time

from tfday7.core.frameworks import keras
from tfday7.distribution import agreement

FIRST_STEPS = 8
TARGET_SECONDS = 0.25


class Pacing(keras.callbacks.Callback):
    """Sets `steps_per_execution` after measuring a call, and keeps the mean time of a step.

    The first call counts for neither: it traces the graph.

    Compile the model with `first_steps(...)` for it to work.

    Args:
        steps_per_epoch: the upper limit.
        every: after so many steps something has to be done, if not 0; a call then runs a whole part of them.
        fixed: leave the number as it is: what the run does must not hang on how fast the machine is.
    """

    def __init__(self, steps_per_epoch: int, every: int = 0, fixed: bool = False) -> None:
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.every = every
        self._calls = 0
        self._is_set = fixed
        self._started = 0.0
        self._first_step = 0
        self._seconds, self._steps = 0.0, 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the call's clock."""
        self._started, self._first_step = time.perf_counter(), batch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Measures the call; the first one that traced nothing sets the number of steps for the later ones."""
        seconds, steps = time.perf_counter() - self._started, batch - self._first_step + 1
        self._calls += 1
        if self._calls > 1:
            self._seconds, self._steps = self._seconds + seconds, self._steps + steps
        ends_the_epoch = batch + 1 == self.steps_per_epoch  # Keras resets the number of steps after such a call.
        if self._calls == 1 or self._is_set or (ends_the_epoch and self._first_step > 0) or self.steps_per_epoch == 1:
            return
        self._is_set = True
        count = whole_part(max(1, min(int(TARGET_SECONDS * steps / seconds), self.steps_per_epoch)), self.every)
        self.model.steps_per_execution = agreement.from_chief(self.model, count)

    def step_ms(self) -> float | None:
        """Returns the mean time of a step in milliseconds; None before the second call has ended."""
        return self._seconds * 1000.0 / self._steps if self._steps else None


def first_steps(steps_per_epoch: int, every: int = 0) -> int:
    """Returns the number of steps to compile with; more than 1 makes Keras build the function that can loop."""
    return whole_part(min(FIRST_STEPS, steps_per_epoch), every)


def whole_part(count: int, every: int) -> int:
    """Returns the largest number up to `count` that divides `every`; `count` itself where that is 0."""
    return next(each for each in range(count, 0, -1) if every % each == 0)

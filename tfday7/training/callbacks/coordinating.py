"""What the chief of parameter servers does otherwise: it sees epochs, not steps.

Keras hands steps out and looks at them when an epoch's last one is done, so it refuses callbacks that look at batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfday7.core.frameworks import keras


class WholeValidation(keras.callbacks.Callback):
    """Hands validation out in one piece, so that one worker sees every example exactly once.

    In pieces each worker would begin at the first example.

    Args:
        steps: batches of the validation split.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._training = 0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Makes Keras build the validation that can loop, as it does for more than one batch an execution."""
        training = int(self.model.steps_per_execution.numpy())
        self.model.steps_per_execution = 2
        self.model.make_test_function(force=True)
        self.model.steps_per_execution = training

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Makes all batches one execution."""
        self._training = int(self.model.steps_per_execution.numpy())
        self.model.steps_per_execution = self.steps

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Gives training its executions back."""
        self.model.steps_per_execution = self._training


def without_batches(callbacks: Sequence[Any]) -> list[Any]:
    """Returns the callbacks, which Keras now tells of epochs alone."""
    for callback in callbacks:
        callback._implements_train_batch_hooks = lambda: False
    return list(callbacks)

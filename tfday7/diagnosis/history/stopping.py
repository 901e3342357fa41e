"""When to stop training by the validation loss, without a patience that somebody has to choose.

A fixed patience is too short while a noisy loss still falls and too long once a smooth one rises. Here the loss itself
says how long to wait: it stops soon when the loss has turned, which is when it stays above its minimum by more than its
noise, and late when it merely stands still, the later the longer the minimum took.

Compare Prechelt, "Early Stopping - But When?" (1998): GL stops at a rise over the minimum, UP after rises in a row.
"""

from __future__ import annotations

import numpy as np

from tfday7.diagnosis.evidence import noise

# All four chosen on the 419 histories that `checks/overfit` names; benchmarks/diagnosis_histories.py replays them.
MIN_RISE = 0.003  # Over the minimum; on the way to their minimum those that overfit stay above an earlier one by 0.27%.
NOISE_DEVIATIONS = 4.0
MIN_WAIT = 20  # Epochs.
LONG_WAIT = 100  # Epochs without a new minimum though nothing rises; half of the minimum's own epoch if that is more.
NOISE_EPOCHS = 100  # The noise of late epochs is smaller than that of early ones; these are late ones.


def should_stop(val_loss: np.ndarray, min_rise: float = MIN_RISE) -> bool:
    """Returns whether training should stop now; the epoch to go back to is that of the lowest validation loss.

    Args:
        val_loss: float64 [epochs so far]; what is not finite counts as no improvement.
        min_rise: over the minimum, as a share of it.
    """
    if not np.isfinite(val_loss).any():
        return len(val_loss) > LONG_WAIT
    best = int(np.where(np.isfinite(val_loss), val_loss, np.inf).argmin())
    wait = len(val_loss) - 1 - best
    if wait >= max(LONG_WAIT, best / 2):
        return True
    return wait >= MIN_WAIT and _has_turned(val_loss, best, min_rise)


def _has_turned(val_loss: np.ndarray, best: int, min_rise: float) -> bool:
    """Returns whether the later half of the epochs since the minimum lies clearly above it."""
    later = val_loss[(best + len(val_loss)) // 2 :]
    lowest = val_loss[best]
    if not (later > lowest + min_rise * abs(lowest)).all():  # Cheap, and most often the answer.
        return False
    recent = val_loss[-NOISE_EPOCHS:]
    recent = recent[np.isfinite(recent)]
    return len(recent) < 4 or bool(np.median(later) - lowest > NOISE_DEVIATIONS * noise(recent))

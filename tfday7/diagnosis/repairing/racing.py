"""When a remedy has helped: by more than seeds and single examples make of chance.

One seed screens; only what looks better there is trained with further seeds, up to three, and compared with what was
there before under the same seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

SEEDS = 3
# Student's t, one-sided 95%, with 1 and 2 degrees of freedom: two or three seeds estimate their own spread badly.
STUDENT = {2: 6.314, 3: 2.920}
MIN_EXAMPLES = 1.0  # One validation example's worth, which has to be exceeded: a single example is no difference.


def resolution(validation_examples: int) -> float:
    """Returns the difference of a metric (1 is perfect) that a validation split of this size does not show."""
    return MIN_EXAMPLES / max(1, validation_examples)


def improves(after: Sequence[float], before: Sequence[float], finest: float) -> bool | None:
    """Returns whether the values after are better than those before; None where another seed has to decide.

    Better is a mean difference above `finest` that is also above Student's t times its standard error, seed by seed;
    or, with three seeds, that every value after is above every one before, by more than `finest`: one in twenty by
    chance.

    Args:
        after, before: the metric with the same one to three seeds, in the same order; higher is better.
        finest: the smallest difference that counts; see `resolution`.
    """
    differences = [a - b for a, b in zip(after, before, strict=True)]
    seeds, mean = len(differences), statistics.fmean(differences)
    if mean <= finest:
        return False
    if seeds == 1:
        return None
    if mean > STUDENT[seeds] * statistics.stdev(differences) / math.sqrt(seeds):
        return True
    if seeds < SEEDS:
        return None
    return min(after) > max(before) + finest

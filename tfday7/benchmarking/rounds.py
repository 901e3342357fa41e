"""Times several things in turn, so that what slows the machine down slows all of them down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

WARM_UP_ROUNDS = 5
MAX_ROUNDS = 200
MIN_ROUNDS = 10
MAX_SECONDS = 2.0


def medians(runs: Sequence[Callable[[], None]], prepare: Sequence[Callable[[], None]] = ()) -> tuple[list[float], int]:
    """Returns the median milliseconds of each, and how many rounds they are of.

    Args:
        runs: what is timed, one after the other in each round.
        prepare: what is done before each of them, not timed; none, or one for each.
    """
    times: list[list[float]] = [[] for _ in runs]
    started = time.perf_counter()
    for done in range(WARM_UP_ROUNDS + MAX_ROUNDS):
        for at, run in enumerate(runs):
            if prepare:
                prepare[at]()
            before = time.perf_counter_ns()
            run()
            times[at].append((time.perf_counter_ns() - before) / 1e6)
        if done >= WARM_UP_ROUNDS + MIN_ROUNDS and time.perf_counter() - started > MAX_SECONDS:
            break
    kept = [taken[WARM_UP_ROUNDS:] for taken in times]
    return [statistics.median(taken) for taken in kept], len(kept[0])

"""Shrinks in steps: how many channels of each group stay after each, so that the last step reaches the plan."""

from __future__ import annotations

from tfday7.compression.shrink.choosing import rounded
from tfday7.compression.shrink.shrink_plan import Plan


def schedule(plan: Plan, iterations: int, round_to: int) -> list[dict[str, int]]:
    """Returns the counts of each step by group, of those groups alone that shrink in it.

    Every step takes the same number of channels, as far as rounding lets it; steps that would take none are left out.

    Args:
        plan: of the whole, made on the model as it is before the first step.
        iterations: number of steps.
        round_to: as of the plan.
    """
    current = {one.group.name: one.before for one in plan.groups}
    steps: list[dict[str, int]] = []
    for number in range(1, iterations + 1):
        counts = {}
        for one in plan.groups:
            wanted = one.before - (one.before - one.after) * number / iterations
            count = one.after if number == iterations else rounded(one.group, wanted, round_to)
            count = max(one.after, min(count, current[one.group.name]))
            if count < current[one.group.name]:
                counts[one.group.name] = current[one.group.name] = count
        if counts or (number == iterations and not steps):
            steps.append(counts)
    return steps

"""Removes neurons, channels, attention heads and recurrent units: the model becomes smaller and faster everywhere.

    plan = shrink.plan(model, ratio=0.5)
    print(plan)              # each group before -> after
    smaller = plan.apply()   # a new model
    plan.masked()            # the old size, and the same outputs as `smaller`: the proof that nothing else was touched

The model is walked once (`propagation`); each kind of layer has a rule (`rules/`) that says which channels of what
comes in and goes out belong together (`atoms`, `labels`), which axes of its weights they are, and which settings count
them.
What is left then knows nothing of layers: `groups`, `importance`, `choosing`, `rebuilding`.
"""

from tfday7.compression.shrink.planning import plan
from tfday7.compression.shrink.shrink_plan import Plan

__all__ = ["Plan", "plan"]

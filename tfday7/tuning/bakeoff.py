"""A bake-off: every optimizer gets the same trials, each with its own ranges, and the same seeds.

Comparing optimizers at one fixed setting says which one likes that setting (Choi et al., 2019, arXiv:1910.05446).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from tfday7.core.errors import GateError
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.study import Study


def run(studies: Mapping[str, Study], config: TuningConfig, say: Callable[[str], Any]) -> dict[str, Any]:
    """Runs a study for each optimizer and returns their record: that of the winner, and all of them under "compare".

    Args:
        studies: name of the optimizer -> its study.
        config: its target; by default the worst value of any rerun, which all of them reach.
        say: told what begins.
    """
    records, failed = {}, {}
    for name, study in studies.items():
        say(f"{name}: {config.trials} trials")
        try:
            records[name] = study.run()
        except GateError as error:  # The others are still worth comparing.
            say(f"{name}: {error.message}")
            failed[name] = error
    if not records:
        raise next(iter(failed.values()))
    direction = next(iter(studies.values())).direction
    worse, worst = (min, "low") if direction == "max" else (max, "high")
    spreads = {name: record["best"]["spread"] for name, record in records.items() if record["best"]["spread"]}
    target = config.target_value
    if target is None:
        target = worse((spread[worst] for spread in spreads.values()), default=None)
    rows = [_row(name, record, target, direction) for name, record in records.items()]
    sign = -1.0 if direction == "max" else 1.0  # Who fails with some seeds is not saved by the mean of the others.
    ranked = sorted(spreads, key=lambda name: (records[name]["best"]["failed"], sign * spreads[name]["mean"]))
    winner = next(iter([*ranked, *records]))
    rows += [_failed(name, studies[name], error) for name, error in failed.items()]
    return {**records[winner], "compare": {"target": target, "winner": winner, "optimizers": rows}}


def _row(name: str, record: Mapping[str, Any], target: float | None, direction: str) -> dict[str, Any]:
    reruns = record["best"]["reruns"]
    reached = [_reached(rerun, target, direction) for rerun in reruns if target is not None]
    known = [each for each in reached if each is not None]
    complete = len(known) == len(reruns) > 0
    return {
        "optimizer": name,
        "value": record["best"]["value"],
        "spread": record["best"]["spread"],
        "failed": record["best"]["failed"],
        "settings": record["best"]["flags"],
        "trials": len(record["trials"]),
        "infeasible": sum(trial["value"] is None for trial in record["trials"]),
        "seconds": round(sum(trial["seconds"] for trial in record["trials"]), 3),
        "epochs_to_target": statistics.median(epochs for epochs, _ in known) if complete else None,
        "seconds_to_target": round(statistics.median(seconds for _, seconds in known), 3) if complete else None,
        "curves": [rerun["curve"] for rerun in reruns],
    }


def _failed(name: str, study: Study, error: GateError) -> dict[str, Any]:
    """Returns the row of an optimizer that had no feasible trial."""
    trials = study.ended()
    nothing = dict.fromkeys(("value", "spread", "epochs_to_target", "seconds_to_target"))
    return {
        "optimizer": name,
        **nothing,
        "reason": error.message,
        "settings": {"optimizer": name},
        "trials": len(trials),
        "infeasible": len(trials),
        "seconds": round(sum(trial.outcome.seconds for trial in trials), 3),
        "curves": [],
    }


def _reached(rerun: Mapping[str, Any], target: float, direction: str) -> tuple[int, float] | None:
    """Returns after how many epochs and seconds a training first reached the target; None when it never did."""
    sign = 1.0 if direction == "max" else -1.0
    for epoch, value in enumerate(rerun["curve"], start=1):
        if value is not None and sign * value >= sign * target:
            return epoch, rerun["seconds"] * epoch / len(rerun["curve"])
    return None

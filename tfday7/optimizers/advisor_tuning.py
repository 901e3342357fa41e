"""What to tune within the budget of trials, in which order and range; and what to watch while training.

Budgets and order are the tuning playbook's: the rate alone below 10 trials, then beta_1 (or what stands in its place),
from 25 epsilon, warm-up and decay, and beta_2 well above 25.
"""

from __future__ import annotations

from collections.abc import Mapping

from tfday7.optimizers import advice_sources as sources
from tfday7.optimizers.advice import Reason, Sign, Tunable, Value
from tfday7.optimizers.advisor_choice import Choice, because
from tfday7.optimizers.advisor_rates import rule_of
from tfday7.optimizers.catalog import OPTIMIZERS
from tfday7.optimizers.situation import Case

MOMENTS: tuple[Value, ...] = (0.8, 0.9, 0.95, 0.98)  # Evenly spread in log(1 - value), as the playbook tunes them.
LONG_MOMENTS: tuple[Value, ...] = (0.9, 0.95, 0.98, 0.99, 0.999)
# What averages the gradient, and what averages its square, by optimizer.
FIRST_MOMENT = {
    "adam": "beta_1", "adamw": "beta_1", "nadam": "beta_1", "lion": "beta_1", "lamb": "beta_1",
    "schedule_free_adamw": "beta_1", "sgd": "momentum", "lars": "momentum", "rmsprop": "rho", "adadelta": "rho",
}  # fmt: skip
SECOND_MOMENT = ("adam", "adamw", "nadam", "lion")
WITH_EPSILON = ("adam", "adamw", "nadam", "rmsprop", "adadelta")
FEW, SOME, MANY = 10, 25, 50  # Trials from which more is tuned.
SHRINKING = ("adagrad", "adadelta")


def tunables(case: Case, optimizer: str, settings: Mapping[str, Value]) -> tuple[Tunable, ...]:
    """Returns what to tune within `case.trials`, all of it in order when the budget is not decided."""
    ranges = _ranges(case, optimizer, settings)
    trials = MANY if case.trials is None else case.trials
    first = FIRST_MOMENT.get(optimizer, "")
    wanted: list[str] = ["learning_rate"] if trials else []
    if trials >= SOME:
        wanted += ["warmup_steps", "weight_decay"]
    if trials >= FEW:
        wanted.append(first)
    if trials >= SOME:
        wanted.append("epsilon")
    if trials >= MANY:
        wanted.append("beta_2")
    kept = [name for name in wanted if name in ranges]
    return tuple(Tunable(name, *ranges[name], order) for order, name in enumerate(kept, start=1))


def budget(case: Case) -> tuple[Reason, ...]:
    """Returns why so much is tuned."""
    if case.trials is None:
        return ()
    steps = ((0, "budget_none"), (FEW - 1, "budget_rate"), (SOME - 1, "budget_beta_1"), (MANY - 1, "budget_epsilon"))
    identifier = next((name for most, name in steps if case.trials <= most), "budget_all")
    return (because(case, identifier, sources.PLAYBOOK_BUDGET, "trials"),)


def _ranges(case: Case, optimizer: str, settings: Mapping[str, Value]) -> dict[str, tuple[tuple[Value, ...], str]]:
    rate = float(settings["learning_rate"])
    spread = 10 if case.trials is None or case.trials >= FEW else 5  # Few trials must not be spent far away.
    around, rule = _around(rate, spread), rule_of(optimizer)
    if (
        rule in ("lamb", "lars") and not case.fine_tuning
    ):  # Their papers' rates are those of large batches; what fits others lies further off.
        ends = (*around, *OPTIMIZERS[rule].learning_rate_range)
        around = (min(ends), max(ends))
    ranges: dict[str, tuple[tuple[Value, ...], str]] = {"learning_rate": (around, "log")}
    warm_up = int(settings.get("warmup_steps", 0))
    if warm_up:
        longest = min(4 * warm_up, (case.total_steps or 16 * warm_up) // 4)
        ranges["warmup_steps"] = ((max(1, warm_up // 4), max(longest, warm_up, 2)), "log")
    if "weight_decay" in settings:
        ranges["weight_decay"] = (_around(float(settings["weight_decay"]), 10), "log")
    if optimizer in FIRST_MOMENT:
        ranges[FIRST_MOMENT[optimizer]] = (MOMENTS, "choice")
    if optimizer in SECOND_MOMENT:
        ranges["beta_2"] = (LONG_MOMENTS, "choice")
    if optimizer in WITH_EPSILON:
        ranges["epsilon"] = ((1e-8, 1e-3), "log")
    return ranges


def _around(value: float, factor: float) -> tuple[float, float]:
    return float(f"{value / factor:.2g}"), float(f"{value * factor:.2g}")


def signs(case: Case, choice: Choice, settings: Mapping[str, Value]) -> tuple[Sign, ...]:
    """Returns what to watch with this optimizer, the gravest first."""
    optimizer, rate = choice.optimizer, float(settings["learning_rate"])
    warm_up = int(settings.get("warmup_steps", 0))
    longer = max(2 * warm_up, 100)
    if case.total_steps is not None:
        longer = max(1, min(longer, case.total_steps // 4))
    own_scale = optimizer in ("sgd", "lars", *SHRINKING)
    lowest = rate / 10 if own_scale else min(1e-5, rate / 10)
    explode = (f"--warmup_steps={longer}", "--global_clipnorm=1", f"--optimizer={choice.runner_up}",
               f"--learning_rate={lowest:.2g}")  # fmt: skip
    found = [
        Sign("explode", sources.PLAYBOOK_UNSTABLE, explode, {"runner_up": choice.runner_up, "lowest": lowest}),
        Sign("stuck", sources.PLAYBOOK_SEARCH, (f"--learning_rate={rate * 3:.2g}",), {"rate": rate * 3}),
        Sign("overfit", sources.PLAYBOOK_CURVES, _against_overfitting(case, settings)),
        Sign("edge", sources.PLAYBOOK_SEARCH),
    ]
    if optimizer == "sgd":
        found.insert(1, Sign("slow_sgd", sources.LARGE_BATCH_SGD, ("--momentum=0.95",)))
    if optimizer in SHRINKING:
        source = sources.ADAGRAD if optimizer == "adagrad" else sources.ADADELTA
        found.insert(1, Sign("vanishing", source, ("--optimizer=rmsprop",)))
    if optimizer == "schedule_free_adamw":
        found.append(Sign("averaged", sources.SCHEDULE_FREE))
    if optimizer == "lion":
        found.append(Sign("lion_batch", sources.LION))
    if optimizer in ("lamb", "lars"):
        found.append(Sign("large_batch", sources.LARGE_BATCH_SGD))
    return tuple(found)


def _against_overfitting(case: Case, settings: Mapping[str, Value]) -> tuple[str, ...]:
    patience = settings.get("patience", max(3, (case.epochs or 25) // 5))
    flags = [f"--patience={patience}", "--dropout=0.1"]
    if "weight_decay" in settings:
        flags.insert(0, f"--weight_decay={float(settings['weight_decay']) * 3:.2g}")
    return tuple(flags)

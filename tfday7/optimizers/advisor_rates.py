"""The learning rate to start from, for an optimizer, a model's size, a batch and the length of the run.

Adam's rate is the measure: small models take larger ones, larger batches too by the square root, and the relatives of
Adam stand in a known ratio to it. What has a scale of its own (SGD, LAMB, Adagrad, ...) starts where its paper does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tfday7.optimizers import advice_sources as sources
from tfday7.optimizers.advice import Reason
from tfday7.optimizers.advisor_choice import FEW_STEPS, because
from tfday7.optimizers.catalog import OPTIMIZERS
from tfday7.optimizers.situation import Case

Rate = tuple[float, tuple[Reason, ...]]

# Share of Adam's rate, by their papers: Lion 3 to 10 times smaller, schedule-free 1 to 10 times larger, Adamax twice.
# Muon's is that of the defaults in `table`.
RATIO_TO_ADAM = {
    "adam": 1.0, "adamw": 1.0, "nadam": 1.0, "radam": 1.0, "adabelief": 1.0, "rmsprop": 1.0, "adamax": 2.0,
    "lion": 0.2, "schedule_free_adamw": 2.0, "muon": 3.0,
}  # fmt: skip
RATIO_SOURCES = {"lion": sources.LION, "adamax": sources.ADAM, "muon": sources.MUON}
# (most weights, Adam's rate). Transformers: GPT-3's table 2.1 and BERT's appendix at the top, Vaswani et al. below.
TRANSFORMER_RATES = ((10_000_000, 1e-3), (200_000_000, 3e-4), (1_000_000_000, 2e-4), (math.inf, 1e-4))
OTHER_RATES = ((20_000, 1e-2), (1_000_000, 3e-3), (100_000_000, 1e-3), (math.inf, 3e-4))
FINE_TUNING_RATE, FINE_TUNING_SHARE = 3e-5, 0.1  # BERT's 2e-5 to 5e-5; a tenth for other models and optimizers.
SMALL_TRANSFORMER = 10_000_000
LAMB_BATCH = 512  # With which the paper's table begins.
MOST_FOR_FEW_STEPS = 3.0
HIGHEST = 2e-2  # Of Adam's rates; nothing above was measured to be better.


def rule_of(optimizer: str) -> str:
    """Returns the optimizer whose steps another name stands for: TensorFlow Addons' own, Lookahead around Adam."""
    return "adam" if optimizer == "lookahead" else optimizer.removeprefix("tfa_")


def learning_rate(case: Case, optimizer: str) -> Rate:
    """Returns the peak rate, two significant digits, and why."""
    rule = rule_of(optimizer)
    if rule in RATIO_TO_ADAM:
        rate, reasons = _adam(case)
        ratio = RATIO_TO_ADAM[rule]
        if ratio != 1.0:
            source = RATIO_SOURCES.get(rule, sources.SCHEDULE_FREE)
            reasons += (because(case, "rate_ratio", source, optimizer=rule, ratio=ratio),)
        return float(f"{rate * ratio:.2g}"), reasons
    rate, reasons = OWN_SCALE.get(rule, _fixed(rule, OPTIMIZERS[rule].learning_rate, sources.PLAYBOOK_CHOICE))(case)
    if case.fine_tuning:
        rate *= FINE_TUNING_SHARE
        values = {"share": FINE_TUNING_SHARE, "rate": rate}
        reasons += (because(case, "rate_fine_tuning_share", sources.BERT, "fine_tuning", **values),)
    return float(f"{rate:.2g}"), reasons


def _adam(case: Case) -> Rate:
    rate, reason = _by_size(case)
    reasons = [reason]
    if case.fine_tuning:
        small = (case.parameters or math.inf) < SMALL_TRANSFORMER
        transformer = case.model_kind == "transformer" and not small
        rate = FINE_TUNING_RATE if transformer else rate * FINE_TUNING_SHARE
        return rate, (because(case, "rate_fine_tuning", sources.BERT, "fine_tuning", rate=rate),)
    scale = _batch_scale(case)
    if scale != 1.0:
        rate *= scale
        reasons.append(because(case, "rate_batch", sources.SQUARE_ROOT, "batch_size", scale=scale))
    scale, why = _few_steps(case)
    return min(rate * scale, HIGHEST), (*reasons, *why)


def _few_steps(case: Case) -> Rate:
    """Returns what the rate is multiplied with in a short run."""
    steps = case.total_steps
    embeds = case.sparse_gradients and case.model_kind != "transformer"  # Measured: a larger rate is no better there.
    if steps is None or steps >= FEW_STEPS or embeds:
        return 1.0, ()
    scale = min(math.sqrt(FEW_STEPS / steps), MOST_FOR_FEW_STEPS)
    values = {"steps": steps, "scale": scale}
    return scale, (because(case, "rate_few_steps", sources.MEASURED, "examples", "epochs", **values),)


def _by_size(case: Case) -> tuple[float, Reason]:
    transformer = case.model_kind == "transformer"
    if case.parameters is None:
        rate = 1e-4 if transformer else 1e-3
        source = sources.TRANSFORMER if transformer else sources.ADAM
        return rate, because(case, "rate_kind", source, "model_kind", rate=rate)
    table = TRANSFORMER_RATES if transformer else OTHER_RATES
    rate = next(rate for most, rate in table if case.parameters <= most)
    source = sources.GPT3 if transformer else f"{sources.TRANSFER_OF_RATES}; {sources.MEASURED}"
    return rate, because(case, "rate_size", source, "model_kind", "parameters", rate=rate)


def _batch_scale(case: Case) -> float:
    """Returns the square root of the batch's ratio to what the tables are for, within limits.

    256 sequences are usual for transformers, 32 examples (Keras's default) for the others.
    """
    if case.model_kind == "transformer":
        return min(max(math.sqrt(case.batch_size / 256), 0.5), 2.0)
    return min(max(math.sqrt(case.batch_size / 32), 1.0), 4.0)


def _sgd(case: Case) -> Rate:
    if case.model_kind == "cnn" and not case.fine_tuning:
        rate = 0.1 * case.batch_size / 256
        return rate, (because(case, "rate_linear", sources.LARGE_BATCH_SGD, "batch_size", rate=rate),)
    return 1e-2, (because(case, "rate_own", sources.PLAYBOOK_CHOICE, optimizer="sgd", rate=1e-2),)


def _lamb(case: Case) -> Rate:
    rate = 6.25e-4 * math.sqrt(max(case.batch_size, LAMB_BATCH) / LAMB_BATCH)
    why = because(case, "rate_lamb", sources.LAMB, "batch_size", rate=rate)
    # In the paper's table larger batches and fewer steps go together: its rates are of short runs already.
    scale, more = (1.0, ()) if case.fine_tuning else _few_steps(case)
    short = 6.25e-4 * scale
    return (short, (why, *more)) if short > rate else (rate, (why,))


def _lars(case: Case) -> Rate:
    rate = min(0.3 * case.batch_size / 256, OPTIMIZERS["lars"].learning_rate_range[1])
    return rate, (because(case, "rate_lars", sources.SIMCLR, "batch_size", rate=rate),)


def _fixed(optimizer: str, rate: float, source: str) -> Callable[[Case], Rate]:
    return lambda case: (rate, (because(case, "rate_own", source, optimizer=optimizer, rate=rate),))


OWN_SCALE: dict[str, Callable[[Case], Rate]] = {
    "sgd": _sgd,
    "lamb": _lamb,
    "lars": _lars,
    # 0.3 was level with Adam on a bag of words; the usual 0.01 and 0.1 were 6 to 9 points behind.
    "adagrad": _fixed("adagrad", 0.3, sources.MEASURED),
    "adadelta": _fixed("adadelta", 1.0, sources.ADADELTA),
    # The largest relative step; it falls as 1 / sqrt(step) by itself.
    "adafactor": _fixed("adafactor", 1e-2, sources.ADAFACTOR),
}

"""Which optimizer: an ordered list of rules, of which the first that applies decides.

What cannot work otherwise comes first (memory), then what the gradients ask for, then what the field trains such a
model with: no optimizer is best, so the popular one for the problem is where to start (playbook, AlgoPerf).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tfday7.optimizers import advice_sources as sources
from tfday7.optimizers.advice import Reason
from tfday7.optimizers.situation import USABLE_MEMORY, Case

ADAM_SLOTS, LION_SLOTS = 2, 1  # Numbers that the optimizer keeps for each weight.
LARGE_BATCH = 4096  # From here on the rate of plain Adam or SGD stops scaling: BERT in LAMB's paper, ImageNet at 8k.
LARGE_BATCH_CNN = 8192
LONG_RUN_EPOCHS, LONG_RUN_EXAMPLES = 60, 10_000  # ResNet recipes train 90 epochs and more, on 50,000 images and more.
FEW_STEPS = 2000  # Optimizer steps of a short run.
COMPARING_TRIALS = 25  # Enough to give a second optimizer a search of its own.


@dataclasses.dataclass(frozen=True)
class Choice:
    """An optimizer, the one to compare it with, and why."""

    optimizer: str
    runner_up: str
    reasons: tuple[Reason, ...]


def because(case: Case, identifier: str, source: str, *inputs: str, **values: Any) -> Reason:
    """Returns a reason whose sentence is filled with the flags of its inputs and further values."""
    flags = case.flags()
    return Reason(identifier, inputs, source, {**{name: flags[name] for name in inputs}, **values})


def choose(case: Case) -> Choice:
    """Returns the optimizer for a case."""
    return next(choice for choice in (rule(case) for rule in RULES) if choice is not None)


def _too_large_for_adam(case: Case) -> Choice | None:
    if case.fits(ADAM_SLOTS):
        return None
    limit = (case.device_memory_gb or 0) * USABLE_MEMORY
    values = {"needed": case.training_gb(ADAM_SLOTS), "limit": limit}
    reasons = [because(case, "memory", sources.ZERO, "parameters", "device_memory_gb", **values)]
    if case.devices > 1:
        reasons.append(because(case, "memory_devices", sources.ZERO, "devices"))
    if case.fits(LION_SLOTS):
        kept = case.training_gb(LION_SLOTS)
        reasons.append(because(case, "memory_lion", sources.LION, "device_memory_gb", needed=kept))
        return Choice("lion", "adafactor", tuple(reasons))
    bare = case.training_gb(0)
    reasons.append(because(case, "memory_adafactor", sources.ADAFACTOR, "device_memory_gb", needed=bare))
    if not case.fits(0):
        values = {"needed": bare, "limit": limit}
        reasons.append(because(case, "memory_none", sources.ZERO, "parameters", "device_memory_gb", **values))
    return Choice("adafactor", "lion", tuple(reasons))


def _sparse(case: Case) -> Choice | None:
    if not case.sparse_gradients or case.model_kind == "transformer":
        return None
    if case.total_steps is not None and case.total_steps < FEW_STEPS:  # Adagrad's small steps get nowhere in them.
        reason = because(case, "sparse_short", sources.MEASURED, "examples", "epochs", steps=case.total_steps)
        return Choice("adam", "adagrad", (reason,))
    if case.origins["sparse_gradients"] == "assumed":  # It follows from the kind of model.
        return Choice("adagrad", "adam", (because(case, "embedding", sources.ADAGRAD, "model_kind"),))
    return Choice("adagrad", "adam", (because(case, "sparse", sources.ADAGRAD, "sparse_gradients"),))


def _open_ended(case: Case) -> Choice | None:
    if case.epochs != 0:
        return None
    reason = because(case, "open_ended", sources.SCHEDULE_FREE, "epochs")
    return Choice("schedule_free_adamw", "adamw", (reason, because(case, "no_best", sources.ALGOPERF, "epochs")))


def _large_batch(case: Case) -> Choice | None:
    cnn = case.model_kind == "cnn"
    if case.batch_size < (LARGE_BATCH_CNN if cnn else LARGE_BATCH):
        return None
    if cnn:
        return Choice("lars", "sgd", (because(case, "large_batch_cnn", sources.LARS, "model_kind", "batch_size"),))
    return Choice("lamb", "adamw", (because(case, "large_batch", sources.LAMB, "batch_size"),))


def _long_run_of_a_cnn(case: Case) -> Choice | None:
    long = (case.epochs or 0) >= LONG_RUN_EPOCHS and (case.examples or 0) >= LONG_RUN_EXAMPLES
    if case.model_kind != "cnn" or case.goal != "accurate" or not long or case.fine_tuning:
        return None
    inputs = ("model_kind", "goal", "epochs", "examples")
    return Choice("sgd", "adamw", (because(case, "long_cnn", sources.MARGINAL_VALUE, *inputs),))


def _transformer(case: Case) -> Choice | None:
    if case.model_kind != "transformer":
        return None
    reasons = [because(case, "transformer", f"{sources.WHY_ADAM}; {sources.ADAMW}", "model_kind")]
    if case.sparse_gradients:
        reasons.append(because(case, "sparse_transformer", sources.ADAM, "sparse_gradients"))
    if case.batch_size >= LARGE_BATCH // 4:
        second, why = "lamb", because(case, "second_lamb", sources.LAMB, "batch_size")
    elif case.goal == "accurate" and (case.trials or 0) >= COMPARING_TRIALS:
        second, why = "muon", because(case, "second_muon", sources.MUON, "goal", "trials")
    elif case.goal == "fast":
        second, why = "schedule_free_adamw", because(case, "second_fast", sources.ALGOPERF, "goal")
    elif case.epochs is None:
        second, why = "schedule_free_adamw", because(case, "second_free", sources.ALGOPERF, "model_kind")
    else:
        second, why = "nadam", because(case, "second_nadam", sources.ALGOPERF, "epochs")
    return Choice("adamw", second, (*reasons, why))


def _recurrent(case: Case) -> Choice | None:
    if case.model_kind != "rnn":
        return None
    if case.data_kind == "text":
        reason = because(case, "rnn_text", sources.PLAYBOOK_CHOICE, "model_kind", "data_kind")
        return Choice("adam", "rmsprop", (reason,))
    inputs = ("model_kind", "data_kind") if case.data_kind else ("model_kind",)
    reason = because(case, "rnn_moving" if case.data_kind else "rnn", sources.RMSPROP, *inputs)
    return Choice("rmsprop", "adam", (reason,))


def _others(case: Case) -> Choice | None:
    """A cnn or mlp, or embeddings of which it was said that their gradients are not sparse."""
    if case.model_kind == "mlp" and case.data_kind == "tabular":
        first, why = "adamw", because(case, "tabular", sources.TABULAR, "data_kind")
    elif case.goal == "fast":
        first, why = "nadam", because(case, "fast", f"{sources.NADAM}; {sources.ALGOPERF}", "goal")
    elif case.model_kind == "cnn":
        first, why = "adamw", because(case, "cnn", sources.ADAMW, "model_kind")
    else:
        first, why = "adam", because(case, "default", sources.PLAYBOOK_CHOICE, "model_kind")
    if case.trials == 0:
        return Choice(first, "adadelta", (why, because(case, "second_adadelta", sources.ADADELTA, "trials")))
    if case.model_kind == "cnn":
        return Choice(first, "sgd", (why, because(case, "second_sgd", sources.MARGINAL_VALUE, "model_kind")))
    second = "adamw" if first == "nadam" else "nadam"
    return Choice(first, second, (why, because(case, "second_any", sources.ALGOPERF, "model_kind")))


RULES: tuple[Callable[[Case], Choice | None], ...] = (
    _too_large_for_adam,
    _sparse,
    _open_ended,
    _large_batch,
    _long_run_of_a_cnn,
    _transformer,
    _recurrent,
    _others,
)

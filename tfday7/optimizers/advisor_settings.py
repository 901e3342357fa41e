"""The starting values beside the rate: moments, decay, schedule, warm-up, clipping, batch, patience."""

from __future__ import annotations

from tfday7.optimizers import advice_sources as sources
from tfday7.optimizers.advice import Reason, Value
from tfday7.optimizers.advisor_choice import LARGE_BATCH, because
from tfday7.optimizers.advisor_rates import learning_rate
from tfday7.optimizers.situation import Case

Settings = tuple[dict[str, Value], tuple[Reason, ...]]

ADAMS = ("adam", "adamw", "nadam")
DECAYED = ("adamw", "nadam", "lamb", "lion", "muon", "schedule_free_adamw")
CONSTANT_RATE = ("schedule_free_adamw", "adadelta", "adagrad", "adafactor")  # Their steps shrink by themselves.
SMALL_DATA = 10  # Weights an example, from which on overfitting is the likelier failure.
LARGE_MODEL = 100_000_000
LANGUAGE_MODEL = 1_000_000_000
TRANSFORMER_WARM_UP_STEPS = 4000
LARGE_BATCH_WARM_UP_EPOCHS = 5


def starting_values(case: Case, optimizer: str) -> Settings:
    """Returns values by the name of their flag, in the order in which they matter, and why."""
    rate, reasons = learning_rate(case, optimizer)
    settings: dict[str, Value] = {"learning_rate": rate}
    for part in (_moments, _decay, _schedule, _warm_up, _clipping, _batch, _patience):
        values, why = part(case, optimizer)
        settings |= values
        reasons += why
    return settings, reasons


def _moments(case: Case, optimizer: str) -> Settings:
    if optimizer in ADAMS:
        beta_2, reasons = _beta_2(case)
        return {"beta_1": 0.9, "beta_2": beta_2}, reasons
    if optimizer == "lion":
        return {"beta_1": 0.9, "beta_2": 0.99}, (because(case, "lion_betas", sources.LION),)
    if optimizer == "sgd":
        return {"momentum": 0.9, "nesterov": True}, (because(case, "momentum", sources.LARGE_BATCH_SGD),)
    if optimizer == "rmsprop":
        return {"rho": 0.9}, (because(case, "rho", sources.RMSPROP),)
    return {}, ()


def _beta_2(case: Case) -> tuple[float, tuple[Reason, ...]]:
    if case.model_kind != "transformer" or case.sparse_gradients or case.fine_tuning:
        return 0.999, ()
    if (case.parameters or 0) >= LANGUAGE_MODEL:
        return 0.95, (because(case, "beta_2_large", sources.GPT3, "parameters"),)
    return 0.98, (because(case, "beta_2_transformer", sources.TRANSFORMER, "model_kind"),)


def _decay(case: Case, optimizer: str) -> Settings:
    if optimizer == "sgd" and case.model_kind == "cnn":
        # ResNet's L2 of 1e-4 acts through the momentum, 1 / (1 - 0.9) times; decoupled decay does not.
        return {"weight_decay": 1e-3}, (because(case, "decay_sgd", sources.LARGE_BATCH_SGD, "model_kind"),)
    if optimizer not in DECAYED:
        return {}, ()
    if _small_data(case):
        decay, why = 0.1, because(case, "decay_small", sources.ADAMW, "examples", "parameters")
    elif case.model_kind == "transformer" and (case.parameters or 0) >= LARGE_MODEL:
        decay, why = 0.1, because(case, "decay_large", sources.GPT3, "parameters")
    else:
        decay, why = 0.01, because(case, "decay", sources.ADAMW)
    if optimizer != "lion":
        return {"weight_decay": decay}, (why,)
    return {"weight_decay": decay * 5}, (why, because(case, "decay_lion", sources.LION))


def _schedule(case: Case, optimizer: str) -> Settings:
    if optimizer == "schedule_free_adamw" or case.epochs == 0:
        inputs = ("epochs",) if case.epochs == 0 else ()
        identifier = "schedule_open" if inputs else "schedule_free"
        return {"schedule": "constant"}, (because(case, identifier, sources.SCHEDULE_FREE, *inputs),)
    if optimizer in CONSTANT_RATE:
        return {"schedule": "constant"}, (because(case, "schedule_own", sources.ADAGRAD, optimizer=optimizer),)
    if case.goal == "fast":
        return {"schedule": "linear"}, (because(case, "schedule_linear", sources.LINEAR_TO_ZERO, "goal"),)
    source = f"{sources.COSINE}; {sources.PLAYBOOK_SCHEDULE}"
    return {"schedule": "cosine"}, (because(case, "schedule_cosine", source, "goal"),)


def _warm_up(case: Case, optimizer: str) -> Settings:
    steps = case.total_steps
    if optimizer in ("adadelta", "adagrad", "adafactor"):
        return {"warmup_steps": 0}, ()
    large = optimizer in ("lamb", "lars") or case.batch_size >= LARGE_BATCH // 4
    if steps is None:
        count = TRANSFORMER_WARM_UP_STEPS if case.model_kind == "transformer" else 100
        source = sources.TRANSFORMER if case.model_kind == "transformer" else sources.PLAYBOOK_UNSTABLE
        if case.fine_tuning:
            count = count // 10
        return {"warmup_steps": count}, (because(case, "warmup_unknown", source, "model_kind", count=count),)
    if large:
        epochs = case.epochs or 1
        count = max(1, round(steps * min(0.1, LARGE_BATCH_WARM_UP_EPOCHS / epochs)))
        why = because(case, "warmup_batch", sources.LARGE_BATCH_SGD, "batch_size", count=count)
        return {"warmup_steps": count}, (why,)
    share = {"transformer": 0.06, "rnn": 0.03}.get(case.model_kind, 0.02)
    count = min(int(steps * share), TRANSFORMER_WARM_UP_STEPS)
    if not count:
        return {"warmup_steps": 0}, ()
    source = sources.ROBERTA if case.model_kind == "transformer" else sources.WARM_UP
    if optimizer == "sgd":
        source = sources.LARGE_BATCH_SGD
    values = {"count": count, "share": share, "steps": steps}
    inputs = ("model_kind", "examples", "epochs")
    return {"warmup_steps": count}, (because(case, "warmup", source, *inputs, **values),)


def _clipping(case: Case, optimizer: str) -> Settings:
    if optimizer == "adafactor":  # It clips its updates itself.
        return {}, ()
    if case.model_kind in ("transformer", "rnn"):
        source = sources.CLIPPING if case.model_kind == "rnn" else sources.GPT3
        return {"global_clipnorm": 1.0}, (because(case, "clip", source, "model_kind"),)
    if case.fine_tuning:
        return {"global_clipnorm": 1.0}, (because(case, "clip_fine_tuning", sources.BERT, "fine_tuning"),)
    return {}, ()


def _batch(case: Case, _: str) -> Settings:
    settings: dict[str, Value] = {"batch_size": case.batch_size}
    if case.epochs:
        settings["epochs"] = case.epochs
    if case.origins["batch_size"] != "assumed":
        return settings, ()
    if case.devices == 1:
        return settings, (because(case, "batch", f"{sources.PLAYBOOK_BATCH}; {sources.SMALL_BATCHES}", "batch_size"),)
    return settings, (because(case, "batch_devices", sources.PLAYBOOK_BATCH, "batch_size", "devices"),)


def _patience(case: Case, _: str) -> Settings:
    if not _small_data(case):
        return {}, ()
    patience = max(3, (case.epochs or 25) // 5)
    why = because(case, "patience", sources.PLAYBOOK_CURVES, "examples", "parameters", patience=patience)
    return {"patience": patience}, (why,)


def _small_data(case: Case) -> bool:
    if case.parameters is None or case.examples is None:
        return False
    return case.parameters > SMALL_DATA * case.examples

"""The advisor: from what is known of a task to an optimizer, its settings, and the reasons.

    advise(Situation(data_kind="text", model_kind="transformer", parameters=300_000_000, goal="accurate"))

`resolve` uses the same record for `--optimizer=auto` and `--learning_rate=auto`. Loads no TensorFlow. Which optimizer:
`advisor_choice`; its rate: `advisor_rates`; its other settings: `advisor_settings`; tuning: `advisor_tuning`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.optimizers import advice_sources as sources
from tfday7.optimizers import advisor_tuning, catalog
from tfday7.optimizers.advice import Advice, Reason, as_flag
from tfday7.optimizers.advisor_choice import Choice, because, choose
from tfday7.optimizers.advisor_settings import starting_values
from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.situation import Case, Situation, case

AUTO = "auto"
# What a reason is about, by the first part of its id; the others are about the choice itself.
ABOUT = {
    "rate": "learning_rate", "beta": "beta_2", "lion": "beta_1", "momentum": "momentum", "rho": "rho",
    "decay": "weight_decay", "schedule": "schedule", "warmup": "warmup_steps", "clip": "global_clipnorm",
    "batch": "batch_size", "patience": "patience", "budget": "trials",
}  # fmt: skip


def advise(given: Situation, found: Situation | None = None, optimizer: str = "") -> Advice:
    """Returns advice.

    Args:
        given: what the user knows.
        found: what the data and the model say themselves; see `inspection.inspect`.
        optimizer: one that is settled already; the advice is then on its settings.

    Raises:
        UserError: contradictions, or too little is known.
    """
    filled = case(given, found)
    choice = _settled(filled, optimizer) if optimizer else choose(filled)
    settings, why = starting_values(filled, choice.optimizer)
    return Advice(
        optimizer=choice.optimizer,
        runner_up=choice.runner_up,
        reasons=(*choice.reasons, *why, *advisor_tuning.budget(filled)),
        settings=settings,
        tune=advisor_tuning.tunables(filled, choice.optimizer, settings),
        watch=advisor_tuning.signs(filled, choice, settings),
        inputs=filled.inputs(),
        origins=filled.origins,
    )


def is_auto(config: OptimizerConfig) -> bool:
    """Returns whether something is left to the advisor."""
    return AUTO in (config.optimizer, config.learning_rate)


def check(config: OptimizerConfig) -> None:
    """Checks the optimizer's name and settings, as `catalog.check` does, where they are not left to the advisor."""
    if config.optimizer != AUTO:
        catalog.check(config)


def resolve(config: OptimizerConfig, found: Situation) -> tuple[OptimizerConfig, list[dict[str, Any]]]:
    """Returns the settings with everything concrete that was "auto", and the reasons for that, JSON values in English.

    `--optimizer=auto` settles every setting that is at its default; one that was set stays, and what contradicts it is
    left out. `--learning_rate=auto` with a named optimizer settles the rate alone.

    Raises:
        UserError: too little is known, or a setting that was given does not go with the optimizer that was chosen.
    """
    if not is_auto(config):
        return config, []
    named = "" if config.optimizer == AUTO else config.optimizer
    advice = advise(found, optimizer=named)
    wanted = ("learning_rate",) if named else ("optimizer", *advice.settings)
    settled = _open(config, {"optimizer": advice.optimizer, **advice.settings}, wanted)
    resolved = dataclasses.replace(config, **settled)
    catalog.check(resolved)  # A setting that was given may have no meaning for the optimizer that was chosen.
    applied = [reason for reason in advice.reasons if _is_about(reason) in ("", *settled)]
    return resolved, [reason.to_json("en") for reason in applied]


def flags(config: OptimizerConfig) -> list[str]:
    """Returns a config as the flags that differ from their defaults, the optimizer's name first."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    values = {name: value for name, value in vars(config).items() if value != defaults[name] and name != "optimizer"}
    return [as_flag(name, value) for name, value in {"optimizer": config.optimizer, **values}.items()]


def to_record(config: OptimizerConfig, reasons: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns what run.json says of the optimizer: its name, its settings (null is its own default), the reasons."""
    values = {name: value for name, value in vars(config).items() if name != "optimizer"}
    return {"name": config.optimizer, **values, "reasons": reasons}


def from_record(record: Mapping[str, Any]) -> tuple[OptimizerConfig, list[dict[str, Any]]]:
    """Returns what `to_record` was given. Raises UserError when the record is of another version or damaged."""
    values = {name: value for name, value in record.items() if name not in ("name", "reasons")}
    try:
        return OptimizerConfig(optimizer=record["name"], **values), record["reasons"]
    except (KeyError, TypeError, UserError) as error:
        raise UserError(f"run.json: its optimizer cannot be read ({error})", "--overwrite starts again") from error


def _open(config: OptimizerConfig, chosen: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """Returns those of the chosen values that the config takes and leaves open: at its default, or "auto".

    A rival of what was set is left out: the user's clipping takes the place of the advised one.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    names = [name for name in wanted if name in defaults and name not in catalog.rivals(config)]
    return {name: chosen[name] for name in names if getattr(config, name) in (defaults[name], AUTO)}


def _settled(filled: Case, optimizer: str) -> Choice:
    natural = choose(filled)
    runner_up = natural.optimizer if natural.optimizer != optimizer else natural.runner_up
    return Choice(optimizer, runner_up, (because(filled, "settled", sources.PLAYBOOK_CHOICE, optimizer=optimizer),))


def _is_about(reason: Reason) -> str:
    """Returns the setting that a reason is about; "" for the choice itself."""
    return ABOUT.get(reason.id.partition("_")[0], "")

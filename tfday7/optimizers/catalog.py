"""Optimizers by name: whether the settings fit the one that was chosen, and the optimizer itself.

Decoupled weight decay (Loshchilov & Hutter, 2019, arXiv:1711.05101) works with nearly all of them and spares biases and
normalization scales, as is usual since ResNet recipes of 2018 (He et al., arXiv:1812.01187, section 3.1).
"""

from __future__ import annotations

import logging
import re
from typing import Any

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.frameworks import keras
from tfday7.optimizers import tfa
from tfday7.optimizers.config import OptimizerConfig
from tfday7.optimizers.table import CLIPPING, COMMON, OPTIMIZERS, OptimizerSpec

TUNED = ("momentum", "nesterov", "beta_1", "beta_2", "epsilon", "rho")
NEED_BETA_1 = ("lion", "schedule_free_adamw")  # They divide by it, or are not defined without it.


def check(config: OptimizerConfig) -> OptimizerSpec:
    """Returns the named optimizer's entry; loads no TensorFlow.

    Raises:
        UserError: there is no such optimizer, or a setting does not go with it or with another setting.
    """
    if config.optimizer not in OPTIMIZERS:
        raise unknown_name("optimizer", config.optimizer, OPTIMIZERS)
    spec = OPTIMIZERS[config.optimizer]
    _check_installed(config, spec)
    given = _given(config)
    for name, value in given.items():
        if name not in spec.takes:
            takes = ", ".join(f"--{each}" for each in spec.takes)
            raise UserError(
                f"--{name}={_text(value)} has no meaning for --optimizer={config.optimizer}",
                f"{config.optimizer} takes {takes or 'a learning rate alone'}",
            )
    if spec.constant_schedule and config.schedule != "constant":
        raise UserError(
            f"--schedule={config.schedule} contradicts --optimizer={config.optimizer}, which averages instead",
            "leave --schedule out; a warm-up is fine",
        )
    _check_together(config, spec, given)
    return spec


def _warn_of_undone(config: OptimizerConfig) -> None:
    """Says which settings come to nothing: ftrl computes the weights anew from its own sums in every step."""
    undone = [name for name in ("weight_decay", "lookahead_steps") if getattr(config, name)]
    if config.optimizer == "ftrl" and undone:
        flags = " and ".join(f"--{name}={getattr(config, name)}" for name in undone)
        logging.warning("%s: next to no effect with --optimizer=ftrl, whose next step undoes it", flags)


def _check_installed(config: OptimizerConfig, spec: OptimizerSpec) -> None:
    if spec.legacy and not tfa.is_installed():
        raise UserError(
            f"--optimizer={config.optimizer} needs tensorflow-addons, which is not installed",
            f"--optimizer={config.optimizer.removeprefix('tfa_')} is the same rule; "
            "tensorflow-addons exists for Python 3.11 and older",
        )


def _check_together(config: OptimizerConfig, spec: OptimizerSpec, given: dict[str, Any]) -> None:
    """Raises UserError for two settings that contradict each other, naming both."""
    clipping = [f"--{name}={given[name]:g}" for name in CLIPPING if name in given]
    if len(clipping) > 1:
        raise UserError(f"{clipping[0]} contradicts {clipping[1]}", "clip in one way")
    if config.ema_momentum is not None and not config.use_ema:
        raise UserError(f"--ema_momentum={config.ema_momentum:g} needs --use_ema", "no average is kept without it")
    if config.use_ema and "lookahead_steps" in {**spec.settings, **given}:
        other = f"--lookahead_steps={config.lookahead_steps}" if config.lookahead_steps else "--optimizer=lookahead"
        raise UserError(f"--use_ema contradicts {other}: each keeps its own average", "leave one of them out")
    if config.nesterov and not {**spec.settings, **given}["momentum"]:
        raise UserError("--nesterov needs momentum, but --momentum=0", "for example --momentum=0.9")
    if config.beta_1 == 0 and config.optimizer in NEED_BETA_1:
        raise UserError(
            f"--beta_1=0 has no meaning for --optimizer={config.optimizer}; expected a number above 0 and below 1",
            f"its default is {spec.settings['beta_1']:g}",
        )


def rivals(config: OptimizerConfig) -> set[str]:
    """Returns the settings that contradict one that is set: other ways to clip, and what needs momentum without any."""
    given = _given(config)
    found = set(CLIPPING) - given.keys() if given.keys() & set(CLIPPING) else set()
    return found | {"nesterov"} if config.momentum == 0 else found


def check_mesh(config: OptimizerConfig) -> None:
    """Checks that an optimizer can train variables that are spread over a mesh of devices.

    Raises:
        UserError: it reads variables that it has assigned in the same step, which gives their old values on a mesh (so
            do most of tf_keras's own, moving averages and Lookahead), or its API knows no mesh (TensorFlow Addons').
    """
    spec = check(config)
    able = ", ".join(sorted(name for name, other in OPTIMIZERS.items() if other.rule))
    if spec.legacy:
        raise UserError(
            f"--optimizer={config.optimizer} cannot train on a mesh: it has TensorFlow's legacy optimizer API",
            f"--optimizer={config.optimizer.removeprefix('tfa_')} is the same rule",
        )
    if not spec.rule:
        raise UserError(f"--optimizer={config.optimizer} cannot train on a mesh", f"these can: {able}")
    for name in ("use_ema", "lookahead_steps"):
        if name in _given(config):
            raise UserError(f"--{name}={_text(getattr(config, name))} cannot be kept on a mesh", "leave it out")


def build(config: OptimizerConfig, total_steps: int, model: Any, mesh: Any = None) -> Any:
    """Returns a tf_keras optimizer for the model's trainable variables.

    Args:
        config: which optimizer, and its settings.
        total_steps: optimizer steps in the whole run, which the schedule spans.
        model: its vectors (biases, normalization scales) are exempt from weight decay.
        mesh: the `tf.experimental.dtensor.Mesh` that the model's variables are spread over; None for none.

    Raises:
        UserError: as `check`, or, with a mesh, as `check_mesh`.
    """
    if config.optimizer == "auto" or isinstance(config.learning_rate, str):
        raise UserError(
            "auto and find are not settled yet", "tfday7.tuning.settling.settle does it, for the data and the model"
        )
    from tfday7.optimizers.schedules import WarmupSchedule

    spec = check(config)
    peak = config.learning_rate if config.learning_rate is not None else spec.learning_rate
    rate: Any = peak
    if config.schedule != "constant" or config.warmup_steps:
        rate = WarmupSchedule(config.schedule, peak, config.warmup_steps, total_steps)
    settings = {**spec.settings, **_given(config)}
    _warn_of_undone(config)
    vectors = [variable for variable in model.trainable_variables if variable.shape.rank <= 1]
    if mesh is not None:
        check_mesh(config)
        optimizer = _by_rule(spec.rule, rate, {**settings, "mesh": mesh}, model)
    elif spec.legacy:
        return _legacy(spec, rate, settings, vectors)
    elif spec.origin == "tfday7":
        optimizer = _by_rule(spec.rule, rate, settings, model)
    else:
        kind = _looking_ahead(getattr(keras.optimizers, spec.class_name), settings)
        optimizer = kind(learning_rate=rate, **settings)
    if optimizer.weight_decay:
        optimizer.exclude_from_weight_decay(var_list=vectors)
    return optimizer


def _by_rule(rule: str, rate: Any, settings: dict[str, Any], model: Any) -> Any:
    from tfday7.optimizers.matrices import hidden_matrices
    from tfday7.optimizers.rule_optimizer import RuleOptimizer

    kind = _looking_ahead(RuleOptimizer, settings)
    common = {name: settings.pop(name) for name in (*COMMON, "mesh") if name in settings}
    optimizer = kind(rule, rate, settings, **common)
    if rule == "muon":
        optimizer.use_matrices(hidden_matrices(model))
    return optimizer


def _looking_ahead(kind: Any, settings: dict[str, Any]) -> Any:
    """Takes `lookahead_steps` out of the settings and returns the class that looks so far ahead."""
    from tfday7.optimizers.lookahead import with_lookahead

    steps = settings.pop("lookahead_steps", None)
    return with_lookahead(kind, steps) if steps else kind


def _legacy(spec: OptimizerSpec, rate: Any, settings: dict[str, Any], vectors: list[Any]) -> Any:
    if spec.class_name == "Yogi":  # It spells them otherwise.
        settings |= {"beta1": settings.pop("beta_1"), "beta2": settings.pop("beta_2")}
    if spec.class_name == "AdaBelief":
        settings["rectify"] = False  # As in its paper, and in ours.
    if spec.class_name == "LAMB":
        names = (re.escape(variable.name.removesuffix(":0")) for variable in vectors)
        settings["exclude_from_weight_decay"] = [rf"^{name}(/replica_\d+)?:0$" for name in names]
    return getattr(tfa.optimizers(), spec.class_name)(learning_rate=rate, **settings)


def _given(config: OptimizerConfig) -> dict[str, Any]:
    """Returns the settings of the optimizer that the user has set."""
    values = {name: getattr(config, name) for name in (*TUNED, *COMMON)}
    return {name: value for name, value in values.items() if value is not None and (name, value) != ("use_ema", False)}


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()

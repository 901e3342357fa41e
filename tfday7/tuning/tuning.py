"""What `tfday7.tune` does: one study, or a bake-off of several, in a run folder.

    tuning.json    the record        best.flags    the winner, for `tfday7.train --flagfile`
    trials/...     every trial       tensorboard/  the trials for TensorBoard's HParams view

`check` loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core import environment, files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import BEST_FLAGS, REPORT, TENSORBOARD, TRIALS, TUNING, RunFolder
from tfday7.data import DataConfig, Dataset
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers.advice import as_flag
from tfday7.training.config import TrainingConfig
from tfday7.tuning import parameters
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.settling import situation

if TYPE_CHECKING:
    from tfday7.tuning.search import Trial

Configs = tuple[DataConfig, ModelConfig, OptimizerConfig, TrainingConfig]
Say = Callable[[str], Any]


def check(config: TuningConfig) -> None:
    """Checks what can be checked without data. Raises UserError for an unknown name or a range that is none."""
    tuned = parameters.parse(config.tune)
    named = tuned.get("optimizer")
    for name in [*(named.range if named else ()), *compared(config)]:
        catalog.check(OptimizerConfig(optimizer=str(name)))


def compared(config: TuningConfig) -> list[str]:
    """Returns the optimizers of a bake-off. Raises UserError for fewer than two, or one named twice."""
    names = [name.strip() for name in config.compare.split(",") if name.strip()]
    if config.compare and (len(names) < 2 or len(set(names)) < len(names)):
        raise UserError(f"--compare={config.compare}: expected two or more different optimizers, sgd,adam for example")
    return names


def run(
    configs: Configs,
    config: TuningConfig,
    folder: RunFolder,
    flags: Mapping[str, str],
    overwrite: bool = False,
    say: Say = lambda sentence: None,
) -> dict[str, Any]:
    """Carries a search out, or what is left of it, and returns its record.

    Args:
        configs: data, model, optimizer and training; what a trial changes nothing of.
        config: the search.
        folder: where everything is kept.
        flags: the settings as text, for flags.txt.
        overwrite: whether an earlier search in the folder is replaced.
        say: told in a sentence what is being done.

    Raises:
        UserError: a mistake in the settings or the data.
        GateError: no trial was feasible; the trials are kept.
    """
    from tfday7 import data
    from tfday7.core.signals import stop_at_once_on_sigterm
    from tfday7.models import building

    folder.check_reusable(flags, overwrite, may_grow="trials")
    dataset = data.load(configs[0])
    model = building.build(configs[1], dataset.problem, configs[3].precision, configs[3].seed)
    say(f"data: {dataset.name}; model: {model.name}, {model.count_params():,} parameters")
    with folder.locked():
        if overwrite or not folder.exists():
            folder.clear()
        folder.write_flags(flags)
        stop_at_once_on_sigterm()
        record = _studies(configs, config, folder, dataset, model, say)
        files.write_json(folder / TUNING, record)
        files.write_text(folder / BEST_FLAGS, _flagfile(record))
        (folder / REPORT).unlink(missing_ok=True)
    return record


def _studies(
    configs: Configs, config: TuningConfig, folder: RunFolder, dataset: Dataset, model: Any, say: Say
) -> dict[str, Any]:
    from tfday7.tuning import bakeoff, hparams_log
    from tfday7.tuning.study import Study

    tuned = parameters.parse(config.tune)

    def study(name: str, optimizer: OptimizerConfig) -> Study:
        from tfday7.tuning.space import job_and_space

        data, model_config, _, training = configs
        found = situation(dataset, model, model_config, training, config.trials)
        job, space = job_and_space(dataset, (data, model_config, optimizer, training), tuned, found)
        return Study(job, space, config, folder / TRIALS / name, _progress(job, say))

    names = compared(config)
    if names:
        studies = {name: study(name, _open(configs[2], name)) for name in names}
        record = bakeoff.run(studies, config, say)
    else:
        record = study("", configs[2]).run()
    hparams_log.write(folder / TENSORBOARD, record)
    return {"hardware": environment.hardware(), "versions": environment.versions(), **record}


def _open(optimizer: OptimizerConfig, name: str) -> OptimizerConfig:
    """Returns the settings with another optimizer, its own rate left to the advisor."""
    return dataclasses.replace(optimizer, optimizer=name, learning_rate="auto")


def _progress(job: Any, say: Say) -> Any:
    from tfday7.tuning.job import plain
    from tfday7.tuning.study import Progress

    def tell(trial: Trial, is_best: bool) -> None:
        outcome = trial.outcome
        ended = outcome.reason if outcome.value is None else f"{outcome.value:.4f}{' (best so far)' if is_best else ''}"
        values = plain(trial.values, job.optimizer(trial.values))
        settings = "  ".join(as_flag(name, value).removeprefix("--") for name, value in values.items())
        say(f"trial {trial.number}  {ended}  {settings}  {outcome.seconds:.1f} s")

    return Progress(tell, say)


def _flagfile(record: Mapping[str, Any]) -> str:
    best = record["best"]
    objective, spread = record["objective"]["name"], best["spread"]
    lines = [f"# The best of {len(record['trials'])} trials: {objective} {best['value']:.4f}."]
    if spread:
        lines.append(f"# With other seeds: {spread['mean']:.4f}, deviation {spread['std']:.4f}.")
    return "\n".join(lines + [_line(name, value) for name, value in best["flags"].items()]) + "\n"


def _line(name: str, value: Any) -> str:
    """Returns a flag with its value in full: a flagfile has to train exactly what was found."""
    return f"--{name}={json.dumps(value) if isinstance(value, (bool, float)) else value}"

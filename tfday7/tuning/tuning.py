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

from tfday7.core import environment, files, records
from tfday7.core.errors import Interrupted, UserError
from tfday7.core.run_folder import BEST_FLAGS, REPORT, TENSORBOARD, TRIALS, TUNING, RunFolder
from tfday7.data import DataConfig, Dataset
from tfday7.models.config import ModelConfig
from tfday7.optimizers import OptimizerConfig, catalog
from tfday7.optimizers.advice import as_flag
from tfday7.optimizers.config import FIND
from tfday7.training.config import TrainingConfig
from tfday7.tuning import parameters
from tfday7.tuning.config import TuningConfig
from tfday7.tuning.settling import situation

if TYPE_CHECKING:
    from tfday7.optimizers.situation import Situation
    from tfday7.tuning.search import Trial
    from tfday7.tuning.study import Study

BEGUN = "begun.json"

Configs = tuple[DataConfig, ModelConfig, OptimizerConfig, TrainingConfig]
Say = Callable[[str], Any]


@dataclasses.dataclass(frozen=True)
class Begun:
    """How a search was begun: for how many trials, and on which data."""

    trials: int
    fingerprint: str


def check(config: TuningConfig, optimizer: OptimizerConfig) -> None:
    """Checks what can be checked without data. Raises UserError for an unknown name or a range that is none."""
    tuned = parameters.parse(config.tune)
    if optimizer.learning_rate == FIND:
        raise UserError(
            "--learning_rate=find has no meaning for tfday7.tune, whose trials search the rate",
            "use --learning_rate=auto, or --tune=learning_rate",
        )
    named = tuned.get("optimizer")
    for name in [*(named.range if named else ()), *compared(config)]:
        catalog.check(dataclasses.replace(optimizer, optimizer=str(name)))


def compared(config: TuningConfig) -> list[str]:
    """Returns the optimizers of a bake-off. Raises UserError for fewer than two, or one named twice."""
    names = [name.strip() for name in config.compare.split(",") if name.strip()]
    if config.compare and (len(names) < 2 or len(set(names)) < len(names)):
        raise UserError(f"--compare={config.compare}: expected two or more different optimizers, sgd,adam for example")
    return names


def run(
    configs: Configs,
    dataset: Dataset,
    config: TuningConfig,
    folder: RunFolder,
    flags: Mapping[str, str],
    overwrite: bool = False,
    say: Say = lambda sentence: None,
) -> dict[str, Any]:
    """Carries a search out, or what is left of it, and returns its record.

    Args:
        configs: data, model, optimizer and training; what a trial changes nothing of.
        dataset: the data that they name.
        config: the search.
        folder: where everything is kept.
        flags: the settings as text, for flags.txt.
        overwrite: whether an earlier search in the folder is replaced.
        say: told in a sentence what is being done.

    Raises:
        UserError: a mistake in the settings or the data.
        GateError: no trial was feasible; the trials are kept.
        Interrupted: a signal; the trials are kept.
    """
    from tfday7.core.signals import stop_at_once_on_sigterm
    from tfday7.models import building
    from tfday7.tuning import hparams_log

    folder.check_reusable(flags, overwrite, may_grow="trials")
    model = building.build(configs[1], dataset.problem, configs[3].precision, configs[3].seed)
    say(f"model: {model.name}, {model.count_params():,} parameters")
    asked = config.trials if overwrite else _first_trials(folder, config, dataset)
    found = situation(dataset, model, configs[1], configs[3], asked)
    studies = _studies(configs, config, folder, dataset, found, say)
    with folder.locked():
        if overwrite or not folder.exists():
            folder.clear()
        for place in (folder.path, folder / TRIALS):
            files.remove_partials(place)
        for study in studies.values():
            study.check_folder()
        files.write_json(folder / TRIALS / BEGUN, dataclasses.asdict(Begun(asked, dataset.fingerprint)))
        folder.write_flags(flags)
        stop_at_once_on_sigterm()
        try:
            record = _record(studies, config, say)
        except Interrupted as stopped:
            ended = sum(len(study.ended()) for study in studies.values())
            message = f"stopped; {ended} trials that have ended are kept, the same command goes on"
            raise Interrupted(message, stopped.exit_code) from None
        hparams_log.write(folder / TENSORBOARD, record)
        files.write_json(folder / TUNING, record)
        files.write_text(folder / BEST_FLAGS, _flagfile(record))
        (folder / REPORT).unlink(missing_ok=True)
    return record


def _first_trials(folder: RunFolder, config: TuningConfig, dataset: Dataset) -> int:
    """Returns for how many trials the search was begun: its space follows from that, however many are added.

    Raises:
        UserError: it was begun on other data.
    """
    path = folder / TRIALS / BEGUN
    if not path.exists():
        return config.trials
    begun = records.build(Begun, files.read_json(path), path, "--overwrite starts again")
    if begun.fingerprint != dataset.fingerprint:
        raise UserError(
            f"{folder.path} was begun on other data (fingerprint {begun.fingerprint}, now {dataset.fingerprint})",
            "choose a new folder with --run_dir=FOLDER, or start again with --overwrite",
        )
    return begun.trials


def _studies(
    configs: Configs, config: TuningConfig, folder: RunFolder, dataset: Dataset, found: Situation, say: Say
) -> dict[str, Study]:
    """Returns the study of each optimizer of a bake-off, or one without a name."""
    from tfday7.tuning.space import job_and_space
    from tfday7.tuning.study import Study

    data, model, optimizer, training = configs
    tuned = parameters.parse(config.tune)
    dropped = _dropped(optimizer) if config.compare else []
    if dropped:
        say(f"passed over, as --compare names the optimizers and each has its own rate: {', '.join(dropped)}")
    studies = {}
    for name in compared(config) or [""]:
        chosen = _open(optimizer, name) if name else optimizer
        job, space = job_and_space(dataset, (data, model, chosen, training), tuned, found)
        studies[name] = Study(job, space, config, folder / TRIALS / name, _progress(job, say))
    return studies


def _record(studies: Mapping[str, Study], config: TuningConfig, say: Say) -> dict[str, Any]:
    from tfday7.tuning import bakeoff

    record = bakeoff.run(studies, config, say) if len(studies) > 1 else next(iter(studies.values())).run()
    return {"hardware": environment.hardware(), "versions": environment.versions(), **record}


def _open(optimizer: OptimizerConfig, name: str) -> OptimizerConfig:
    """Returns the settings with another optimizer, its own rate left to the advisor."""
    return dataclasses.replace(optimizer, optimizer=name, learning_rate="auto")


def _dropped(optimizer: OptimizerConfig) -> list[str]:
    """Returns the flags whose place `_open` gives to others."""
    given = {name: getattr(optimizer, name) for name in ("optimizer", "learning_rate")}
    usual = {"optimizer": ("adam", "auto"), "learning_rate": (None, "auto")}
    return [as_flag(name, value) for name, value in given.items() if value not in usual[name]]


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
    if best["failed"]:
        lines.append(f"# With {best['failed']} of {len(best['reruns'])} other seeds training failed.")
    return "\n".join(lines + [_line(name, value) for name, value in best["flags"].items()]) + "\n"


def _line(name: str, value: Any) -> str:
    """Returns a flag with its value in full: a flagfile has to train exactly what was found."""
    return f"--{name}={json.dumps(value) if isinstance(value, (bool, float)) else value}"

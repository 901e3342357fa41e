"""The repair of a finished run: its plan is rebuilt from its folder; the winner is scored, saved and recorded there.

model.keras is never touched: the repaired model lies beside it, with the flagfile that trains it again.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core import files
from tfday7.core.errors import Interrupted, UserError
from tfday7.core.run_folder import FIX, FIX_TRIALS, FIXED_FLAGS, FIXED_MODEL, RUN, TUNING, RunFolder
from tfday7.core.settings import from_text, to_text
from tfday7.data.config import DataConfig
from tfday7.data.dataset import Dataset
from tfday7.diagnosis.repairing.config import FixConfig
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.planning import Plan, load
from tfday7.training.config import TrainingConfig

if TYPE_CHECKING:
    from tfday7.diagnosis.repairing.repair import Repair, Start
    from tfday7.diagnosis.repairing.retraining import Retrainer

Say = Callable[[str], Any]
NOT_CARRIED_OVER = ("export_dir",)  # The artefacts there are those of the run that is repaired.


def check(folder: RunFolder, config: FixConfig) -> None:
    """Checks that a folder holds a run that can be repaired, and by no code that is not allowed. Raises UserError."""
    if (folder / TUNING).exists():
        raise UserError(f"--run_dir={folder.path} holds a search, not a run", "train its winner first: best.flags")
    if not folder.is_finished():
        again = f"python -m tfday7.train --flagfile={folder.path}/flags.txt --run_dir={folder.path}"
        raise UserError(f"--run_dir={folder.path}: the run is not finished", f"finish it first: {again}")
    folder.check_code(config.allow_unsafe_model, "data", "model", "allow_unsafe_model")


def fix(folder: RunFolder, config: FixConfig, say: Say = lambda sentence: None) -> dict[str, Any]:
    """Repairs a run as far as that can be proven, and returns the record, which fix.json holds.

    Trainings that ended are kept in the folder: after an interruption the same call goes on.

    Args:
        folder: of a finished run.
        config: what it may spend.
        say: told of each training in a sentence.

    Raises:
        UserError: there is no finished run, its data have changed, or it asks for code that was not allowed.
        Interrupted: a signal.
    """
    from tfday7 import diagnosis
    from tfday7.data import pipeline

    check(folder, config)
    with folder.locked():
        folder.remove_partials()
        found = diagnosis.diagnose(folder)
        if found.verdict == "good_fit" and not _is_odd(folder):
            say("fix: the run is a good fit; there is nothing to fix")
            return _write(folder, {**_nothing(folder, config), "reason": "nothing to fix: the run is a good fit"})
        repair, retrainer = _prepared(folder, config, say)
        try:
            with pipeline.user_errors(retrainer.dataset.train, retrainer.dataset.validation):
                repair.run()
        except Interrupted as stopped:
            message = f"stopped; {repair.budget.trainings} trainings that have ended are kept, the same command goes on"
            raise Interrupted(message, stopped.exit_code) from None
        return _delivered(folder, repair, retrainer, say)


def _is_odd(folder: RunFolder) -> bool:
    """Returns whether a run has settings beyond their usual ranges; then a good fit may still be a poor one."""
    from tfday7.diagnosis.repairing.odd_settings import odd

    _, flags = _plan(folder)
    return bool(list(odd(flags, folder.known().data.examples.get("train", 0))))


def _nothing(folder: RunFolder, config: FixConfig) -> dict[str, Any]:
    """Returns the record of a repair that trained nothing."""
    metric = folder.known().metric
    value = metric.validation
    return {
        "metric": metric.name or None,
        "seeds": [int(folder.flags().get("seed") or 0)],
        "spread": None,
        "before": {"flags": {}, "value": value, "by_seed": [value]},
        "attempts": [],
        "after": None,
        "test": {"before": metric.test, "after": None},
        "seconds": 0.0,
        "trainings": 0,
        "budget_minutes": config.fix_budget_minutes,
        "command": "",
    }


def _prepared(folder: RunFolder, config: FixConfig, say: Say) -> tuple[Repair, Retrainer]:
    from tfday7.data import pipeline
    from tfday7.diagnosis.repairing.repair import Repair
    from tfday7.diagnosis.repairing.retraining import Retrainer
    from tfday7.diagnosis.repairing.trained import Trials

    plan, flags = _plan(folder)
    dataset = load(plan, say, is_new=False)
    before = folder.known().data.fingerprint
    if before != dataset.fingerprint:
        raise UserError(
            f"{folder.path} was trained on other data (fingerprint {before}, now {dataset.fingerprint})",
            "train on this data first: python -m tfday7.train",
        )
    retrainer = Retrainer(dataset, plan.data)
    with pipeline.user_errors(dataset.train, dataset.validation):
        start = _start(folder, flags, plan, dataset, retrainer)
    return Repair(start, retrainer, Trials(folder / FIX_TRIALS, dataset.fingerprint), config, say), retrainer


def _plan(folder: RunFolder) -> tuple[Plan, dict[str, str]]:
    """Returns the settings of a run with what "auto" was settled as, and its flags that say the same."""
    from tfday7.diagnosis.repairing.candidates import canonical
    from tfday7.optimizers import advisor
    from tfday7.tuning import settling

    flags = folder.flags()
    optimizer = from_text(OptimizerConfig, flags)
    if settling.is_open(optimizer):
        optimizer, _ = advisor.from_record(folder.known().optimizer)
        flags = {name: value for name, value in flags.items() if name not in vars(optimizer)} | to_text(optimizer)
    if flags.pop("micro_batch_size", ""):
        steps = folder.known().distribution.accumulate_steps
        if not steps:
            raise UserError(f"{folder / RUN}: distribution.accumulate_steps is missing", "--overwrite starts again")
        flags["accumulate_steps"] = str(steps)
    plan = Plan(
        from_text(DataConfig, flags), from_text(ModelConfig, flags), optimizer, from_text(TrainingConfig, flags)
    )
    plan.check_names()
    return plan, canonical(flags)


def _start(folder: RunFolder, flags: Mapping[str, str], plan: Plan, dataset: Dataset, retrainer: Retrainer) -> Start:
    """Returns the run as its records say it ended, and what would be advised for it."""
    from tfday7.diagnosis.evidence import from_run
    from tfday7.diagnosis.repairing.repair import Start
    from tfday7.diagnosis.repairing.trained import Trained

    evidence = from_run(folder)
    trained = Trained(
        value=evidence.validation_score,
        reason="" if evidence.validation_score is not None else "diverged: the loss is not finite",
        loss=evidence.loss.tolist(),
        val_loss=evidence.val_loss.tolist(),
        train_score=evidence.train_score,
        stopped=evidence.stopped,
        seconds=folder.known().training.seconds,
    )
    return Start(
        dataclasses.replace(
            evidence,
            flags=dict(flags),
            validation_examples=len(dataset.validation),
            baseline=retrainer.guess if evidence.baseline is None else evidence.baseline,
        ),
        trained,
        _advised(plan, dataset),
        len(dataset.train),
        retrainer.guess,
    )


def _advised(plan: Plan, dataset: Dataset) -> dict[str, str]:
    """Returns the flags of the optimizer that `--optimizer=auto` would be for this run."""
    from tfday7.models import building
    from tfday7.tuning import settling

    model = building.build(plan.model, dataset.problem, plan.training.precision, plan.training.seed)
    automatic = OptimizerConfig(optimizer="auto", learning_rate="auto")
    training = dataclasses.replace(plan.training, batch_size=min(plan.training.batch_size, len(dataset.train)))
    return to_text(settling.settle(automatic, dataset, model, (plan.model, training), {}).config)


def _delivered(folder: RunFolder, repair: Repair, retrainer: Retrainer, say: Say) -> dict[str, Any]:
    """Saves the winner, which validation has chosen, and measures it once on the test split, which decides nothing."""
    from tfday7 import models
    from tfday7.models import raw_columns
    from tfday7.training.scores import score_of

    before = folder.known().metric.test
    record = {**repair.record(), "test": {"before": before, "after": None}, "command": "", "reason": ""}
    (folder / FIXED_FLAGS).unlink(missing_ok=True)
    (folder / FIXED_MODEL).unlink(missing_ok=True)
    if record["after"] is None:
        say("fix: no remedy is proven to help; the run stays as it is")
        return _write(folder, {**record, "reason": "no remedy is proven to improve the validation metric"})
    flags, dataset = repair.current.flags, retrainer.dataset
    model = retrainer.deliver(flags, repair.seed, repair.weights())
    after = score_of(model, dataset, dataset.test)
    record["test"] = {"before": before, "after": after}
    models.save(raw_columns.attach(model, dataset.problem.encoding), folder / FIXED_MODEL)
    files.write_text(folder / FIXED_FLAGS, _flagfile(record, flags))
    record["command"] = f"python -m tfday7.train --flagfile={shlex.quote(str(folder / FIXED_FLAGS))}"
    say(f"fix: {record['metric']} on the test split {'none' if before is None else f'{before:.4f}'} -> {after:.4f}")
    if before is not None and after < before:
        say("fix: note: it is worse there, while validation has decided; the original model is kept beside it")
    say(f"fix: {record['command']}")
    return _write(folder, record)


def _flagfile(record: Mapping[str, Any], flags: Mapping[str, str]) -> str:
    before, after = record["before"]["value"], record["after"]["value"]
    changes = ", ".join(f"{name}={value or 'default'}" for name, value in record["after"]["flags"].items())
    lines = [
        f"# Repaired: validation {record['metric']} {'none' if before is None else f'{before:.4f}'} -> {after:.4f}.",
        f"# Changed: {changes}.",
        *(f"--{name}={value}" for name, value in sorted(flags.items()) if name not in NOT_CARRIED_OVER),
    ]
    return "\n".join(lines) + "\n"


def _write(folder: RunFolder, record: dict[str, Any]) -> dict[str, Any]:
    files.write_json(folder / FIX, record)
    return record

"""Judge a run by what it recorded: does it overfit or underfit, is it unstable or broken, and what helps?

    python -m tfday7.diagnose --run_dir=runs/quickstart
    python -m tfday7.diagnose --run_dir=runs/quickstart --lang=zh
    python -m tfday7.diagnose --run_dir=runs/quickstart --fix --fix_budget_minutes=10
    python -m tfday7.diagnose --history=history.json

Of a run it writes diagnosis.json and renders report.html again. With --fix it tries remedies by training again and
keeps those that are proven to help: fix.json, and for the winner fixed.flags and fixed.keras; model.keras stays as it
is. The same command goes on after an interruption.

A history alone may come from any program: a CSV (as Keras's CSVLogger writes), JSON (`History.history`, for example
{"loss": [...], "val_loss": [...]}) or JSON-lines file, packed with gzip or not, or a folder of TensorBoard logs; then
nothing is written.

Exit codes: 0 done (also where nothing helps), 2 the folder holds no run, or the file no history, 130 interrupted, 143
preempted.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfday7.cli import Command, ExistingRunConfig, OutputConfig, existing_run, print_json
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import Settings, setting, to_text
from tfday7.diagnosis.repairing.config import FixConfig


@dataclasses.dataclass(frozen=True)
class HistoryConfig(Settings):
    """What to judge instead of a run."""

    history: str = setting(
        "", "History to judge instead of a run: a CSV, JSON or JSON-lines file, or TensorBoard logs."
    )


COMMAND = Command("diagnose", __doc__, [ExistingRunConfig, HistoryConfig, FixConfig, OutputConfig])


def main() -> None:
    """Diagnoses the run or the history, repairs the run if asked to, and shows the findings."""
    from tfday7 import diagnosis, reporting

    output, repair = COMMAND.config(OutputConfig), COMMAND.config(FixConfig)
    history, run_dir = COMMAND.config(HistoryConfig).history, COMMAND.config(ExistingRunConfig).run_dir
    _check(repair, history, run_dir)
    if history:
        return judge_history(history, output)
    folder = existing_run(COMMAND)
    if repair.fix:
        return fix(folder, repair, output)
    if COMMAND.flags.only_check_args:
        return None
    found = diagnosis.diagnose(folder)
    reporting.write_report(folder, output.lang)
    if output.json:
        print_json(found.to_json())
    else:
        COMMAND.console().print(reporting.summary(folder, output.lang))
    return None


def _check(repair: FixConfig, history: str, run_dir: str) -> None:
    """Raises UserError where flags contradict each other, or nothing is named."""
    for name in ("fix_budget_minutes", "fix_trainings", "allow_unsafe_model"):
        if COMMAND.flags[name].present and not repair.fix:
            raise UserError(f"--{name}={to_text(repair)[name]} needs --fix", "nothing is trained without it")
    if history and run_dir:
        raise UserError(f"--history={history} contradicts --run_dir={run_dir}", "give the one or the other")
    if history and repair.fix:
        raise UserError(f"--history={history} contradicts --fix", "only a run can be trained again: --run_dir")
    if history and RunFolder(Path(history)).exists():
        raise UserError(f"--history={history}: a run folder", f"--run_dir={history} judges it by all its records")
    if not history and not run_dir:
        hint = "give the folder of a run, for example --run_dir=runs/quickstart, or --history=history.json"
        raise UserError("--run_dir or --history is missing", hint)


def judge_history(history: str, output: OutputConfig) -> None:
    """Diagnoses a history; nothing is written."""
    from tfday7 import reporting
    from tfday7.diagnosis import diagnosing

    if COMMAND.flags.only_check_args:
        return
    evidence = diagnosing.evidence_of(history)
    record = diagnosing.judge(evidence).to_json()
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(reporting.history_summary(record, evidence.loss, evidence.val_loss, output.lang))


def fix(folder: RunFolder, config: FixConfig, output: OutputConfig) -> None:
    """Repairs the run, telling of each training, and shows the result."""
    from tfday7 import reporting, stage_fix

    stage_fix.check(folder, config)
    if COMMAND.flags.only_check_args:
        return
    console = COMMAND.console()
    record = stage_fix.fix(folder, config, console.say)
    reporting.write_report(folder, output.lang)
    if output.json:
        print_json(record)
    else:
        console.print(reporting.fix_summary(record, output.lang))


if __name__ == "__main__":
    COMMAND.run(main)

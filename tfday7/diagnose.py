"""Judge a run by what it recorded: does it overfit or underfit, is it unstable or broken, and what helps?

    python -m tfday7.diagnose --run_dir=runs/quickstart
    python -m tfday7.diagnose --run_dir=runs/quickstart --lang=zh
    python -m tfday7.diagnose --run_dir=runs/quickstart --fix --fix_budget_minutes=10

Writes diagnosis.json and renders report.html again. With --fix it tries remedies by training again and keeps those that
are proven to help: fix.json, and for the winner fixed.flags and fixed.keras; model.keras stays as it is. The same
command goes on after an interruption. Exit codes: 0 done (also where nothing helps), 2 the folder holds no run, 130
interrupted, 143 preempted.
"""

from __future__ import annotations

from tfday7.cli import Command, ExistingRunConfig, OutputConfig, existing_run, print_json
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.diagnosis.fix_config import FixConfig

COMMAND = Command("diagnose", __doc__, [ExistingRunConfig, FixConfig, OutputConfig])


def main() -> None:
    """Diagnoses the run and shows the findings."""
    from tfday7 import diagnosis, reporting

    output, repair, folder = COMMAND.config(OutputConfig), COMMAND.config(FixConfig), existing_run(COMMAND)
    _check(repair, folder)
    if COMMAND.flags.only_check_args:
        return
    if repair.fix:
        return fix(folder, repair, output)
    found = diagnosis.diagnose(folder)
    reporting.write_report(folder, output.lang)
    if output.json:
        print_json(found.to_json())
    else:
        COMMAND.console().print(reporting.summary(folder, output.lang))


def _check(repair: FixConfig, folder: RunFolder) -> None:
    """Raises UserError where a repair is limited that is not asked for, or the run cannot be repaired."""
    from tfday7 import stage_fix

    for name in ("fix_budget_minutes", "fix_trainings"):
        if COMMAND.flags[name].present and not repair.fix:
            raise UserError(f"--{name}={getattr(repair, name)} needs --fix", "nothing is trained without it")
    if repair.fix:
        stage_fix.check(folder)


def fix(folder: RunFolder, config: FixConfig, output: OutputConfig) -> None:
    """Repairs the run, telling of each training, and shows the result."""
    from tfday7 import reporting, stage_fix

    console = COMMAND.console()
    record = stage_fix.fix(folder, config, lambda sentence: console.print(sentence, soft_wrap=True, markup=False))
    reporting.write_report(folder, output.lang)
    if output.json:
        print_json(record)
    else:
        console.print(reporting.summary(folder, output.lang))


if __name__ == "__main__":
    COMMAND.run(main)

"""Judge a run by what it recorded: does it overfit or underfit, is it unstable or broken, and what helps?

    python -m tfday7.diagnose --run_dir=runs/quickstart
    python -m tfday7.diagnose --run_dir=runs/quickstart --lang=zh

Writes diagnosis.json and renders report.html again. Exit codes: 0 done, 2 the folder holds no run.
"""

from __future__ import annotations

from tfday7.cli import Command, ExistingRunConfig, OutputConfig, existing_run, print_json

COMMAND = Command("diagnose", __doc__, [ExistingRunConfig, OutputConfig])


def main() -> None:
    """Diagnoses the run and shows the findings."""
    from tfday7 import diagnosis, reporting

    output, folder = COMMAND.config(OutputConfig), existing_run(COMMAND)
    if COMMAND.flags.only_check_args:
        return
    found = diagnosis.diagnose(folder)
    reporting.write_report(folder, output.lang)
    if output.json:
        print_json(found.to_json())
    else:
        COMMAND.console().print(reporting.summary(folder, output.lang))


if __name__ == "__main__":
    COMMAND.run(main)

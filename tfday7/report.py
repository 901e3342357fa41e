"""Render a run's records again: report.html, and the summary on the terminal.

    python -m tfday7.report --run_dir=runs/quickstart --lang=zh

Exit codes: 0 done, 2 the folder holds no run.
"""

from __future__ import annotations

from tfday7.cli import Command, ExistingRunConfig, OutputConfig, existing_run, print_json

COMMAND = Command("report", __doc__, [ExistingRunConfig, OutputConfig])


def main() -> None:
    """Writes the report and shows the summary."""
    from tfday7 import reporting

    output, folder = COMMAND.config(OutputConfig), existing_run(COMMAND)
    if COMMAND.flags.only_check_args:
        return
    reporting.write_report(folder, output.lang)
    if output.json:
        print_json(folder.record())
    else:
        COMMAND.console().print(reporting.summary(folder, output.lang))


if __name__ == "__main__":
    COMMAND.run(main)

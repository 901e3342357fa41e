"""Render the records of a run or of a search again: report.html, and the summary on the terminal.

    python -m tfday7.report --run_dir=runs/quickstart --lang=zh

Exit codes: 0 done, 2 the folder holds no run, or a search that has not ended.
"""

from __future__ import annotations

from tfday7.cli import Command, ExistingRunConfig, OutputConfig, existing_run, print_json
from tfday7.core import files
from tfday7.core.run_folder import REPORT, TUNING

COMMAND = Command("report", __doc__, [ExistingRunConfig, OutputConfig])


def main() -> None:
    """Writes the report and shows the summary."""
    from tfday7 import reporting

    output, folder = COMMAND.config(OutputConfig), existing_run(COMMAND)
    if COMMAND.flags.only_check_args:
        return
    if reporting.is_search(folder):
        drawn = reporting.search_summary(folder, output.lang, folder / REPORT)
        reporting.write_search_report(folder, output.lang)
        record = files.read_json(folder / TUNING)
    else:
        reporting.write_report(folder, output.lang)
        record, drawn = folder.record(), reporting.summary(folder, output.lang)
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(drawn, crop=False)


if __name__ == "__main__":
    COMMAND.run(main)

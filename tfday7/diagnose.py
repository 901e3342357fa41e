"""Judge a run by what it recorded: does it overfit or underfit, is it unstable or broken, and what helps?

    python -m tfday7.diagnose --run_dir=runs/quickstart
    python -m tfday7.diagnose --run_dir=runs/quickstart --lang=zh
    python -m tfday7.diagnose --history=history.json

Of a run it writes diagnosis.json and renders report.html again. A history alone may come from any program: a CSV (as
Keras's CSVLogger writes), JSON (`History.history`, for example {"loss": [...], "val_loss": [...]}) or JSON-lines file,
packed with gzip or not, or a folder of TensorBoard logs; then nothing is written. Exit codes: 0 done, 2 the folder
holds no run, or the file no history.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfday7.cli import Command, ExistingRunConfig, OutputConfig, existing_run, print_json
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class HistoryConfig(Settings):
    """What to judge instead of a run."""

    history: str = setting(
        "", "History to judge instead of a run: a CSV, JSON or JSON-lines file, or TensorBoard logs."
    )


COMMAND = Command("diagnose", __doc__, [ExistingRunConfig, HistoryConfig, OutputConfig])


def main() -> None:
    """Diagnoses the run or the history and shows the findings."""
    from tfday7 import diagnosis, reporting

    output, history = COMMAND.config(OutputConfig), COMMAND.config(HistoryConfig).history
    if history:
        _judge_history(history, COMMAND.config(ExistingRunConfig).run_dir, output)
        return
    if not COMMAND.config(ExistingRunConfig).run_dir:
        hint = "give the folder of a run, for example --run_dir=runs/quickstart, or --history=history.json"
        raise UserError("--run_dir or --history is missing", hint)
    folder = existing_run(COMMAND)
    if COMMAND.flags.only_check_args:
        return
    found = diagnosis.diagnose(folder)
    reporting.write_report(folder, output.lang)
    if output.json:
        print_json(found.to_json())
    else:
        COMMAND.console().print(reporting.summary(folder, output.lang))


def _judge_history(history: str, run_dir: str, output: OutputConfig) -> None:
    """Diagnoses a history; nothing is written."""
    from tfday7 import reporting
    from tfday7.diagnosis import diagnosing

    if run_dir:
        raise UserError(f"--history={history} contradicts --run_dir={run_dir}", "give the one or the other")
    if RunFolder(Path(history)).exists():
        raise UserError(f"--history={history}: a run folder", f"--run_dir={history} judges it by all its records")
    if COMMAND.flags.only_check_args:
        return
    evidence = diagnosing.evidence_of(history)
    record = diagnosing.judge(evidence).to_json()
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(reporting.history_summary(record, evidence.loss, evidence.val_loss, output.lang))


if __name__ == "__main__":
    COMMAND.run(main)

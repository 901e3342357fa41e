"""Train a model, diagnose the run, export it to TFLite, compress it where asked, and write a report.

    python -m tfday7.train --flagfile=configs/quickstart.flags
    python -m tfday7.train --data=fashion_mnist --model=resnet8 --epochs=8 --batch_size=128
    python -m tfday7.train --data=fashion_mnist --model=resnet8 --epochs=8 --compress=auto --max_size_kb=40

The same command again resumes an unfinished run; a larger --epochs goes on from a finished one. Exit codes: 0 done,
2 a mistake in the flags or the data, 3 training diverged, an exported file does not give the model's answers, or
--compress finds nothing within the limits, 75 another worker of the group was lost, 130 interrupted, 143 preempted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfday7.cli import Command, OutputConfig, RunConfig, print_json, run_path
from tfday7.compression import gate
from tfday7.compression.config import AfterTraining, BudgetConfig, SearchConfig
from tfday7.core import files
from tfday7.core.errors import GateError, UserError
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import to_text
from tfday7.core.user_code import PREFIX
from tfday7.data.config import DataConfig
from tfday7.diagnosis.config import DiagnosisConfig
from tfday7.distribution import DistributionConfig
from tfday7.exporting.config import ExportConfig
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig

if TYPE_CHECKING:
    from tfday7.planning import Plan

Say = Callable[[str], Any]
TRAINING = (DataConfig, ModelConfig, OptimizerConfig, TrainingConfig, DiagnosisConfig, ExportConfig)
SETTINGS = (*TRAINING, DistributionConfig)  # A run may go on on other devices: what they are is no part of its flags.
COMMAND = Command("train", __doc__, [*SETTINGS, AfterTraining, BudgetConfig, SearchConfig, RunConfig, OutputConfig])


def main() -> None:
    """Checks everything that can be checked cheaply, then runs the stages."""
    from tfday7 import compress_targets, stages
    from tfday7.planning import Plan

    plan = Plan(*(COMMAND.config(group) for group in SETTINGS))  # type: ignore[arg-type]
    run, output = COMMAND.config(RunConfig), COMMAND.config(OutputConfig)
    compresses = _compresses()
    plan.check_names()
    if run.describe and not COMMAND.flags.only_check_args:
        return describe(plan, output)
    folder = RunFolder(run_path(run, COMMAND, plan.default_name()))
    flags = COMMAND.given(*TRAINING)
    folder.check_reusable(flags, run.overwrite)
    if COMMAND.flags.only_check_args:
        return
    if compresses and stages.is_chief(plan):
        compress_targets.check_reached(COMMAND.config(BudgetConfig))  # Not after hours of training.
    files.check_writable(folder.path, "run_dir")
    console = COMMAND.console()
    from tfday7.reporting import TerminalProgress, compression_summary, summary

    def show() -> None:
        if output.json:
            print_json(folder.record())
        else:
            console.print(summary(folder, output.lang))

    try:
        delivers = stages.run(plan, folder, flags, run.overwrite, TerminalProgress(console), console.say, output.lang)
    except GateError:  # Everything is recorded; what did not hold is worth seeing.
        show()
        raise
    if not delivers:
        return
    if not compresses:
        return show()
    if not output.json:
        show()
    found = compress(folder, console.say, output.lang)
    if output.json:
        print_json({**folder.record(), "compression": found})
    elif found is not None:
        console.print(compression_summary(found, str(folder.path), output.lang), crop=False)
    return None if found is None else gate.check_gate(found)


def _compresses() -> bool:
    """Returns whether a search follows the training. Raises UserError for limits that nothing would read, or keep."""
    from tfday7 import compress_targets

    if COMMAND.config(AfterTraining).compress == "auto":
        compress_targets.check_device(COMMAND.config(BudgetConfig))
        compress_targets.check_runtime(COMMAND.config(BudgetConfig))
        return True
    for settings in (BudgetConfig, SearchConfig):
        for name, value in COMMAND.given(settings).items():
            if value != to_text(settings()).get(name):
                raise UserError(f"--{name}={value} has no meaning without --compress=auto", "give that too, or neither")
    return False


def compress(folder: RunFolder, say: Say, lang: str) -> dict[str, Any] | None:
    """Searches for the best artefact within the limits, and returns the record; None where another process does."""
    from tfday7 import stage_compress
    from tfday7.compression.config import CompressConfig

    unsafe = COMMAND.config(ModelConfig).allow_unsafe_model or COMMAND.config(DataConfig).data.startswith(PREFIX)
    config = CompressConfig(run_dir=str(folder.path), allow_unsafe_model=unsafe)
    task = stage_compress.plan(config, None, COMMAND.config(BudgetConfig), COMMAND.config(SearchConfig))
    return stage_compress.compress(task, say, lang)


def describe(plan: Plan, output: OutputConfig) -> None:
    """Prints what the run would cost; leaves nothing behind."""
    from tfday7 import stages
    from tfday7.reporting import description

    record = stages.describe(plan)
    if output.json:
        return print_json(record)
    console = COMMAND.console()
    if record["device_plan"]:
        console.say("\n".join([*record["device_plan"], ""]))
    console.print(description(record, output.lang))


if __name__ == "__main__":
    COMMAND.run(main)

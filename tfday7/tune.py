"""Search for the optimizer and the hyperparameters that train best, with keras-tuner.

    python -m tfday7.tune --flagfile=configs/quickstart.flags --trials=20
    python -m tfday7.tune --data=digits --model=cnn --tune=optimizer,learning_rate,batch_size=16|32|64 --trials=30
    python -m tfday7.tune --data=digits --model=cnn --compare=sgd,adam,lamb --trials=10

The winner's flagfile is RUN_DIR/best.flags, for tfday7.train. The same command again goes on with an unfinished search;
more --trials go on from a finished one. Exit codes: 0 done, 2 a mistake in the flags or the data, 3 no trial was
feasible, 130 interrupted, 143 preempted.
"""

from __future__ import annotations

from tfday7.cli import Command, OutputConfig, RunConfig, SearchRunConfig, print_json, run_path
from tfday7.compression.config import AfterTraining, BudgetConfig, SearchConfig
from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.data.config import DataConfig
from tfday7.diagnosis.config import DiagnosisConfig
from tfday7.distribution import DistributionConfig
from tfday7.exporting.config import ExportConfig
from tfday7.models.config import ModelConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig
from tfday7.tuning.config import TuningConfig

SEARCHING = (DataConfig, ModelConfig, OptimizerConfig, TrainingConfig, TuningConfig)
# A flagfile describes a job; what it says of these is for tfday7.train.
OF_TRAIN = (DiagnosisConfig, ExportConfig, DistributionConfig, AfterTraining, BudgetConfig, SearchConfig, RunConfig)
COMMAND = Command("tune", __doc__, [*SEARCHING, SearchRunConfig, OutputConfig], OF_TRAIN)


def main() -> None:
    """Checks everything that can be checked cheaply, then searches."""
    from tfday7 import planning
    from tfday7.tuning import tuning

    *configs, tuned = (COMMAND.config(group) for group in SEARCHING)
    run, output = COMMAND.config(SearchRunConfig), COMMAND.config(OutputConfig)
    plan = planning.Plan(*configs)  # type: ignore[arg-type]
    plan.check_names()
    tuning.check(tuned, plan.optimizer)  # type: ignore[arg-type]
    if plan.training.micro_batch_size:
        raise UserError(
            f"--micro_batch_size={plan.training.micro_batch_size} has no meaning for a search, whose batches differ",
            "give --accumulate_steps=K: micro-batches for one optimizer step",
        )
    folder = RunFolder(run_path(run, COMMAND, plan.default_name(), "_tune"))
    flags = COMMAND.given(*SEARCHING)
    folder.check_reusable(flags, run.overwrite, may_grow="trials")
    if COMMAND.flags.only_check_args:
        return
    files.check_writable(folder.path, "run_dir")
    console = COMMAND.console()
    from tfday7.reporting import search_summary, write_search_report

    if COMMAND.passed_over:
        console.say(
            f"of the flagfile, for tfday7.train alone: {', '.join(f'--{name}' for name in COMMAND.passed_over)}"
        )
    dataset = planning.load(plan, console.say)
    searched = (plan.implied_data(), plan.model, plan.optimizer, plan.training)
    record = tuning.run(searched, dataset, tuned, folder, flags, run.overwrite, console.say)  # type: ignore[arg-type]
    path = write_search_report(folder, output.lang)
    if output.json:
        print_json(record)
    else:
        console.print(search_summary(folder, output.lang, path), crop=False)


if __name__ == "__main__":
    COMMAND.run(main)

"""Make a model smaller and faster, by recipes or under a budget, and prove it in the exported file.

    python -m tfday7.compress --run_dir=runs/quickstart --max_accuracy_drop=0.01 --max_size_kb=40 --search_minutes=20
    python -m tfday7.compress --run_dir=runs/quickstart --recipe=shrink50_qat
    python -m tfday7.compress --run_dir=runs/quickstart --recipe=int8,shrink50_qat --max_accuracy_drop=0.02
    python -m tfday7.compress --model=mine.keras --data=mine.npz --recipe=configs/recipes/prune80_int8.json

Without --recipe it searches: combinations of all techniques are tried until the time is over, and the best one within
the limits is chosen (--objective says what is best). A recipe is a list of steps: shrink, low_rank, prune, cluster,
qat, distil, finetune, quantize (docs/compression.md). Each candidate's file is compared with its Keras model and scored
on the validation split; all files are timed together with the float32 one; what is chosen, and what nothing else beats,
is scored on the test split once, at the end.

compression.json and the report go to the run folder; the artefacts, each with the recipe that made it, to folders in
--export_dir. The same command goes on after an interruption, and does not repeat what is done; given again while a
search is being made, it helps with the candidates, and the first one concludes. Exit codes: 0 done, 2 a
mistake in the flags, the recipe, the model or the data, 3 no candidate is within the limits, 75 the process that this
one helped has ended without concluding (the same command goes on), 130 interrupted, 143 preempted.
"""

from __future__ import annotations

from tfday7.cli import Command, OutputConfig, print_json
from tfday7.compression import gate
from tfday7.compression.config import BudgetConfig, CompressConfig, SearchConfig
from tfday7.data.config import DataConfig

COMMAND = Command("compress", __doc__, [CompressConfig, BudgetConfig, SearchConfig, DataConfig, OutputConfig])


def main() -> None:
    """Checks everything that can be checked cheaply, compresses, and shows what came of it."""
    from tfday7 import reporting, stage_compress

    output = COMMAND.config(OutputConfig)
    given = any(COMMAND.flags[name].present for name in COMMAND.given(DataConfig))
    task = stage_compress.plan(
        COMMAND.config(CompressConfig),
        COMMAND.config(DataConfig) if given else None,
        COMMAND.config(BudgetConfig),
        COMMAND.config(SearchConfig),
    )
    if COMMAND.flags.only_check_args:
        return
    console = COMMAND.console()
    record = stage_compress.compress(task, console.say, output.lang)
    if output.json:
        print_json({"joined": True} if record is None else record)
    elif record is not None:
        console.print(reporting.compression_summary(record, str(task.folder.path), output.lang), crop=False)
    if record is not None:
        gate.check_gate(record)


if __name__ == "__main__":
    COMMAND.run(main)

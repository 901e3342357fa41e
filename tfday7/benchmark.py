"""Measure exported files: latency, memory, size and accuracy on every runtime.

    python -m tfday7.benchmark --artefacts=tflite_models/quickstart
    python -m tfday7.benchmark --artefacts=tflite_models/quickstart --runtimes=litert,openvino --threads=1,2
    python -m tfday7.benchmark --run_dir=runs/quickstart --batch_sizes=1,8 --json
    python -m tfday7.benchmark --artefacts=model_int8.tflite --check --targets=xnnpack

Every row (artefact, runtime, threads, batch size) has a process of its own; rounds go over all of them in turn, so that
noise hits all alike. Shown are the p50, p90 and p99 of a run, throughput, the ratio to the float32 file with its range,
load time, peak memory, file and gzip size, the metric on the test set, how repeatable all that is, and which operators
take the time in the slowest row. Times are those of this machine, and include the call from Python.

Rows go to benchmark.json in the run folder, or beside the artefact where there is no run, each in the place of an
earlier one that measured the same. --check measures nothing: it names what a target will and will not accelerate, and
why.

Exit codes: 0 done, 2 a mistake in the flags or files, or nothing could be measured, 130 interrupted, 143 preempted;
then nothing is written.
"""

from __future__ import annotations

from typing import Any

from tfday7.benchmarking.config import ONLY_TIMED, BenchmarkConfig
from tfday7.cli import Command, ExistingRunConfig, OutputConfig, existing_run, print_json
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.core.texts import text

COMMAND = Command("benchmark", __doc__, [BenchmarkConfig, ExistingRunConfig, OutputConfig])


def main() -> None:
    """Measures the artefacts, or says what will be accelerated, and shows the result."""
    config, output = COMMAND.config(BenchmarkConfig), COMMAND.config(OutputConfig)
    _check(config, COMMAND.config(ExistingRunConfig).run_dir)
    run = None if config.artefacts else existing_run(COMMAND)
    if config.check:
        check(config, run, output)
    else:
        measure(config, run, output)


def measure(config: BenchmarkConfig, run: RunFolder | None, output: OutputConfig) -> None:
    """Measures, telling of progress, and shows the rows."""
    from tfday7 import reporting
    from tfday7.benchmarking import benchmarking
    from tfday7.reporting.benchmark import benchmark_summary

    job = benchmarking.plan(config, run)
    if COMMAND.flags.only_check_args:
        return
    console = COMMAND.console()

    def say(key: str, **values: Any) -> None:
        console.say(text(f"benchmark.progress.{key}", output.lang, **values))

    record = benchmarking.benchmark(job, say)
    if job.run is not None:
        reporting.write_report(job.run, output.lang)
    if output.json:
        print_json(record)
    else:
        console.print(benchmark_summary(record, output.lang), crop=False)


def check(config: BenchmarkConfig, run: RunFolder | None, output: OutputConfig) -> None:
    """Shows what each target will and will not accelerate."""
    from tfday7.benchmarking import checking, subjects
    from tfday7.reporting.acceleration import acceleration_summary

    names = checking.targets(config.target_names())
    found, notes = subjects.of_run(run) if run else subjects.find(config.paths())
    if COMMAND.flags.only_check_args:
        return
    record = {**checking.check(found, names), "notes": notes}
    if output.json:
        print_json(record)
    else:
        COMMAND.console().print(acceleration_summary(record, output.lang), crop=False)


def _check(config: BenchmarkConfig, run_dir: str) -> None:
    """Raises UserError where flags contradict each other, or nothing is named."""
    if config.artefacts and run_dir:
        message = f"--artefacts={config.artefacts} contradicts --run_dir={run_dir}"
        raise UserError(message, "a run stands for what it has exported: give the one or the other")
    if not config.paths() and not run_dir:
        hint = "for example --artefacts=tflite_models/quickstart, or --run_dir=runs/quickstart"
        raise UserError("--artefacts or --run_dir is missing", hint)
    for name in ONLY_TIMED if config.check else ():
        if COMMAND.flags[name].present:
            value = getattr(config, name)
            raise UserError(f"--{name}={value} contradicts --check", "--check measures nothing and writes nothing")
    if config.data and not config.metric:
        raise UserError(f"--data={config.data} contradicts --metric=false", "data are for the metric alone")
    if config.targets and not config.check:
        raise UserError(f"--targets={config.targets} needs --check", "what is measured here is this machine")


if __name__ == "__main__":
    COMMAND.run(main)

"""What to measure, and how."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfday7 import runtimes
from tfday7.benchmarking.devices import DEVICES
from tfday7.core.errors import UserError, unknown_name
from tfday7.core.run_folder import BENCHMARK
from tfday7.core.settings import Settings, setting
from tfday7.runtimes.table import PACKAGES

MAX_THREADS, MAX_BATCH = 1024, 4096
ONLY_TIMED = ("runtimes", "threads", "batch_sizes", "device", "seconds", "metric", "data", "profile", "output")


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig(Settings):
    """The settings of a benchmark."""

    artefacts: str = setting(
        "",
        "What to measure, a comma list of files, SavedModel folders, or folders of models, such as "
        "tflite_models/quickstart, which stand for all artefacts in them.",
    )
    runtimes: str = setting(
        "",
        f"Runtimes, a comma list of: {', '.join(PACKAGES)}; default: the one that each file is made for. "
        "Each measures the files that it takes.",
    )
    threads: str = setting("1", f"Numbers of CPU threads, a comma list of whole numbers from 1 to {MAX_THREADS}.")
    batch_sizes: str = setting("1", f"Examples a run, a comma list of whole numbers from 1 to {MAX_BATCH}.")
    device: str = setting(
        "cpu",
        "Where to run; cpu_without_amx: as on phones, Raspberry Pis and most PCs, which have no such matrix unit.",
        choices=DEVICES,
    )
    seconds: float = setting(
        3.0, "Time for each row, of at most 60 rounds; 20 rounds are made even if they take longer.", minimum=0.1
    )
    metric: bool = setting(True, "Compute the metric on the test set, through each runtime.")
    data: str = setting("", "Data set to take the test set of; default: the one that the artefact's record names.")
    profile: bool = setting(True, "Show which operators take the time in the slowest row.")
    check: bool = setting(False, "Measure nothing; say what will and will not be accelerated on a target, and why.")
    targets: str = setting("", "Targets for --check, a comma list; default: all.")
    output: str = setting(
        "",
        "File or folder for benchmark.json; default: the run folder of the first artefact, or its own folder where "
        "there is no run.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.thread_counts()
        self.batches()
        self.runtime_names()

    def paths(self) -> list[str]:
        """Returns what `--artefacts` names."""
        return _names(self.artefacts)

    def runtime_names(self) -> list[str]:
        """Returns the runtimes asked for; empty for each file's own. Raises UserError for an unknown one."""
        found = _names(self.runtimes)
        for name in found:
            if name not in PACKAGES:
                raise unknown_name("runtime", name, PACKAGES)
        _check_distinct("runtimes", found)
        return found

    def thread_counts(self) -> list[int]:
        """Returns the numbers of threads. Raises UserError for anything else."""
        return _whole_numbers("threads", self.threads, MAX_THREADS)

    def batches(self) -> list[int]:
        """Returns the batch sizes. Raises UserError for anything else."""
        return _whole_numbers("batch_sizes", self.batch_sizes, MAX_BATCH)

    def target_names(self) -> list[str]:
        """Returns the targets asked for; empty for all."""
        found = _names(self.targets)
        _check_distinct("targets", found)
        return found

    def output_path(self) -> Path | None:
        """Returns where `--output` says that benchmark.json goes; None where it says nothing."""
        if not self.output:
            return None
        path = Path(self.output)
        return path if path.suffix == ".json" and not path.is_dir() else path / BENCHMARK


def check_installed(names: list[str]) -> None:
    """Raises UserError naming the extra that brings the first runtime which is not installed."""
    for name in names:
        runtimes.find(name)


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _whole_numbers(flag: str, given: str, maximum: int) -> list[int]:
    found = _names(given)
    if not found or not all(_is_whole(text) and 1 <= int(text) <= maximum for text in found):
        message = f"--{flag}={given}: expected a comma list of whole numbers from 1 to {maximum}"
        raise UserError(message, f"for example --{flag}=1,2")
    numbers = [int(text) for text in found]
    _check_distinct(flag, [str(number) for number in numbers])
    return numbers


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _check_distinct(flag: str, found: list[str]) -> None:
    twice = [name for i, name in enumerate(found) if name in found[:i]]
    if twice:
        raise UserError(f"--{flag} names {twice[0]} twice", "name each once")

"""The limits of an artefact, and how long to search for it."""

from __future__ import annotations

import dataclasses

from tfday7.benchmarking.devices import WITHOUT_AMX
from tfday7.core.settings import Settings, setting

OBJECTIVES = ("auto", "gzip", "size", "latency", "macs", "memory", "metric")
TIMED = ("max_latency_ms", "max_latency_ratio", "max_memory_mb")


@dataclasses.dataclass(frozen=True)
class BudgetConfig(Settings):
    """The limits of an artefact. A kB is 1,000 bytes."""

    max_accuracy_drop: float = setting(
        0.01, "How much of the validation metric the chosen artefact may lose.", minimum=0, maximum=1
    )
    min_metric: float | None = setting(None, "Least validation metric of the chosen artefact; default: none.")
    max_size_kb: float | None = setting(None, "Most kB of the file; default: no limit.", above=0)
    max_gzip_kb: float | None = setting(None, "Most kB of the packed file; default: no limit.", above=0)
    max_memory_mb: float | None = setting(
        None, "Most MB of memory of the process that runs the file; default: no limit.", above=0
    )
    max_macs: float | None = setting(None, "Most multiply-accumulates of an example; default: no limit.", above=0)
    max_latency_ms: float | None = setting(
        None, "Most milliseconds of an example, in the median, on this machine; default: no limit.", above=0
    )
    max_latency_ratio: float | None = setting(
        None, "Most time relative to the float32 file, measured in the same rounds; default: no limit.", above=0
    )
    device: str = setting(
        "cpu",
        "Where files are timed; cpu_without_amx: as on phones and Raspberry Pis, which have no such matrix unit.",
        choices=("cpu", WITHOUT_AMX),
    )
    objective: str = setting(
        "auto",
        "What the best artefact within the limits is: the one with the least of it, or the most of metric; auto: the "
        "least product of packed size and latency.",
        choices=OBJECTIVES,
    )

    def needs_timing(self) -> bool:
        """Returns whether a limit or the objective is about time or memory."""
        return any(getattr(self, name) is not None for name in TIMED) or self.objective in ("latency", "memory")


@dataclasses.dataclass(frozen=True)
class SearchConfig(Settings):
    """How long a search may take, and how much each candidate is trained."""

    search_minutes: float | None = setting(
        None, "Time for the search; default: 20, without --max_candidates.", above=0
    )  # fmt: skip
    max_candidates: int | None = setting(
        None,
        "Candidates that a search makes at most; without a time, the machine's speed decides nothing.",
        minimum=1,
    )
    search_epochs: int = setting(
        6, "Epochs of fine-tuning of a finished candidate; a third and a ninth of it come before.", minimum=1
    )

    @property
    def minutes(self) -> float:
        """The time that there is; infinite where only the number of candidates ends the search."""
        if self.search_minutes is not None:
            return self.search_minutes
        return 20.0 if self.max_candidates is None else float("inf")


@dataclasses.dataclass(frozen=True)
class AfterTraining(Settings):
    """Whether a search follows a training run."""

    compress: str = setting(
        "none", "auto: search for the best artefact within the limits below when training has ended.",
        choices=("none", "auto"),
    )  # fmt: skip

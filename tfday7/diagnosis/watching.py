"""Looks at a run while it trains: probes the layers, and ends a run that is broken when asked to.

Importing this module loads TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tfday7.core import files
from tfday7.core.run_folder import HEALTH, RunFolder
from tfday7.data import Dataset
from tfday7.data.scoring import baseline
from tfday7.diagnosis import health
from tfday7.diagnosis.diagnosing import judge_running
from tfday7.diagnosis.evidence import Evidence, recorded, smooth
from tfday7.diagnosis.health import Health, Probe
from tfday7.diagnosis.measuring.probing import Prober

NEXT = 1.25  # A layer that did not change in the last epochs need not be looked at again soon.
BROKEN = "broken"  # The reason that `Fit.stopped` gives.


class Watch:
    """A watcher of training: see `tfday7.training.watcher.Watcher`.

    Make it before the model is trained: what it starts from is remembered.

    Args:
        model: a functional model of one input; compiled when training begins.
        dataset: what it learns from.
        epochs: of the whole run.
        flags: of the run, name -> value.
        folder: where health.json goes; None keeps the probes here only.
        stop_when_broken: whether a run that cannot be saved is ended.
        say: told once, in a sentence, what is broken.

    Attributes:
        probes: what was seen so far.
        failure: why the layers cannot be looked at; empty where they can.
    """

    def __init__(
        self,
        model: Any,
        dataset: Dataset,
        epochs: int,
        flags: dict[str, str] | None = None,
        folder: RunFolder | None = None,
        stop_when_broken: bool = False,
        say: Callable[[str], Any] = lambda sentence: None,
    ) -> None:
        self.problem = dataset.problem
        self.train_examples = len(dataset.train)
        self.failure = ""
        self.prober: Prober | None = None
        try:  # Now: the weights are those that training starts from.
            self.prober = Prober(model, dataset)
        except Exception as error:  # noqa: BLE001 - looking must never end a training; `begin` says and records it.
            self.failure = _reason(error)
        # The best constant answer to a reconstruction is its mean, whose R2 is 0: no need to read all inputs for it.
        constant = dataset.problem.task == "reconstruction"
        self.baseline = 0.0 if constant else baseline(dataset.problem, dataset.train.y, dataset.train.y)
        self.epochs = epochs
        self.flags = flags or {}
        self.folder = folder
        self.stop_when_broken = stop_when_broken
        self.say = say
        self.probes: list[Probe] = []
        self._said = ""

    def begin(self, records: list[dict[str, Any]]) -> None:
        """Probes the untrained model, or takes up the probes of the run that is resumed."""
        smooth(np.zeros(3))  # So that no epoch pays for what is loaded on first use.
        if self.folder is not None:
            self.probes = [probe for probe in health.read(self.folder)[0].probes if probe.epoch <= len(records)]
        if self.prober is None:
            self._say_failure()
            self._write()
        elif not self.probes:
            self._probe(len(records))

    def epoch(self, records: list[dict[str, Any]], thorough: bool) -> str:
        """Judges the run, with a new probe if it may; returns a reason to end training when there is one and it may."""
        if thorough and (not self.probes or len(records) >= NEXT * self.probes[-1].epoch):
            self._probe(len(records))
        found = judge_running(self.evidence(records), self.epochs)
        if found is None:
            return ""
        if self._said != found.id:
            self._said = found.id
            self.say(f"epoch {len(records)}: {found.title}")
        return BROKEN if self.stop_when_broken else ""

    def end(self, records: list[dict[str, Any]]) -> None:
        """Probes the model as training leaves it."""
        if not self.probes or self.probes[-1].epoch < len(records):
            self._probe(len(records))

    def evidence(self, records: list[dict[str, Any]]) -> Evidence:
        """Returns what is known of the run so far."""
        metric = self.problem.metric
        last = records[-1] if records else {}
        return Evidence(
            loss=recorded(records, "loss"),
            val_loss=recorded(records, "val_loss"),
            metric=metric,
            train_score=last.get(metric),
            validation_score=last.get(f"val_{metric}"),
            baseline=self.baseline,
            train_examples=self.train_examples,
            kind=self.problem.kind,
            task=self.problem.task,
            flags=self.flags,
            train_metric=recorded(records, metric),
            validation_metric=recorded(records, f"val_{metric}"),
            health=Health(probes=tuple(self.probes)),
        )

    def _probe(self, epoch: int) -> None:
        if self.prober is None:
            return
        try:
            self.probes.append(self.prober.probe(epoch))
        except Exception as error:  # noqa: BLE001 - looking must never end a training; the reason is said and recorded.
            self.prober, self.failure = None, _reason(error)
            self._say_failure()
        self._write()

    def _say_failure(self) -> None:
        self.say(f"the layers cannot be looked at: {self.failure}")

    def _write(self) -> None:
        if self.folder is not None:
            _, record = health.read(self.folder)
            probes = [dataclasses.asdict(probe) for probe in self.probes]
            files.write_json(self.folder / HEALTH, {**record, "probes": probes, "failure": self.failure})


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"

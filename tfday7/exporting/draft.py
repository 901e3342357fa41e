"""One artefact on its way: converted to a scratch folder, looked into, compared with the Keras model, moved into place.

So nothing of it stands in its folder before all is known of it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import Problem
from tfday7.data.heads import placed
from tfday7.data.lazy import chunks
from tfday7.exporting import feeding
from tfday7.exporting.children import Answer
from tfday7.exporting.format import CALIBRATED, CONVERSION_ERRORS, Format, Request
from tfday7.exporting.job import Job
from tfday7.exporting.parity import compare
from tfday7.exporting.records import Artefact, relative_source
from tfday7.exporting.writing import place, remove
from tfday7.runtimes import Runner


class Draft:
    """See the module.

    Args:
        job: the model, its data, where artefacts go.
        format, kind: what it is to become.
    """

    def __init__(self, job: Job, format: Format, kind: str) -> None:
        self.job, self.format, self.kind = job, format, kind
        self.scratch = job.scratch / f"{format.name}_{kind}"
        self.scratch.mkdir()
        self.name = format.artefact_name(job.origin.name, kind)
        self.output = self.scratch / format.file_name(job.origin.name, kind)
        self.failure = ""
        self.notes: tuple[str, ...] = ()

    def prepare(self) -> Request | None:
        """Returns what a child process has to do; None where there is nothing left to do, or nothing can be done."""
        try:
            if not self.format.needs_child:
                self.notes = tuple(self.format.write(self.job, self.kind, self.output))
                return None
            return request(self.job, self.format, self.kind, self.output)
        except (*CONVERSION_ERRORS, tf.errors.OpError) as error:
            self.failure = f"the model cannot be saved for conversion ({first_line(error)})"
            return None

    def take(self, answer: Answer) -> None:
        """Takes a child's answer."""
        self.failure, self.notes = answer.failure, answer.notes
        if not self.failure and not self.output.exists():
            self.failure = "the converter wrote no file"

    def refused(self) -> bool:
        """Looks into a file that was made, and returns whether it does not deserve its kind."""
        if self.failure:
            return False
        try:
            problems = self.format.problems(self.output, self.kind, self.job.float_layers(self.format, self.kind))
            self.failure = "; ".join(problems)
        except (UserError, *CONVERSION_ERRORS, tf.errors.OpError) as error:
            self._cannot(error)
        return bool(self.failure)

    def verify(self) -> Artefact:
        """Returns the artefact as it lies in the scratch folder, compared with Keras's, or why there is none."""
        if not self.failure:
            try:
                return self._verified()
            except (UserError, *CONVERSION_ERRORS, tf.errors.OpError) as error:
                self._cannot(error)
        return Artefact(self.name, self.format.name, self.kind, run=self._run(), failure=self.failure)

    def finish(self, artefact: Artefact) -> Artefact:
        """Moves the artefact and its record into their folder; one that failed takes an earlier one away."""
        if artefact.failure:
            remove(self.job.folder / self.output.name)
            return artefact
        return place(artefact, self.scratch, self.job.folder / self.output.name)

    def _cannot(self, error: Exception) -> None:
        self.failure = first_line(error).replace(str(self.output), self.output.name)

    def _verified(self) -> Artefact:
        batch, own = self.job.batch or 1, self.job.model.inputs[0].shape[0]
        artefact = self._described(self.format.open(self.output, batch, own))
        self.format.complete(self.output, artefact)
        runner = self.format.open(self.output, batch, own)  # Again: what is compared is what is delivered, to the byte.
        test, problem = self.job.dataset.test, self.job.dataset.problem
        outputs = np.concatenate([feeding.predict(runner, artefact, x) for x in chunks(test.x)])
        y = test.y if self.job.labelled else None
        kind, meaning = self.format.judged_as(self.kind), self.job.origin.meaning
        parity = compare(kind, problem, self.job.expected, outputs, y, meaning)
        return dataclasses.replace(artefact, parity=parity)

    def _run(self) -> str:
        return relative_source(self.job.origin.run, self.job.folder)

    def _described(self, runner: Runner) -> Artefact:
        dataset, problem, origin = self.job.dataset, self.job.dataset.problem, self.job.origin
        before, after = (end.to_json() if end else None for end in self.job.ends(self.kind))
        return Artefact(
            self.name,
            self.format.name,
            self.kind,
            run=self._run(),
            input={
                **runner.input.to_json(),
                "preprocessing": dataset.preprocessing,
                "divisor": feeding.divisor_of(dataset.preprocessing),
                "standardization": before,
                **({"vocabulary": list(problem.vocabulary)} if problem.vocabulary else {}),
                **({"columns": problem.encoding.to_json()} if problem.encoding else {}),
            },
            output={
                **runner.output.to_json(),
                "task": problem.task,  # Says whether logits take one softmax, or a sigmoid for each label.
                "meaning": origin.meaning,
                "standardization": after,
                **_heads_record(problem),
            },
            labels=list(problem.class_names),
            recipe=self.job.recipe(self.format, self.kind),
            notes=[*self.notes, *self._mixed(), *self.format.notes(self.output, self.kind)],
        )

    def _mixed(self) -> list[str]:
        """Returns what became of the layers that were to stay in float32."""
        asked = self.job.options.float_layers
        if not asked or self.kind not in CALIBRATED:
            return []
        if self.job.float_layers(self.format, self.kind):
            return [f"these layers stay in float32: {', '.join(asked)}"]
        return [
            f"{', '.join(asked)}: quantized like all others, as a {self.format.name} {self.kind} file mixes nothing"
        ]


def request(job: Job, format: Format, kind: str, output: Path) -> Request:
    """Returns what a child process has to do to make a file of a job's model."""
    batch = format.batch(job.batch)
    saved_model = str(job.saved_model(kind, batch, format.centered))
    calibration = str(job.calibration) if kind in CALIBRATED else None
    stay, sparse = job.float_layers(format, kind), job.options.sparse
    return Request(format.name, kind, saved_model, calibration, str(output), batch, stay, sparse)


def first_line(error: Exception) -> str:
    """Returns what an error says first; its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def _heads_record(problem: Problem) -> dict[str, Any]:
    """Returns which columns of the outputs are which of several targets: first and last + 1; {} for a single one."""
    if not problem.heads:
        return {}
    return {
        "heads": [
            {"name": head.name, "task": head.task, "columns": [at.start, at.stop], "labels": list(head.class_names)}
            for head, at in placed(problem)
        ]
    }

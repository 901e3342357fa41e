"""How much of the time each group of channels would save: int8 files of probes, timed beside the whole model's."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.compression.compressing import Compression
from tfday7.compression.records import Candidate
from tfday7.compression.timing import timed
from tfday7.data.lazy import take
from tfday7.exporting import exporting

WHOLE, FOLDER, KIND = "whole", "groups", "int8"
EXAMPLES = 64  # That a probe's file is compared on: its answers are not what is asked for.


class GroupTimer:
    """Times probes; see `groups.measure`.

    Args:
        job: says where, and on which data.
        seconds: for each file.
    """

    def __init__(self, job: Compression, seconds: float) -> None:
        self.job, self.seconds, self.folder = job, seconds, Path(job.folder) / FOLDER
        self._files: list[Candidate] = []
        split = job.dataset.validation if len(job.dataset.validation) else job.dataset.train
        first = np.arange(min(EXAMPLES, len(split)))
        few = dataclasses.replace(split, x=take(split.x, first), y=take(split.y, first))
        self._dataset = dataclasses.replace(job.dataset, test=few)
        self.add(WHOLE, job.model)

    def add(self, name: str, model: Any) -> None:
        """Makes the file of a model; one that cannot be made is not timed."""
        folder = self.folder / str(len(self._files))
        origin = dataclasses.replace(self.job.origin, name=f"group_{len(self._files)}")
        (made,) = exporting.export(model, self._dataset, [(self.job.format, KIND)], folder, origin, bisect=False)
        self._files.append(Candidate(name, path=made.path, size_bytes=made.size_bytes, failure=made.failure))

    def saved(self) -> dict[str, float]:
        """Returns the share of the whole model's time that each probe saves, where it is known; removes the files."""
        try:
            if self._files[0].failure:
                return {}
            rows = timed(self.job, self._files, self.seconds)[1:]
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        return {one.name: 1.0 - one.latency_ratio for one in rows if one.latency_ratio is not None}

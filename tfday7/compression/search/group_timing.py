"""How much of the time each group of channels would save: int8 files of probes, timed beside the whole model's."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

from tfday7.compression.compressing import Compression
from tfday7.compression.records import Candidate
from tfday7.compression.search.groups import first_examples
from tfday7.compression.timing import timed
from tfday7.core.errors import UserError
from tfday7.exporting import exporting

WHOLE, FOLDER, KIND = "whole", "groups", "int8"
EXAMPLES = 64  # That calibrate a probe's file, and that it is compared on: its answers are not what is asked for.


class GroupTimer:
    """Times probes; see `groups.with_times`.

    Args:
        job: says where, and on which data.
        seconds: for each file.
        limit_seconds: from the first question for time; what is not made by then is not timed.
    """

    def __init__(self, job: Compression, seconds: float, limit_seconds: float = float("inf")) -> None:
        self.job, self.seconds, self.folder = job, seconds, Path(job.folder) / FOLDER
        self.limit_seconds, self._began = limit_seconds, 0.0
        self._files: list[Candidate] = []
        few = first_examples(job.dataset, EXAMPLES)
        self._dataset = dataclasses.replace(job.dataset, train=few, validation=few, test=few)

    def has_time(self) -> bool:
        """Returns whether one more can be made, as long as those before took, and all of them timed."""
        if not self._files:
            self._began = time.monotonic()
            self.add(WHOLE, self.job.model)
        made, spent = len(self._files), time.monotonic() - self._began
        return self.limit_seconds > spent + spent / made + self.seconds * (made + 1)

    def add(self, name: str, model: Any) -> None:
        """Makes the file of a model; one that cannot be made is not timed."""
        folder = self.folder / str(len(self._files))
        origin = dataclasses.replace(self.job.origin, name=f"group_{len(self._files)}")
        try:
            (made,) = exporting.export(model, self._dataset, [(self.job.format, KIND)], folder, origin, bisect=False)
        except UserError as error:
            self._files.append(Candidate(name, failure=error.message))
        else:
            self._files.append(Candidate(name, path=made.path, size_bytes=made.size_bytes, failure=made.failure))

    def saved(self) -> dict[str, float]:
        """Returns the share of the whole model's time that each probe saves, where it is known; removes the files.

        Raises:
            UserError: the device cannot be reached.
        """
        try:
            if not self._files or self._files[0].failure:
                return {}
            rows = timed(self.job, self._files, self.seconds, patience=1.0)[1:]
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        return {one.name: 1.0 - one.latency_ratio for one in rows if one.latency_ratio is not None}

"""A Keras 3 file, which `keras.models.load_model` opens without tfday7."""

from __future__ import annotations

from pathlib import Path

from tfday7.exporting.format import FORMATS, Format
from tfday7.exporting.job import Job
from tfday7.models import door, raw_columns


class Keras(Format):
    """Of a table's model, the raw columns are its inputs, as in a run's model.keras; what is verified is the core."""

    name = "keras"
    kinds = ("float32",)
    usual = ("float32",)
    suffix = ".keras"
    runtime = "tensorflow"
    needs_child = False
    keeps_batch = True
    verified_batch = 64

    def write(self, job: Job, kind: str, path: Path) -> list[str]:
        """See `Format.write`."""
        encoding = job.dataset.problem.encoding
        door.save(raw_columns.attach(job.model, encoding), path)
        return ["takes the raw columns of the table, one named input each"] if encoding else []


FORMATS.add("keras", Keras())

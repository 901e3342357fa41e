"""A SavedModel for TensorFlow, TensorFlow Serving, and converters: a folder with the signature input -> output."""

from __future__ import annotations

from pathlib import Path

from tfday7.exporting.format import FORMATS, Format
from tfday7.exporting.job import Job, save_with_batch


class SavedModel(Format):
    """Takes any number of examples. The graph is that of inference alone; model.keras is for training on."""

    name = "saved_model"
    kinds = ("float32",)
    usual = ("float32",)
    suffix = ""
    runtime = "tensorflow"
    needs_child = False
    verified_batch = 64

    def file_name(self, model: str, kind: str) -> str:
        """See `Format.file_name`."""
        return f"{model}_saved_model"

    def write(self, job: Job, kind: str, path: Path) -> list[str]:
        """See `Format.write`."""
        save_with_batch(job.model, job.dataset.problem.input_shape, path, None)
        return []


FORMATS.add("saved_model", SavedModel())

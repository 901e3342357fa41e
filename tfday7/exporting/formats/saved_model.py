"""A SavedModel for TensorFlow, TensorFlow Serving, and converters: a folder with the signature input -> output."""

from __future__ import annotations

from pathlib import Path

from tfday7.exporting.format import FORMATS, Format
from tfday7.exporting.job import Job, save_with_batch
from tfday7.runtimes import Runner
from tfday7.runtimes.tensorflow import TensorFlow


class SavedModel(Format):
    """Takes any number of examples. The graph is that of inference alone; model.keras is for training on."""

    name = "saved_model"
    kinds = ("float32",)
    usual = ("float32",)
    suffix = ""
    needs_child = False

    def file_name(self, model: str, kind: str) -> str:
        """See `Format.file_name`."""
        return f"{model}_saved_model"

    def write(self, job: Job, kind: str, path: Path) -> list[str]:
        """See `Format.write`."""
        save_with_batch(job.model, job.dataset.problem.input_shape, path, None)
        return []

    def open(self, path: Path) -> Runner:
        """See `Format.open`."""
        return TensorFlow(path, batch_size=64)


FORMATS.add("saved_model", SavedModel())

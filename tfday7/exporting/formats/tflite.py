"""TFLite, for LiteRT: phones, Raspberry Pis, microcontrollers.

Int8 is post-training quantization (Jacob et al., 2018, arXiv:1712.05877), calibrated on training examples alone, int8
at both ends. "dynamic" has int8 weights and computes in float what it cannot compute in int8; "float16" has half-size
weights. A file takes one example at a time: then the converter folds all arithmetic on shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.frameworks import tf
from tfday7.exporting import tflite_file, tflite_metadata
from tfday7.exporting.format import FORMATS, Format, Request
from tfday7.exporting.records import Artefact


class TFLite(Format):
    """See the module."""

    name = "tflite"
    kinds = ("float32", "float16", "dynamic", "int8")
    usual = ("float32", "int8")
    suffix = ".tflite"
    runtime = "litert"
    fixed_batch = True

    def artefact_name(self, model: str, kind: str) -> str:
        """See `Format.artefact_name`."""
        return f"{model}_{kind}"

    def convert(self, request: Request) -> list[str]:
        """See `Format.convert`."""
        converter = tf.lite.TFLiteConverter.from_saved_model(request.saved_model)
        if request.kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if request.kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if request.kind == "int8":
            converter.representative_dataset = lambda: _batches(np.load(str(request.calibration), allow_pickle=False))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
            # One scale for a dense layer's weights. With one for each output, tflite-runtime 2.14 crashes on aarch64,
            # NNAPI refuses the layer (LiteRT#3596), and older TFLite Micro computes it wrongly (tflite-micro#2602).
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        Path(request.output).write_bytes(converter.convert())
        return []

    def problems(self, path: Path, kind: str) -> list[str]:
        """See `Format.problems`."""
        return tflite_file.problems(tflite_file.read(path), kind)

    def notes(self, path: Path, kind: str) -> list[str]:
        """See `Format.notes`."""
        return tflite_file.notes(tflite_file.read(path), kind)

    def complete(self, path: Path, artefact: Artefact) -> None:
        """Writes TFLite metadata into the file: what to feed, what comes out, the labels."""
        path.write_bytes(tflite_metadata.attach(path.read_bytes(), tflite_metadata.info_of(artefact)))


def _batches(x: np.ndarray) -> Iterator[list[Any]]:
    for example in x:
        yield [example[np.newaxis]]


FORMATS.add("tflite", TFLite())

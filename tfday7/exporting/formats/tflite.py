"""TFLite, for LiteRT: phones, Raspberry Pis, microcontrollers.

Int8 is post-training quantization (Jacob et al., 2018, arXiv:1712.05877), calibrated on training examples alone, int8
at both ends; single layers can stay in float32. "int16x8" has activations of 16 bits beside weights of 8. "dynamic" has
int8 weights and computes in float what it cannot compute in int8; "float16" has half-size weights; "weight_int8" and
"weight_int4" are unpacked to float32 (`weight_only`). A model that was trained with fake quantization keeps the ranges
that it learned in an int8 file; what has none is calibrated. A file takes one example at a time: then the converter
folds all arithmetic on shapes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.frameworks import tf
from tfday7.exporting import sparse_encoding, tflite_file, tflite_layers, tflite_metadata, weight_only
from tfday7.exporting.format import FORMATS, Format, Request
from tfday7.exporting.records import Artefact

WEIGHT_BITS = {"weight_int8": 8, "weight_int4": 4}


class TFLite(Format):
    """See the module."""

    name = "tflite"
    kinds = ("float32", "float16", "dynamic", "int8", "int16x8", "weight_int8", "weight_int4")
    usual = ("float32", "int8")
    suffix = ".tflite"
    runtime = "litert"
    fixed_batch = True
    mixed_kinds = ("int8",)
    centered = True
    attempts = 8

    def artefact_name(self, model: str, kind: str) -> str:
        """See `Format.artefact_name`."""
        return f"{model}_{kind}"

    def convert(self, request: Request) -> list[str]:
        """See `Format.convert`."""
        notes: list[str] = []
        if request.float_layers:
            content = _mixed(request)
        else:
            content = _converter(request.saved_model, request.kind, request.calibration).convert()
        if request.kind in WEIGHT_BITS:
            content = weight_only.with_integer_weights(content, WEIGHT_BITS[request.kind])
        if request.sparse:
            content, notes = sparse_encoding.without_zeros(content)
        Path(request.output).write_bytes(content)
        return notes

    def problems(self, path: Path, kind: str, float_layers: Sequence[str] = ()) -> list[str]:
        """See `Format.problems`."""
        return tflite_file.problems(tflite_file.read(path), kind, float_layers)

    def notes(self, path: Path, kind: str) -> list[str]:
        """See `Format.notes`."""
        return tflite_file.notes(tflite_file.read(path), kind)

    def complete(self, path: Path, artefact: Artefact) -> None:
        """Writes TFLite metadata into the file: what to feed, what comes out, the labels."""
        path.write_bytes(tflite_metadata.attach(path.read_bytes(), tflite_metadata.info_of(artefact)))


def _converter(saved_model: str, kind: str, calibration: str | None) -> Any:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if kind != "float32" and kind not in WEIGHT_BITS:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in ("int8", "int16x8"):
        converter.representative_dataset = lambda: _batches(np.load(str(calibration), allow_pickle=False))
        sets, activations = tf.lite.OpsSet, tf.int8 if kind == "int8" else tf.int16
        wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8 if kind == "int8" else wide]
        converter.inference_input_type = converter.inference_output_type = activations
        # One scale for a dense layer's weights. With one for each output, tflite-runtime 2.14 crashes on aarch64,
        # NNAPI refuses the layer (LiteRT#3596), and older TFLite Micro computes it wrongly (tflite-micro#2602).
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    return converter


def _mixed(request: Request) -> bytes:
    """Returns an int8 file in which the operators of some layers stay in float32."""
    from tensorflow.lite.python.convert import mlir_quantize

    calibrated = _calibrated(request.saved_model, str(request.calibration))
    stay = tflite_layers.operator_names(tflite_file.read(calibrated), request.float_layers)
    if not stay:
        raise ValueError(f"no operator computes {', '.join(request.float_layers)}: none could stay in float32")
    return mlir_quantize(
        calibrated,
        input_data_type=tf.int8,
        output_data_type=tf.int8,
        denylisted_nodes=stay,
        disable_per_channel_for_dense_layers=True,
    )


@functools.lru_cache(maxsize=2)
def _calibrated(saved_model: str, calibration: str) -> bytes:
    """Returns the float file with the ranges that were seen; one child quantizes it in several ways."""
    converter = _converter(saved_model, "int8", calibration)
    converter._experimental_calibrate_only = True
    return converter.convert()


def _batches(x: np.ndarray) -> Iterator[list[Any]]:
    for example in x:
        yield [example[np.newaxis]]


FORMATS.add("tflite", TFLite())

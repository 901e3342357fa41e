"""The child process that converts a SavedModel to TFLite: `python -m tfday7.exporting.tflite_child REQUEST.json`.

The converter can kill its process without an exception (seen with int8 GRUs that stay a loop), so it gets one of its
own. The request says {"saved_model", "kind", "calibration", "output"}; a crash is then a failed artefact with a reason.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.frameworks import tf


def convert(saved_model: str, kind: str, calibration: str | None) -> bytes:
    """Returns the TFLite file for a SavedModel with one signature.

    Args:
        saved_model: the folder.
        kind: "float32" or "int8" (weights, activations, input and output).
        calibration: an `.npy` of float32 inputs [n, ...] for int8.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if kind == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _batches(np.load(str(calibration), allow_pickle=False))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def _batches(x: np.ndarray) -> Iterator[list[Any]]:
    for example in x:
        yield [example[np.newaxis]]


def main(request_path: str) -> None:
    """Carries out one request."""
    request = json.loads(Path(request_path).read_text(encoding="utf-8"))
    content = convert(request["saved_model"], request["kind"], request["calibration"])
    Path(request["output"]).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1])

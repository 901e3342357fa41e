"""What benchmarks measured, for sentences that say it: ratios to LiteRT's float32 time, by model and file.

Copied from benchmarks/results/runtimes.json, which an installation does not have; a test holds them against it. The
int8 transformer is that of layer_normalization.json, beside the float32 file with the same layer normalizations.
"""

from __future__ import annotations

DATE = "2026-11-28"
RATIOS = {
    "resnet8": {"tflite int8": 0.93, "openvino float32": 0.95, "openvino int8": 0.45},
    "mobilenet_v2": {"tflite int8": 0.67, "openvino float32": 1.28, "openvino int8": 1.07},
    "ds_cnn": {"tflite int8": 1.26, "openvino float32": 1.37, "openvino int8": 1.35},
    "lstm": {"tflite int8": 4.53, "openvino float32": 0.34, "openvino int8": 0.36},
    "transformer": {"openvino float32": 1.18, "openvino int8": 1.09},
}
DATE_CENTERED = "2026-11-29"
CENTERED = {"transformer": {"tflite int8": 1.47}}


def values() -> dict[str, float]:
    """Returns the ratios by the name that sentences fill in, for example "lstm_tflite_int8"."""
    return {
        f"{model} {file}".replace(" ", "_"): ratio
        for record in (RATIOS, CENTERED)
        for model, found in record.items()
        for file, ratio in found.items()
    }

"""What an accelerator's own table says of a kind of model: which of its typical operators have no kernel there.

The tables are those that `tfday7.benchmark --check` judges files by (`benchmarking.acceleration.targets`).
"""

from __future__ import annotations

from collections.abc import Collection

from tfday7.benchmarking.acceleration.targets import gpu, nnapi, xnnpack
from tfday7.compression.advising.deployment import Case

# What such models become in a .tflite file, without what every model has.
TYPICAL = {
    "cnn": ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MEAN"),
    "rnn": ("UNIDIRECTIONAL_SEQUENCE_LSTM",),
    "transformer": ("FULLY_CONNECTED", "BATCH_MATMUL", "SOFTMAX", "SQUARED_DIFFERENCE", "RSQRT"),
    "mlp": ("FULLY_CONNECTED",),
    "embedding": ("GATHER", "FULLY_CONNECTED"),
}
# Title in sentences, what it has (of XNNPACK and NNAPI in int8), and the id of the sentence.
TABLES: dict[str, tuple[str, Collection[str], str]] = {
    "raspberry_pi": (xnnpack.TITLE, xnnpack.INT8, "operators.xnnpack"),
    "android_cpu": (xnnpack.TITLE, xnnpack.INT8, "operators.xnnpack"),
    "x86": (xnnpack.TITLE, xnnpack.INT8, "operators.xnnpack"),
    "android_gpu": (gpu.TITLE, gpu.TAKEN, "operators.gpu"),
    "android_npu": (nnapi.TITLE, nnapi.INT8, "operators.nnapi"),
}


def missing(case: Case) -> tuple[str, str, tuple[str, ...]] | None:
    """Returns the sentence's id, the target's title and the operators that it has not; None where it has them all."""
    if case.device not in TABLES:
        return None
    title, taken, sentence = TABLES[case.device]
    found = tuple(operator for operator in TYPICAL[case.model_kind] if operator not in taken)
    return (sentence, title, found) if found else None

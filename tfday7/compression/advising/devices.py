"""The table of devices: what each takes, and what each part of a recipe does to the time of a run there.

An effect is a word and the id of the sentence that says why, `compression.speed.<id>`. Where a kind of model behaves
otherwise, the line of the kind counts. What a device does not take at all is named with its reason,
`compression.refused.<id>`. Every sentence has its source in `sources`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

FASTER, DEPENDS, SAME, SLOWER = "faster", "depends", "same", "slower"


@dataclasses.dataclass(frozen=True)
class Effect:
    """What a part of a recipe does to the time of a run.

    Attributes:
        word: "faster", "depends", "same" or "slower", beside the float32 file on the same device.
        sentence: the id of why.
    """

    word: str
    sentence: str


@dataclasses.dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        speed: effect of each part of a recipe that the device takes.
        kinds: effects that are otherwise for a kind of model, by (part, kind).
        refused: part -> id of the sentence that says why the device does not take it.
        first: the recipe to begin with, since without it the device does nothing, or not what it is there for.
        targets: names in `benchmarking.acceleration.TARGETS` that judge a file for it.
        idle: parts that do not make the file smaller in which the device keeps it.
    """

    speed: Mapping[str, Effect]
    refused: Mapping[str, str]
    kinds: Mapping[tuple[str, str], Effect] = dataclasses.field(default_factory=dict)
    first: str = ""
    targets: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()

    def effect(self, part: str, kind: str) -> Effect:
        """Returns what a part does for a kind of model."""
        return self.kinds.get((part, kind)) or self.speed[part]


EVERYWHERE = {
    "shrink": Effect(FASTER, "shrink"),
    "low_rank": Effect(DEPENDS, "low_rank"),
    "qat": Effect(SAME, "qat"),
    "distil": Effect(SAME, "distil"),
    "clusters": Effect(SAME, "clusters"),
    "pattern": Effect(SAME, "pattern"),
}
LITERT_CPU = {
    **EVERYWHERE,
    "dynamic": Effect(DEPENDS, "dynamic"),
    "weight_int8": Effect(SAME, "weights"),
    "weight_int4": Effect(SAME, "weights"),
    "int16x8": Effect(SLOWER, "int16x8"),
    "zeros": Effect(SAME, "zeros"),
}
ARM = Device(
    speed={
        **LITERT_CPU,
        "int8": Effect(FASTER, "int8.arm"),
        "float16": Effect(SAME, "float16.arm"),
        "sparse": Effect(SAME, "sparse.kind"),
    },
    kinds={
        ("int8", "rnn"): Effect(SLOWER, "int8.arm.rnn"),
        ("int8", "transformer"): Effect(SLOWER, "int8.arm.transformer"),
        ("sparse", "cnn"): Effect(DEPENDS, "sparse.arm"),
    },
    refused={},
    targets=("xnnpack", "sparse"),
)
X86 = Device(
    speed={
        **LITERT_CPU,
        "int8": Effect(DEPENDS, "int8.x86"),
        "float16": Effect(SAME, "float16.x86"),
        "sparse": Effect(SAME, "sparse.x86"),
    },
    kinds={
        ("int8", "cnn"): Effect(DEPENDS, "int8.x86.cnn"),
        ("int8", "rnn"): Effect(SLOWER, "int8.x86.rnn"),
        ("int8", "transformer"): Effect(SLOWER, "int8.x86.transformer"),
    },
    refused={},
    targets=("xnnpack_here",),
)
MICRO = Device(
    speed={**EVERYWHERE, "int8": Effect(FASTER, "int8.micro"), "zeros": Effect(SAME, "zeros.micro"),
           "clusters": Effect(SAME, "clusters.micro")},
    refused={
        "float16": "micro.float16", "dynamic": "micro.hybrid", "weight_int8": "micro.hybrid",
        "weight_int4": "micro.hybrid", "int16x8": "micro.int16x8", "sparse": "micro.float32",
    },
    first="int8",
    idle=("zeros", "clusters", "pattern"),
)  # fmt: skip
GPU = Device(
    speed={
        **EVERYWHERE,
        "float16": Effect(FASTER, "float16.gpu"),
        "int8": Effect(SAME, "int8.gpu"),
        "dynamic": Effect(SAME, "dynamic.gpu"),
        "zeros": Effect(SAME, "zeros.gpu"),
        "sparse": Effect(SAME, "zeros.gpu"),
    },
    kinds={("float16", "rnn"): Effect(SAME, "float16.gpu.rnn")},
    refused={"weight_int8": "gpu.weights", "weight_int4": "gpu.weights", "int16x8": "int16x8"},
    first="float16",
    targets=("gpu",),
)
NPU = Device(
    speed={**EVERYWHERE, "int8": Effect(FASTER, "int8.npu"), "zeros": Effect(SAME, "zeros.npu")},
    kinds={
        ("int8", "rnn"): Effect(SAME, "int8.npu.rnn"),
        ("int8", "transformer"): Effect(DEPENDS, "int8.npu.transformer"),
    },
    refused={
        "float16": "npu", "dynamic": "npu", "weight_int8": "npu", "weight_int4": "npu", "sparse": "npu",
        "int16x8": "int16x8",
    },
    first="int8",
    targets=("nnapi", "edgetpu"),
)  # fmt: skip
NVIDIA = Device(
    speed={
        **EVERYWHERE,
        "float16": Effect(FASTER, "float16.nvidia"),
        "int8": Effect(FASTER, "int8.nvidia"),
        "zeros": Effect(SAME, "zeros.nvidia"),
        "pattern": Effect(DEPENDS, "pattern.nvidia"),
    },
    kinds={("int8", "rnn"): Effect(SAME, "int8.nvidia.rnn")},
    refused={part: "nvidia" for part in ("dynamic", "weight_int8", "weight_int4", "int16x8", "sparse")},
    first="float16",
)
INTEL = Device(
    speed={
        **EVERYWHERE,
        "float16": Effect(SAME, "float16.intel"),
        "int8": Effect(DEPENDS, "int8.intel"),
        "zeros": Effect(SAME, "zeros.intel"),
    },
    kinds={
        ("int8", "cnn"): Effect(DEPENDS, "int8.intel.cnn"),
        ("int8", "rnn"): Effect(SAME, "int8.intel.rnn"),
        ("int8", "transformer"): Effect(DEPENDS, "int8.intel.transformer"),
    },
    refused={part: "intel" for part in ("dynamic", "weight_int8", "weight_int4", "int16x8", "sparse")},
    targets=("openvino_int8",),
)
DEVICES: dict[str, Device] = {
    "microcontroller": MICRO,
    "raspberry_pi": ARM,
    "android_cpu": ARM,
    "android_gpu": GPU,
    "android_npu": NPU,
    "x86": X86,
    "nvidia_gpu": NVIDIA,
    "intel": INTEL,
}

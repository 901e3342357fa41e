"""The table of well-known accelerators: memory, arithmetic and links, as their makers' data sheets have them.

Rates are those of dense matrices, and a link counts in one direction: what leaves a device, all its links together.
"""

from __future__ import annotations

import dataclasses

GPU, TPU = "gpu", "tpu"


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """One kind of device.

    Attributes:
        memory_gb: GB of 10^9 bytes.
        half_tflops: 10^12 operations a second in 16 bit, sums in float32.
        float32_tflops: the same for float32 matrices, as TensorFlow multiplies them: in TF32 from Ampere on, on a TPU
            in bfloat16.
        link_gb_per_s: GB a second to the devices of the same machine, in one direction.
        source: the data sheet.
        kind: "gpu" or "tpu".
        bfloat16, float16: whether it has fast arithmetic for them.
        per_machine: devices that a machine usually has.
    """

    memory_gb: float
    half_tflops: float
    float32_tflops: float
    link_gb_per_s: float
    source: str
    kind: str = GPU
    bfloat16: bool = True
    float16: bool = True
    per_machine: int = 8


ACCELERATORS: dict[str, Accelerator] = {
    "a100_40": Accelerator(40, 312, 156, 300, "NVIDIA A100, datasheet (SXM; NVLink 600 GB/s both ways)"),
    "a100_80": Accelerator(80, 312, 156, 300, "NVIDIA A100, datasheet (SXM; NVLink 600 GB/s both ways)"),
    "h100_80": Accelerator(
        80, 989, 494, 450, "NVIDIA H100, datasheet (SXM, dense; NVLink 900 GB/s both ways)"
    ),
    "l4": Accelerator(24, 121, 60, 32, "NVIDIA L4, datasheet (dense; PCIe 4.0 x16, 64 GB/s both ways)"),
    "rtx4090": Accelerator(
        24, 165, 82.6, 32, "NVIDIA Ada GPU Architecture, whitepaper, appendix A (dense; PCIe 4.0 x16)", per_machine=4
    ),
    "t4": Accelerator(
        16, 65, 8.1, 16, "NVIDIA T4, datasheet (PCIe 3.0 x16, 32 GB/s both ways)", bfloat16=False
    ),
    "tpu_v4": Accelerator(
        32, 275, 275, 300, "cloud.google.com/tpu/docs/v4 (a chip; interconnect 2,400 Gbit/s)", kind=TPU, float16=False,
        per_machine=4,
    ),
    "tpu_v5e": Accelerator(
        16, 197, 197, 200, "cloud.google.com/tpu/docs/v5e (a chip; interconnect 1,600 Gbit/s)", kind=TPU,
        float16=False,
    ),
    "v100_32": Accelerator(
        32, 125, 15.7, 150, "NVIDIA V100, datasheet (SXM2; NVLink 300 GB/s both ways)", bfloat16=False
    ),
}  # fmt: skip

"""The fewest accumulation steps with which a batch fits into memory (`--micro_batch_size=auto`).

What a step keeps for its way back grows with the micro-batch; it is read from the graph of one gradient, at two sizes.
As much again is allowed for the gradients of those activations. Importing this module loads TensorFlow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.units import format_bytes
from tfday7.distribution.advising.measuring import BATCHES, kept_bytes
from tfday7.distribution.config import MOST_STEPS

CPU_SHARE = 0.5  # Of the memory that is free: data, other programs and the allocator's gaps need the rest.
DEVICE_SHARE = 0.8
BACKWARD = 2.0  # Activations, and their gradients.


def fewest_steps(model: Any, batch_size: int, replicas: int, budget_bytes: float) -> int:
    """Returns the smallest number of equal micro-batches of each replica that fit.

    Args:
        model: a built tf_keras model of one input.
        batch_size: examples of one optimizer step, over all replicas.
        replicas: that share it.
        budget_bytes: for the activations of one replica.

    Raises:
        UserError: the model has layers that loop, of which nothing is known before they run, or not even one example
            fits.
    """
    small, large = (kept_bytes(model, size) for size in BATCHES)
    if small is None or large is None:
        raise UserError(
            "--micro_batch_size=auto: what this model keeps cannot be told before it runs (recurrent layers)",
            "give --accumulate_steps",
        )
    each = large - small
    fixed = small - BATCHES[0] * each
    share = batch_size // replicas
    for steps in (steps for steps in range(1, min(share, MOST_STEPS) + 1) if share % steps == 0):
        if BACKWARD * (fixed + each * share // steps) <= budget_bytes:
            return steps
    raise UserError(
        f"--micro_batch_size=auto: one example needs about {format_bytes(BACKWARD * (fixed + each))}, "
        f"{format_bytes(budget_bytes)} are free, and at most {MOST_STEPS} micro-batches are possible",
        "use a smaller model or batch, or --precision=mixed_bfloat16",
    )


def budget(local_replicas: int) -> float:
    """Returns the bytes that the activations of one replica may take on this machine."""
    if tf.config.list_physical_devices("GPU"):  # Written for GPUs; not run by this project's own tests.
        from tensorflow.python.client import device_lib

        limits = [each.memory_limit for each in device_lib.list_local_devices() if each.device_type == "GPU"]
        return DEVICE_SHARE * min(limits)
    return CPU_SHARE * _free_bytes() / local_replicas


def _free_bytes() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    return float(line.split()[1]) * 1024

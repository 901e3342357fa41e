"""Which device a row was measured on, by the name that people know, and whether there is a GPU at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfday7.core import amx, environment
from tfday7.core.errors import UserError

NVIDIA = Path("/proc/driver/nvidia/gpus")  # A folder for each GPU, made by the driver.
RENDER_NODES = Path("/dev/dri")  # Of GPUs that OpenVINO knows, which are Intel's.
MEMORY, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
ON_NVIDIA = ("onnxruntime", "tensorflow", "xla")
WITHOUT_AMX = "cpu_without_amx"  # The CPU, with its matrix unit forbidden: see `core.amx`.
DEVICES = ("cpu", WITHOUT_AMX, "gpu")
FORBIDDABLE = ("litert", "onnxruntime")  # Seen to do without the unit when it is refused.


def gpu_of(runtime: str) -> str | None:
    """Returns the name of the GPU that a runtime would run on; None where this machine has none for it."""
    if runtime in ON_NVIDIA:
        return next(iter(_nvidia_gpus()), None)
    if runtime == "openvino" and RENDER_NODES.is_dir() and any(RENDER_NODES.glob("renderD*")):
        return "GPU (OpenVINO)"
    return None


def check(device: str, runtimes: Sequence[str]) -> None:
    """Raises UserError when none of the runtimes would find its device here, or one would not do without AMX."""
    if device == WITHOUT_AMX:
        others = [runtime for runtime in runtimes if runtime not in FORBIDDABLE]
        if others:
            raise UserError(f"--device={device} contradicts --runtimes={','.join(others)}",
                            f"it is for {' and '.join(FORBIDDABLE)}")  # fmt: skip
        return
    if device == "cpu" or any(gpu_of(runtime) for runtime in runtimes):
        return
    if set(runtimes) == {"litert"}:
        raise UserError("--device=gpu contradicts --runtimes=litert: its Python package runs on the CPU alone",
                        "the GPU delegate is for phones: python -m tfday7.deploy")  # fmt: skip
    raise UserError(f"--device=gpu: this machine has no GPU for {', '.join(runtimes)}", "leave it out: --device=cpu")


def name(device: str, runtime: str) -> str:
    """Returns the CPU's or the GPU's name."""
    if device == "gpu":
        return gpu_of(runtime) or "GPU"
    machine = environment.hardware()
    cpu = str(machine["cpu"] or machine["machine"])
    return f"{cpu} without AMX" if device == WITHOUT_AMX and amx.is_there() else cpu


def available_bytes() -> int | None:
    """Returns the memory that programs can still get, in bytes; None where the system does not say.

    A container's own limit counts too, where it is lower.
    """
    try:
        lines = MEMORY.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    limit, used = (_number_in(CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        found.append(max(limit - used, 0))
    return min(found, default=None)


def _number_in(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # "max" where there is no limit.


def _nvidia_gpus() -> list[str]:
    found = []
    for information in sorted(NVIDIA.glob("*/information")):
        lines = information.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
        found.append(f"NVIDIA {names[0].removeprefix('NVIDIA ')}" if names else "NVIDIA GPU")
    return found

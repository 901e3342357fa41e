"""The matrix unit of some x86 CPUs (AMX), and how a process does without it.

LiteRT's int8 kernels for it compute 64 output channels at once, so that a layer of 8 takes as long as one of 64: a
model of which channels were removed is no faster there, and an int8 file of a small model can be slower than on a CPU
without the unit (XNNPACK's xnn_qs8_qc8w_igemm_minmax_fp32_ukernel_16x64c4__avx512amx took 90% of the time of a
ResNet-8 with at most 24 channels). Phones, Raspberry Pis and most PCs have none, and a time measured with it says
little of them.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

# Linux gives the unit's registers to a process that asks, unless a stack for signals is too small to save them on:
# Documentation/arch/x86/xstate.rst. One of this size holds what AVX-512 needs (about 3,500 bytes), and not AMX's 8 KiB.
STACK_BYTES = 8192
SYS_ARCH_PRCTL, ARCH_GET_XCOMP_PERM, TILE_DATA = 158, 0x1022, 1 << 18
_stacks: list[ctypes.Array[ctypes.c_char]] = []  # They belong to the kernel as long as the process lives.


class _Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def is_there() -> bool:
    """Returns whether the CPU has the unit; False where the system does not say."""
    try:
        return " amx_tile " in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False


def is_permitted() -> bool:
    """Returns whether this process may use the unit: a library has asked for it, and Linux has agreed."""
    if sys.platform != "linux" or not is_there():
        return False
    features = ctypes.c_ulong()
    failed = ctypes.CDLL(None).syscall(SYS_ARCH_PRCTL, ARCH_GET_XCOMP_PERM, ctypes.byref(features))
    return not failed and bool(features.value & TILE_DATA)


def forbid() -> None:
    """Makes Linux refuse the unit to this process from now on; libraries then take their kernels for AVX-512.

    Does nothing where there is none. To be called before a runtime is imported, in a process of its own.

    Raises:
        OSError: the system does not do it.
    """
    if not is_there():
        return
    buffer = ctypes.create_string_buffer(STACK_BYTES)
    _stacks.append(buffer)
    stack = _Stack(ctypes.addressof(buffer), 0, STACK_BYTES)
    library = ctypes.CDLL(None, use_errno=True)
    if library.sigaltstack(ctypes.byref(stack), None):
        raise OSError(ctypes.get_errno(), "AMX cannot be forbidden")

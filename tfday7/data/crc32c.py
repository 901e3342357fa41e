"""CRC-32C (Castagnoli; RFC 3720, appendix B.4) of many byte strings at once, in NumPy.

A CRC is linear: zeros in front of a string change nothing, and the CRC of two parts follows from theirs. So all strings
are cut into strips of 512 bytes, all strips advance by a byte in one step, and strips are put together in the end.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

POLYNOMIAL = 0x82F63B78  # Reflected.
STRIP = 512
ONES = 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """Returns the CRC-32C of one short string; `crc32c_of_all` is faster for long or many ones."""
    table = _table_as_list()
    crc = ONES
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ ONES


def crc32c_of_all(contents: Sequence[bytes]) -> list[int]:
    """Returns the CRC-32C of each string."""
    counts = [-(-len(content) // STRIP) for content in contents]
    ends = np.cumsum(counts, dtype=np.int64).tolist()
    strips = np.zeros((sum(counts), STRIP), np.uint8)
    flat = strips.reshape(-1)
    for content, end in zip(contents, ends, strict=True):
        start = end * STRIP - len(content)
        flat[start : end * STRIP] = np.frombuffer(content, np.uint8)
        flat[start : min(start + 4, end * STRIP)] ^= 0xFF  # Starting from ones is turning the first four bytes.
    crcs = _of_strips(strips).tolist()
    return [
        _joined(crcs[end - count : end]) ^ ONES if len(content) >= 4 else crc32c(content)
        for content, count, end in zip(contents, counts, ends, strict=True)
    ]


def _of_strips(strips: np.ndarray) -> np.ndarray:
    """Returns the CRC of each strip [n, STRIP], started from zero."""
    crcs = np.zeros(len(strips), np.uint32)
    table = _table()
    for column in np.ascontiguousarray(strips.T):
        crcs = table[(crcs ^ column) & 0xFF] ^ (crcs >> 8)
    return crcs


def _joined(crcs: list[int]) -> int:
    """Returns the CRC of strips that follow each other."""
    first, second, third, fourth = _strip_tables()
    joined = 0
    for crc in crcs:
        joined = (
            crc ^ first[joined & 0xFF] ^ second[joined >> 8 & 0xFF] ^ third[joined >> 16 & 0xFF] ^ fourth[joined >> 24]
        )
    return joined


@functools.cache
def _table() -> np.ndarray:
    """Returns how each byte advances a CRC, uint32 [256]."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1)
    return table


@functools.cache
def _table_as_list() -> list[int]:
    return _table().tolist()


@functools.cache
def _strip_tables() -> list[list[int]]:
    """Returns what a whole strip of zeros makes of each of the four bytes of a CRC."""
    crcs = (np.arange(256, dtype=np.uint32)[np.newaxis] << np.array([[0], [8], [16], [24]], np.uint32)).astype(
        np.uint32
    )
    for _ in range(STRIP):
        crcs = _table()[crcs & 0xFF] ^ (crcs >> 8)
    return crcs.tolist()

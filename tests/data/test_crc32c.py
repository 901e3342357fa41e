"""CRC-32C against the values of RFC 3720 and a bit-by-bit computation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfday7.data.crc32c import crc32c, crc32c_of_all

# Appendix B.4, its bytes read as little-endian numbers; the last is the check value of the CRC catalogues.
RFC_3720 = {
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(range(31, -1, -1)): 0x113FDB5C,
    b"123456789": 0xE3069283,
}


def _bit_by_bit(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize("content", RFC_3720)
def test_published_values(content: bytes) -> None:
    assert crc32c(content) == RFC_3720[content]
    assert crc32c_of_all([content, content]) == [RFC_3720[content]] * 2


@settings(deadline=None)
@given(st.lists(st.integers(0, 2000).flatmap(lambda size: st.randoms().map(lambda r: r.randbytes(size))), max_size=6))
def test_many_strings_of_any_length_at_once(contents: list[bytes]) -> None:
    assert crc32c_of_all(contents) == [_bit_by_bit(content) for content in contents]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 511, 512, 513, 1024, 1025])
def test_lengths_around_a_strip(size: int) -> None:
    content = bytes(i * 7 % 256 for i in range(size))
    assert crc32c_of_all([content]) == [crc32c(content)] == [_bit_by_bit(content)]

"""Every purpose has a stream of its own."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfday7.core.seeds import derive_seed


@given(st.integers(0, 2**63), st.text(max_size=20), st.integers(0, 10**6), st.sampled_from([1, 16, 31, 32, 64]))
def test_a_seed_is_in_range_and_repeatable(seed: int, name: str, epoch: int, bits: int) -> None:
    derived = derive_seed(seed, name, epoch, bits=bits)
    assert 0 <= derived < 2**bits
    assert derived == derive_seed(seed, name, epoch, bits=bits)


def test_a_seed_is_the_top_bits_of_a_blake2b_hash() -> None:
    digest = hashlib.blake2b(b"(7, 'shuffle', 3)", digest_size=8).hexdigest()
    assert derive_seed(7, "shuffle", 3, bits=64) == int(digest, 16)
    assert derive_seed(7, "shuffle", 3) == int(digest, 16) // 2**33


def test_neighbouring_seeds_and_purposes_never_share_a_stream() -> None:
    derived = {derive_seed(seed, purpose, i) for seed in range(20) for purpose in ("a", "b") for i in range(25)}
    assert len(derived) == 20 * 2 * 25  # A birthday collision among 1,000 in 2**31 has a chance of 0.02%.


def test_derived_seeds_are_uniform() -> None:
    values = np.array([derive_seed(0, i) for i in range(10_000)]) / 2**31
    counts, _ = np.histogram(values, bins=10, range=(0, 1))
    chi_square = float(np.sum((counts - 1000.0) ** 2 / 1000.0))
    assert chi_square < 27.9  # 99.9% point of chi-square with 9 degrees of freedom.

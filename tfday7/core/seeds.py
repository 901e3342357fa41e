"""One `--seed` gives every part of the program a stream of its own.

Streams are derived by hashing, so that adding a consumer of randomness never shifts the numbers that another one sees.
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *purpose: str | int, bits: int = 31) -> int:
    """Returns a seed for one purpose: a non-negative integer below 2**bits.

    Args:
        seed: the run's seed.
        purpose: what the stream is for, for example ("shuffle", epoch).
        bits: how many bits; 31 fits every seed argument of TensorFlow.
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - bits)

"""Estimates: plain arithmetic before anything is measured, mended by what is."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import numpy as np
import pytest

from tfday7.compression.search.estimates import Estimate, Estimates, Measured, Structure, bits
from tfday7.compression.search.space import Point

WHOLE = Structure((80_000, 80_000), (9_000_000, 9_000_000))
HALF = Structure((80_000, 21_000), (9_000_000, 2_400_000))


def estimate(point: Point, structure: Structure, measured: Sequence[Measured] = ()) -> Estimate:
    return Estimates(measured).of(point, structure)


def test_half_the_channels_are_a_quarter_of_everything() -> None:
    whole, half = (estimate(Point(0.5), each) for each in (WHOLE, HALF))
    assert half.macs == 2_400_000
    assert half.gzip_bytes < whole.gzip_bytes / 3
    assert half.latency_ratio == pytest.approx(0.05 + 0.95 * 2.4 / 9)


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.7, 0.9])
def test_bits_of_zeros_are_what_gzip_needs(sparsity: float) -> None:
    generator = np.random.default_rng(0)
    weights = np.clip(np.rint(generator.normal(0, 28, 100_000)), -127, 127).astype(np.int8)
    weights[generator.permutation(len(weights))[: round(sparsity * len(weights))]] = 0
    packed = len(gzip.compress(weights.tobytes(), 9)) * 8 / len(weights)
    assert bits(Point(sparsity=sparsity)) == pytest.approx(packed, rel=0.15)


@pytest.mark.parametrize("clusters", [8, 16, 32])
def test_bits_of_clusters_are_what_gzip_needs(clusters: int) -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(-127, 127, clusters)
    weights = values[generator.integers(0, clusters, 100_000)].astype(np.int8)
    packed = len(gzip.compress(weights.tobytes(), 9)) * 8 / len(weights)
    assert bits(Point(clusters=clusters)) == pytest.approx(packed, rel=0.25)


def test_what_was_measured_mends_the_rest() -> None:
    plain = estimate(Point(0.5), HALF)
    measured = [Measured(Point(), WHOLE, 100_000, 90_000, 0.5)]
    whole = estimate(Point(), WHOLE)
    mended = estimate(Point(0.5), HALF, measured)
    assert mended.gzip_bytes == pytest.approx(plain.gzip_bytes * 90_000 / whole.gzip_bytes)
    assert mended.latency_ratio == pytest.approx(plain.latency_ratio * 0.5)
    alone = estimate(Point(), WHOLE, measured)
    assert (round(alone.gzip_bytes), alone.latency_ratio) == (90_000, pytest.approx(0.5))


def test_it_is_mended_by_what_is_as_large() -> None:
    tiny = Structure((80_000, 1_000), (9_000_000, 90_000))

    def found(structure: Structure, factor: float) -> Measured:
        plain = estimate(Point(), structure)
        return Measured(Point(), structure, round(plain.size_bytes), round(plain.gzip_bytes * factor), None)

    measured = [found(WHOLE, 1.0)] * 3 + [found(tiny, 2.0)] * 3
    assert estimate(Point(), tiny, measured).gzip_bytes == pytest.approx(2.0 * estimate(Point(), tiny).gzip_bytes, 1e-3)
    assert estimate(Point(), WHOLE, measured).gzip_bytes == pytest.approx(estimate(Point(), WHOLE).gzip_bytes, 1e-3)

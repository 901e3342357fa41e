"""What counts as an improvement, against tables of Student's t and counting by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tfday7.diagnosis.repairing import racing


def test_student_is_the_one_sided_95_percent_quantile() -> None:
    for seeds, value in racing.STUDENT.items():
        assert value == pytest.approx(stats.t.ppf(0.95, seeds - 1), abs=1e-3)


def test_one_seed_only_screens() -> None:
    assert racing.improves([0.9], [0.8], 0.01) is None
    assert racing.improves([0.805], [0.8], 0.01) is False
    assert racing.improves([0.7], [0.8], 0.01) is False


def test_two_seeds_decide_where_they_agree_and_a_third_where_they_do_not() -> None:
    assert racing.improves([0.95, 0.94], [0.10, 0.12], 0.01) is True
    assert racing.improves([0.95, 0.60], [0.10, 0.55], 0.01) is None
    assert racing.improves([0.95, 0.60], [0.96, 0.60], 0.01) is False


def test_three_seeds_decide_as_the_paired_test_of_scipy_or_as_a_clear_separation() -> None:
    generator = np.random.default_rng(0)
    for _ in range(300):
        before = generator.uniform(0.5, 0.6, 3)
        after = before + generator.normal(0.02, 0.02, 3)
        paired = stats.ttest_rel(after, before, alternative="greater").pvalue < 0.05
        apart = after.min() > before.max() + 0.001
        wanted = bool((paired or apart) and np.mean(after - before) > 0.001)
        assert racing.improves(after.tolist(), before.tolist(), 0.001) is wanted


def test_three_of_three_above_three_is_one_in_twenty_by_chance() -> None:
    splits = list(itertools.combinations(range(6), 3))
    assert [set(split) == {3, 4, 5} for split in splits].count(True) / len(splits) == 1 / 20
    assert math.comb(6, 3) == 20
    assert racing.improves([0.7, 0.9, 0.95], [0.1, 0.6, 0.2], 0.01) is True


def test_what_the_validation_split_cannot_show_is_no_improvement() -> None:
    finest = racing.resolution(100)
    assert finest == 1 / 100
    assert racing.improves([0.51, 0.51, 0.51], [0.5, 0.5, 0.5], finest + 1e-9) is False


def test_noise_alone_is_rarely_kept() -> None:
    generator = np.random.default_rng(1)
    kept = 0
    for _ in range(2000):
        after, before = generator.normal(0.8, 0.02, (2, 3)).tolist()
        for seeds in (1, 2, 3):
            verdict = racing.improves(after[:seeds], before[:seeds], 0.005)
            if verdict is not None:
                break
        kept += bool(verdict)
    assert kept / 2000 < 0.12  # Two looks of 5% each, and one at the separation.

"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7.core.units import format_bytes, format_count, format_duration, format_number


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (94_640, "94.6 kB"), (999_499, "999.5 kB"), (999_999, "1.0 MB"),
        (2_500_000, "2.5 MB"), (10**9, "1.0 GB"), (5 * 10**12, "5000.0 GB"), (None, "?"),
    ],
)  # fmt: skip
def test_a_kilobyte_is_a_thousand_bytes(size: int | None, expected: str) -> None:
    assert format_bytes(size) == expected


@given(st.integers(0, 10**12))
def test_a_size_reads_back_within_its_last_digit(size: int) -> None:
    number, unit = format_bytes(size).split()
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}[unit]
    assert abs(float(number) * factor - size) <= (0.0501 * factor if factor > 1 else 0)
    assert float(number) < 1000 or unit == "GB"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.85, "850 ms"), (0.0004, "0 ms"), (0.9999, "1.0 s"), (12.34, "12.3 s"), (59.94, "59.9 s"),
        (59.96, "1 min 00 s"), (245, "4 min 05 s"), (3599.7, "60 min 00 s"), (None, "?"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_that_suits_it(seconds: float | None, expected: str) -> None:
    assert format_duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.97312, 4, "0.9731"), (0.0, 4, "0.0000"), (0.00002, 4, "2.0e-05"), (-0.00002, 4, "-2.0e-05"),
        (1234.5, 1, "1,234.5"), (0.004, 2, "4.0e-03"), (None, 4, "?"),
    ],
)  # fmt: skip
def test_a_small_number_never_reads_as_zero(value: float | None, digits: int, expected: str) -> None:
    assert format_number(value, digits) == expected


def test_counts_have_separators_and_unknown_is_a_question_mark() -> None:
    assert format_count(85_066) == "85,066"
    assert format_count(None) == "?"

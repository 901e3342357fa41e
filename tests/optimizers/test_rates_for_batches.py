"""Rates of optimizers for large batches: those of their papers, of short runs, and what is searched around them."""

from __future__ import annotations

import dataclasses

import pytest

from tfday7.optimizers import Situation, advise, catalog


@pytest.mark.parametrize(
    ("optimizer", "batch", "rate"),
    [
        ("lamb", 32, 6.3e-4), ("lamb", 512, 6.3e-4), ("lamb", 2048, 1.3e-3), ("lamb", 32_768, 5e-3),
        ("lars", 256, 0.3), ("lars", 8192, 9.6),
    ],
)  # fmt: skip
def test_the_rates_for_large_batches_are_those_of_the_papers(optimizer: str, batch: int, rate: float) -> None:
    advice = advise(Situation(model_kind="cnn", batch_size=batch), optimizer=optimizer)
    assert advice.settings["learning_rate"] == rate
    low, high = advice.tune[0].range
    usual = catalog.OPTIMIZERS[optimizer].learning_rate_range
    assert low <= min(usual[0], rate / 5)
    assert high >= max(usual[1], rate * 5)


def test_lamb_takes_a_larger_rate_in_a_short_run_as_adam_does() -> None:
    short = Situation(model_kind="cnn", batch_size=32, examples=1245, epochs=10)
    advice = advise(short, optimizer="lamb")
    assert advice.settings["learning_rate"] == 1.4e-3  # 390 steps: 0.000625 * sqrt(2000 / 390).
    assert "rate_few_steps" in {reason.id for reason in advice.reasons}
    large = dataclasses.replace(short, batch_size=2048, examples=100_000, epochs=1)
    assert advise(large, optimizer="lamb").settings["learning_rate"] == 1.9e-3  # 49 steps: three times 0.000625.
    larger = dataclasses.replace(large, batch_size=32_768, examples=10_000_000)
    assert advise(larger, optimizer="lamb").settings["learning_rate"] == 5e-3  # 306 steps, as the paper has it.
    rates = [
        advise(dataclasses.replace(short, batch_size=batch, examples=60_000, epochs=3), optimizer="lamb")
        for batch in (256, 512, 513, 1024, 4096, 16_384)
    ]
    found = [each.settings["learning_rate"] for each in rates]
    assert found == sorted(found)
    tuned = advise(dataclasses.replace(short, fine_tuning=True), optimizer="lamb")
    assert tuned.settings["learning_rate"] == 6.3e-5


@pytest.mark.parametrize("optimizer", ["lamb", "tfa_lamb", "lars"])
def test_a_fine_tuning_is_searched_around_its_own_rate(optimizer: str) -> None:
    advice = advise(Situation(model_kind="cnn", batch_size=32, fine_tuning=True), optimizer=optimizer)
    low, high = advice.tune[0].range
    assert low >= advice.settings["learning_rate"] / 11
    assert high <= advice.settings["learning_rate"] * 11

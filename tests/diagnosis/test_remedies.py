"""Remedies are flags that the run takes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfday7.diagnosis import remedies
from tfday7.diagnosis.evidence import Evidence


def _run(kind: str = "image", **flags: str) -> Evidence:
    return Evidence(np.ones(5), np.ones(5), kind=kind, flags=flags)


@pytest.mark.parametrize(
    ("flags", "factor", "expected"),
    [
        ({"model": "mlp"}, 2, "--width=256"),  # The defaults of the architectures: 128, 32 and 16.
        ({"model": "cnn"}, 2, "--width=64"),
        ({"model": "resnet8"}, 0.5, "--width=8"),
        ({"model": "mlp", "width": "10"}, 0.5, "--width=5"),
        ({"model": "mlp", "width": "1"}, 0.5, None),  # There is nothing to take away.
        ({}, 2, "--width=64"),  # The default model is cnn.
        ({"model": "python:mine:f"}, 2, ""),
        ({"model": "own.keras"}, 2, ""),
        ({"model": "keras.applications:VGG16"}, 2, ""),
        ({"model": "transformer"}, 0.5, "--width=64"),
        ({"model": "linear"}, 2, ""),  # On images it has no width.
    ],
)
def test_width_is_relative_to_what_the_model_has(flags: dict[str, str], factor: float, expected: str | None) -> None:
    assert remedies.width(_run(**flags), factor) == expected


def test_regularization_grows_from_what_there_is() -> None:
    assert remedies.more_dropout(_run()) == "--dropout=0.2"
    assert remedies.more_dropout(_run(dropout="0.3")) == "--dropout=0.5"
    assert remedies.more_dropout(_run(dropout="0.5")) == "--dropout=0.6"
    assert remedies.more_dropout(_run(dropout="0.6")) is None
    assert remedies.more_dropout(_run(dropout="0.8")) is None  # Never less than before.
    assert remedies.more_l2(_run()) == "--l2=0.0001"
    assert remedies.more_l2(_run(l2="0.002")) == "--l2=0.02"


@pytest.mark.parametrize("remedy", [remedies.more_dropout, remedies.more_l2, remedies.no_regularization])
def test_models_that_bring_their_own_layers_take_no_regularization(remedy: object) -> None:
    assert remedy(_run(model="own.keras")) == ""
    assert remedy(_run(model="mlp")) != ""


def test_augmentation_suits_the_data() -> None:
    assert remedies.augment(_run("image")) == "--augment=shift"
    assert remedies.augment(_run("tabular")) == "--augment=noise"


def test_longer_is_longer_than_what_was_asked_for() -> None:
    assert remedies.longer(_run()) == "--epochs=15"  # Of a history alone, the recorded ones are all that is known.
    assert remedies.longer(_run(epochs="100")) == "--epochs=300"
    assert remedies.longer(dataclasses.replace(_run(epochs="100"), stopped="early")) is None


def test_a_batch_is_no_larger_than_the_training_split() -> None:
    assert remedies.larger_batch(_run()) == ""
    assert remedies.larger_batch(_run(batch_size="32")) == "--batch_size=64"
    assert remedies.larger_batch(dataclasses.replace(_run(batch_size="32"), train_examples=64)) == "--batch_size=64"
    assert remedies.larger_batch(dataclasses.replace(_run(batch_size="32"), train_examples=63)) is None


def test_a_range_test_is_advised_once() -> None:
    assert remedies.find_rate(_run(learning_rate="0.1")) == "--learning_rate=find"
    assert remedies.find_rate(dataclasses.replace(_run(learning_rate="0.1"), found_rate=True)) is None


def test_the_rate_is_divided() -> None:
    assert remedies.lower_rate(_run(learning_rate="0.3"), 10) == "--learning_rate=0.03"
    assert remedies.lower_rate(_run(learning_rate="0.01"), 3) == "--learning_rate=0.00333"
    assert remedies.lower_rate(_run(), 10) == "--learning_rate=0.0001"


def test_the_optimizers_own_rate_is_lowered_when_none_was_given() -> None:
    assert remedies.lower_rate(_run(optimizer="lion"), 10) == "--learning_rate=1e-05"
    assert remedies.lower_rate(_run(optimizer="adadelta"), 10) == "--learning_rate=0.1"


@pytest.mark.parametrize(
    ("rate", "expected"),
    [("0.0001", "--learning_rate=0.01"), ("0.01", "--learning_rate=0.1"), ("0.1", None), ("0.5", None)],
)
def test_a_rate_that_is_high_already_is_not_raised(rate: str, expected: str | None) -> None:
    assert remedies.higher_rate(_run(learning_rate=rate), 100) == expected


@pytest.mark.parametrize(
    ("examples", "before", "expected"),
    [
        (0, "", "--warmup_steps=100"),  # How long the run is was not recorded.
        (0, "1000", None),  # A shorter one would be no remedy.
        (3200, "", "--warmup_steps=100"),  # 100 batches of 32 in each of 20 epochs.
        (320, "0", "--warmup_steps=20"),
        (320, "30", None),
        (10, "", "--warmup_steps=2"),
    ],
)
def test_a_warm_up_is_longer_than_the_runs_and_fits_into_it(examples: int, before: str, expected: str | None) -> None:
    flags = {"batch_size": "32", "epochs": "20", "warmup_steps": before}
    evidence = Evidence(np.ones(5), np.ones(5), train_examples=examples, flags=flags)
    assert remedies.warmup(evidence) == expected
    assert remedies.warmup(Evidence(np.ones(5), np.ones(5), train_examples=64, flags={"epochs": "1"})) is None


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, "--global_clipnorm=1.0"),
        ({"global_clipnorm": "5"}, "--global_clipnorm=1.0"),
        ({"global_clipnorm": "1"}, None),
        ({"global_clipnorm": "0.1"}, None),
        ({"clipnorm": "0.1"}, None),  # One way of clipping at a time.
    ],
)
def test_a_run_that_clips_closer_is_not_told_to_clip(flags: dict[str, str], expected: str | None) -> None:
    assert remedies.clipping(_run(**flags)) == expected


def test_what_the_run_has_already_is_no_remedy() -> None:
    assert remedies.augment(_run("image", augment="flip")) == "--augment=flip,shift"
    assert remedies.augment(_run("image", augment="flip,shift")) is None
    assert remedies.unless_set(_run(schedule="cosine"), "--schedule=cosine") is None
    assert remedies.unless_set(_run(schedule="constant"), "--schedule=cosine") == "--schedule=cosine"
    assert remedies.no_regularization(_run(model="mlp", dropout="0.0", l2="0.0")) is None
    assert remedies.no_regularization(_run(model="mlp", dropout="0.3", l2="0.0")) == "--dropout=0"


@pytest.mark.parametrize(
    ("flags", "remedy", "taken"),
    [
        ({}, "--global_clipnorm=1.0", True),
        ({"clipnorm": "5.0"}, "--global_clipnorm=1.0", False),  # One way of clipping at a time.
        ({"optimizer": "sgd"}, "--optimizer=adam", True),
        ({"optimizer": "sgd", "momentum": "0.95"}, "--optimizer=adam", False),  # Adam has no momentum to set.
        ({"optimizer": "sgd", "use_ema": "true"}, "--schedule=cosine", True),
        ({"optimizer": "schedule_free_adamw"}, "--schedule=cosine", False),
        ({"optimizer": "schedule_free_adamw", "warmup_steps": "0"}, "--warmup_steps=100", True),
    ],
)
def test_what_the_run_would_refuse_is_no_remedy(flags: dict[str, str], remedy: str, taken: bool) -> None:
    assert remedies.unless_set(_run(**flags), remedy) == (remedy if taken else None)


def test_of_a_history_alone_no_flag_is_made_up() -> None:
    history = _run(kind="")
    assert remedies.width(history, 2) == remedies.more_dropout(history) == remedies.more_l2(history) == ""
    assert remedies.augment(history) == remedies.lower_rate(history, 10) == remedies.no_regularization(history) == ""
    assert remedies.clipping(history) == "--global_clipnorm=1.0"
    assert remedies.warmup(history) == "--warmup_steps=100"


@pytest.mark.parametrize(
    ("depth", "expected"), [("1", None), ("2", "--depth=1"), ("3", "--depth=1"), ("6", "--depth=3"), ("", "--depth=1")]
)
def test_half_of_the_depth_is_left(depth: str, expected: str | None) -> None:
    assert remedies.shallower(_run(model="mlp", depth=depth)) == expected

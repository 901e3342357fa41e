"""Splits follow each example's content; task, scaling and fingerprint follow the data."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfday7.core.errors import UserError
from tfday7.data import DataConfig, Dataset, Examples, load
from tfday7.data.loading import content_hashes, prepare
from tfday7.data.source import Raw

SPLITS = ("train", "validation", "test")


def _numbered(n: int, first: int = 0) -> Raw:
    """Examples that can be told apart: example i holds i and has the label i % 3."""
    numbers = np.arange(first, first + n)
    return Raw(np.stack([numbers, -numbers], axis=1).astype(np.float64), numbers % 3)


def _sides(dataset: Dataset) -> dict[float, str]:
    """Returns which split each example is in, by its first value."""
    return {float(row[0]): split for split in SPLITS for row in getattr(dataset, split).x}


def test_every_example_is_in_exactly_one_split_with_its_own_label() -> None:
    dataset = prepare(_numbered(500), "t")
    assert sum(len(getattr(dataset, split)) for split in SPLITS) == 500
    assert set(_sides(dataset)) == set(range(500))
    for split in SPLITS:
        part: Examples = getattr(dataset, split)
        np.testing.assert_array_equal(part.x[:, 0] % 3, part.y)


def test_sides_do_not_depend_on_the_order() -> None:
    raw = _numbered(300)
    shuffled = np.random.default_rng(1).permutation(300)
    assert _sides(prepare(raw, "t")) == _sides(prepare(Raw(raw.x[shuffled], raw.y[shuffled]), "t"))


def test_an_example_keeps_its_side_when_more_are_added() -> None:
    few, many = _sides(prepare(_numbered(200), "t")), _sides(prepare(_numbered(1000), "t"))
    assert all(many[number] == side for number, side in few.items())


def test_duplicates_stay_together() -> None:
    raw = _numbered(100)
    x = np.concatenate([raw.x] * 3)
    dataset = prepare(Raw(x, np.concatenate([raw.y] * 3)), "t")
    for split in SPLITS:
        values, counts = np.unique(getattr(dataset, split).x[:, 0], return_counts=True)
        assert set(counts) == {3}
        assert all(_sides(dataset)[value] == split for value in values)


def test_zero_and_minus_zero_are_the_same_example() -> None:
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    plus, minus = x.copy(), x.copy()
    plus[:, 1], minus[:, 1] = 0.0, -0.0
    np.testing.assert_array_equal(content_hashes(plus), content_hashes(minus))


def test_sides_ignore_the_label_and_the_number_type() -> None:
    raw = _numbered(200)
    wide = _sides(prepare(raw, "t"))
    assert wide == _sides(prepare(Raw(raw.x.astype(np.int16), raw.y), "t"))
    assert wide == _sides(prepare(Raw(raw.x.astype(">f4"), (raw.y + 1) % 3), "t"))
    assert wide == _sides(prepare(Raw(np.asfortranarray(raw.x), raw.y), "t"))


@pytest.mark.parametrize(("given", "share"), [((), 0.15), (("test",), 0.10)])
def test_shares_lie_within_binomial_bounds(given: tuple[str, ...], share: float) -> None:
    n = 20_000
    extra = {name: (np.full((5, 2), -1.0), np.zeros(5, int)) for name in given}
    dataset = prepare(dataclasses.replace(_numbered(n), **extra), "t")
    bound = 4 * math.sqrt(n * share * (1 - share))  # Four standard deviations: a miss in 16,000.
    made = [split for split in ("validation", "test") if split not in given]
    for split in made:
        assert abs(len(getattr(dataset, split)) - n * share) < bound
    assert abs(len(dataset.train) - n * (1 - share * len(made))) < 2 * bound


def test_hashes_are_uniform() -> None:
    hashes = np.sort(content_hashes(np.arange(10_000, dtype=np.float32)[:, np.newaxis]))
    distance = np.abs(hashes - np.linspace(0, 1, 10_000)).max()
    assert distance < 1.95 / math.sqrt(10_000)  # Kolmogorov-Smirnov, 0.1% level.


def test_given_splits_stay_as_they_are() -> None:
    validation = (np.full((7, 2), 1000.0), np.arange(7) % 3)
    test = (np.full((9, 2), 2000.0), np.arange(9) % 3)
    dataset = prepare(dataclasses.replace(_numbered(50), validation=validation, test=test), "t")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (50, 7, 9)
    np.testing.assert_array_equal(dataset.test.y, test[1])


def test_a_split_that_lies_in_a_later_one_as_a_whole_is_named() -> None:
    raw, few = _numbered(50), _numbered(9)
    with pytest.raises(UserError, match="all 50 examples of the train split lie in a later split too"):
        prepare(dataclasses.replace(raw, test=(raw.x, raw.y)), "t")
    with pytest.raises(UserError, match="all 9 examples of the validation split lie in a later split too"):
        prepare(dataclasses.replace(raw, validation=(few.x, few.y), test=(few.x[::-1], few.y[::-1])), "t")


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 8, 10])
@pytest.mark.parametrize("first", range(0, 60, 10))
def test_a_split_is_never_silently_empty(n: int, first: int) -> None:
    try:
        dataset = prepare(_numbered(n, first), "t")
    except UserError as error:
        assert "no example is left for the" in error.message  # noqa: PT017
        assert f"of {n} examples" in error.message  # noqa: PT017
        assert error.hint  # noqa: PT017
    else:
        assert min(len(getattr(dataset, split)) for split in SPLITS) > 0


# What is made of the values.


def test_bytes_are_pixels_and_go_to_0_to_1() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), dtype=np.uint8)
    dataset = prepare(Raw(x, np.arange(60) % 2), "t")
    assert dataset.preprocessing == "pixels / 255"
    assert dataset.train.x.dtype == np.float32
    seen = {round(float(value) * 255) for split in SPLITS for value in np.ravel(getattr(dataset, split).x)}
    assert seen == set(np.ravel(x).tolist())


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.uint16, np.bool_])
def test_other_numbers_keep_their_values(dtype: type) -> None:
    high = 2 if dtype is np.bool_ else 256
    x = np.random.default_rng(0).integers(0, high, (60, 4, 4, 1)).astype(dtype)
    dataset = prepare(Raw(x, np.arange(60) % 2), "t")
    assert dataset.preprocessing == ""
    assert dataset.train.x.dtype == np.float32
    assert dataset.train.x.max() == x.max()


def test_token_ids_stay_whole_numbers() -> None:
    ids = np.random.default_rng(0).integers(0, 3, (60, 8)).astype(np.int32)
    dataset = prepare(Raw(ids, np.arange(60) % 2, vocabulary=("", "?", "a")), "t")
    assert (dataset.problem.kind, dataset.train.x.dtype) == ("text", np.int32)


def test_a_table_of_bytes_is_no_image() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 5), dtype=np.uint8)
    assert prepare(Raw(x, np.arange(60) % 2), "t").train.x.max() > 1


@pytest.mark.parametrize(
    ("shape", "kind"), [((5,), "tabular"), ((6, 5), "series"), ((6, 5, 2), "image"), ((2, 6, 5, 2), "array")]
)
def test_the_kind_follows_the_rank(shape: tuple[int, ...], kind: str) -> None:
    x = np.random.default_rng(0).normal(size=(60, *shape))
    problem = prepare(Raw(x, np.arange(60) % 2), "t").problem
    assert (problem.kind, problem.input_shape) == (kind, shape)
    assert (problem.feature_mean is None) == (kind not in ("tabular", "series"))


def test_statistics_are_of_the_training_split_alone() -> None:
    raw = Raw(np.random.default_rng(0).normal(5, 3, (300, 4)), np.random.default_rng(1).normal(-7, 2, 300))
    dataset = prepare(raw, "t")
    problem = dataset.problem
    train = dataset.train
    np.testing.assert_allclose(problem.feature_mean, np.mean(train.x.astype(np.float64), axis=0), rtol=1e-6)
    np.testing.assert_allclose(problem.feature_std, np.std(train.x.astype(np.float64), axis=0), rtol=1e-6)
    np.testing.assert_allclose(problem.target_mean, [np.mean(train.y.astype(np.float64))], rtol=1e-6)
    np.testing.assert_allclose(problem.target_std, [np.std(train.y.astype(np.float64))], rtol=1e-6)
    assert not np.allclose(problem.feature_mean, raw.x.mean(axis=0), rtol=1e-6)


def test_a_constant_column_is_divided_by_one() -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    x[:, 1] = 8.0
    assert prepare(Raw(x, np.arange(100) % 2), "t").problem.feature_std[1] == 1.0


def test_regression_targets_are_a_column_of_float32() -> None:
    y = np.random.default_rng(0).normal(size=(100, 2))
    problem = prepare(Raw(_numbered(100).x, y), "t").problem
    assert (problem.task, problem.outputs, problem.class_names, problem.metric) == ("regression", 2, (), "r2_score")
    assert prepare(Raw(_numbered(100).x, y[:, 0]), "t").train.y.shape[1:] == (1,)


# The fingerprint.

_base = Raw(np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32), np.arange(80) % 2)


@settings(max_examples=60)
@given(st.integers(0, 79), st.integers(0, 2), st.floats(-10, 10, width=32))
def test_the_fingerprint_changes_with_any_value(example: int, feature: int, value: float) -> None:
    x = _base.x.copy()
    x[example, feature] = value
    same = bool(np.array_equal(x, _base.x))
    assert (prepare(Raw(x, _base.y), "t").fingerprint == prepare(_base, "t").fingerprint) == same


@settings(max_examples=30)
@given(st.integers(0, 79))
def test_the_fingerprint_changes_with_any_label(example: int) -> None:
    y = _base.y.copy()
    y[example] = 1 - y[example]
    assert prepare(Raw(_base.x, y), "t").fingerprint != prepare(_base, "t").fingerprint


def test_the_fingerprint_depends_on_class_names_but_not_on_the_name_of_the_data() -> None:
    named = dataclasses.replace(_base, class_names=("no", "yes"))
    fingerprint = prepare(_base, "t").fingerprint
    assert prepare(named, "t").fingerprint != fingerprint
    assert prepare(_base, "another").fingerprint == fingerprint
    assert len(fingerprint) == 16
    int(fingerprint, 16)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=12),
    ),
    hnp.arrays(
        st.sampled_from([np.dtype(np.float64), np.dtype(np.int64), np.dtype("U3"), np.dtype("S3")]),
        hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=12),
    ),
    st.sampled_from(["auto", "classification", "multilabel", "regression"]),
)
def test_arrays_of_any_shape_and_type_are_loaded_or_refused(x: np.ndarray, y: np.ndarray, task: str) -> None:
    try:
        dataset = prepare(Raw(x, y), "t", task)
    except UserError:
        return
    assert np.isfinite(dataset.train.x).all()
    assert len(dataset.train) == len(dataset.train.y)


# Names and files.


def test_digits_are_the_default_and_keep_their_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = load(DataConfig())
    assert dataset.name == "digits"
    assert dataset.problem.input_shape == (8, 8, 1)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 1797


def test_a_file_names_its_data_set_and_is_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "houses.npz"
    np.savez(path, x_train=_base.x, y_train=_base.y)
    assert load(DataConfig(data=str(path))).name == "houses"
    np.savez(path, x_train=_base.x, y_train=np.zeros(80, int))
    with pytest.raises(UserError, match=r"houses\.npz: all training examples have the same label"):
        load(DataConfig(data=str(path)))


# Inputs given again.


def test_for_reconstruction_inputs_are_their_own_targets_and_labels_have_no_part() -> None:
    dataset = prepare(_base, "t", "reconstruction")
    problem = dataset.problem
    assert (problem.task, problem.outputs, problem.class_names, problem.metric) == ("reconstruction", 3, (), "r2_score")
    assert all(part.y is part.x for part in (dataset.train, dataset.validation, dataset.test))
    np.testing.assert_array_equal(problem.target_std, problem.feature_std)
    relabelled = prepare(dataclasses.replace(_base, y=np.full(80, "any")), "t", "reconstruction")
    assert relabelled.fingerprint == dataset.fingerprint


def test_targets_of_different_kinds_have_no_part_in_a_reconstruction() -> None:
    several = {"city": np.array(["Rome", "Oslo"])[np.arange(80) % 2], "price": np.arange(80) / 7}
    dataset = prepare(dataclasses.replace(_base, y=several), "t", "reconstruction")
    assert (dataset.problem.task, dataset.problem.heads) == ("reconstruction", ())
    assert dataset.fingerprint == prepare(_base, "t", "reconstruction").fingerprint


def test_images_to_give_again_have_the_moments_of_their_channels() -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3)).astype(np.uint8)
    dataset = prepare(Raw(x, np.arange(60) % 2), "t", "reconstruction")
    assert dataset.problem.feature_mean is None
    np.testing.assert_allclose(dataset.problem.target_mean, dataset.train.x.mean(axis=(0, 1, 2)), rtol=1e-5)


def test_what_is_to_be_given_again_needs_no_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", x_train=_base.x)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "x_train.npy", _base.x)
    rows = "\n".join(",".join(map(str, row)) for row in _base.x)
    (tmp_path / "plain.csv").write_text(f"a,b,c\n{rows}\n")
    fingerprints = set()
    for name in ("plain.npz", "folder", "plain.csv"):
        dataset = load(DataConfig(data=str(tmp_path / name), task="reconstruction"))
        assert dataset.train.y is dataset.train.x
        fingerprints.add(dataset.fingerprint)
    assert len(fingerprints) == 1
    with pytest.raises(UserError, match="y_train"):
        load(DataConfig(data=str(tmp_path / "folder")))


def test_text_is_not_given_again() -> None:
    raw = Raw(np.ones((20, 3), np.int32), np.arange(20) % 2, vocabulary=("", "?", "a"))
    with pytest.raises(UserError, match="--task=reconstruction gives numbers again, but the data is text"):
        prepare(raw, "t", "reconstruction")


def test_classes_without_examples_are_named(caplog: pytest.LogCaptureFixture) -> None:
    raw = _numbered(300)
    dataset = prepare(dataclasses.replace(raw, y=np.array([3, 7, 42])[raw.y]), "gaps")
    assert dataset.problem.outputs == 43
    assert "40 of 43 classes have no example to learn from: 0, 1, 2, 4, 5, ... (give labels" in caplog.text
    caplog.clear()
    prepare(raw, "whole")
    assert caplog.text == ""

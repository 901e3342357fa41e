"""Random changes of training batches, against NumPy."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import Problem
from tfday7.data.augmentation import AUGMENTATIONS, augmenter, check, check_inputs, mixes_labels, parse
from tfday7.data.lazy import Mapped

SEED = (3, 5)
IMAGE = Problem("classification", "image", (8, 16, 2), 3)
TABLE = Problem(
    "classification",
    "tabular",
    (50,),
    3,
    feature_mean=np.full(50, 7.0, np.float32),
    feature_std=np.full(50, 4.0, np.float32),
)
SERIES = dataclasses.replace(
    TABLE,
    kind="series",
    input_shape=(40, 2),
    feature_mean=np.array([1.0, 2.0], np.float32),
    feature_std=np.ones(2, np.float32),
)
TEXT = Problem("classification", "text", (30,), 3, vocabulary=("", "?", "a", "b"))


def _images(n: int, height: int = 8, width: int = 16, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 1.0, (n, height, width, channels)).astype(np.float32)


def changed(name: str, x: np.ndarray, problem: Problem = IMAGE) -> np.ndarray:
    """Returns what one augmentation makes of a batch."""
    result = AUGMENTATIONS.get(name).apply(tf.constant(x), tf.constant(SEED, tf.int64), problem)
    return result.numpy()


def inputs(names: tuple[str, ...], seed: int, x: Any, step: Any, problem: Problem = IMAGE) -> Any:
    return augmenter(names, problem, seed)(x, tf.zeros(len(x), tf.int32), step)[0]


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    x = _images(2000)
    y = changed("flip", x)
    mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(y, x, strict=True)])
    same = np.array([np.array_equal(a, b) for a, b in zip(y, x, strict=True)])
    assert (mirrored ^ same).all()
    assert abs(int(mirrored.sum()) - 1000) < 4 * math.sqrt(2000 / 4)  # Four standard deviations of a fair coin.


def _moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Returns an image moved by NumPy; what comes in is zero."""
    height, width, _ = image.shape
    padded = np.pad(image, [(height, height), (width, width), (0, 0)])
    return padded[height - down : 2 * height - down, width - right : 2 * width - right]


@pytest.mark.parametrize(("height", "width", "limits"), [(8, 16, (1, 2)), (28, 28, (3, 3)), (4, 32, (1, 4))])
def test_shift_moves_each_image_evenly_within_an_eighth_and_fills_with_zero(
    height: int, width: int, limits: tuple[int, int]
) -> None:
    n = 600
    x = _images(n, height, width, 1)
    y = changed("shift", x)
    assert y.shape == x.shape
    offsets = []
    moves = [(d, r) for d in range(-limits[0], limits[0] + 1) for r in range(-limits[1], limits[1] + 1)]
    for before, after in zip(x, y, strict=True):
        found = [move for move in moves if np.array_equal(_moved(before, *move), after)]
        assert len(found) == 1
        offsets.append(found[0])
    for axis in (0, 1):
        counts = np.bincount([offset[axis] + limits[axis] for offset in offsets], minlength=2 * limits[axis] + 1)
        share = 1 / (2 * limits[axis] + 1)
        assert np.abs(counts - n * share).max() < 4.5 * math.sqrt(n * share * (1 - share))
    correlation = np.corrcoef(np.array(offsets).T)[0, 1]
    assert abs(correlation) < 4 / math.sqrt(n)  # The two axes are drawn on their own.


def test_crop_stretches_a_part_of_between_half_and_all_of_each_side() -> None:
    """Of two ramps, one along each axis, a part that is stretched is a flatter ramp: its slope is the part's size."""
    down, right = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 17), indexing="ij")
    x = np.tile(np.stack([down, right], axis=-1)[np.newaxis], (500, 1, 1, 1)).astype(np.float32)
    y = changed("crop", x)
    assert y.shape == x.shape
    for axis in (0, 1):
        ramps = y[:, :, 0, 0] if axis == 0 else y[:, 0, :, 1]
        slopes = np.diff(ramps, axis=1)
        np.testing.assert_allclose(slopes, slopes[:, :1] * np.ones_like(slopes), atol=1e-5)
        first, last = ramps[:, 0], ramps[:, -1]
        assert (first >= -1e-6).all()
        assert (last <= 1 + 1e-6).all()
        sizes = last - first
        assert sizes.min() >= 0.5 - 1e-5
        assert np.mean(sizes) == pytest.approx(0.75, abs=4 * 0.5 / math.sqrt(12 * 500))  # Uniform from 0.5 to 1.


def test_cutout_sets_one_rectangle_to_the_mean_and_leaves_the_rest() -> None:
    x = _images(400, 8, 8, 1)
    y = changed("cutout", x)
    heights = []
    for before, after in zip(x, y, strict=True):
        covered = np.abs(after - before)[..., 0] > 0
        np.testing.assert_allclose(after[covered], before.mean(), rtol=1e-5)
        rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
        assert covered[np.ix_(rows, columns)].all()
        assert covered.sum() == len(rows) * len(columns)
        assert 1 <= len(rows) <= 4
        heights.append(len(rows))
    assert np.mean(np.array(heights) == 4) == pytest.approx(5 / 8, abs=4 * math.sqrt(0.25 / 400))  # 5 of 8 centres.


@pytest.mark.parametrize("name", ["color", "flip,color"])
def test_color_refuses_what_it_would_clip(name: str) -> None:
    for inside in (_images(5), _images(5) * 1.4 - 0.2):  # The latter as resizing overshoots.
        check_inputs(name, inside)
    for beyond in (_images(500) * 255.0, _images(500) * 2.0 - 1.0):
        with pytest.raises(
            UserError, match=r"--augment=color takes pixels from 0 to 1, .* reach from .* to "
        ) as caught:
            check_inputs(name, beyond)
        assert "uint8" in (caught.value.hint or "")
        check_inputs("flip,shift,crop,cutout", beyond)


def test_of_inputs_on_disk_a_few_are_looked_at(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (3000, 8, 16, 2), np.uint8))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    read: list[int] = []

    class Counted(Mapped):
        def read(self, indices: np.ndarray) -> np.ndarray:
            read.extend(indices.tolist())
            return super().read(indices)

    check_inputs("color", Counted(mapped, 255.0))
    assert len(read) == 128
    assert (min(read), max(read)) == (0, 2999)
    with pytest.raises(UserError, match="reach from 0 to 255"):
        check_inputs("color", Counted(mapped))


def test_color_changes_all_pixels_of_an_image_by_one_line_and_stays_in_range() -> None:
    x = 0.4 + 0.1 * _images(300, 4, 4, 1)  # Far enough from 0 and 1 that few images are clipped.
    y = changed("color", x)
    assert y.min() >= 0.0
    assert y.max() <= 1.0
    slopes, shifts = [], []
    for before, after in zip(x, y, strict=True):
        slope, offset = np.polyfit(before.ravel(), after.ravel(), 1)
        np.testing.assert_allclose(after.ravel(), slope * before.ravel() + offset, atol=1e-5)
        slopes.append(slope)
        shifts.append(after.mean() - before.mean())
    for values, middle, reach in ((slopes, 1.0, 0.3), (shifts, 0.0, 0.2)):
        assert np.abs(np.array(values) - middle).max() <= reach + 1e-3
        assert np.std(values) == pytest.approx(reach / math.sqrt(3), rel=0.15)


@pytest.mark.parametrize(("problem", "shape", "deviation"), [(TABLE, (1000, 50), 0.4), (IMAGE, (500, 8, 16, 1), 0.1)])
def test_noise_is_normal_with_a_tenth_of_each_columns_deviation(
    problem: Problem, shape: tuple[int, ...], deviation: float
) -> None:
    y = changed("noise", np.zeros(shape, np.float32), problem)
    n = y.size
    assert abs(float(y.mean())) < 4 * deviation / math.sqrt(n)
    assert float(y.std()) == pytest.approx(deviation, rel=4 / math.sqrt(2 * n))
    inside = float(np.mean(np.abs(y) < deviation))
    assert inside == pytest.approx(math.erf(1 / math.sqrt(2)), abs=4 * math.sqrt(0.25 / n))


def test_mask_sets_a_tenth_of_a_tables_values_to_the_training_mean() -> None:
    y = changed("mask", np.zeros((1000, 50), np.float32), TABLE)
    assert set(np.unique(y)) == {0.0, 7.0}
    assert np.mean(y == 7.0) == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / y.size))


def test_mask_sets_one_stretch_of_a_series_to_the_channels_means() -> None:
    y = changed("mask", np.zeros((500, 40, 2), np.float32), SERIES)
    lengths = []
    for series in y:
        covered = np.flatnonzero(series[:, 0])
        assert set(map(tuple, series[covered])) <= {(1.0, 2.0)}
        assert len(covered) == 0 or covered[-1] - covered[0] + 1 == len(covered)
        lengths.append(len(covered))
    assert max(lengths) == 8  # A fifth of 40 steps.
    assert min(lengths) == 0


def test_token_dropout_replaces_a_tenth_of_the_words_and_no_padding() -> None:
    x = np.tile(np.array([[2, 3] * 10 + [0] * 10], np.int32), (1000, 1))
    y = changed("token_dropout", x, TEXT)
    assert (y[:, 20:] == 0).all()
    different = y != x
    assert (y[different] == 1).all()
    assert np.mean(different[:, :20]) == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / 20_000))


@pytest.mark.parametrize("labels_as", ["indices", "shares"])
def test_mixup_mixes_each_example_and_its_label_by_the_same_share(labels_as: str) -> None:
    """Inputs that are their own one-hot labels: whatever is done to both alike leaves them equal."""
    classes = np.arange(600) % 3
    x = np.eye(3, dtype=np.float32)[classes]
    problem = Problem("classification", "tabular", (3,), 3)
    y = tf.constant(x) if labels_as == "shares" else tf.constant(classes)
    mixed_x, mixed_y = augmenter(("mixup",), problem, 1)(tf.constant(x), y, 0)
    np.testing.assert_allclose(mixed_x.numpy(), mixed_y.numpy(), atol=1e-6)
    np.testing.assert_allclose(mixed_y.numpy().sum(axis=1), 1.0, atol=1e-5)
    own = mixed_y.numpy()[np.arange(600), classes]
    assert own.mean() == pytest.approx(0.5 + 0.5 / 3, abs=0.05)  # Half its own share, a third of the partners alike.
    assert mixes_labels("flip,mixup")
    assert not mixes_labels("flip")


def test_draws_depend_on_seed_and_step_alone() -> None:
    x = tf.constant(_images(50))
    names = ("flip", "shift", "crop", "noise", "cutout", "color")
    first = inputs(names, 1, x, 7).numpy()
    np.testing.assert_array_equal(first, inputs(names, 1, x, tf.constant(7, tf.int64)).numpy())
    traced = tf.function(lambda x, step: inputs(names, 1, x, step))
    np.testing.assert_allclose(first, traced(x, tf.constant(7)).numpy(), atol=1e-6)
    assert not np.array_equal(first, inputs(names, 1, x, 8).numpy())
    assert not np.array_equal(first, inputs(names, 2, x, 7).numpy())


def test_augmentations_are_applied_in_the_given_order() -> None:
    x = tf.constant(_images(20))
    both = inputs(("shift", "flip"), 1, x, 3)
    np.testing.assert_array_equal(both, inputs(("flip",), 1, inputs(("shift",), 1, x, 3), 3))


def test_no_augmentation_changes_nothing() -> None:
    x = tf.constant(_images(3))
    assert inputs((), 1, x, 0) is x


@pytest.mark.parametrize(
    ("names", "expected"), [("", ()), ("flip", ("flip",)), (" flip , shift,", ("flip", "shift")), ("noise", ("noise",))]
)
def test_a_comma_list_names_augmentations(names: str, expected: tuple[str, ...]) -> None:
    assert parse(names) == check(names, IMAGE) == expected


def test_an_unknown_augmentation_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown augmentation 'flop'") as caught:
        parse("shift,flop")
    assert caught.value.hint.startswith(
        "did you mean flip? known: color, crop, cutout, flip, mask, mixup, noise, shift"
    )


@pytest.mark.parametrize(
    ("name", "problem", "message", "hint"),
    [
        ("flip", TABLE, "--augment=flip takes image data; the data is tabular", "mask, mixup, noise"),
        (
            "token_dropout",
            IMAGE,
            "takes text data; the data is image",
            "color, crop, cutout, flip, mixup, noise, shift",
        ),
        ("mask", TEXT, "takes tabular or series data; the data is text", "token_dropout"),
        (
            "mixup",
            dataclasses.replace(TABLE, task="regression"),
            "mixes classes; the task is regression",
            "leave mixup out",
        ),
    ],
)
def test_what_the_data_cannot_take_is_refused_with_what_it_can(
    name: str, problem: Problem, message: str, hint: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(name, problem)
    assert hint in caught.value.hint

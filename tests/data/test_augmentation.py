"""Random changes of inputs, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data.augmentation import augmenter, flip, noise, parse, shift

SEED = (3, 5)


def _images(n: int, height: int = 8, width: int = 16, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 1.0, (n, height, width, channels)).astype(np.float32)


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    x = _images(2000)
    y = flip(tf.constant(x), SEED).numpy()
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
    y = shift(tf.constant(x), SEED).numpy()
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


def test_noise_is_normal_with_a_deviation_of_a_tenth() -> None:
    x = np.zeros((1000, 50), np.float32)
    y = noise(tf.constant(x), SEED).numpy()
    n = y.size
    assert abs(float(y.mean())) < 4 * 0.1 / math.sqrt(n)
    assert float(y.std()) == pytest.approx(0.1, abs=4 * 0.1 / math.sqrt(2 * n))
    inside = float(np.mean(np.abs(y) < 0.1))
    assert inside == pytest.approx(math.erf(1 / math.sqrt(2)), abs=4 * math.sqrt(0.25 / n))


def test_draws_depend_on_seed_and_step_alone() -> None:
    x = tf.constant(_images(50))
    names = ("flip", "shift", "noise")
    first = augmenter(names, seed=1)(x, 7).numpy()
    np.testing.assert_array_equal(first, augmenter(names, seed=1)(x, tf.constant(7, tf.int64)).numpy())
    np.testing.assert_array_equal(first, tf.function(augmenter(names, seed=1))(x, tf.constant(7)).numpy())
    assert not np.array_equal(first, augmenter(names, seed=1)(x, 8).numpy())
    assert not np.array_equal(first, augmenter(names, seed=2)(x, 7).numpy())


def test_augmentations_are_applied_in_the_given_order() -> None:
    x = tf.constant(_images(20))
    both = augmenter(("shift", "flip"), seed=1)(x, 3)
    np.testing.assert_array_equal(both, augmenter(("flip",), 1)(augmenter(("shift",), 1)(x, 3), 3))


def test_no_augmentation_changes_nothing() -> None:
    x = tf.constant(_images(3))
    assert augmenter((), seed=1)(x, 0) is x


@pytest.mark.parametrize(
    ("names", "expected"), [("", ()), ("flip", ("flip",)), (" flip , shift,", ("flip", "shift")), ("noise", ("noise",))]
)
def test_a_comma_list_names_augmentations(names: str, expected: tuple[str, ...]) -> None:
    assert parse(names, "image") == expected


def test_an_unknown_augmentation_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown augmentation 'flop'") as caught:
        parse("shift,flop", "image")
    assert caught.value.hint == "did you mean flip? known: flip, noise, shift"


@pytest.mark.parametrize("kind", ["tabular", "array"])
@pytest.mark.parametrize("name", ["flip", "shift"])
def test_what_only_images_can_take_is_refused_for_other_data(name: str, kind: str) -> None:
    with pytest.raises(UserError, match=f"--augment={name} needs images; the data is {kind}"):
        parse(name, kind)
    assert parse("noise", kind) == ("noise",)

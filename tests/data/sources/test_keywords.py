"""Made-up keywords: repeatable, balanced, with the arithmetic of cepstra."""

from __future__ import annotations

import numpy as np
import scipy.fft
from sklearn.linear_model import LogisticRegression

from tfday7.data import DataConfig, load
from tfday7.data.sources import keywords


def test_they_have_the_shape_and_classes_of_mlperf_tinys_keyword_spotting() -> None:
    raw = keywords.make(48)
    assert raw.x.shape == (48, 49, 10)
    assert raw.x.dtype == np.float32
    assert np.bincount(raw.y).tolist() == [4] * 12
    assert (16_000 - 640) // 320 + 1 == 49  # Windows of 40 ms every 20 ms in a second of 16 kHz.


def test_they_are_the_same_every_time_and_the_first_ones_whatever_their_number() -> None:
    np.testing.assert_array_equal(keywords.make(24).x, keywords.make(36).x[:24])


def test_the_cosine_transform_is_scipys() -> None:
    bands = np.random.default_rng(0).normal(size=(3, 40))
    expected = scipy.fft.dct(bands, norm="ortho")[:, :10]
    np.testing.assert_allclose(bands @ keywords.cosines(40, 10), expected, atol=1e-12)


def test_bands_are_equally_far_apart_in_mel() -> None:
    steps = np.diff([keywords.mel(centre) for centre in keywords.centres().tolist()])
    np.testing.assert_allclose(steps, steps[0])
    assert abs(keywords.mel(1000.0) - 1000.0) < 0.1  # By definition of the scale.


def test_every_sound_of_a_word_is_known_and_no_two_words_are_one() -> None:
    assert {sound for chain in keywords.WORDS.values() for sound in chain.split()} <= set(keywords.SOUNDS)
    assert len(set(keywords.WORDS.values())) == len(keywords.WORDS) == 11
    assert (*keywords.WORDS, "unknown") == keywords.CLASS_NAMES


def test_words_can_be_learned_but_not_by_a_glance() -> None:
    dataset = load(DataConfig(data="keywords"))
    assert dataset.problem.kind == "series"
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 7_200
    mean, std = dataset.problem.feature_mean, dataset.problem.feature_std

    def flat(x: np.ndarray) -> np.ndarray:
        return ((x - mean) / std).reshape(len(x), -1)

    learned = LogisticRegression(max_iter=50).fit(flat(dataset.train.x[:2000]), dataset.train.y[:2000])
    assert 0.4 < learned.score(flat(dataset.test.x), dataset.test.y) < 0.9

"""What the data look like: on data whose answer is known by construction."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tfday7.core.run_folder import HEALTH, RunFolder
from tfday7.data import Dataset, Examples
from tfday7.data.lazy import Mapped
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.diagnosis.health import from_json
from tfday7.diagnosis.measuring import inspection


def _with(dataset: Dataset, **parts: Examples) -> Dataset:
    return dataclasses.replace(dataset, **parts)


def test_simple_methods_reach_what_is_there(blobs: Dataset, line: Dataset) -> None:
    _, separable = inspection.inspect(blobs)
    assert separable.linear > 0.95
    assert separable.neighbours > 0.95
    assert 0.4 < separable.constant < 0.6
    _, linear = inspection.inspect(line)
    assert linear.linear > 0.98  # y is linear but for noise of 1 where its deviation is 54.
    assert linear.neighbours < linear.linear


def test_simple_methods_do_not_see_in_which_units_columns_are(blobs: Dataset, line: Dataset) -> None:
    for dataset in (blobs, line):
        small = (Examples(part.x * np.float32(2.0**-40), part.y) for part in (dataset.train, dataset.validation))
        scaled = _with(dataset, **dict(zip(("train", "validation"), small, strict=True)))
        assert inspection.inspect(scaled) == inspection.inspect(dataset)


def test_labels_that_do_not_belong_leave_chance(blobs: Dataset) -> None:
    shuffled = np.random.default_rng(0).permutation(blobs.train.y)
    _, references = inspection.inspect(_with(blobs, train=Examples(blobs.train.x, shuffled)))
    assert max(references.linear, references.neighbours) < 0.75


def test_labels_with_gaps_need_no_column_of_each_class() -> None:
    generator = np.random.default_rng(0)
    y = np.array([2139, 99_950])[np.arange(120) % 2]  # Two of 99,951 ZIP codes.
    dataset = prepare(Raw(generator.normal(size=(120, 3)) + (y > 2139)[:, np.newaxis] * 6.0, y), "homes")
    assert dataset.problem.outputs == 99_951
    tracemalloc.start()
    _, references = inspection.inspect(dataset)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert references.linear == references.neighbours == 1.0
    assert peak < 2**26


def test_twins_are_counted(blobs: Dataset) -> None:
    none, _ = inspection.inspect(blobs)
    assert none.duplicates < 0.1
    known = np.concatenate([blobs.train.x[:15] + 1e-6, blobs.validation.x[15:]])
    half, _ = inspection.inspect(_with(blobs, validation=Examples(known, blobs.validation.y)))
    assert half.duplicates == pytest.approx(0.5, abs=0.1)


def test_the_same_line_of_text_is_a_twin() -> None:
    x = np.random.default_rng(0).integers(2, 8, (400, 8)).astype(np.int32)
    dataset = prepare(
        Raw(x, np.arange(400) % 2, vocabulary=("", "?", "red", "blue", "green", "one", "two", "six")), "w"
    )
    fresh, _ = inspection.inspect(dataset)
    assert fresh.duplicates == 0.0
    copied = Examples(dataset.train.x[: len(dataset.validation)], dataset.validation.y)
    assert inspection.inspect(_with(dataset, validation=copied))[0].duplicates == 1.0


def test_a_validation_split_from_elsewhere_is_told_apart(line: Dataset) -> None:
    same, _ = inspection.inspect(line)
    assert abs(same.shift - 0.5) < 5 * same.shift_error
    moved = Examples(line.validation.x + 3.0, line.validation.y)
    assert inspection.inspect(_with(line, validation=moved))[0].shift > 0.9
    wider = Examples(line.validation.x * 4.0, line.validation.y)  # The same mean.
    assert inspection.inspect(_with(line, validation=wider))[0].shift > 0.8


def test_the_error_of_the_shift_is_that_of_the_rank_statistic() -> None:
    """Among splits that are alike, the area deviates from one half by about its standard error."""
    areas, error = [], 0.0
    for seed in range(30):
        x = np.random.default_rng(seed).normal(size=(200, 3))
        area, error = inspection._shift(x[:100], x[100:])
        areas.append(area)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.04)
    assert np.std(areas) == pytest.approx(error, rel=0.5)


def test_class_codes_are_told_from_ratings() -> None:
    generator = np.random.default_rng(0)
    group = generator.integers(0, 6, 600)
    x = generator.normal(size=(600, 1)) * 0.7 + group[:, None]  # Neighbouring groups overlap.
    ratings = prepare(Raw(x, group.astype(np.float64)), "ratings", task="regression")
    codes = prepare(Raw(x, np.array([3, 0, 5, 1, 4, 2])[group].astype(np.float64)), "codes", task="regression")
    (first, of_ratings), (second, of_codes) = inspection.inspect(ratings), inspection.inspect(codes)
    assert first.whole_targets
    assert second.whole_targets
    assert of_ratings.codes < 0.7 < 0.8 < of_codes.codes


def test_targets_that_are_far_off_are_measured_in_deviations(line: Dataset) -> None:
    y = np.asarray(line.train.y).copy()
    y[0] = np.median(y) + 1000.0 * 54.0  # The deviation is sqrt(50^2 + 20^2 + 1), of a normal variable.
    data, _ = inspection.inspect(_with(line, train=Examples(line.train.x, y)))
    assert data.target_largest == pytest.approx(1000.0, rel=0.15)


def test_repeated_inputs_with_other_labels_bound_the_accuracy() -> None:
    x = np.repeat(np.arange(40, dtype=np.float32), 10)[:, None]
    y = np.tile([0, 0, 0, 0, 0, 0, 0, 1, 1, 1], 40)
    dataset = prepare(Raw(x, y), "repeats")
    repeated, unlike = (inspection._sample(Examples(each, y)) for each in (x, np.arange(400.0)[:, None]))
    assert inspection._ceiling(dataset.problem, repeated) == pytest.approx(0.7)
    assert inspection._ceiling(dataset.problem, unlike) is None
    pairs = inspection._sample(Examples(np.repeat(np.arange(200, dtype=np.float32), 2)[:, None], np.tile([0, 1], 200)))
    assert inspection._ceiling(dataset.problem, pairs) == 0.5


def test_large_images_are_pooled_and_the_mean_stays() -> None:
    x = np.random.default_rng(0).random((3, 64, 96, 1))
    pooled = inspection._pooled(x)
    assert pooled.shape == (3, 32, 32, 1)
    np.testing.assert_allclose(pooled.mean(axis=(1, 2, 3)), x.mean(axis=(1, 2, 3)))


@pytest.mark.parametrize("shape", [(32, 32, 3), (300, 2)])
def test_classes_that_the_last_channel_tells_apart_are_found(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.random((300, *shape), np.float32), np.arange(300) % 2
    x[..., -1] += y.reshape(-1, *[1] * (len(shape) - 1)) * np.float32(0.2)
    _, references = inspection.inspect(prepare(Raw(x, y), "blue"))
    assert references.linear > 0.95


@pytest.mark.parametrize(
    ("shape", "width"),
    [((28, 28, 1), 392), ((5,), 5), ((1100,), 367), ((3, 600), 450), ((16, 8, 4), 512), ((2000, 1), 500)],
)
def test_one_channel_and_very_many_are_every_so_many_values(shape: tuple[int, ...], width: int) -> None:
    x = np.random.default_rng(0).random((2, *shape))
    values = inspection._values(x)
    assert values.shape == (2, width)
    np.testing.assert_array_equal(values, x.reshape(2, -1)[:, :: -(-x[0].size // 512)])


def test_of_many_channels_all_are_seen_at_every_so_many_positions() -> None:
    x = np.random.default_rng(0).random((2, 32, 32, 3))
    values = inspection._values(x)
    assert values.shape == (2, 147 * 3)  # 1,024 positions, of which at most 512 // 3 = 170 are taken.
    np.testing.assert_array_equal(values.reshape(2, -1, 3), x.reshape(2, -1, 3)[:, ::7])


def test_a_sample_of_lazy_images_is_that_of_the_same_images_in_memory(tmp_path) -> None:
    x = np.random.default_rng(0).integers(0, 255, (300, 80, 64, 3), np.uint8)  # More than one chunk.
    np.save(tmp_path / "x.npy", x)
    y = np.arange(300)
    lazy = Mapped(np.load(tmp_path / "x.npy", mmap_mode="r"), 255.0)
    here, mapped = (inspection._sample(Examples(each, y)) for each in ((x / np.float32(255)), lazy))
    assert mapped.x.shape == (300, 26, 32, 3)
    for one, other in zip(here, mapped, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_was_found_is_added_to_the_record_and_comes_back(blobs: Dataset, tmp_path) -> None:
    import json

    folder = RunFolder(tmp_path)
    (folder / HEALTH).write_text(json.dumps({"probes": []}))
    inspection.record(blobs, folder)
    health = from_json(json.loads((folder / HEALTH).read_text()))
    assert (health.data, health.references) == inspection.inspect(blobs)
    assert health.probes == ()


def test_words_are_counted_whatever_ids_a_split_has() -> None:
    tokens = np.array([[3, 3, 2, 0], [9, 2, 0, 0]])
    np.testing.assert_array_equal(inspection._word_counts(tokens, np.array([2, 3])), [[1, 2], [1, 0]])
    np.testing.assert_array_equal(inspection._word_counts(tokens[:1], np.array([9, 2])), [[0, 1]])


def test_the_feature_that_tells_best_is_found_by_its_area() -> None:
    """The third tells most, the other way round; the others tell less or nothing."""
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], 60)
    x = generator.normal(size=(120, 4)) + np.outer(y, [0.0, 0.6, -2.5, 0.3])
    seen = np.arange(120) % 3 > 0
    expected = roc_auc_score(y[~seen], -x[~seen, 2])
    assert inspection._single_area(x[seen], y[seen], x[~seen], y[~seen]) == expected > 0.9

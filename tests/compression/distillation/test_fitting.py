"""Answers from a store and from inside the step teach the same; what is learned lands in the student alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.compression.distillation import caching
from tfday7.compression.distillation.distiller import Distiller
from tfday7.compression.distillation.fitting import distilled_aim, fit
from tfday7.compression.distillation.losses import Columns
from tfday7.compression.distillation.plan import Distillation
from tfday7.compression.distillation.teachers import Teachers
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.core.run_folder import RunFolder
from tfday7.data import Dataset
from tfday7.data.dataset import Examples
from tfday7.data.lazy import Mapped
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.models import ModelConfig, building, load
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting

SGD = OptimizerConfig("sgd", learning_rate=0.1)
PLAN = Distillation(temperature=3.0, alpha=0.6)


def net(dataset: Dataset, seed: int, model: str = "mlp", width: int = 4) -> Any:
    return building.build(ModelConfig(model=model, width=width, depth=1), dataset.problem, seed=seed)


def labelled() -> Dataset:
    generator = np.random.default_rng(7)
    x = generator.normal(size=(120, 3))
    y = (x @ generator.normal(size=(3, 2)) > 0).astype(np.float32)
    return prepare(Raw(x, y), "labelled", "multilabel")


def several() -> Dataset:
    generator = np.random.default_rng(7)
    x = generator.normal(size=(120, 3))
    return prepare(Raw(x, {"price": 10 * x[:, 0] + 3, "city": (x[:, 1] > 0).astype(int)}), "several")


def again() -> Dataset:
    generator = np.random.default_rng(7)
    x = generator.normal(size=(120, 3)) @ generator.normal(size=(3, 6))
    return prepare(Raw(x, np.zeros(120)), "again", "reconstruction")


def step_of(dataset: Dataset, cached: bool, training: TrainingConfig) -> list[np.ndarray]:
    """Returns the weights of a new student after one SGD step on the first 16 examples."""
    model = "autoencoder" if dataset.problem.task == "reconstruction" else "mlp"
    student, teachers = (
        net(dataset, 1, model),
        Teachers([net(dataset, 2, model), net(dataset, 3, model)], dataset.problem),
    )
    part = dataclasses.replace(
        dataset, train=Examples(dataset.train.x[:16], dataset.train.y[:16]), validation=dataset.validation
    )
    if dataset.problem.task == "reconstruction":
        part = dataclasses.replace(part, train=Examples(part.train.x, part.train.x))
    data, columns = caching.with_answers(part, teachers, training)
    model = student
    if not cached:
        columns = dataclasses.replace(columns, weighted=False)
        data, model = part, Distiller(student, teachers.answers)
    model.compile(keras.optimizers.SGD(0.5), **distilled_aim(part, training, PLAN, student, columns, cached))
    model.train_on_batch(data.train.x, data.train.y)
    return student.get_weights()


@pytest.mark.parametrize("name", ["blobs", "line", "labelled", "several", "again"])
def test_one_step_is_the_same_with_stored_answers_and_with_the_teachers_inside(
    name: str, request: pytest.FixtureRequest
) -> None:
    made = {"labelled": labelled, "several": several, "again": again}
    dataset = made[name]() if name in made else request.getfixturevalue(name)
    training = TrainingConfig(label_smoothing=0.1 if name in ("blobs", "labelled") else 0.0)
    for ours, theirs in zip(step_of(dataset, True, training), step_of(dataset, False, training), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def without_time(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def test_class_weights_count_the_same_on_both_paths(blobs: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    rare = np.flatnonzero((blobs.train.y == 0) | (np.arange(len(blobs.train)) % 4 == 0))
    data = dataclasses.replace(blobs, train=Examples(blobs.train.x[rare], blobs.train.y[rare]))
    training = TrainingConfig(epochs=1, class_weights="balanced")
    students = [net(data, 1), net(data, 1)]
    first, record = fit(students[0], data, SGD, training, [net(data, 2)], PLAN, students[0])
    assert record["cached"]
    monkeypatch.setattr(caching, "repeats_exactly", lambda dataset, training: False)
    second, record = fit(students[1], data, SGD, training, [net(data, 2)], PLAN, students[1])
    assert not record["cached"]
    for ours, theirs in zip(first.records, second.records, strict=True):
        for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-4)


def test_the_stored_targets_are_the_labels_and_the_answers_beside_them(blobs: Dataset) -> None:
    teacher = net(blobs, 2)
    data, columns = caching.with_answers(blobs, Teachers([teacher], blobs.problem), TrainingConfig())
    assert columns == Columns(1)
    assert data.train.y.dtype == np.float32
    assert data.train.y.shape == (len(blobs.train), 1 + 2)
    np.testing.assert_array_equal(data.train.y[:, 0], blobs.train.y)
    np.testing.assert_allclose(data.train.y[:, 1:], teacher(blobs.train.x), rtol=1e-5, atol=1e-6)
    assert data.test is blobs.test


def test_answers_to_inputs_on_disk_are_stored_and_the_inputs_stay_there(blobs: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", blobs.train.x)
    mapped = Mapped(np.load(tmp_path / "x.npy", mmap_mode="r"))
    lazy = dataclasses.replace(blobs, train=Examples(mapped, blobs.train.y))
    teacher, students = net(blobs, 2), [net(blobs, 1), net(blobs, 1)]
    fits = [
        fit(student, data, SGD, TrainingConfig(epochs=1), [teacher], PLAN, student)
        for student, data in zip(students, (blobs, lazy), strict=True)
    ]
    assert fits[1][1]["cached"]
    np.testing.assert_allclose(fits[0][0].records[0]["loss"], fits[1][0].records[0]["loss"], rtol=1e-5)


def test_inputs_on_disk_that_are_to_be_given_again_are_never_stored_twice() -> None:
    data = again()
    lazy = Mapped(np.asarray(data.train.x))
    data = dataclasses.replace(data, train=Examples(lazy, lazy))
    student = net(data, 1, "autoencoder")
    _, record = fit(student, data, SGD, TrainingConfig(epochs=1), [net(data, 2, "autoencoder")], PLAN, student)
    assert not record["cached"]


def test_a_distilled_run_that_stops_goes_on_as_if_it_had_not(pictures: Dataset, tmp_path: Path) -> None:
    training = TrainingConfig(epochs=2, augment="noise")
    plan = dataclasses.replace(PLAN, features="hint")
    teacher = net(pictures, 2, "cnn", 3)

    def run(folder: str, epochs: int) -> tuple[Any, Any]:
        student = net(pictures, 1, "cnn", 2)
        shorter = dataclasses.replace(training, epochs=epochs)
        went, _ = fit(student, pictures, SGD, shorter, [teacher], plan, student, RunFolder(tmp_path / folder))
        return student, went

    whole, at_once = run("whole", 2)
    run("parts", 1)
    resumed, later = run("parts", 2)
    assert later.resumed_at == 2
    for ours, theirs in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert without_time(at_once.records) == without_time(later.records)


def test_the_teacher_is_no_part_of_the_student_and_stays_as_it_is(pictures: Dataset) -> None:
    student, teacher = net(pictures, 1, "cnn", 2), net(pictures, 2, "cnn", 3)
    before, names = teacher.get_weights(), [weight.name for weight in student.weights]
    plan = dataclasses.replace(PLAN, features="hint")
    fit(student, pictures, SGD, TrainingConfig(epochs=1), [teacher], plan, student)
    for ours, theirs in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [weight.name for weight in student.weights] == names
    load(student)  # Whole without the regressors.
    assert not any(variable is each for variable in Distiller(student, teacher).variables for each in teacher.variables)


def test_mixed_labels_are_learned_as_shares(pictures: Dataset) -> None:
    student = net(pictures, 1, "cnn", 2)
    went, record = fit(
        student,
        pictures,
        SGD,
        TrainingConfig(epochs=1, augment="mixup"),
        [net(pictures, 2, "cnn", 3)],
        Distillation(alpha=0.0),
        student,
    )
    assert not record["cached"]
    alone = net(pictures, 1, "cnn", 2)
    plain = fitting.fit(alone, pictures, SGD, TrainingConfig(epochs=1, augment="mixup"))
    assert went.records[0]["loss"] == pytest.approx(plain.records[0]["loss"], rel=1e-4)
    for ours, theirs in zip(student.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_features_of_several_teachers_are_refused(pictures: Dataset) -> None:
    student = net(pictures, 1, "cnn", 2)
    with pytest.raises(UserError, match="features=hint with 2 teachers"):
        fit(
            student,
            pictures,
            SGD,
            TrainingConfig(epochs=1),
            [net(pictures, 2, "cnn", 3)] * 2,
            Distillation(features="hint"),
            student,
        )


def test_learning_from_values_alone_leads_to_the_teachers_values(line: Dataset) -> None:
    teacher, student = (keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]) for _ in range(2))
    teacher.set_weights([np.float32([[100.0], [200.0]]), np.float32([50.0])])  # Not what the labels say.
    adam = OptimizerConfig(learning_rate=20.0, schedule="cosine")
    fit(student, line, adam, TrainingConfig(epochs=20), [teacher], Distillation(alpha=1.0), student)
    for ours, theirs in zip(student.get_weights(), teacher.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2.0)

"""The step "distil": the model or a new student learns, and what contradicts is refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building, save

DISTIL = TECHNIQUES.get("distil")


def work_on(dataset: Dataset, activation: str | None = None) -> Work:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(6, "relu"), keras.layers.Dense(2, activation)]
    model = keras.Sequential([keras.Input((2,)), *layers])
    return Work(model, model, dataset)


def test_a_new_student_takes_the_models_place_and_ends_in_what_that_ended_in(blobs: Dataset) -> None:
    work = work_on(blobs, "softmax")
    before = work.model
    record = DISTIL.apply(work, read_settings(DISTIL, {"student": "mlp", "width": 3, "depth": 1, "epochs": 1}))
    student = building.build(ModelConfig(model="mlp", width=3, depth=1), blobs.problem)
    assert record["parameters"] == [before.count_params(), student.count_params()]
    assert work.model.count_params() == student.count_params()
    np.testing.assert_allclose(work.model.predict(blobs.test.x, verbose=0).sum(axis=1), 1, rtol=1e-5)
    assert record["finetuning"]["learning_rate"] == 0.001  # All of it, for a model that has learned nothing yet.


def test_a_teacher_that_brings_code_teaches_where_that_is_allowed(blobs: Dataset, tmp_path: Path) -> None:
    inputs = keras.Input((2,))
    outputs = keras.layers.Lambda(lambda x: 2.0 * x, name="mine")(keras.layers.Dense(2)(inputs))
    save(keras.Model(inputs, outputs), tmp_path / "teacher.keras")
    settings = read_settings(DISTIL, {"teacher": str(tmp_path / "teacher.keras"), "epochs": 1})
    with pytest.raises(UserError, match=r"'mine' \(Lambda\) brings Python code"):
        DISTIL.apply(work_on(blobs), settings)
    work = work_on(blobs)
    work.allow_unsafe = True
    assert DISTIL.apply(work, settings)["finetuning"]["distil"]["teachers"] == 1


def test_the_model_learns_from_a_file_with_its_hidden_layer(blobs: Dataset, tmp_path: Path) -> None:
    work = work_on(blobs)
    before = work.model
    path = tmp_path / "teacher.keras"
    save(building.build(ModelConfig(model="mlp", width=8, depth=1), blobs.problem, seed=4), path)
    given = {"teacher": str(path), "features": "hint", "temperature": 2.0, "alpha": 0.5, "epochs": 1}
    record = DISTIL.apply(work, read_settings(DISTIL, given))
    learned = record["finetuning"]["distil"]
    assert {name: learned[name] for name in ("teachers", "temperature", "alpha", "features")} == {
        "teachers": 1,
        "temperature": 2.0,
        "alpha": 0.5,
        "features": "hint",
    }
    assert work.model is not before
    assert work.teachers == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 4}, "width=4 needs a student"),
        ({"student": "nothing"}, "nothing"),
        ({"layers": "a:b"}, "layers=a:b contradicts features=none"),
        ({"feature_weight": 2.0}, "feature_weight=2.0 contradicts features=none"),
        ({"layers": "a:b,c", "features": "hint"}, "layers has 'c'"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"temperature": 0}, "temperature=0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_settings(DISTIL, given)


def test_a_new_student_cannot_follow_zeros(blobs: Dataset) -> None:
    work = work_on(blobs)
    work.kept["dense/kernel"] = object()
    with pytest.raises(UserError, match="would replace the model whose weights earlier steps have prepared"):
        DISTIL.apply(work, read_settings(DISTIL, {"student": "mlp", "epochs": 1}))


def test_a_teacher_of_other_inputs_is_refused(blobs: Dataset, pictures: Dataset, tmp_path: Path) -> None:
    work = work_on(blobs)
    path = tmp_path / "teacher.keras"
    save(building.build(ModelConfig(model="cnn", width=2), pictures.problem), path)
    with pytest.raises(UserError, match=r"takes inputs of shape \(4, 4, 1\); the examples have \(2,\)"):
        DISTIL.apply(work, read_settings(DISTIL, {"teacher": str(path), "epochs": 1}))

"""The step "finetune": a copy is trained and takes the model's place."""

from __future__ import annotations

import numpy as np

from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig

FINETUNE = TECHNIQUES.get("finetune")


def test_a_copy_is_trained_and_the_given_model_stays(blobs: Dataset) -> None:
    model = building.build(ModelConfig(model="mlp", width=4), blobs.problem)
    before = model.get_weights()
    work = Work(model, model, blobs, optimizer=OptimizerConfig(learning_rate=0.05))
    record = FINETUNE.apply(work, read_settings(FINETUNE, {"epochs": 5, "distil": "none"}))
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    right = work.model.predict(blobs.validation.x, verbose=0).argmax(axis=1) == blobs.validation.y
    assert right.mean() > 0.9
    assert record["finetuning"]["metric"] == round(float(right.mean()), 6)

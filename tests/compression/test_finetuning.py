"""Fine-tuning: the run's settings, the original as teacher, resumption, and what a diverged training leaves."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
from support import ROOT

from tfday7.compression import constraints
from tfday7.compression.distillation.plan import Distillation
from tfday7.compression.finetuning import RATE_SHARE, copied, finetune, optimizer_for, training_for
from tfday7.compression.mixed import with_precision
from tfday7.compression.technique import Work
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building
from tfday7.optimizers import OptimizerConfig
from tfday7.training import TrainingConfig, fitting


def net(dataset: Dataset, seed: int = 0, model: str = "mlp") -> Any:
    return building.build(ModelConfig(model=model, width=4, depth=1), dataset.problem, seed=seed)


def work_on(dataset: Dataset, **changes: Any) -> Work:
    model = net(dataset, model="mlp" if dataset.problem.kind == "tabular" else "cnn")
    return Work(model, model, dataset, **changes)


def test_it_trains_in_place_with_the_runs_settings_and_says_how_it_went(blobs: Dataset) -> None:
    said: list[str] = []
    work = work_on(blobs, optimizer=OptimizerConfig(learning_rate=0.02), say=said.append)
    model, alone = copied(work.model), copied(work.model)
    found = finetune(work, model, 3, distil="none", what="shrink")
    optimizer = OptimizerConfig(learning_rate=0.02 * RATE_SHARE, schedule="cosine")
    went = fitting.fit(alone, blobs, optimizer, TrainingConfig(epochs=3))
    for ours, theirs in zip(model.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    right = model.predict(blobs.validation.x, verbose=0).argmax(axis=1) == blobs.validation.y
    assert found["metric"] == pytest.approx(right.mean(), abs=1e-6)
    assert found["val_loss"] == [record["val_loss"] for record in went.records]
    assert (found["epochs"], found["best_epoch"], found["distil"]) == (3, went.best_epoch, None)
    assert said == [f"shrink: 3 epochs at a learning rate of {0.02 * RATE_SHARE:g}"]


def test_no_epochs_train_nothing(blobs: Dataset) -> None:
    work = work_on(blobs)
    model = copied(work.model)
    assert finetune(work, model, 0) == {}
    for ours, theirs in zip(model.get_weights(), work.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_original_teaches_unless_teachers_are_given(blobs: Dataset) -> None:
    work = work_on(blobs, optimizer=OptimizerConfig("sgd"))
    work.original.set_weights([10 * weight for weight in work.original.get_weights()])
    assert finetune(work, copied(work.model), 1, distil=Distillation(alpha=1.0))["val_loss"][0] < 0.01
    work.teachers = (net(blobs, 1), net(blobs, 2))
    found = finetune(work, copied(work.model), 1, distil=Distillation(alpha=1.0))
    assert found["val_loss"][0] > 0.01
    assert found["distil"]["teachers"] == 2


def test_a_teacher_of_another_question_is_refused_before_training(blobs: Dataset, line: Dataset) -> None:
    work = work_on(blobs, teachers=(net(line),))
    model = copied(work.model)
    with pytest.raises(UserError, match=r"gives outputs of shape \(1,\); the data needs \(2,\)"):
        finetune(work, model, 1)
    np.testing.assert_array_equal(model.get_weights()[0], work.model.get_weights()[0])


def test_the_same_training_is_found_again_and_another_is_not(blobs: Dataset, tmp_path: Path) -> None:
    work = work_on(blobs, folder=tmp_path)
    first, again, other = copied(work.model), copied(work.model), net(blobs, 5)
    found = finetune(work, first, 2)
    said = finetune(work, again, 2)
    assert said["epoch_seconds"] is None  # No step was taken.
    assert {**said, "epoch_seconds": found["epoch_seconds"]} == found  # Its seconds, too.
    for ours, theirs in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert finetune(work, other, 2)["val_loss"] != found["val_loss"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_training_is_another_one_where_its_step_or_what_it_keeps_is(blobs: Dataset, tmp_path: Path) -> None:
    work = work_on(blobs, folder=tmp_path)
    layer = next(layer for layer in work.model.layers if layer.weights)
    weight, zeros = f"{layer.name}/kernel", np.zeros(layer.kernel.shape, bool)
    works = [
        work,
        dataclasses.replace(work, step={"technique": "prune", "sparsity": 0.5}),
        dataclasses.replace(work, step={"technique": "prune", "sparsity": 0.7}),
        dataclasses.replace(work, kept={weight: constraints.Kept(zeros=zeros)}),
        dataclasses.replace(work, kept={weight: constraints.Kept(clusters=zeros.astype(int))}),
        dataclasses.replace(work, kept={weight: constraints.Kept(zeros=~zeros)}),
    ]
    for _ in range(2):
        for each in works:
            finetune(each, copied(each.model), 1)
        assert len(list(tmp_path.iterdir())) == len(works)


def test_two_processes_do_not_train_the_same_at_once(blobs: Dataset, tmp_path: Path) -> None:
    said: list[str] = []
    work = work_on(blobs, folder=tmp_path, say=said.append)
    finetune(work, copied(work.model), 1)
    (folder,) = tmp_path.iterdir()
    code = "import pathlib, sys, time; from tfday7.core.run_folder import RunFolder as Folder\n"
    code += "with Folder(pathlib.Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(1.0)"
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        started = time.monotonic()
        finetune(work, copied(work.model), 1)
        assert time.monotonic() - started > 0.5
    assert holder.returncode == 0
    assert sum("another process" in sentence for sentence in said) == 1


def test_training_that_diverges_leaves_the_weights_as_they_were_and_says_so(line: Dataset) -> None:
    work = work_on(line, optimizer=OptimizerConfig("sgd"))
    model = copied(work.model)
    found = finetune(work, model, 2, learning_rate=1e30)
    assert (found["stopped"], found["best_epoch"]) == ("nan", 0)
    assert "diverged" in work.notes[0]
    for ours, theirs in zip(model.get_weights(), work.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_only_epochs_from_a_given_one_can_be_the_best(blobs: Dataset) -> None:
    class Spoiling(keras.callbacks.Callback):
        """Makes every epoch worse than the one before."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.set_weights([(1 + 3 * epoch) * weight for weight in start])

    work = work_on(blobs)
    start = work.model.get_weights()
    plan = Distillation(alpha=1.0)
    found = finetune(work, copied(work.model), 3, 1e-9, distil=plan, callbacks=[Spoiling()], best_from=2)
    assert found["val_loss"][0] < found["val_loss"][1] < found["val_loss"][2]
    assert found["best_epoch"] == 2


def test_the_runs_optimizer_goes_on_at_a_share_of_its_rate_without_a_warm_up() -> None:
    run = OptimizerConfig("sgd", learning_rate=0.5, schedule="linear", warmup_steps=100, momentum=0.8)
    tuned = optimizer_for(run)
    assert tuned == dataclasses.replace(run, learning_rate=0.5 * RATE_SHARE, warmup_steps=0)
    assert optimizer_for(run, 0.2).learning_rate == 0.2
    assert optimizer_for(OptimizerConfig("adamw")).learning_rate == 0.001 * RATE_SHARE
    assert optimizer_for(OptimizerConfig("auto", learning_rate="auto")).optimizer == "adam"
    assert optimizer_for(OptimizerConfig("schedule_free_adamw")).schedule == "constant"


def test_all_layers_train() -> None:
    run = TrainingConfig(epochs=50, freeze=True, unfreeze_epochs=2, augment="noise", label_smoothing=0.1)
    assert training_for(run, 3) == TrainingConfig(epochs=3, augment="noise", label_smoothing=0.1)


def test_an_unknown_way_to_distil_is_refused(blobs: Dataset) -> None:
    with pytest.raises(UserError, match="distil is 'perhaps'; expected auto or none"):
        finetune(work_on(blobs), net(blobs), 1, distil="perhaps")


def test_a_mixed_precision_trains_a_copy_and_gives_its_weights_back(blobs: Dataset) -> None:
    work = work_on(blobs, training=TrainingConfig(precision="mixed_bfloat16"))
    model = copied(work.model)
    found = finetune(work, model, 1)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert found["val_loss"][0] < 1
    assert not np.array_equal(model.get_weights()[-2], work.model.get_weights()[-2])


def test_a_copy_in_mixed_precision_gives_float32_and_has_the_weights_in_order(pictures: Dataset) -> None:
    model = net(pictures, model="cnn")
    copy = with_precision(model, "mixed_bfloat16")
    assert copy.outputs[0].dtype == "float32"
    assert copy.layers[1].compute_dtype == "bfloat16"
    for ours, theirs in zip(copy.weights, model.weights, strict=True):
        assert ours.name == theirs.name
        np.testing.assert_array_equal(ours, theirs)
    nested = keras.Sequential([keras.Input((4, 4, 1)), model])
    assert with_precision(nested, "mixed_bfloat16").outputs[0].dtype == "float32"


def small_net() -> keras.Model:
    layers = [keras.layers.Dense(8, "relu", name="hidden"), keras.layers.Dense(2, name="logits")]
    return keras.Sequential([keras.Input((2,)), *layers])


def test_a_model_with_fake_quantization_learns_from_the_teacher_in_the_step_and_can_be_copied(blobs: Dataset) -> None:
    original = small_net()
    work = Work(original, original, blobs, training=TrainingConfig(augment="noise", precision="mixed_bfloat16"))
    model = tfmot.quantization.keras.quantize_model(copied(original))
    before = model.get_layer("quant_logits").weights[0].numpy()
    assert finetune(work, model, 1, learning_rate=0.01)["distil"]["cached"] is False
    assert not np.array_equal(model.get_layer("quant_logits").weights[0], before)
    assert "float32 instead of mixed_bfloat16" in work.notes[0]
    np.testing.assert_array_equal(copied(model)(blobs.test.x), model(blobs.test.x))


def test_pruning_reaches_its_zeros_with_stored_answers(blobs: Dataset) -> None:
    kit, original = tfmot.sparsity.keras, small_net()
    work = Work(original, original, blobs)
    model = kit.prune_low_magnitude(copied(original), pruning_schedule=kit.ConstantSparsity(0.5, 0, frequency=1))
    assert finetune(work, model, 1, callbacks=[kit.UpdatePruningStep()])["distil"]["cached"] is True
    kernels = [layer.kernel.numpy() for layer in kit.strip_pruning(model).layers if layer.weights]
    assert [np.count_nonzero(kernel == 0) for kernel in kernels] == [16 // 2, 16 // 2]


@pytest.mark.parametrize("training", [{}, {"augment": "noise"}, {"precision": "mixed_bfloat16"}])
def test_zeros_and_clusters_of_earlier_steps_stay(training: dict[str, str], blobs: Dataset) -> None:
    original = small_net()
    hidden, logits = (original.get_layer(name).kernel for name in ("hidden", "logits"))
    hidden.assign(np.where(np.arange(16).reshape(2, 8) % 3, hidden, 0.0))
    logits.assign(np.where(logits > 0, 0.5, -0.5))
    model = copied(original)
    work = Work(model, original, blobs, training=TrainingConfig(**training))  # type: ignore[arg-type]
    work.kept = constraints.merge(
        constraints.zeros(model, ["hidden/kernel"]), constraints.clusters(model, ["logits/kernel"])
    )
    finetune(work, model, 1, learning_rate=0.05)
    trained = model.get_layer("hidden").kernel.numpy()
    np.testing.assert_array_equal(trained == 0, hidden == 0)
    assert not np.allclose(trained, hidden)
    values = model.get_layer("logits").kernel.numpy()
    np.testing.assert_array_equal(values == values[logits.numpy() > 0][0], logits > 0)
    assert len(np.unique(values)) == 2
    assert not np.allclose(np.unique(values), [-0.5, 0.5])

"""prune: exact shares of zeros, of a copy, that stay through training and are there in the file."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.compression import finetuning
from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.records import Origin
from tfday7.optimizers import OptimizerConfig
from tfday7.training import fitting
from tfday7.training.config import TrainingConfig

LAYERS = keras.layers
PRUNE = TECHNIQUES.get("prune")


def picture_model() -> Any:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = LAYERS.Conv2D(6, 3, padding="same", activation="relu", name="first")(inputs)
    x = LAYERS.Conv2D(8, 1, name="one")(x)
    x = LAYERS.BatchNormalization(name="norm")(x)
    x = LAYERS.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    return keras.Model(inputs, LAYERS.Dense(2, name="logits")(LAYERS.Flatten()(x)))


def work_on(model: Any, dataset: Dataset, **given: Any) -> Work:
    return Work(model, model, dataset, **given)


def prune(work: Work, **given: Any) -> dict[str, Any]:
    return PRUNE.apply(work, read_settings(PRUNE, {"distil": "none", **given}))


def zeros(model: Any, layer: str, name: str = "kernel") -> float:
    return float(np.mean(getattr(model.get_layer(layer), name).numpy() == 0))


def constants(path: Path) -> dict[tuple[int, ...], np.ndarray]:
    """Returns the weights of a file by their shape."""
    content = path.read_bytes()
    tensors = [each for each in tflite_file.read(content).tensors if each.is_weight and len(each.shape) >= 2]
    return {tensor.shape: tflite_file.constant(content, tensor) for tensor in tensors}


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
def test_the_share_is_exact_after_training_and_the_given_model_stays(pictures: Dataset, schedule: str) -> None:
    model = picture_model()
    before = [weight.copy() for weight in model.get_weights()]
    work = work_on(model, pictures)
    done = prune(work, sparsity=0.7, schedule=schedule, epochs=2, spare_ends=False, distil="auto")
    assert work.original is model
    for old, now in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(old, now)
    expected = {"first/kernel": (54, 38), "one/kernel": (48, 34), "logits/kernel": (64, 45)}  # round(0.7 n)
    assert {layer["weight"]: (layer["weights"], layer["zeros"]) for layer in done["layers"]} == expected
    for path, (weights, count) in expected.items():
        kernel = work.model.get_layer(path.split("/")[0]).kernel.numpy()
        assert np.array_equal(kernel == 0, work.kept[path].zeros)
        assert kernel.size == weights
        assert (kernel == 0).sum() == count
    assert (done["weights"], done["zeros"]) == (54 + 48 + 64, 38 + 34 + 45)
    assert done["schedule"] == schedule
    assert done["finetuning"]["epochs"] == 2
    assert len(done["metric"]) == 2
    assert [(each.layer, each.reason.split(":")[0]) for each in work.skipped] == [("depthwise", "depthwise kernel")]
    trained = work.model.get_layer("first").kernel.numpy()
    moved = trained[trained != 0] != model.get_layer("first").kernel.numpy()[trained != 0]
    assert moved.mean() > 0.5  # Units of which ReLU leaves nothing do not move.


def test_without_epochs_the_smallest_go_at_once_and_nothing_else_changes(pictures: Dataset) -> None:
    model = picture_model()
    work = work_on(model, pictures)
    done = prune(work, sparsity=0.5, epochs=0, depthwise=True, spare_ends=False)
    assert done["finetuning"] == {}
    assert done["schedule"] == "constant"
    assert not work.skipped
    for weight in ("first/kernel", "one/kernel", "depthwise/depthwise_kernel", "logits/kernel"):
        layer, name = weight.split("/")
        old, new = (getattr(each.get_layer(layer), name).numpy() for each in (model, work.model))
        edge = np.median(np.abs(old))
        assert np.array_equal(new, np.where(np.abs(old) < edge, 0, old))


def test_the_best_epoch_is_one_that_has_all_zeros(pictures: Dataset) -> None:
    """With a learning rate of next to nothing the first epoch, with the fewest zeros, has the least loss."""
    model = picture_model()
    fitting.fit(model, pictures, OptimizerConfig(learning_rate=0.01), TrainingConfig(epochs=4))
    work = work_on(model, pictures)
    done = prune(work, sparsity=0.9, epochs=4, learning_rate=1e-7, spare_ends=False)
    losses = done["finetuning"]["val_loss"]
    assert losses[0] < min(losses[1:])
    assert done["finetuning"]["best_epoch"] >= 2
    assert zeros(work.model, "logits") == pytest.approx(0.9, abs=0.01)


def test_small_ends_are_spared_with_a_reason(pictures: Dataset) -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = LAYERS.Flatten()(LAYERS.Conv2D(2, 2, name="first")(inputs))
    x = LAYERS.Dense(30, name="wide")(x)
    x = LAYERS.Dense(1, name="narrow")(x)
    work = work_on(keras.Model(inputs, LAYERS.Dense(2, name="last")(x)), pictures)
    done = prune(work, sparsity=0.5, epochs=0)
    assert [layer["weight"] for layer in done["layers"]] == ["wide/kernel", "narrow/kernel"]
    assert [(each.layer, each.reason.split(":")[0]) for each in work.skipped] == [
        ("first", "the first layer"),
        ("last", "the last layer"),
    ]
    assert all("spare_ends=false" in each.reason for each in work.skipped)


def test_pruning_twice_keeps_the_zeros_of_the_first_time(pictures: Dataset) -> None:
    work = work_on(picture_model(), pictures)
    prune(work, sparsity=0.3, epochs=0, spare_ends=False)
    first = work.kept["one/kernel"].zeros
    prune(work, sparsity=0.6, epochs=1, spare_ends=False)
    second = work.kept["one/kernel"].zeros
    assert first is not None
    assert second is not None
    assert second[first].all()
    assert (first.sum(), second.sum()) == (round(48 * 0.3), round(48 * 0.6))
    assert np.array_equal(work.model.get_layer("one").kernel.numpy() == 0, second)


def series_model(*layers: Any) -> Any:
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((5, 3))
    for layer in layers:
        x = layer(x)
    nested = keras.Sequential([LAYERS.Dense(4, name="dense")], name="nested")
    return keras.Model(inputs, LAYERS.Dense(2, name="last")(nested(tf.nn.tanh(x) + 0.5)))


@pytest.fixture(scope="module")
def series() -> Dataset:
    x = np.random.default_rng(0).normal(size=(80, 5, 3)).astype(np.float32)
    return prepare(Raw(x, np.arange(80) % 2), "series")


@pytest.mark.slow
def test_recurrent_nested_and_operation_layers_are_pruned_step_by_step_too(series: Dataset) -> None:
    work = work_on(series_model(LAYERS.LSTM(4, name="lstm")), series)
    done = prune(work, sparsity=0.5, epochs=1, spare_ends=False)
    assert {layer["weight"]: layer["sparsity"] for layer in done["layers"]} == dict.fromkeys(
        ("lstm/kernel", "lstm/recurrent_kernel", "nested/dense/kernel", "last/kernel"), 0.5
    )
    assert np.mean(work.model.get_layer("lstm").cell.recurrent_kernel.numpy() == 0) == 0.5
    assert np.mean(work.model.get_layer("nested").get_layer("dense").kernel.numpy() == 0) == 0.5
    assert done["finetuning"]["best_epoch"] == 1


@pytest.mark.slow
def test_what_is_inside_of_attention_and_both_directions_is_pruned(series: Dataset) -> None:
    inputs = keras.Input((5, 3))
    x = LAYERS.MultiHeadAttention(2, 2, name="attention")(inputs, inputs)
    x = LAYERS.Bidirectional(LAYERS.GRU(2), name="both")(x)
    work = work_on(keras.Model(inputs, LAYERS.Dense(2, name="last")(x)), series)
    done = prune(work, sparsity=0.5, epochs=0, spare_ends=False)
    assert {layer["weight"]: layer["sparsity"] for layer in done["layers"]} == dict.fromkeys(
        (
            "attention/query/kernel", "attention/key/kernel", "attention/value/kernel",
            "attention/attention_output/kernel", "both/forward/kernel", "both/forward/recurrent_kernel",
            "both/backward/kernel", "both/backward/recurrent_kernel", "last/kernel",
        ),
        0.5,
    )  # fmt: skip


@pytest.mark.slow
def test_an_embedding_is_pruned_by_single_weights_alone() -> None:
    keras.utils.set_random_seed(0)
    tokens = np.random.default_rng(0).integers(0, 20, size=(80, 6)).astype(np.int32)
    data = prepare(Raw(tokens.astype(np.float32), (tokens[:, 0] > 9).astype(int)), "tokens")
    inputs = keras.Input((6,))
    x = LAYERS.Embedding(20, 4, name="table")(inputs)
    model = keras.Model(inputs, LAYERS.Dense(2, name="last")(LAYERS.Flatten()(x)))
    work = work_on(model, data)
    prune(work, sparsity=0.75, epochs=1, spare_ends=False)
    assert zeros(work.model, "table", "embeddings") == 0.75
    work = work_on(model, data)
    prune(work, pattern="2:4", epochs=0, spare_ends=False)
    assert [each.reason for each in work.skipped] == ["pattern 2:4 needs rows of inputs, and a table kernel has none"]
    work = work_on(model, data, optimizer=OptimizerConfig("tfa_lamb"))
    prune(work, epochs=1, spare_ends=False)
    assert [(each.layer, each.reason) for each in work.skipped] == [
        ("table", "tfa_lamb cannot keep zeros in an embedding")
    ]


@pytest.mark.slow
def test_the_zeros_are_there_in_half_precision_training_and_with_averaged_weights(pictures: Dataset) -> None:
    training = TrainingConfig(precision="mixed_float16")
    work = work_on(picture_model(), pictures, training=training, optimizer=OptimizerConfig(use_ema=True))
    done = prune(work, sparsity=0.75, epochs=2, learning_rate=0.01, spare_ends=False)
    assert zeros(work.model, "one") == 0.75
    assert np.array_equal(work.model.get_layer("one").kernel.numpy() == 0, work.kept["one/kernel"].zeros)
    assert done["finetuning"]["best_epoch"]


@pytest.mark.slow
def test_an_interrupted_ramp_goes_on_with_its_zeros(pictures: Dataset, tmp_path: Path) -> None:
    from tfday7.core.errors import Interrupted

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                signal.raise_signal(signal.SIGTERM)

    ends = []
    fit = finetuning._fit
    for name in ("whole", "parts"):
        work = work_on(picture_model(), pictures, folder=tmp_path / name)
        if name == "parts":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(finetuning, "_fit", lambda *args: fit(*args[:6], [*args[6], Stop()], *args[7:]))
                with pytest.raises(Interrupted):
                    prune(work, sparsity=0.8, epochs=2, learning_rate=0.01, spare_ends=False)
        prune(work, sparsity=0.8, epochs=2, learning_rate=0.01, spare_ends=False)
        ends.append(work.model.get_weights())
    for whole, parts in zip(*ends, strict=True):
        assert np.array_equal(whole, parts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"block": "1x4"}, "block=1x4 contradicts pattern=unstructured"),
        ({"pattern": "2:4", "sparsity": 0.7}, "sparsity=0.7 contradicts pattern=2:4"),
        ({"pattern": "block", "block": "4"}, "block=4: expected outputs x inputs"),
        ({"pattern": "block", "block": "0x4"}, "block=0x4: expected outputs x inputs"),
        ({"sparsity": 1.0}, "sparsity=1.0: expected a number at least 0 and below 1"),
        ({"pattern": "4:8"}, "pattern=4:8: expected one of unstructured, block, 2:4"),
        ({"amount": 1}, "prune has no setting 'amount'"),
    ],
)
def test_settings_that_contradict_are_the_users_mistake(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_settings(PRUNE, given)


def test_nothing_left_to_prune_and_unknown_layers_are_the_users_mistake(pictures: Dataset) -> None:
    work = work_on(picture_model(), pictures)
    with pytest.raises(UserError, match="the model has no layer left to prune"):
        prune(work, epochs=0, skip="first, one, logits")
    with pytest.raises(UserError, match="skip=two: no layer with weights has that name"):
        prune(work, epochs=0, skip="two")


@pytest.mark.slow
def test_in_the_file_zeros_are_zeros_in_float_and_int8_and_patterns_lie_along_the_inputs(
    pictures: Dataset, tmp_path: Path
) -> None:
    work = work_on(picture_model(), pictures)
    prune(work, pattern="2:4", epochs=0, spare_ends=False, skip="first")
    prune(work, pattern="unstructured", sparsity=0.75, epochs=1, spare_ends=False, skip="one, logits")
    wanted = [("tflite", "float32"), ("tflite", "int8")]
    origin = Origin("pruned", "", "logits")
    for artefact in exporting.export(work.model, pictures, wanted, tmp_path, origin, bisect=False):
        assert artefact.parity is not None
        assert artefact.parity.holds, artefact.parity
        found = constants(tmp_path / artefact.path)
        first, one, logits = found[6, 3, 3, 1], found[8, 1, 1, 6], found[2, 32]
        assert first.dtype == (np.int8 if "int8" in artefact.path else np.float32)
        assert (first == 0).sum() >= round(54 * 0.75)  # Rounding to int8 may add some.
        model_first = np.moveaxis(work.model.get_layer("first").kernel.numpy(), -1, 0)
        assert not first[model_first == 0].any()
        for rows in (one.reshape(8, 6), logits):
            for start in range(0, rows.shape[1], 4):
                assert (np.count_nonzero(rows[:, start : start + 4], axis=1) <= 2).all()
        assert np.count_nonzero(logits) <= 32

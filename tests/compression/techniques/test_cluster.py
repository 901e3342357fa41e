"""cluster: few values that train together, of a copy, with the zeros of pruning, in the file too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfday7.compression.technique import TECHNIQUES, Work, read_settings
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.source import Raw
from tfday7.exporting import exporting, tflite_file
from tfday7.exporting.records import Origin
from tfday7.optimizers import OptimizerConfig

LAYERS = keras.layers
PRUNE, CLUSTER = TECHNIQUES.get("prune"), TECHNIQUES.get("cluster")


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


def apply(technique: Any, work: Work, **given: Any) -> dict[str, Any]:
    return technique.apply(work, read_settings(technique, {"distil": "none", **given}))


def constants(path: Path) -> dict[tuple[int, ...], np.ndarray]:
    """Returns the weights of a file by their shape."""
    content = path.read_bytes()
    tensors = [each for each in tflite_file.read(content).tensors if each.is_weight and len(each.shape) >= 2]
    return {tensor.shape: tflite_file.constant(content, tensor) for tensor in tensors}


@pytest.mark.parametrize("optimizer", [OptimizerConfig(), OptimizerConfig("sgd", use_ema=True)], ids=["adam", "ema"])
def test_the_values_are_few_after_training_and_have_moved_together(
    pictures: Dataset, optimizer: OptimizerConfig
) -> None:
    model = picture_model()
    before = [weight.copy() for weight in model.get_weights()]
    work = work_on(model, pictures, optimizer=optimizer)
    done = apply(CLUSTER, work, clusters=5, epochs=2)
    for old, now in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(old, now)
    assert [(layer["weight"], layer["values"]) for layer in done["layers"]] == [
        ("first/kernel", 5), ("one/kernel", 5), ("logits/kernel", 5),
    ]  # fmt: skip
    start = work_on(model, pictures)
    apply(CLUSTER, start, clusters=5, epochs=0)
    for layer in ("first", "one", "logits"):
        first, trained = (np.unique(each.model.get_layer(layer).kernel.numpy()) for each in (start, work))
        assert len(first) == len(trained) == 5
        assert not np.array_equal(first, trained)
        assigned = [each.kept[f"{layer}/kernel"].clusters for each in (start, work)]
        assert np.array_equal(*assigned)
    assert [(each.layer, each.reason.split(":")[0]) for each in work.skipped] == [("depthwise", "depthwise kernel")]


@pytest.mark.slow
def test_values_of_each_output(pictures: Dataset) -> None:
    work = work_on(picture_model(), pictures)
    done = apply(CLUSTER, work, clusters=3, per_channel=True, init="linear", epochs=1)
    counts = {layer["weight"]: (layer["values"], layer["values_per_output"]) for layer in done["layers"]}
    assert counts == {"first/kernel": (18, 3), "one/kernel": (24, 3), "logits/kernel": (6, 3)}
    kernel = work.model.get_layer("one").kernel.numpy()
    assert [len(np.unique(kernel[..., output])) for output in range(8)] == [3] * 8


def test_zeros_of_pruning_stay_and_no_kernel_of_1x1_becomes_zero(pictures: Dataset) -> None:
    work = work_on(picture_model(), pictures)
    apply(PRUNE, work, sparsity=0.5, epochs=0, spare_ends=False)
    zeros = {path: kept.zeros for path, kept in work.kept.items()}
    done = apply(CLUSTER, work, clusters=4, epochs=2, depthwise=True)
    assert {layer["weight"]: layer["values"] for layer in done["layers"]} == dict.fromkeys(
        ("first/kernel", "one/kernel", "depthwise/depthwise_kernel", "logits/kernel"), 4
    )
    for path, mask in zeros.items():
        layer, name = path.split("/")
        kernel = getattr(work.model.get_layer(layer), name).numpy()
        assert np.array_equal(kernel == 0, mask)
        assert np.mean(kernel == 0) == 0.5
        assert np.array_equal(work.kept[path].zeros, mask)


@pytest.mark.slow
def test_recurrent_nested_operation_and_embedding_layers_are_clustered_too() -> None:
    keras.utils.set_random_seed(0)
    tokens = np.random.default_rng(0).integers(0, 20, size=(80, 6))
    data = prepare(Raw(tokens.astype(np.float32), (tokens[:, 0] > 9).astype(int)), "tokens")
    inputs = keras.Input((6,))
    x = LAYERS.LSTM(4, name="lstm")(LAYERS.Embedding(20, 4, name="table")(inputs))
    nested = keras.Sequential([LAYERS.Dense(4, name="dense")], name="nested")
    model = keras.Model(inputs, LAYERS.Dense(2, name="last")(nested(tf.nn.tanh(x) + 0.5)))
    work = work_on(model, data)
    done = apply(CLUSTER, work, clusters=6, epochs=1, skip="last")
    assert {layer["weight"]: layer["values"] for layer in done["layers"]} == dict.fromkeys(
        ("table/embeddings", "lstm/kernel", "lstm/recurrent_kernel", "nested/dense/kernel"), 6
    )
    assert len(np.unique(work.model.get_layer("lstm").cell.kernel.numpy())) == 6
    assert len(np.unique(work.model.get_layer("table").embeddings.numpy())) == 6
    assert [(each.layer, each.reason) for each in work.skipped] == [("last", "left out, as asked for")]
    rowwise = work_on(work.original, data)
    apply(CLUSTER, rowwise, clusters=3, per_channel=True, epochs=0)
    assert len(np.unique(rowwise.model.get_layer("table").embeddings.numpy())) == 3  # It has no outputs of its own.


def test_what_cannot_be_clustered_has_a_reason_or_is_the_users_mistake(pictures: Dataset) -> None:
    work = work_on(picture_model(), pictures)
    apply(CLUSTER, work, clusters=50, epochs=0)
    reasons = {each.layer: each.reason for each in work.skipped}
    assert reasons["one"] == "48 weights in all, no more than the 50 clusters"
    work = work_on(picture_model(), pictures)
    apply(CLUSTER, work, clusters=6, per_channel=True, epochs=0)
    reasons = {each.layer: each.reason for each in work.skipped}
    assert reasons["one"] == "6 weights for each output, no more than the 6 clusters"
    with pytest.raises(UserError, match="the model has no layer left to cluster"):
        apply(CLUSTER, work_on(picture_model(), pictures), clusters=100, epochs=0)
    work = work_on(picture_model(), pictures)
    apply(PRUNE, work, epochs=0, spare_ends=False)
    with pytest.raises(UserError, match="clusters=2 for first/kernel, which is pruned: zero is one of them"):
        apply(CLUSTER, work, clusters=2, epochs=0)
    for given, message in (
        ({"clusters": 1}, "clusters=1: expected a whole number at least 2 and at most 256"),
        ({"init": "random"}, r"init=random: expected one of kmeans\+\+, linear, density"),
    ):
        with pytest.raises(UserError, match=message):
            read_settings(CLUSTER, given)


@pytest.mark.slow
def test_in_the_file_the_values_are_few_and_zeros_are_zeros_in_float_and_int8(
    pictures: Dataset, tmp_path: Path
) -> None:
    """Per channel, because int8 files have a scale, and the folded normalization a factor, for each output."""
    work = work_on(picture_model(), pictures)
    apply(PRUNE, work, sparsity=0.5, epochs=0, spare_ends=False)
    apply(CLUSTER, work, clusters=4, epochs=1)
    wanted = [("tflite", "float32"), ("tflite", "int8")]
    for artefact in exporting.export(
        work.model, pictures, wanted, tmp_path, Origin("clustered", "", "logits"), bisect=False
    ):
        assert artefact.parity is not None
        assert artefact.parity.holds, artefact.parity
        found = constants(tmp_path / artefact.path)
        for layer, shape in (("first", (6, 3, 3, 1)), ("one", (8, 1, 1, 6)), ("logits", (2, 32))):
            values = found[shape]
            assert values.dtype == (np.int8 if "int8" in artefact.path else np.float32)
            assert max(len(np.unique(row)) for row in values.reshape(shape[0], -1)) <= 4
            kernel = np.moveaxis(work.model.get_layer(layer).kernel.numpy(), -1, 0).reshape(shape)
            assert not values[kernel == 0].any()
            assert values.any()
        assert len(np.unique(found[2, 32])) <= (4 if found[2, 32].dtype == np.float32 else 7)

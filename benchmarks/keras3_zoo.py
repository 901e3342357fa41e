"""Sends every architecture of keras.applications through the Keras 3 door, in and out, and compares the outputs.

Each model gets random weights, its normalization statistics included, and random input; it is rebuilt in tf_keras
(`door.load`) and back in Keras 3 (`door.to_keras3`), and all three compute the outputs. A difference of 0 is expected;
up to 1e-6 of the largest output is allowed and needs a reason, which the table names. Its columns: parameters; the
difference in and out, run eagerly; the same two in the graph of `predict`; Keras 3's own difference between the two.
Then small models of other kinds (LSTM, GRU, encoder, ViT, U-Net, siamese, several outputs) do the same, and are
trained one epoch in both Kerases from the same weights.

    python benchmarks/keras3_zoo.py                     # all of it: about 15 minutes on 2 cores
    python benchmarks/keras3_zoo.py MobileNetV2 lstm    # some: their rows of the table are replaced
"""

from __future__ import annotations

import datetime
import gc
import importlib.metadata
import inspect
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7.core.files import read_json, write_json
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door

RESULTS = Path(__file__).parent / "results" / "keras3_zoo.json"
ALLOWED = 1e-6  # Of the largest output.
ALLOWED_LOSS = 1e-5
SIZES = (32, 48, 64, 71, 75, 96, 128, 160, 224, 299, 331)
FULL_SIZE = (
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0"),
    *("ResNet50", "ResNet50V2", "DenseNet121", "NASNetMobile", "InceptionV3", "Xception", "VGG16", "ConvNeXtTiny"),
)


def architectures() -> dict[str, Callable[..., Any]]:
    """Returns every model function of keras.applications by name."""
    found = vars(keras3.applications).items()
    return {name: function for name, function in found if inspect.isfunction(function) and name[0].isupper()}


def smallest(function: Callable[..., Any]) -> Any:
    """Returns the model with random weights and the smallest square input that it accepts, without its head."""
    for size in SIZES:
        try:
            return function(weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3))
        except ValueError:  # Too small: the function says so, or a layer runs out of pixels.
            keras3.backend.clear_session()
    raise ValueError(f"no size in {SIZES} is accepted")


def randomize(model: Any, seed: int = 0) -> None:
    """Gives every weight a random value that keeps activations of ordinary size, statistics of batches included."""
    generator = np.random.default_rng(seed)
    for variable in model.weights:
        name, shape = variable.path.split("/")[-1], tuple(variable.shape)
        if "int" in variable.dtype:
            continue
        if name in ("gamma", "moving_variance", "variance"):
            value = generator.uniform(0.5, 1.5, shape)
        elif len(shape) < 2:
            value = generator.normal(0, 0.1, shape)
        else:
            fan_in = shape[0] * shape[1] if "depthwise" in name else np.prod(shape[:-1])
            value = generator.normal(0, (2 / max(1, fan_in)) ** 0.5, shape)
        variable.assign(value.astype(variable.dtype))
    for layer in model._flatten_layers():
        if isinstance(layer, keras3.layers.Normalization) and layer.weights:
            layer.finalize_state()  # It computes with a copy of its statistics.


def random_input(model: Any, batch_size: int, seed: int = 1) -> list[np.ndarray]:
    """Returns one array per input: normal floats, or integers below 16."""
    generator = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        shape = [batch_size, *(224 if size is None else size for size in tensor.shape[1:])]
        is_float = "float" in str(tensor.dtype)
        arrays.append(generator.normal(size=shape).astype("float32") if is_float else generator.integers(0, 16, shape))
    return arrays


def difference(ours: Any, theirs: Any) -> float:
    """Returns the largest absolute difference, relative to the largest output."""
    flat = [[np.asarray(one) for one in tf.nest.flatten(nest)] for nest in (ours, theirs)]
    pairs = zip(*flat, strict=True)
    return max(float(np.max(np.abs(a - b)) / max(1e-30, np.max(np.abs(b)))) for a, b in pairs)


def compare(model: Any, in_graph: bool = True) -> dict[str, Any]:
    """Returns the record of one model's way in and out.

    The models are compared as they compute, operation by operation (eagerly), and as `predict` runs them: in a graph,
    where TensorFlow's optimizer regroups operations. How far that takes Keras 3 from its own eager outputs is the
    yardstick for the second comparison.
    """
    started = time.perf_counter()
    randomize(model)
    data = random_input(model, 2)
    data = data if len(data) > 1 else data[0]
    inside = door.load(model)
    back = door.to_keras3(inside)
    eager = [one(data, training=False) for one in (model, inside, back)]
    graph = [
        one.predict(data, verbose=0) if in_graph else out for one, out in zip((model, inside, back), eager, strict=True)
    ]
    record = {
        "input_shape": [list(tensor.shape[1:]) for tensor in model.inputs],
        "parameters": model.count_params(),
        "difference_in": difference(eager[1], eager[0]),
        "difference_out": difference(eager[2], eager[0]),
        "graph_difference_in": difference(graph[1], graph[0]),
        "graph_difference_out": difference(graph[2], graph[0]),
        "keras3_graph_to_eager": difference(graph[0], eager[0]),
        "same_layer_names": {layer.name for layer in model.layers} <= {layer.name for layer in inside.layers},
        "seconds": round(time.perf_counter() - started, 1),
    }
    worst, worst_graph = (
        max(record[f"{kind}_in"], record[f"{kind}_out"]) for kind in ("difference", "graph_difference")
    )
    passed = worst <= ALLOWED and worst_graph <= max(ALLOWED, 2 * record["keras3_graph_to_eager"])
    return record | {"passed": passed, "reason": reason(model, worst, worst_graph)}


def reason(model: Any, worst: float, worst_graph: float) -> str:
    """Returns why the last bits differ, or nothing when they do not."""
    if worst == 0:
        return "" if worst_graph == 0 else "only in a graph, whose optimizer regroups operations"
    kinds = {type(layer).__name__ for layer in model._flatten_layers()}
    return "; ".join(text for name, text in REASONS.items() if name in kinds) or "unknown"


REASONS = {
    "MultiHeadAttention": "MultiHeadAttention: Keras 3 scales the scores, tf_keras the query",
    "LayerNormalization": "LayerNormalization: the order of additions differs",
}


def lstm() -> Any:
    layers = keras3.layers
    inputs = layers.Input((12, 5))
    x = layers.LSTM(8, return_sequences=True)(inputs)
    return keras3.Model(inputs, layers.Dense(3)(layers.Bidirectional(layers.LSTM(6))(x)))


def gru() -> Any:
    layers = keras3.layers
    inputs = layers.Input((12,), dtype="int32")
    x = layers.Embedding(16, 6, mask_zero=True)(inputs)
    x = layers.GRU(8, return_sequences=True)(x)
    return keras3.Model(inputs, layers.Dense(3)(layers.GRU(6)(x)))


def encoder_block(x: Any, width: int, heads: int, epsilon: float) -> Any:
    layers = keras3.layers
    attended = layers.MultiHeadAttention(heads, width // heads)(x, x)
    x = layers.LayerNormalization(epsilon=epsilon)(x + attended)
    wide = layers.Dense(2 * width, activation="gelu")(x)
    return layers.LayerNormalization(epsilon=epsilon)(x + layers.Dense(width)(wide))


def bert_like() -> Any:
    layers, ops = keras3.layers, keras3.ops
    tokens = layers.Input((10,), dtype="int32", name="tokens")
    segments = layers.Input((10,), dtype="int32", name="segments")
    positions = layers.Embedding(10, 16)(ops.arange(10))
    x = layers.Embedding(16, 16)(tokens) + layers.Embedding(16, 16)(segments) + positions
    x = layers.LayerNormalization(epsilon=1e-12)(x)
    for _ in range(2):
        x = encoder_block(x, 16, 4, 1e-12)
    return keras3.Model([tokens, segments], layers.Dense(3)(layers.Dense(16, activation="tanh")(x[:, 0])))


def vit_like() -> Any:
    layers, ops = keras3.layers, keras3.ops
    images = layers.Input((16, 16, 3))
    patches = layers.Conv2D(16, 4, strides=4)(layers.Rescaling(1 / 2, 0.1)(images))
    x = ops.reshape(patches, (-1, 16, 16))
    x = x + layers.Embedding(16, 16)(ops.arange(16))
    for _ in range(2):
        x = encoder_block(x, 16, 4, 1e-6)
    return keras3.Model(images, layers.Dense(3)(ops.mean(x, axis=1)))


def unet() -> Any:
    layers = keras3.layers
    inputs = layers.Input((16, 16, 3))
    skips, x = [], inputs
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    for filters, skip in ((8, skips[1]), (4, skips[0])):
        x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.Concatenate()([x, skip]))
    return keras3.Model(inputs, layers.Conv2D(1, 1)(x))


def siamese() -> Any:
    layers, ops = keras3.layers, keras3.ops
    encoder = keras3.Sequential(
        [layers.Input((8,)), layers.Dense(8, activation="relu"), layers.Dense(4)], name="encoder"
    )
    left, right = layers.Input((8,)), layers.Input((8,))
    distance = ops.abs(encoder(left) - encoder(right))
    return keras3.Model([left, right], layers.Dense(1)(distance))


def multi_output() -> Any:
    layers = keras3.layers
    inputs = layers.Input((8, 8, 3))
    x = layers.SeparableConv2D(8, 3, activation="silu")(inputs)
    x = layers.GroupNormalization(4)(x)
    pooled = layers.GlobalAveragePooling2D()(x)
    heads = {"number": layers.Dense(1, name="number")(pooled), "map": layers.Conv2D(1, 1, name="map")(x)}
    return keras3.Model(inputs, heads)


SMALL = {f.__name__: f for f in (lstm, gru, bert_like, vit_like, unet, siamese, multi_output)}


def train_both(model: Any) -> dict[str, Any]:
    """Returns the losses of one epoch of SGD in both Kerases from the same weights, on the same batches."""
    randomize(model)
    data = random_input(model, 64)
    data = data if len(data) > 1 else data[0]
    generator = np.random.default_rng(2)
    targets = tf.nest.map_structure(lambda out: generator.normal(size=out.shape), model(data))
    losses = {}
    for name, framework, one in (("tf_keras", keras, door.load(model)), ("keras3", keras3, model)):
        batches: list[float] = []  # The loss after each step, as a mean over the epoch so far.
        log = framework.callbacks.LambdaCallback(
            on_batch_end=lambda _, logs, to=batches: to.append(float(logs["loss"]))
        )
        loss = dict.fromkeys(targets, "mse") if isinstance(targets, dict) else "mse"
        one.compile(framework.optimizers.SGD(0.01), loss)
        before = float(one.evaluate(data, targets, verbose=0, return_dict=True)["loss"])
        one.fit(data, targets, batch_size=8, epochs=1, shuffle=False, verbose=0, callbacks=[log])
        losses[name] = [before, *batches, float(one.evaluate(data, targets, verbose=0, return_dict=True)["loss"])]
    pairs = zip(losses["tf_keras"], losses["keras3"], strict=True)
    gap = max(abs(ours - theirs) / max(1.0, abs(theirs)) for ours, theirs in pairs)
    return {"loss_before": losses["keras3"][0], "loss_after": losses["keras3"][-1], "loss_difference": gap}


def cases(wanted: list[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields the name and the maker of every model, or of the wanted ones."""
    for name, function in architectures().items():
        if not wanted or name in wanted:
            yield name, lambda function=function: smallest(function)
            if name in FULL_SIZE:
                yield f"{name} (full size)", lambda function=function: function(weights=None)
    yield from ((name, make) for name, make in SMALL.items() if not wanted or name in wanted)


def row(name: str, make: Callable[[], Any]) -> dict[str, Any]:
    """Returns the record of one model; small ones are trained too."""
    record = compare(make())
    if name in SMALL:
        record |= train_both(make())
        record["passed"] = record["passed"] and record["loss_difference"] <= ALLOWED_LOSS
    return record


def main(wanted: list[str]) -> int:
    passed = 0
    rows: dict[str, Any] = read_json(RESULTS)["rows"] if wanted and RESULTS.exists() else {}
    for name, make in cases(wanted):
        keras3.backend.clear_session()
        keras.backend.clear_session()
        gc.collect()
        try:
            rows[name] = row(name, make)
        except Exception as error:  # noqa: BLE001 - one model's failure is a row of the table
            traceback.print_exc()
            rows[name] = {"passed": False, "error": f"{type(error).__name__}: {error}"[:300]}
        print_row(name, rows[name])
        passed = sum(one["passed"] for one in rows.values())
        write_json(RESULTS, {**circumstances(), "passed": passed, "total": len(rows), "rows": rows})
    print(f"{passed} of {len(rows)} passed")
    return 0 if passed == len(rows) else 3


def print_row(name: str, row: dict[str, Any]) -> None:
    if "error" in row:
        print(f"{name:32} FAILED {row['error']}", flush=True)
        return
    figures = (
        "difference_in",
        "difference_out",
        "graph_difference_in",
        "graph_difference_out",
        "keras3_graph_to_eager",
    )
    print(
        f"{name:32} {row['parameters']:>12,} "
        + " ".join(f"{row[figure]:8.1e}" for figure in figures)
        + f" {'ok' if row['passed'] else 'FAILED'} {row['seconds']:6.1f} s  {row['reason']}"
        + (f"  trained: losses differ by {row['loss_difference']:.1e}" if "loss_difference" in row else ""),
        flush=True,
    )


def circumstances() -> dict[str, Any]:
    """Returns what the figures depend on."""
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "tf-keras")}
    return {
        "command": "python benchmarks/keras3_zoo.py",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), **versions},
        "allowed": ALLOWED,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Sends every architecture of keras.applications through the Keras 3 door, in and out, and compares the outputs.

Each model gets random weights, its normalization statistics included, and random input; it is rebuilt in tf_keras
(`door.load`) and back in Keras 3 (`door.to_keras3`), and all three predict. A difference of 0 is expected; up to 1e-6
of the largest output is allowed and needs a reason, which the table names. Then small models of other kinds (LSTM,
GRU, encoder, ViT, U-Net, siamese, several outputs) do the same, and are trained one epoch in both Kerases from the
same weights.

    python benchmarks/keras3_zoo.py                     # all of it: about half an hour on 2 cores
    python benchmarks/keras3_zoo.py MobileNetV2 lstm    # some
"""

from __future__ import annotations

import datetime
import gc
import inspect
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7.core.files import write_json
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door

RESULTS = Path(__file__).parent / "results" / "keras3_zoo.json"
ALLOWED = 1e-6  # Of the largest output.
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
    pairs = zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True)
    return max(float(np.max(np.abs(a - b)) / max(1e-30, np.max(np.abs(b)))) for a, b in pairs)


def compare(model: Any) -> dict[str, Any]:
    """Returns the record of one model's way in and out."""
    started = time.perf_counter()
    randomize(model)
    data = random_input(model, 2)
    data = data if len(data) > 1 else data[0]
    expected = model.predict(data, verbose=0)
    inside = door.load(model)
    way_in = difference(inside.predict(data, verbose=0), expected)
    back = door.to_keras3(inside)
    way_out = difference(back.predict(data, verbose=0), expected)
    return {
        "input_shape": [list(tensor.shape[1:]) for tensor in model.inputs],
        "parameters": model.count_params(),
        "relative_difference_in": way_in,
        "relative_difference_out": way_out,
        "same_layer_names": {layer.name for layer in model.layers} <= {layer.name for layer in inside.layers},
        "passed": max(way_in, way_out) <= ALLOWED,
        "reason": reason(model) if max(way_in, way_out) > 0 else "",
        "seconds": round(time.perf_counter() - started, 1),
    }


def reason(model: Any) -> str:
    """Returns why the last bits may differ: the layers of the model that the two Kerases compute in another order."""
    kinds = {type(layer).__name__ for layer in model._flatten_layers()}
    return "; ".join(text for name, text in REASONS.items() if name in kinds)


REASONS = {
    "LayerNormalization": "LayerNormalization: the variance is E[x^2] - E[x]^2 in Keras 3, E[(x - E[x])^2] in tf_keras",
    "MultiHeadAttention": "MultiHeadAttention: Keras 3 scales the scores, tf_keras the query",
}


def cases(wanted: list[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields the name and the maker of every model, or of the wanted ones."""
    for name, function in architectures().items():
        if not wanted or name in wanted:
            yield name, lambda function=function: smallest(function)
            if name in FULL_SIZE:
                yield f"{name} (full size)", lambda function=function: function(weights=None)


def main(wanted: list[str]) -> int:
    rows: dict[str, Any] = {}
    for name, make in cases(wanted):
        keras3.backend.clear_session()
        keras.backend.clear_session()
        gc.collect()
        try:
            rows[name] = compare(make())
        except Exception as error:  # noqa: BLE001 - one model's failure is a row of the table
            traceback.print_exc()
            rows[name] = {"passed": False, "error": f"{type(error).__name__}: {error}"[:300]}
        print_row(name, rows[name])
    passed = sum(row["passed"] for row in rows.values())
    print(f"{passed} of {len(rows)} passed")
    if not wanted:
        write_json(RESULTS, {**circumstances(), "passed": passed, "total": len(rows), "rows": rows})
    return 0 if passed == len(rows) else 3


def print_row(name: str, row: dict[str, Any]) -> None:
    if "error" in row:
        print(f"{name:32} FAILED {row['error']}", flush=True)
        return
    print(
        f"{name:32} {row['parameters']:>12,} "
        f"{row['relative_difference_in']:9.1e} {row['relative_difference_out']:9.1e} "
        f"{'ok' if row['passed'] else 'FAILED'} {row['seconds']:6.1f} s  {row['reason']}",
        flush=True,
    )


def circumstances() -> dict[str, Any]:
    """Returns what the figures depend on."""
    versions = {"tensorflow": tf.__version__, "keras": keras3.__version__, "tf_keras": keras.__version__}
    return {
        "command": "python benchmarks/keras3_zoo.py",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()} {platform.processor()}".strip(),
        "versions": {"python": platform.python_version(), **versions},
        "allowed": ALLOWED,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a user without tfday7 would do to a model: the recipes of other kits, written as their manuals say.

Each takes the float model and the examples and returns the bytes of a `.tflite` file. They use TFMOT and TensorFlow's
converter alone; what no kit does (removing channels) is done by hand, as a careful person would: of ResNet-8, where it
is known which filters are added to each other; any other model is built at half of its width and learns from the whole.

Of a model of words TFMOT refuses the whole ("please initialize `Prune` with a supported layer"); its manual then wraps
single layers, as is done here with every embedding and dense layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfday7.core.frameworks import keras, tf
from tfday7.data import Dataset
from tfday7.models import ModelConfig, building, load

BATCH = 128
CALIBRATION = 200


def converted(model: Any, kind: str, x: np.ndarray) -> bytes:
    """Returns the file that TensorFlow's converter makes: float32, or int8 at both ends."""
    words = reads_words(model)
    if words:  # With a batch of any size the converter fails: "'tf.BiasAdd' op is neither a custom op nor a flex op".
        one = tf.TensorSpec((1, *model.inputs[0].shape[1:]), model.inputs[0].dtype)
        function = tf.function(lambda tensor: model(tensor)).get_concrete_function(one)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    else:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind == "int8":

        def batches() -> Iterator[list[np.ndarray]]:
            for example in x[:CALIBRATION]:
                yield [example[np.newaxis]]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = batches
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.float32 if words else tf.int8  # Numbers of words stay what they are.
        converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def reads_words(model: Any) -> bool:
    """Returns whether a model takes the numbers of words."""
    return bool(model.inputs[0].dtype == tf.int32)


def wrapped(model: Any, wrap: Callable[[Any], Any], kinds: tuple[str, ...] = ("Dense", "Embedding")) -> Any:
    """Returns a copy that a function of TFMOT has wrapped: the whole, or of a model of words the layers it takes."""
    if not reads_words(model):
        return wrap(load(model))
    return keras.models.clone_model(
        load(model), clone_function=lambda layer: wrap(layer) if type(layer).__name__ in kinds else layer
    )


def compiled(model: Any, steps: int, rate: float, loss: Any = None) -> Any:
    """Returns the model with Adam whose rate falls to 0 along a cosine."""
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss or own, metrics=["accuracy"] if loss is None else None)
    return model


def tuned(model: Any, data: Dataset, epochs: int, rate: float = 1e-3, callbacks: list[Any] | None = None) -> Any:
    """Trains a model further."""
    x, y = np.asarray(data.train.x[:]), np.asarray(data.train.y[:])
    compiled(model, epochs * -(-len(x) // BATCH), rate)
    model.fit(x, y, BATCH, epochs, verbose=0, callbacks=callbacks)
    return model


def plain_float(model: Any, data: Dataset, epochs: int) -> bytes:
    return converted(model, "float32", data.train.x[:])


def plain_int8(model: Any, data: Dataset, epochs: int) -> bytes:
    return converted(model, "int8", data.train.x[:])


def tfmot_qat(model: Any, data: Dataset, epochs: int) -> bytes:
    import tensorflow_model_optimization as tfmot

    kit = tfmot.quantization.keras
    if reads_words(model):
        quantized = kit.quantize_apply(wrapped(model, kit.quantize_annotate_layer, ("Dense",)))
    else:
        quantized = kit.quantize_model(load(model))
    return converted(tuned(quantized, data, epochs), "int8", data.train.x[:])


def _pruned(model: Any, data: Dataset, epochs: int, sparsity: float) -> Any:
    import tensorflow_model_optimization as tfmot

    steps = epochs * -(-len(data.train) // BATCH)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, 0, int(0.7 * steps), frequency=20)
    pruning = wrapped(model, lambda part: tfmot.sparsity.keras.prune_low_magnitude(part, pruning_schedule=schedule))
    tuned(pruning, data, epochs, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    return tfmot.sparsity.keras.strip_pruning(pruning)


def _prune_int8(sparsity: float) -> Callable[..., bytes]:
    return lambda model, data, epochs: converted(_pruned(model, data, epochs, sparsity), "int8", data.train.x[:])


def tfmot_pqat(model: Any, data: Dataset, epochs: int) -> bytes:
    import tensorflow_model_optimization as tfmot

    pruned, kit = _pruned(model, data, epochs, 0.8), tfmot.quantization.keras
    whole = not reads_words(model)
    annotate = kit.quantize_annotate_model if whole else kit.quantize_annotate_layer
    annotated = wrapped(pruned, annotate, ("Dense",))
    scheme = tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    quantized = kit.quantize_apply(annotated, scheme)
    return converted(tuned(quantized, data, epochs), "int8", data.train.x[:])


def tfmot_cluster(model: Any, data: Dataset, epochs: int) -> bytes:
    import tensorflow_model_optimization as tfmot

    kit = tfmot.clustering.keras
    start = kit.CentroidInitialization.KMEANS_PLUS_PLUS
    clustering = wrapped(
        model, lambda part: kit.cluster_weights(part, number_of_clusters=16, cluster_centroids_init=start)
    )
    return converted(kit.strip_clustering(tuned(clustering, data, epochs, 3e-4)), "int8", data.train.x[:])


def half_width(model: Any, data: Dataset, epochs: int) -> bytes:
    """Half of the width, trained from scratch as the float model was."""
    small = narrow(model, data)
    return converted(tuned(small, data, 8, 3e-3), "int8", data.train.x[:])


def halved_by_hand(model: Any, data: Dataset, epochs: int) -> bytes:
    """Half of the width learns from the float model; of ResNet-8 from the filters with the largest weights on."""
    small = narrow(model, data)
    known = any(layer.name == "stack_3_shortcut" for layer in model.layers)
    if known:
        _copy_largest(model, small)
    x = np.asarray(data.train.x[:])
    answers = model.predict(x, 1024, verbose=0)
    targets = np.concatenate([answers, np.asarray(data.train.y[:])[:, np.newaxis].astype(np.float32)], axis=1)

    def loss(y_true: Any, y_pred: Any) -> Any:
        soft = keras.losses.kl_divergence(tf.nn.softmax(y_true[:, :-1] / 4.0), tf.nn.softmax(y_pred / 4.0)) * 16.0
        hard = keras.losses.sparse_categorical_crossentropy(y_true[:, -1], y_pred, from_logits=True)
        return 0.9 * soft + 0.1 * hard

    rounds, rate = (epochs + 1, 1e-3) if known else (8, 3e-3)  # From scratch it learns as long as `half_width`.
    compiled(small, rounds * -(-len(x) // BATCH), rate, loss)
    small.fit(x, targets, BATCH, rounds, verbose=0)
    return converted(small, "int8", x)


def narrow(model: Any, data: Dataset) -> Any:
    """Returns an untrained model with half of the filters of every convolution; a transformer of half the width."""
    if reads_words(model):
        width = model.get_layer("norm").output.shape[-1]
        return building.build(ModelConfig(model="transformer", width=width // 2), data.problem, "float32", 0)
    settings = model.get_config()
    for layer in settings["layers"]:
        if layer["class_name"] == "Conv2D":
            layer["config"]["filters"] //= 2
        layer.pop("build_config", None)
    return keras.Model.from_config(settings)


def _copy_largest(model: Any, small: Any) -> None:
    """Copies the rows and columns of the filters that stay; what is added to each other keeps the same ones."""
    kept: dict[str, np.ndarray] = {}
    stages = {"stem": ["stem_conv", "stack_1_conv_2"]}
    for i in (2, 3):
        stages[f"stack_{i}"] = [f"stack_{i}_conv_2", f"stack_{i}_shortcut"]
    inner = {f"stack_{i}_conv_1": [f"stack_{i}_conv_1"] for i in (1, 2, 3)}
    for group in [*stages.values(), *inner.values()]:
        norms = sum(np.abs(model.get_layer(name).get_weights()[0]).sum((0, 1, 2)) for name in group)
        chosen = np.sort(np.argsort(-norms)[: len(norms) // 2])
        kept.update(dict.fromkeys(group, chosen))
    image = np.arange(model.inputs[0].shape[-1])
    block = {1: "stem_conv", 2: "stack_1_conv_2", 3: "stack_2_conv_2"}
    into = {"stem_conv": image, "logits": kept["stack_3_conv_2"]}
    for i, before in block.items():
        into[f"stack_{i}_conv_1"] = into[f"stack_{i}_shortcut"] = kept[before]
        into[f"stack_{i}_conv_2"] = kept[f"stack_{i}_conv_1"]
    norms_of = {"stem_norm": "stem_conv"}
    norms_of |= {f"stack_{i}_{j}_norm": f"stack_{i}_conv_{j}" for i in (1, 2, 3) for j in (1, 2)}
    for layer in model.layers:
        weights = layer.get_weights()
        if layer.name in norms_of:
            weights = [each[kept[norms_of[layer.name]]] for each in weights]
        elif layer.name == "logits":
            weights = [weights[0][into["logits"]], weights[1]]
        elif weights:
            out = kept[layer.name]
            weights = [weights[0][:, :, into[layer.name]][..., out], weights[1][out]]
        small.get_layer(layer.name).set_weights(weights)


PEERS: dict[str, Callable[[Any, Dataset, int], bytes]] = {
    "float32": plain_float,
    "converter int8": plain_int8,
    "TFMOT QAT": tfmot_qat,
    "TFMOT prune 50% + int8": _prune_int8(0.5),
    "TFMOT prune 80% + int8": _prune_int8(0.8),
    "TFMOT PQAT 80%": tfmot_pqat,
    "TFMOT 16 clusters + int8": tfmot_cluster,
    "half the width from scratch, int8": half_width,
    "half the channels by hand, distilled, int8": halved_by_hand,
}

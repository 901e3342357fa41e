"""Models of keras.applications with a new head, and frozen layers: learning from what another task has taught.

Weights are random, or ImageNet's from Keras's own cache; nothing is downloaded. The preprocessing that a model was
trained with becomes its first layer, so that it takes pixels from 0 to 1, as every other model here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.frameworks import keras
from tfday7.data import Problem
from tfday7.models import blocks, heads
from tfday7.models.architecture import Options

PREFIX = "keras.applications:"
NAMES = (
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121", "DenseNet169",
    "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4",
    "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2",
    "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S", "InceptionResNetV2", "InceptionV3",
    "MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "RegNetX002",
    "RegNetX004", "RegNetX006", "RegNetX008", "RegNetX016", "RegNetX032", "RegNetX040", "RegNetX064", "RegNetX080",
    "RegNetX120", "RegNetX160", "RegNetX320", "RegNetY002", "RegNetY004", "RegNetY006", "RegNetY008", "RegNetY016",
    "RegNetY032", "RegNetY040", "RegNetY064", "RegNetY080", "RegNetY120", "RegNetY160", "RegNetY320", "ResNet101",
    "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2", "ResNetRS101", "ResNetRS152", "ResNetRS200",
    "ResNetRS270", "ResNetRS350", "ResNetRS420", "ResNetRS50", "VGG16", "VGG19", "Xception",
)  # fmt: skip
STAGES = 4  # Frozen layers begin to train in as many steps, from the output to the input.


def is_application(model: str) -> bool:
    """Returns whether `--model` names a model of keras.applications."""
    return model.startswith(PREFIX)


def check_name(model: str) -> None:
    """Raises UserError for a name that keras.applications does not have; loads no TensorFlow."""
    name = model.removeprefix(PREFIX)
    if name not in NAMES:
        raise unknown_name("model of keras.applications", name, NAMES)


def check(model: str, problem: Problem) -> None:
    """Raises UserError when the examples are no images of three colours."""
    if problem.kind != "image" or problem.input_shape[-1] != 3:
        raise UserError(
            f"--model={model} takes images [height, width, 3], but the examples have the shape {problem.input_shape}",
            "load the images with three channels, or use an architecture such as mobilenet_v2",
        )


def build(model: str, problem: Problem, options: Options, pretrained: bool, own_head: bool = False) -> Any:
    """Returns a model of keras.applications that fits the problem: preprocessing, its layers, a mean and a new head.

    Args:
        model: keras.applications:NAME.
        problem: images [height, width, 3] with values in [0, 1].
        options: dropout applies before a new head.
        pretrained: whether ImageNet's weights are read from Keras's cache.
        own_head: keep the model's own layers up to the logits of ImageNet's 1,000 classes.

    Raises:
        UserError: the images are too small for it, or the weights are not in the cache.
    """
    make = getattr(keras.applications, model.removeprefix(PREFIX))
    tensor, x = blocks.inputs(problem)
    x = _preprocessed(x, sys.modules[make.__module__].preprocess_input)
    end = {"include_top": True, "classifier_activation": None} if own_head else {"include_top": False, "pooling": "avg"}
    try:
        with _cached_files_only():
            base = make(
                weights="imagenet" if pretrained else None, input_tensor=x, input_shape=problem.input_shape, **end
            )
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"--model={model} does not take images of {problem.input_shape} ({error})") from error
    if not pretrained:
        _settle_sooner(base)
    name = model.removeprefix(PREFIX).lower()
    if own_head:
        return keras.Model(tensor, base.output, name=name)
    x = blocks.dropout(base.output, options, "dropout")
    return keras.Model(tensor, blocks.head(x, problem), name=name)


def with_new_head(model: Any, problem: Problem, options: Options) -> Any:
    """Returns a model with all layers but the last Dense one and what follows it, and a new head for the problem.

    Args:
        model: a functional tf_keras model with one output; its other layers are shared with the new model.
        problem: what the new head has to fit.
        options: dropout applies before the head.

    Raises:
        UserError: the last layer with weights is no Dense layer that is called once.
    """
    with_weights = [layer for layer in model.layers if layer.weights]
    last = with_weights[-1] if with_weights else None
    if not isinstance(last, keras.layers.Dense) or len(last.inbound_nodes) != 1 or len(last.input.shape) != 2:
        what = f"{last.name} ({type(last).__name__})" if last is not None else "missing"
        raise UserError(
            f"--head=new: the model's last layer with weights is {what}; expected a Dense layer on [batch, features]",
            "give the model a Dense layer at its end, or use --head=own",
        )
    x = blocks.dropout(last.input, options, "new_dropout")
    return keras.Model(model.inputs, blocks.head(x, problem), name=model.name)


def freezable(model: Any) -> list[Any]:
    """Returns the layers that `--freeze` keeps as they are: all with trainable weights but the head, or the heads.

    Raises:
        UserError: the model has no others.
    """
    found = [layer for layer in model.layers if layer.trainable_weights]
    ends = {id(layer) for layer in heads.heads(model, found)}
    kept = [layer for layer in found if id(layer) not in ends]
    if not kept:
        what = "a single layer with weights" if len(found) < 2 else "no layer with weights but its heads"
        raise UserError(f"--freeze leaves nothing frozen: {model.name} has {what}")
    return kept


def freeze(layers: list[Any], stage: int = 0) -> bool:
    """Freezes layers, but the last `stage` quarters of them; returns whether that changed anything.

    BatchNormalization of a frozen layer keeps its statistics and uses them in training too, as Keras has it.

    Args:
        layers: from `freezable`, in the order from input to output.
        stage: 0 freezes all, 4 none (Howard & Ruder, 2018, arXiv:1801.06146, gradual unfreezing).
    """
    frozen = len(layers) - len(layers) * min(stage, STAGES) // STAGES
    before = [layer.trainable for layer in layers]
    for index, layer in enumerate(layers):
        layer.trainable = index >= frozen
    return before != [layer.trainable for layer in layers]


def _settle_sooner(base: Any) -> None:
    """Lets normalization of untrained models follow within 50 steps: Keras's 0.999 is for 40,000 steps of ImageNet.

    With it a small data set is over before the statistics that validation uses have left their starting values.
    """
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, blocks.NORM_MOMENTUM)


def _preprocessed(x: Any, preprocess: Any) -> Any:
    """Applies a model's `preprocess_input` to pixels in [0, 1], as a layer: all of them are linear in each pixel."""
    probes = np.concatenate([np.zeros((1, 3)), np.eye(3)]).reshape(4, 1, 1, 3).astype(np.float32)
    outputs = np.asarray(preprocess(probes * 255.0), np.float64).reshape(4, 3)
    offset, matrix = outputs[0], outputs[1:] - outputs[0]
    if np.any(matrix != np.diag(np.diag(matrix))):  # The colours change places: a layer that only computes.
        weights = [matrix.astype(np.float32).reshape(1, 1, 3, 3), offset.astype(np.float32)]
        return keras.layers.Conv2D(3, 1, weights=weights, trainable=False, name="preprocess")(x)
    scale = np.diag(matrix)
    alike = np.ptp(scale) == 0 and np.ptp(offset) == 0
    settings = (float(scale[0]), float(offset[0])) if alike else (scale.tolist(), offset.tolist())
    return keras.layers.Rescaling(*settings, name="preprocess")(x)


@contextlib.contextmanager
def _cached_files_only() -> Iterator[None]:
    """Lets keras.applications find its weights in Keras's cache, and nowhere else."""
    from tf_keras.src.utils import data_utils

    def find(name: str, origin: str, cache_subdir: str = "models", **_: Any) -> str:
        home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
        path = home / cache_subdir / name
        if not path.is_file():
            raise UserError(f"--pretrained: {path} is missing", f"download it from {origin} and put it there")
        return str(path)

    before, data_utils.get_file = data_utils.get_file, find
    try:
        yield
    finally:
        data_utils.get_file = before

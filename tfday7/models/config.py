"""Which model, and how large."""

from __future__ import annotations

import dataclasses

from tfday7.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ModelConfig(Settings):
    """Names the model of a run; width and depth scale the named architectures."""

    model: str = setting(
        "cnn",
        "Model: linear, mlp, cnn, ds_cnn, resnet8, mobilenet_v2, lstm, gru, transformer, autoencoder, "
        "keras.applications:NAME, python:MODULE:FUNCTION, or a model file (.keras, .h5, folder).",
    )
    width: int | None = setting(
        None, "Units or filters of the first layer; default: the architecture's own.", minimum=1, maximum=65536
    )
    depth: int | None = setting(
        None, "Hidden layers, blocks, stacks or stages; default: the architecture's own.", minimum=1, maximum=100
    )
    dropout: float = setting(0.0, "Dropout rate between hidden layers.", minimum=0, below=1)
    l2: float = setting(0.0, "L2 penalty on the kernels of all layers but the last.", minimum=0)
    pretrained: bool = setting(
        False, "Give a model of keras.applications ImageNet's weights, from Keras's cache (~/.keras/models)."
    )
    head: str = setting(
        "auto",
        "Last layer of a model that is not named here: its own, or a new one that fits the data; auto: a new one for "
        "keras.applications, their own for others.",
        choices=("auto", "own", "new"),
    )
    allow_unsafe_model: bool = setting(
        False, "Load model files that carry Python code (Lambda layers); they can do anything that you can."
    )

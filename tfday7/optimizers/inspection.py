"""What a data set and a model say of themselves, for the advisor. Works on the objects given; loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfday7.data import Dataset
from tfday7.optimizers.situation import DATA_KINDS, Situation

RECURRENT = {"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "Bidirectional"}
ATTENTION = {"MultiHeadAttention", "Attention", "AdditiveAttention", "GroupQueryAttention"}
MATRIX_PRODUCTS = {"linalg.matmul", "__operators__.matmul", "einsum", "linalg.einsum"}


def inspect(dataset: Dataset | None = None, model: Any = None, **known: Any) -> Situation:
    """Returns what is found.

    Args:
        dataset: gives the kind of data and the number of training examples. Its kind "array" says nothing, and speech
            is not told from other series.
        model: a tf_keras model; gives its kind and number of weights.
        known: further fields of `Situation` that are facts, for example the batch size of a run. Where some weights do
            not train, `parameters` are those that do.
    """
    if dataset is not None:
        kind = dataset.problem.kind
        known |= {"data_kind": kind if kind in DATA_KINDS else None, "examples": len(dataset.train)}
    if model is not None:
        known = {"model_kind": model_kind(model), "parameters": int(model.count_params()) or None, **known}
    return Situation(**known)


def model_kind(model: Any) -> str:
    """Returns "transformer", "rnn", "cnn", "embedding" or "mlp", by the layers that a tf_keras model is made of.

    Attention makes a transformer even behind convolutions; otherwise recurrent layers count before convolutions. With
    hidden layers behind its embeddings a model is an "mlp": Adagrad's rate for rare rows is too large for those.
    """
    layers = list(_leaves(model))
    names = {type(layer).__name__ for layer in layers}
    products = sum(str(getattr(layer, "symbol", "")).removeprefix("compat.v1.") in MATRIX_PRODUCTS for layer in layers)
    if names & ATTENTION or (products >= 2 and "Softmax" in names):  # Scores and values: attention from its parts.
        return "transformer"
    if names & RECURRENT:
        return "rnn"
    if any("Conv" in name for name in names):
        return "cnn"
    embedded = any(type(layer).__name__ == "Embedding" and layer.trainable for layer in layers)
    dense = sum(type(layer).__name__ == "Dense" for layer in layers)
    return "embedding" if embedded and dense <= 1 else "mlp"


def _leaves(model: Any) -> Iterator[Any]:
    """Yields all layers, those of nested models too."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        else:
            yield layer

"""Layers that look words and numbers up in a vocabulary, or among bins, which they learned (`adapt`) or were given."""

from __future__ import annotations

from typing import Any

from tfday7.core.errors import UserError
from tfday7.models.door.rules import incoming, outgoing

LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")


def vocabulary(layer: Any) -> list[Any]:
    """Returns the words or numbers, without the entries that a layer adds itself (mask and unknown).

    Raises:
        UserError: there are none. What a SavedModel knows is in its graph, which is never loaded.
    """
    words = [
        word.item() if hasattr(word, "item") else word for word in layer.get_vocabulary(include_special_tokens=False)
    ]
    if not words:
        raise UserError(
            f"layer {layer.name!r} ({type(layer).__name__}) has no vocabulary: none was learned, or the file lacks it",
            "an .h5 of Keras 3 and a SavedModel do not say it: save the adapted model with model.save('model.keras')",
        )
    return words


def boundaries(layer: Any) -> list[float]:
    """Returns where the bins of a Discretization of either Keras meet; tf_keras's settings leave out what it learned.

    Raises:
        UserError: it has learned none.
    """
    found = layer.bin_boundaries if layer.bin_boundaries is not None else []
    if len(found) == 0:
        raise UserError(
            f"layer {layer.name!r} ({type(layer).__name__}) has no bins: it learned none, or they are not in the file",
            "call its adapt(data) before the model is saved",
        )
    return [float(boundary) for boundary in found]


def learned(layer: Any) -> dict[str, Any]:
    """Returns the settings that a layer of tf_keras needs to be made again as it is, beside those that it tells.

    Raises:
        UserError: as `vocabulary` and `boundaries`.
    """
    name = type(layer).__name__
    if name in LOOKUPS:
        return {"vocabulary": vocabulary(layer)}
    return {"bin_boundaries": boundaries(layer), "num_bins": None} if name == "Discretization" else {}


@incoming(*LOOKUPS)
@outgoing(*LOOKUPS)
def _lookup(layer: Any, rebuild: Any) -> Any:
    if layer.get_config().get("output_mode") == "tf_idf":
        raise rebuild.unsupported(layer)  # Its weights per word live in a table that cannot be read.
    drop = ("vocabulary", "vocabulary_size", "idf_weights", "has_input_vocabulary", "dtype", "encoding")
    return rebuild.same(layer, drop=drop, replace={"vocabulary": vocabulary(layer)})

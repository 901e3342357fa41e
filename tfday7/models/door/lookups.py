"""Layers that look words and numbers up in a vocabulary, which they learned (`adapt`) or were given."""

from __future__ import annotations

from typing import Any

from tfday7.models.door.rules import incoming, outgoing

LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization")


def vocabulary(layer: Any) -> list[Any]:
    """Returns the words or numbers, without the entries that a layer adds itself (mask and unknown)."""
    return [
        word.item() if hasattr(word, "item") else word for word in layer.get_vocabulary(include_special_tokens=False)
    ]


@incoming(*LOOKUPS)
@outgoing(*LOOKUPS)
def _lookup(layer: Any, rebuild: Any) -> Any:
    if layer.get_config().get("output_mode") == "tf_idf":
        raise rebuild.unsupported(layer)  # Its weights per word live in a table that cannot be read.
    drop = ("vocabulary", "vocabulary_size", "idf_weights", "has_input_vocabulary", "dtype", "encoding")
    return rebuild.same(layer, drop=drop, replace={"vocabulary": vocabulary(layer) or None})

"""The bytes of standard TFLite metadata: a flatbuffer of its own, with the identifier M001, inside the model's.

Only the fields that tfday7 fills in are known here, each by its place in its table. A reader that knows more finds them
at the same places; what others wrote beside them is not read.

Source: the schema "metadata_schema.fbs", version 1.5.0, of TensorFlow Lite Support (tensorflow/tflite-support).
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from tfday7.exporting.flat_tables import Reader, Writer

IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"
VOCABULARY_FILE = "vocabulary.txt"
# The version of the format that a reader has to know: 1.0.1 brought vocabularies, all else was there from the start.
PARSER_VERSION, PARSER_VERSION_OF_VOCABULARY = "1.0.0", "1.0.1"


class ModelField(enum.IntEnum):
    """Places in the table of the whole model."""

    NAME, DESCRIPTION, VERSION, SUBGRAPHS, AUTHOR, LICENSE, FILES, MIN_PARSER_VERSION = range(8)


class SubgraphField(enum.IntEnum):
    """Places in the table of a subgraph."""

    NAME, DESCRIPTION, INPUTS, OUTPUTS = range(4)


class TensorField(enum.IntEnum):
    """Places in the table of an input or output."""

    NAME, DESCRIPTION, DIMENSION_NAMES, CONTENT, PROCESS_UNITS, STATS, FILES = range(7)


class FileField(enum.IntEnum):
    """Places in the table of an associated file."""

    NAME, DESCRIPTION, TYPE = range(3)


class FileType(enum.IntEnum):
    """What an associated file is."""

    UNKNOWN, DESCRIPTIONS, TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS, TENSOR_AXIS_SCORE_CALIBRATION, VOCABULARY = range(6)


class ContentKind(enum.IntEnum):
    """What a tensor holds: the members of the union ContentProperties."""

    NONE, FEATURES, IMAGE, BOUNDING_BOX, AUDIO = range(5)


class ColourSpace(enum.IntEnum):
    """Of an image."""

    UNKNOWN, RGB, GRAYSCALE = range(3)


NORMALIZATION = 1  # Its place among the members of the union ProcessUnitOptions.


@dataclasses.dataclass(frozen=True)
class InputInfo:
    """What a file takes.

    Attributes:
        name, description: for people, and for the names in generated code.
        content: "image", "features" or "tokens".
        width, height, channels: of an image; 3 channels are RGB, 1 is grayscale.
        mean, std: of (raw - mean) / std, one value or one a channel (the last axis); empty for token ids.
        minimum, maximum: of the raw values, one or one a channel; empty when unknown.
        vocabulary: the word of each token id.
    """

    name: str
    description: str = ""
    content: str = "features"
    width: int = 0
    height: int = 0
    channels: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()
    vocabulary: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class OutputInfo:
    """What a file gives.

    Attributes:
        name, description: for people, and for the names in generated code.
        labels: of each output along the last axis; empty when they have none.
        minimum, maximum: of the outputs; empty when unknown.
    """

    name: str
    description: str = ""
    labels: tuple[str, ...] = ()
    minimum: tuple[float, ...] = ()
    maximum: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is said about a model."""

    name: str
    input: InputInfo
    output: OutputInfo
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""


def encode(info: ModelInfo) -> bytes:
    """Returns the metadata's flatbuffer."""
    writer = Writer()
    subgraph = writer.table(
        {
            SubgraphField.INPUTS: writer.tables([_encode_input(writer, info.input)]),
            SubgraphField.OUTPUTS: writer.tables([_encode_output(writer, info.output)]),
        }
    )
    version = PARSER_VERSION_OF_VOCABULARY if info.input.vocabulary else PARSER_VERSION
    return writer.finish(
        writer.table(
            {
                ModelField.NAME: writer.text(info.name),
                ModelField.DESCRIPTION: writer.text(info.description),
                ModelField.VERSION: writer.text(info.version),
                ModelField.SUBGRAPHS: writer.tables([subgraph]),
                ModelField.AUTHOR: writer.text(info.author),
                ModelField.LICENSE: writer.text(info.license),
                ModelField.MIN_PARSER_VERSION: writer.text(version),
            }
        ),
        IDENTIFIER,
    )


def _encode_input(writer: Writer, given: InputInfo) -> int:
    kind, properties = ContentKind.FEATURES, writer.table({})
    if given.content == "image":
        space = {1: ColourSpace.GRAYSCALE, 3: ColourSpace.RGB}.get(given.channels, ColourSpace.UNKNOWN)
        kind, properties = ContentKind.IMAGE, writer.table({1: writer.size(given.width, given.height)}, {0: space})
    units = []
    if given.mean:
        options = writer.table({0: writer.floats(given.mean), 1: writer.floats(given.std)})
        units.append(writer.table({1: options}, {0: NORMALIZATION}))
    file = _encode_file(
        writer, VOCABULARY_FILE, "The word of each token id, one a line from 0 on.", FileType.VOCABULARY
    )
    return _encode_tensor(writer, given, kind, properties, units, [file] if given.vocabulary else [])


def _encode_output(writer: Writer, given: OutputInfo) -> int:
    file = _encode_file(writer, LABELS_FILE, "The label of each output, one a line.", FileType.TENSOR_AXIS_LABELS)
    return _encode_tensor(writer, given, ContentKind.FEATURES, writer.table({}), [], [file] if given.labels else [])


def _encode_tensor(
    writer: Writer, given: InputInfo | OutputInfo, kind: int, properties: int, units: list[int], files: list[int]
) -> int:
    stats = None
    if given.minimum or given.maximum:
        stats = writer.table({0: writer.floats(given.maximum), 1: writer.floats(given.minimum)})
    return writer.table(
        {
            TensorField.NAME: writer.text(given.name),
            TensorField.DESCRIPTION: writer.text(given.description),
            TensorField.CONTENT: writer.table({1: properties}, {0: kind}),
            TensorField.PROCESS_UNITS: writer.tables(units),
            TensorField.STATS: stats,
            TensorField.FILES: writer.tables(files),
        }
    )


def _encode_file(writer: Writer, name: str, description: str, kind: FileType) -> int:
    return writer.table(
        {FileField.NAME: writer.text(name), FileField.DESCRIPTION: writer.text(description)}, {FileField.TYPE: kind}
    )


def decode(content: bytes) -> dict[str, Any]:
    """Returns what a flatbuffer of metadata says, as plain values. Raises ValueError and others where it is damaged."""
    root = Reader.root(content)
    names = {
        "name": ModelField.NAME,
        "description": ModelField.DESCRIPTION,
        "version": ModelField.VERSION,
        "author": ModelField.AUTHOR,
        "license": ModelField.LICENSE,
        "min_parser_version": ModelField.MIN_PARSER_VERSION,
    }
    found: dict[str, Any] = {name: root.text(field) for name, field in names.items()}
    subgraphs = root.tables(ModelField.SUBGRAPHS)
    for side, field in (("input", SubgraphField.INPUTS), ("output", SubgraphField.OUTPUTS)):
        tensors = [tensor for subgraph in subgraphs[:1] for tensor in subgraph.tables(field)]
        found[side] = _decode_tensor(tensors[0]) if tensors else None
    return found


def _decode_tensor(tensor: Reader) -> dict[str, Any]:
    files = {file.text(FileField.NAME): file.small(FileField.TYPE) for file in tensor.tables(TensorField.FILES)}
    found: dict[str, Any] = {
        "name": tensor.text(TensorField.NAME),
        "description": tensor.text(TensorField.DESCRIPTION),
        "content": None,
        "mean": [],
        "std": [],
        "minimum": [],
        "maximum": [],
        "files": {name: FileType(kind).name for name, kind in files.items()},
    }
    if content := tensor.table(TensorField.CONTENT):
        found["content"] = ContentKind(content.small(0)).name.lower()
        properties = content.table(1)
        if properties and found["content"] == "image":
            found["colour_space"] = ColourSpace(properties.small(0)).name
            if size := properties.table(1):
                found |= {"width": size.number(0), "height": size.number(1)}
    for unit in tensor.tables(TensorField.PROCESS_UNITS):
        options = unit.table(1)
        if options and unit.small(0) == NORMALIZATION:
            found |= {"mean": options.floats(0), "std": options.floats(1)}
    if stats := tensor.table(TensorField.STATS):
        found |= {"maximum": stats.floats(0), "minimum": stats.floats(1)}
    return found

"""Standard TFLite metadata: what a file takes and gives, in the file itself, where Android Studio and the Task
libraries look for it.

It says what raw values have to become, (raw - mean) / std, and what each output is called. For an int8 file these are
the real values before quantization, as the convention is; scale and zero point are the tensors' own. Labels and
vocabulary are files of one line an entry, in an archive behind the model: a `.tflite` file with metadata is a zip file
as well, and every runtime ignores what follows the model.

What the standard has no field for (a target that has to be scaled back, several targets in one output) is in the
description, in words.

Source: https://ai.google.dev/edge/litert/conversion/tensorflow/metadata
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.exporting import tflite_file, tflite_root
from tfday7.exporting.records import Artefact
from tfday7.exporting.tflite_metadata_format import (
    IDENTIFIER,
    LABELS_FILE,
    VOCABULARY_FILE,
    InputInfo,
    ModelInfo,
    OutputInfo,
    decode,
    encode,
)

__all__ = ["InputInfo", "ModelInfo", "OutputInfo", "attach", "info_of", "normalization", "read"]

ENTRY = "TFLITE_METADATA"
BLANK = "[blank]"
LISTED_COLUMNS = 50

_ARCHIVE_DATE = (1980, 1, 1, 0, 0, 0)  # The earliest that a zip file knows: the same content gives the same bytes.
_HINT = "export the model again"
_UNREADABLE = (
    struct.error, ValueError, TypeError, IndexError, KeyError, OverflowError, RuntimeError, EOFError,
    zipfile.BadZipFile,
)  # fmt: skip


def attach(content: bytes, info: ModelInfo) -> bytes:
    """Returns a `.tflite` file with metadata, in place of what it had of it. The model's own bytes stay as they were.

    Args:
        content: the file; with one input and one output.
        info: what to say.

    Raises:
        UserError: not a readable `.tflite` file, more than one input or output, or constants outside of the flatbuffer.
    """
    summary = tflite_file.read(content)
    if len(summary.inputs) != 1 or len(summary.outputs) != 1:
        found = f"{len(summary.inputs)} inputs and {len(summary.outputs)} outputs"
        raise UserError(f"a model with {found}; metadata is written for one of each")
    model = tflite_root.without_metadata(_without_archive(content), ENTRY)
    with_entry = tflite_root.with_metadata(model, ENTRY, encode(info))
    files = {LABELS_FILE: info.output.labels, VOCABULARY_FILE: info.input.vocabulary}
    return _with_archive(with_entry, {name: _lines(entries) for name, entries in files.items() if entries})


def read(content: bytes) -> dict[str, Any] | None:
    """Returns the metadata of a `.tflite` file as plain values; None when it has none.

    Its keys are the fields of `ModelInfo`, and "files": name -> lines of each file in the archive behind the model.

    Raises:
        UserError: not a readable `.tflite` file, or metadata that cannot be read.
    """
    found = tflite_root.metadata(content, ENTRY)
    if found is None:
        return None
    if found[4:8] != IDENTIFIER:
        raise UserError("the file's metadata has an unknown format (the identifier M001 is missing)", _HINT)
    try:
        return {**decode(found), "files": _archive(content)}
    except _UNREADABLE as error:
        raise UserError(f"the file's metadata cannot be read ({error})", _HINT) from error


def info_of(record: Artefact, version: str = "", author: str = "", license_name: str = "") -> ModelInfo:
    """Returns what an artefact's record says, in the metadata's terms.

    Args:
        record: of a `.tflite` file.
        version, author, license_name: as the metadata is to name them.
    """
    return ModelInfo(
        name=record.name,
        input=_input_info(record.input),
        output=_output_info(record.output, tuple(str(label) for label in record.labels)),
        description=f"Exported by tfday7 as {record.kind}.",
        version=version,
        author=author,
        license=license_name,
    )


def normalization(given: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and std of (raw - mean) / std for a record's input, which takes (raw / divisor - mean) / std."""
    divisor = float(given.get("divisor") or 1.0)
    scaling = given.get("standardization") or {"mean": [0.0], "std": [1.0]}
    mean, std = (np.ravel(np.asarray(scaling[key], np.float64)) for key in ("mean", "std"))
    # (raw / divisor - mean) / std = (raw - divisor * mean) / (divisor * std)
    return tuple((divisor * mean).tolist()), tuple((divisor * std).tolist())


def _input_info(given: dict[str, Any]) -> InputInfo:
    shape = [int(size) for size in given.get("shape", [])]
    said = str(given.get("preprocessing") or "")
    if str(given.get("dtype")) in ("int32", "int64"):
        vocabulary = tuple(str(word) for word in given.get("vocabulary", []))
        description = f"Token ids, {shape[-1]} a text. {_sentence(said)}" if shape else _sentence(said)
        return InputInfo("tokens", description.strip(), "tokens", vocabulary=vocabulary)
    mean, std = normalization(given)
    if len(shape) == 4 and shape[-1] in (1, 3):
        height, width, channels = shape[1:]
        description = f"An image of {height} x {width} pixels. {_sentence(said)}".strip()
        return InputInfo("image", description, "image", width, height, channels, mean, std)
    size = " x ".join(str(size) for size in shape[1:]) or "1"
    return InputInfo("features", f"{size} numbers. {_sentence(said)}".strip(), "features", mean=mean, std=std)


def _output_info(given: dict[str, Any], labels: tuple[str, ...]) -> OutputInfo:
    task, meaning = str(given.get("task", "")), str(given.get("meaning", ""))
    name = {"probabilities": "probability", "logits": "logit"}.get(meaning, "value")
    parts = [_MEANINGS.get((task, meaning), _MEANINGS.get((task, ""), "The model's values."))]
    for head in given.get("heads") or []:
        start, stop = head["columns"]
        named = f" ({', '.join(str(label) for label in head['labels'])})" if head.get("labels") else ""
        parts.append(f"Columns {start} to {stop - 1}: {head['name']}, {head['task']}{named}.")
    if scaling := given.get("standardization"):
        mean, std = (np.ravel(scaling[key])[:LISTED_COLUMNS] for key in ("mean", "std"))
        parts.append(f"The answer is y * std + mean with mean {_numbers(mean)} and std {_numbers(std)}.")
    bounded = meaning == "probabilities" and not scaling
    return OutputInfo(
        name,
        " ".join(parts),
        () if given.get("heads") else labels,
        minimum=(0.0,) if bounded else (),
        maximum=(1.0,) if bounded else (),
    )


_MEANINGS = {
    ("classification", "logits"): "One logit a class; softmax makes probabilities of them.",
    ("classification", "probabilities"): "One probability a class; they add up to 1.",
    ("multilabel", "logits"): "One logit a label; a sigmoid makes a probability of each.",
    ("multilabel", "probabilities"): "One probability a label, each for itself.",
    ("regression", ""): "The predicted values.",
    ("reconstruction", ""): "The input again, as the model rebuilds it.",
    ("several", ""): "Several targets side by side.",
}


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{float(value):.9g}" for value in values)


def _sentence(words: str) -> str:
    return f"Before: {words}." if words else ""


def _lines(entries: tuple[str, ...]) -> bytes:
    """Returns a line an entry, UTF-8. Readers skip blank lines and would count wrong from there on, so none is left."""
    lines = [" ".join(entry.splitlines()) for entry in entries]
    return "".join((line if line.strip() else BLANK) + "\n" for line in lines).encode()


def _without_archive(content: bytes) -> bytes:
    """Returns what lies in front of the zip archive at the end, if there is one."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            starts = [entry.header_offset for entry in archive.infolist()]
    except zipfile.BadZipFile:
        return content
    return content[: min(starts)] if starts else content


def _with_archive(content: bytes, files: dict[str, bytes]) -> bytes:
    """Returns the file with an uncompressed archive behind it: readers map the files from there."""
    if not files:
        return content
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _ARCHIVE_DATE)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data)
    return whole.getvalue()


def _archive(content: bytes) -> dict[str, list[str]]:
    """Returns the lines of each file in the archive at the end."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("its files are compressed")
        return {entry.filename: archive.read(entry).decode("utf-8").split("\n")[:-1] for entry in entries}

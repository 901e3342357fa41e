"""TensorBoard logs without TensorFlow: the scalars of an event file by step.

An event file is a TFRecord file of `Event` messages (tensorboard/compat/proto/event.proto). Keras writes one folder
with `train/` and `validation/`, and the tags `epoch_loss`, `epoch_accuracy`; a scalar is a plain float in old files and
a tensor in new ones. Messages are decoded; nothing in them is executed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tfday7.core.errors import UserError
from tfday7.data.crc32c import crc32c

PATTERN = "*tfevents*"
PARTS = {"train": "", "training": "", "validation": "val_", "val": "val_", "valid": "val_", "eval": "val_"}
EPOCH = "epoch_"
MAX_RECORD_BYTES = 1_000_000  # A scalar takes a hundred; graphs and images are passed over.
MAX_BYTES = 1_000_000_000  # Read as a stream; a minute.


def has_events(folder: Path) -> bool:
    """Returns whether there are event files in a folder or in the folders in it."""
    return any(True for _ in folder.rglob(PATTERN))


def columns(folder: Path) -> dict[str, list[Any]]:
    """Returns name -> value a step, "" where a step has none; names of validation begin with `val_`.

    Raises:
        UserError: there are no event files, those of several runs, too much of them, or no scalars.
        OSError: a file cannot be read.
    """
    files = sorted(path for path in folder.rglob(PATTERN) if path.is_file())
    _check(folder, files)
    steps: dict[int, dict[str, float]] = {}
    for path in files:
        part = PARTS.get(path.parent.name, "") if path.parent != folder else ""
        for step, tag, value in _scalars(path):
            steps.setdefault(step, {})[part + tag] = value
    names = list(dict.fromkeys(name for record in steps.values() for name in record))
    if not names:
        raise UserError(f"{folder}: the TensorBoard logs hold no scalars", "expected a scalar epoch_loss or loss")
    of_epochs = [name for name in names if EPOCH in name]  # Those of batches have steps of their own.
    chosen = of_epochs or names
    records = [record for _, record in sorted(steps.items()) if not record.keys().isdisjoint(chosen)]
    return {name.replace(EPOCH, "", 1): [record.get(name, "") for record in records] for name in chosen}


def _check(folder: Path, files: list[Path]) -> None:
    hint = "give the folder that holds train/ and validation/"
    if not files:
        raise UserError(f"{folder}: holds no history: no TensorBoard logs (*tfevents*), no run", hint)
    runs = sorted({path.parent.parent if path.parent.name in PARTS else path.parent for path in files})
    if len(runs) > 1:
        raise UserError(f"{folder}: holds the logs of {len(runs)} runs: {', '.join(map(str, runs[:5]))}", hint)
    size = sum(path.stat().st_size for path in files)
    if size > MAX_BYTES:
        raise UserError(f"{folder}: {size / 1e6:,.0f} MB of logs; expected at most {MAX_BYTES / 1e6:,.0f} MB")


def _scalars(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yields step, tag and value of an event file, to where its writer was cut off."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    with path.open("rb") as stream:
        for record in _records(stream, path):
            try:
                event = Event.FromString(record)
            except DecodeError as error:
                raise UserError(f"{path}: a damaged event file ({error})") from error
            for value in event.summary.value:
                number = _scalar(value)
                if number is not None:
                    yield event.step, value.tag, number


def _records(stream: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yields the contents of records; https://www.tensorflow.org/tutorials/load_data/tfrecord has the format."""
    first = True
    while len(header := stream.read(12)) == 12:
        length, checksum = struct.unpack("<QI", header)
        crc = crc32c(header[:8])
        if checksum != ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF:
            raise UserError(f"{path}: " + ("no event file of TensorBoard" if first else "a damaged event file"))
        first = False
        if length > MAX_RECORD_BYTES:
            stream.seek(length + 4, 1)
            continue
        content = stream.read(length)
        if len(stream.read(4)) < 4:
            return  # The writer was stopped within a record, or is at it.
        yield content


def _scalar(value: Any) -> float | None:
    """Returns the number in a summary value, or None where it is no scalar."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor") or value.tensor.tensor_shape.dim:
        return None
    from tensorboard.util import tensor_util

    try:
        return float(tensor_util.make_ndarray(value.tensor))
    except (TypeError, ValueError):  # A text, or a type that is no number.
        return None

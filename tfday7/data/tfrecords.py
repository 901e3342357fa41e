"""TFRecord files without TensorFlow: every record checked, and found again by its place.

A record is its length (8 bytes, little-endian), the masked CRC-32C of that length (4), its content, and the masked
CRC-32C of the content (4); https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
The contents are `tf.train.Example` messages, whose definition (tensorflow/core/example/example.proto) is repeated here.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tfday7.core.errors import UserError
from tfday7.data.crc32c import crc32c, crc32c_of_all

HEADER_BYTES, FOOTER_BYTES = 12, 4
CHECKED_BYTES = 2**24  # Contents whose CRCs are computed together.
MAX_RECORD_BYTES = 2**30
DAMAGED = "the file is damaged; get it again"


@dataclasses.dataclass(frozen=True)
class Record:
    """A record that was read.

    Attributes:
        place: the file and the number of the record, for errors.
        offset: where its content starts in the file.
        content: its bytes.
    """

    place: str
    offset: int
    content: bytes


def read_records(path: Path) -> Iterator[Record]:
    """Yields the records of a file in order, their lengths and checksums verified.

    Raises:
        UserError: the file is cut off, damaged, compressed or no TFRecord file; the record is named.
    """
    pending: list[Record] = []
    checksums: list[int] = []
    size = 0
    for record, checksum in _unchecked(path):
        pending.append(record)
        checksums.append(checksum)
        size += len(record.content)
        if size >= CHECKED_BYTES:
            yield from _checked(pending, checksums)
            pending, checksums, size = [], [], 0
    yield from _checked(pending, checksums)


def read_again(path: Path, offset: int, size_bytes: int) -> bytes:
    """Returns the content of a record that was read before. Raises UserError when the file has changed."""
    try:
        with path.open("rb", buffering=0) as stream:
            content = os.pread(stream.fileno(), size_bytes, offset)
    except OSError as error:
        raise UserError(f"{path}: cannot be read any more ({error.strerror})") from error
    if len(content) != size_bytes:
        raise UserError(f"{path}: the file has become shorter")
    return content


def features_of(record: Record) -> dict[str, Any]:
    """Returns the features of a `tf.train.Example`: name -> message with bytes_list, float_list or int64_list.

    Raises:
        UserError: the record holds something else.
    """
    try:
        example = _example_class().FromString(record.content)
    except Exception as error:  # DecodeError, or what the decoder says of names that are no text.
        raise UserError(f"{record.place}: not a tf.train.Example ({error})") from error
    return dict(example.features.feature)


def _unchecked(path: Path) -> Iterator[tuple[Record, int]]:
    try:
        with path.open("rb") as stream:
            file_bytes = os.fstat(stream.fileno()).st_size
            number = 0
            while stream.tell() < file_bytes:
                yield _next(stream, file_bytes, path, number)
                number += 1
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _next(stream: IO[bytes], file_bytes: int, path: Path, number: int) -> tuple[Record, int]:
    place, start = f"{path}: record {number}", stream.tell()
    header = stream.read(HEADER_BYTES)
    if number == 0 and header[:2] == b"\x1f\x8b":
        raise UserError(f"{path}: the file is compressed", "unpack it, for example with gunzip")
    if len(header) < HEADER_BYTES:
        raise UserError(f"{place}: the file ends within its length", DAMAGED)
    (length,) = struct.unpack("<Q", header[:8])
    if struct.unpack("<I", header[8:])[0] != _masked(crc32c(header[:8])):
        what = f"{path}: no TFRecord file" if number == 0 else f"{place}: the checksum of its length does not match"
        raise UserError(what, DAMAGED)
    offset = start + HEADER_BYTES
    if offset + length + FOOTER_BYTES > file_bytes:
        raise UserError(f"{place}: has {length:,} bytes, but the file ends before", DAMAGED)
    if length > MAX_RECORD_BYTES:
        raise UserError(f"{place}: has {length:,} bytes; expected at most {MAX_RECORD_BYTES:,}")
    content = stream.read(length)
    (checksum,) = struct.unpack("<I", stream.read(FOOTER_BYTES))
    return Record(place, offset, content), checksum


def _checked(records: list[Record], checksums: list[int]) -> Iterator[Record]:
    computed = crc32c_of_all([record.content for record in records])
    for record, have, want in zip(records, computed, checksums, strict=True):
        if _masked(have) != want:
            raise UserError(f"{record.place}: its checksum does not match", DAMAGED)
        yield record


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _example_class() -> Any:
    """Returns the message class of `tf.train.Example`, made here: TensorFlow's own would load TensorFlow."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="tfday7_example.proto", package="tfday7", syntax="proto3")
    types = {"BytesList": field.TYPE_BYTES, "FloatList": field.TYPE_FLOAT, "Int64List": field.TYPE_INT64}
    for name, kind in types.items():
        file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label=field.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, values) in enumerate(_KINDS.items(), start=1):
        feature.field.add(
            name=name, number=number, type=field.TYPE_MESSAGE, type_name=f".tfday7.{values}", oneof_index=0,
            label=field.LABEL_OPTIONAL,
        )  # fmt: skip
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    message: dict[str, Any] = {"type": field.TYPE_MESSAGE, "label": field.LABEL_OPTIONAL}
    entry.field.add(name="value", number=2, type_name=".tfday7.Feature", **message)
    repeated: dict[str, Any] = {"type": field.TYPE_MESSAGE, "label": field.LABEL_REPEATED}
    features.field.add(name="feature", number=1, type_name=".tfday7.Features.FeatureEntry", **repeated)
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type_name=".tfday7.Features", **message)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tfday7.Example"))


_KINDS = {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}

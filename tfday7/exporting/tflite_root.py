"""Adds an entry of metadata to a `.tflite` file without touching a byte of the model.

Packing a model again through the generated classes puts its constants at multiples of 4 bytes, whatever alignment the
kernels were given before. A flatbuffer's offsets are relative and point forward. So a new root goes in front, with its
own lists of buffers and of metadata, and the whole old file follows as it was, moved by a multiple of 16 bytes; of it
only the old root is no longer used:

    new root, its table of fields | list of metadata | list of buffers | the new entry, its name, its data | old file

Source: the format, https://flatbuffers.dev/internals, and the order of Model's fields, which `schema_py_generated` has.
"""

from __future__ import annotations

import struct
from typing import Any

from tfday7.core.errors import UserError
from tfday7.exporting import tflite_file

ALIGNMENT = 16
# Fields of Model by their place in the schema.
VERSION, BUFFERS, METADATA, EXTERNAL_BUFFERS, FIELDS = 0, 4, 6, 9, 10
MAX_BYTES = 2**31 - 1


def with_metadata(content: bytes, name: str, data: bytes) -> bytes:
    """Returns the file with `data` under a name in its metadata, in place of what had that name.

    Args:
        content: a `.tflite` file; what follows its flatbuffer goes along.
        name: of the entry, ASCII.
        data: of the entry; it starts at a multiple of 16 bytes.

    Raises:
        UserError: not a readable `.tflite` file, one that keeps constants outside of its flatbuffer, or too large.
    """
    if tflite_file.read(content).has_outside_constants:
        raise UserError("the file keeps constants outside of its flatbuffer, at fixed places; metadata would move them")
    model = _model(content)
    try:
        fields = _fields(content)
    except struct.error as error:
        raise UserError("the root of the file points outside of it", "export the model again") from error
    kept = [model.Metadata(i) for i in range(model.MetadataLength())]
    kept = [entry for entry in kept if entry.Name() != name.encode()]
    buffers = [model.Buffers(i)._tab.Pos for i in range(model.BuffersLength())]
    front = _Front(len(kept) + 1, len(buffers) + 1)
    entry, buffer = front.add_entry(name, len(buffers), data)
    shift = front.finish()
    front.fill_root(model.Version(), {field: shift + target for field, target in fields.items()})
    front.fill(front.metadata, [shift + other._tab.Pos for other in kept] + [entry])
    front.fill(front.buffers, [shift + position for position in buffers] + [buffer])
    if shift + len(content) > MAX_BYTES:
        raise UserError(f"{len(content):,} bytes leave no room for metadata; a file has at most {MAX_BYTES:,}")
    return bytes(front.content) + content


def metadata(content: bytes, name: str) -> bytes | None:
    """Returns the data of an entry of metadata, None when there is none. Raises UserError as `with_metadata`."""
    model = _model(content)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == name.encode():
            buffer = model.Buffers(entry.Buffer())
            return b"" if buffer.DataIsNone() else buffer.DataAsNumpy().tobytes()
    return None


def without_metadata(content: bytes, name: str) -> bytes:
    """Returns the file as it was before `with_metadata` gave it this entry; any other file comes back as it is."""
    data = metadata(content, name)
    at = content.find(tflite_file.IDENTIFIER, 8) if data is not None else -1
    while data is not None and at >= 0:
        before = content[at - 4 :]
        if (at - 4) % ALIGNMENT == 0 and _is_readable(before) and with_metadata(before, name, data) == content:
            return before
        at = content.find(tflite_file.IDENTIFIER, at + 1)
    return content


def _is_readable(content: bytes) -> bool:
    try:
        tflite_file.read(content)
    except UserError:
        return False
    return True


def _model(content: bytes) -> Any:
    from ai_edge_litert.schema_py_generated import Model

    tflite_file.read(content)  # Checks everything that is relied on here.
    return Model.GetRootAs(content, 0)


def _fields(content: bytes) -> dict[int, int]:
    """Returns where each field of the root but the version points, by its place in the schema."""
    (root,) = struct.unpack_from("<I", content, 0)
    table = root - struct.unpack_from("<i", content, root)[0]
    (size,) = struct.unpack_from("<H", content, table)
    offsets = struct.unpack_from(f"<{size // 2 - 2}H", content, table + 4)
    places = {field: root + offset for field, offset in enumerate(offsets) if offset}
    if unknown := [field for field in places if field >= FIELDS]:
        raise UserError(f"the file's root has a field {unknown[0]} that is not known here; its schema is newer")
    return {field: at + struct.unpack_from("<I", content, at)[0] for field, at in places.items() if field != VERSION}


class _Front:
    """The bytes in front of the old file. Everything in it lies at a multiple of 4."""

    def __init__(self, entries: int, buffers: int) -> None:
        table = struct.pack("<HH", 4 + 2 * FIELDS, 4 + 4 * FIELDS)
        table += struct.pack(f"<{FIELDS}H", *(4 + 4 * field for field in range(FIELDS)))
        self._table = 8
        self._root = self._table + len(table)
        self.content = bytearray(struct.pack("<I", self._root) + tflite_file.IDENTIFIER + table)
        self.content += struct.pack("<i", self._root - self._table) + bytes(4 * FIELDS)
        self.metadata = self._list(entries)
        self.buffers = self._list(buffers)

    def _list(self, count: int) -> int:
        start = len(self.content)
        self.content += struct.pack("<I", count) + bytes(4 * count)
        return start

    def add_entry(self, name: str, buffer_index: int, data: bytes) -> tuple[int, int]:
        """Adds the tables of an entry and of its buffer. Returns where they are."""
        entry = self._add_table(struct.pack("<HHHH", 8, 12, 4, 8), 8)
        buffer = self._add_table(struct.pack("<HHH", 6, 8, 4), 4)
        self._point(entry + 4, self._add_bytes(name.encode(), 4))
        struct.pack_into("<I", self.content, entry + 8, buffer_index)
        self._point(buffer + 4, self._add_bytes(data, ALIGNMENT))
        return entry, buffer

    def _add_table(self, fields: bytes, size: int) -> int:
        start = len(self.content)
        self.content += fields
        self._align(4, 0)
        position = len(self.content)
        self.content += struct.pack("<i", position - start) + bytes(size)
        return position

    def _add_bytes(self, data: bytes, alignment: int) -> int:
        """Adds a vector of bytes that starts at a multiple of `alignment`; a 0 behind it makes it a string as well."""
        self._align(alignment, 4)
        start = len(self.content)
        self.content += struct.pack("<I", len(data)) + data + b"\0"
        self._align(4, 0)
        return start

    def _align(self, alignment: int, ahead: int) -> None:
        self.content += bytes(-(len(self.content) + ahead) % alignment)

    def finish(self) -> int:
        """Fills up to a multiple of 16. Returns how far the old file is moved."""
        self._align(ALIGNMENT, 0)
        return len(self.content)

    def fill_root(self, version: int, targets: dict[int, int]) -> None:
        """Lets the root's fields point at their targets, at its own lists where it has them; others are absent."""
        targets = {**targets, METADATA: self.metadata, BUFFERS: self.buffers}
        for field in range(FIELDS):
            at = self._root + 4 + 4 * field
            if field == VERSION:
                struct.pack_into("<I", self.content, at, version)
            elif field in targets:
                self._point(at, targets[field])
            else:
                struct.pack_into("<H", self.content, self._table + 4 + 2 * field, 0)

    def fill(self, start: int, targets: list[int]) -> None:
        """Lets the entries of a list point at their targets."""
        for i, target in enumerate(targets):
            self._point(start + 4 + 4 * i, target)

    def _point(self, at: int, target: int) -> None:
        struct.pack_into("<I", self.content, at, target - at)

"""Flatbuffer tables, written and read by the places of their fields: for a schema without generated classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

MAX_ENTRIES = 2**20  # Of one list; damaged files claim billions.


class Writer:
    """Builds tables from nested plain values, children first, as a flatbuffer has to be."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def finish(self, root: int, identifier: bytes) -> bytes:
        """Returns the flatbuffer."""
        self._builder.Finish(root, file_identifier=identifier)
        return bytes(self._builder.Output())

    def text(self, text: str) -> int | None:
        """Adds a string; None for an empty one, which is then absent."""
        return self._builder.CreateString(text) if text else None

    def table(self, offsets: dict[int, int | None], small: dict[int, int] | None = None) -> int:
        """Adds a table.

        Args:
            offsets: what each place points at; None for nothing.
            small: values of one byte by place: enums and the kinds of unions.
        """
        small = small or {}
        self._builder.StartObject(max([*offsets, *small], default=-1) + 1)
        for place, value in small.items():
            self._builder.PrependInt8Slot(place, value, 0)
        for place, offset in offsets.items():
            if offset is not None:
                self._builder.PrependUOffsetTRelativeSlot(place, offset, 0)
        return self._builder.EndObject()

    def size(self, width: int, height: int) -> int:
        """Adds the table of an image's size."""
        self._builder.StartObject(2)
        self._builder.PrependUint32Slot(0, width, 0)
        self._builder.PrependUint32Slot(1, height, 0)
        return self._builder.EndObject()

    def tables(self, tables: Sequence[int]) -> int | None:
        """Adds a list of tables; None for an empty one."""
        if not tables:
            return None
        self._builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self._builder.PrependUOffsetTRelative(table)
        return self._builder.EndVector()

    def floats(self, values: Sequence[float]) -> int | None:
        """Adds a list of float32 numbers; None for an empty one."""
        if not values:
            return None
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return self._builder.EndVector()


class Reader:
    """One table of a flatbuffer, read by place."""

    def __init__(self, content: bytes, position: int) -> None:
        self._table = Table(content, position)

    @classmethod
    def root(cls, content: bytes) -> Reader:
        """Returns the outermost table."""
        return cls(content, Table(content, 0).Get(number_types.UOffsetTFlags, 0))

    def text(self, place: int) -> str:
        """Returns a string; empty when it is absent."""
        at = self._at(place)
        return self._table.String(at).decode("utf-8") if at else ""

    def small(self, place: int) -> int:
        """Returns a value of one byte; 0 when it is absent."""
        at = self._at(place)
        return self._table.Get(number_types.Int8Flags, at) if at else 0

    def number(self, place: int) -> int:
        """Returns a uint32; 0 when it is absent."""
        at = self._at(place)
        return self._table.Get(number_types.Uint32Flags, at) if at else 0

    def table(self, place: int) -> Reader | None:
        """Returns the table that a place points at, a union's member too; None when it is absent."""
        at = self._at(place)
        return Reader(self._table.Bytes, self._table.Indirect(at)) if at else None

    def tables(self, place: int) -> list[Reader]:
        """Returns a list of tables; empty when it is absent."""
        return self._list(place, lambda at: Reader(self._table.Bytes, self._table.Indirect(at)))

    def floats(self, place: int) -> list[float]:
        """Returns a list of numbers; empty when it is absent."""
        return self._list(place, lambda at: float(self._table.Get(number_types.Float32Flags, at)))

    def _list(self, place: int, entry: Callable[[int], Any]) -> list[Any]:
        at = self._table.Offset(4 + 2 * place)
        if not at:
            return []
        start, length = self._table.Vector(at), self._table.VectorLen(at)
        if length > min(MAX_ENTRIES, len(self._table.Bytes)):
            raise ValueError(f"a list of {length} entries")
        return [entry(start + 4 * i) for i in range(length)]

    def _at(self, place: int) -> int:
        offset = self._table.Offset(4 + 2 * place)
        return self._table.Pos + offset if offset else 0

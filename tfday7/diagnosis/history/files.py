"""History files: CSV, JSON and JSON-lines, told apart by their content; gzip around them is unpacked.

Text is parsed and nothing in it is executed. A file that would unpack to gigabytes is refused before it is held.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError

MAX_BYTES = 50_000_000  # 100,000 epochs of 25 metrics. Short JSON-lines take 40 times their size while they are read.
FORMATS = "expected a CSV, JSON or JSON-lines file of a history, or a folder of TensorBoard logs"


def columns(path: Path) -> dict[str, list[Any]]:
    """Returns name -> values of a history file.

    Raises:
        UserError: it is missing, too large, binary, or of no known form.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder", FORMATS)
    text = _text(path)
    if not text.strip():
        raise UserError(f"{path}: is empty", FORMATS)
    return _json(text, path) if text.lstrip()[0] in "{[" else _csv(text, path)


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: a damaged gzip file ({error})", FORMATS) from error
    if len(content) > MAX_BYTES:
        hint = "keep the columns of loss and metric only, or every tenth epoch"
        raise UserError(f"{path}: more than {MAX_BYTES / 1e6:.0f} MB of text, the limit for a history", hint)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no UTF-8 text, so no history ({error.reason})", FORMATS) from error
    if "\0" in text:
        raise UserError(f"{path}: binary, so no history", FORMATS)
    return text


def _json(text: str, path: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(text)
    except RecursionError:
        raise UserError(f"{path}: nested too deeply for a history", FORMATS) from None
    except ValueError as error:
        content = _lines(text, path, error)
    if isinstance(content, list):
        return _of_records(content, path)
    if isinstance(content.get("history"), dict):
        content = content["history"]
    if not any(isinstance(value, list | dict) for value in content.values()):
        return _of_records([content], path)  # One epoch.
    listed = {name: list(value.values()) if isinstance(value, dict) else value for name, value in content.items()}
    return {name: value for name, value in listed.items() if isinstance(value, list)}


def _lines(text: str, path: Path, whole: ValueError) -> list[Any]:
    """Returns a record a line; a last one that was only half written is left out."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) == 1:
        raise UserError(f"{path}: no readable JSON ({whole})", FORMATS)
    records = []
    for number, line in lines:
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            if number == lines[-1][0] and records:
                break
            raise UserError(f"{path}: line {number} is no readable JSON ({error})", FORMATS) from error
    return records


def _of_records(records: list[Any], path: Path) -> dict[str, list[Any]]:
    """Returns the columns of records, one an epoch; "" where a record lacks a name."""
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            raise UserError(f"{path}: record {number} is no object with names and numbers", FORMATS)
        if any(isinstance(value, list) for value in record.values()):
            raise UserError(f"{path}: record {number} is a whole history; expected one epoch a record", FORMATS)
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name, "") for record in records] for name in names}


def _csv(text: str, path: Path) -> dict[str, list[Any]]:
    lines = text.splitlines()
    delimiter = max(",;\t", key=lines[0].count)
    try:
        header, *rows = (row for row in csv.reader(lines, delimiter=delimiter) if any(cell.strip() for cell in row))
    except (csv.Error, ValueError) as error:
        raise UserError(f"{path}: no readable CSV ({error})", FORMATS) from error
    table: dict[str, list[Any]] = {}
    for place, name in enumerate(header):
        table.setdefault(name.strip(), [row[place] if place < len(row) else "" for row in rows])
    return table

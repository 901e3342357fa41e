"""A `.csv` file with a header line, numeric feature columns and a `--target` column, or several of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError, unknown_name
from tfday7.data.config import DataConfig
from tfday7.data.source import SOURCES, Raw, source

FLOAT32_MAX = float(np.finfo(np.float32).max)


@SOURCES.register("csv")
@source(suffixes=(".csv",), uses=("target",))
def load(config: DataConfig) -> Raw:
    """Returns features as float64 [n, columns - 1] in the order of the file, and the target column.

    The target stays text unless every value is a number; whole numbers stay whole (they may be classes). Several
    columns of numbers are one array [n, targets]; with words among them each column is a target of its own.
    """
    header, rows = _read(config.data)
    if not config.target and config.task != "reconstruction":
        raise UserError(f"--data={config.data} needs --target=COLUMN", f"columns: {', '.join(header)}")
    columns = _target_columns(config, header)
    names = [name for name in header if name not in columns]
    features = np.empty((len(rows), len(names)))
    targets = []
    for i, (line, row) in enumerate(rows):
        if len(row) != len(header):
            raise UserError(f"{config.data}, line {line}: {len(row)} values; expected {len(header)} as in the header")
        by_name = dict(zip(header, row, strict=True))
        targets.append([_target(config, line, name, by_name[name]) for name in columns])
        features[i] = [_number(config, line, name, by_name[name]) for name in names]
    return Raw(features, _targets(targets, columns), class_names=columns if len(columns) > 1 else ())


def _target_columns(config: DataConfig, header: list[str]) -> tuple[str, ...]:
    """Returns the columns that `--target` names: one whose name may hold commas, or a comma list of several."""
    if not config.target:  # To give every column again.
        return ()
    several = (config.target,) if config.target in header else tuple(part.strip() for part in config.target.split(","))
    for name in several:
        if name not in header:
            raise unknown_name("--target column", name, header)
    if len(set(several)) < len(several):
        raise UserError(f"--target={config.target} names a column more than once")
    if len(several) == len(header):
        raise UserError(f"--target={config.target} names every column of {config.data}", "leave some to predict from")
    return several


def _targets(rows: list[list[str]], columns: tuple[str, ...]) -> np.ndarray | dict[str, np.ndarray]:
    """Returns the targets [n]; of several columns numbers [n, targets], or each by its name if one holds words."""
    typed = [_typed([row[i] for row in rows]) for i in range(len(columns))]
    if len(columns) < 2:
        return typed[0] if typed else np.zeros(len(rows))
    if any(values.dtype.kind == "U" for values in typed):
        return dict(zip(columns, typed, strict=True))
    return np.stack(typed, axis=1)


def _read(path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise UserError(
            f"{path}: not a readable CSV file ({error})", "expected UTF-8 text with a header line"
        ) from error
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: the header names {', '.join(repeated)} more than once")
    if len(header) < 2 or not rows:
        raise UserError(f"{path}: {len(header)} columns and {len(rows)} rows; expected at least 2 columns and 1 row")
    return header, rows


def _number(config: DataConfig, line: int, name: str, text: str) -> float:
    try:
        value = _parsed(float, text)
    except ValueError:
        value = math.nan
    if abs(value) <= FLOAT32_MAX:
        return value
    what = "an empty cell" if not text.strip() else repr(text[:60])
    raise UserError(
        f"{config.data}, line {line}, column {name!r}: {what}; expected a number",
        "remove the line, or encode the column as numbers",
    )


def _target(config: DataConfig, line: int, name: str, text: str) -> str:
    if not text.strip():
        raise UserError(f"{config.data}, line {line}, column {name!r}: the target is empty")
    return text.strip()


def _typed(targets: list[str]) -> np.ndarray:
    for kind, dtype in ((int, np.int64), (float, np.float64)):
        try:
            return np.array([_parsed(kind, text) for text in targets], dtype)
        except (ValueError, OverflowError):  # Whole numbers beyond int64 are values, not classes.
            continue
    return np.array(targets)


def _parsed(kind: Callable[[str], float], text: str) -> float:
    if "_" in text:  # Python reads "1_000" as a number; in a table it is a word.
        raise ValueError(text)
    return kind(text)

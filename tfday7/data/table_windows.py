"""From the cells of a table to windows of its series: which columns are channels, and how the rows are ordered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tfday7.core.errors import UserError, unknown_name
from tfday7.data import columns, windows
from tfday7.data.columns import Table
from tfday7.data.config import DataConfig
from tfday7.data.source import Raw

STRETCH = 10  # Windows, end to end. Folds are made of such stretches: single windows overlap in almost all their rows.


def from_table(config: DataConfig, cells: Table, target: tuple[str, ...], y: np.ndarray, asked: dict[str, str]) -> Raw:
    """Returns windows of all columns of numbers; the target's own past is one of them if it is made of numbers.

    Args:
        config: `--window` and what goes with it.
        cells: the table.
        target: the columns to predict; none for reconstruction.
        y: [rows] or [rows, targets], what they hold.
        asked: kinds by `--columns`.

    Raises:
        UserError: a column that is not made of numbers, times that come again, or too few rows.
    """
    series, time = _series(config, cells), _time(config, cells)
    channels = _channels(config, cells, target, y, asked)
    numbers = columns.values(cells, dict.fromkeys(channels, "numeric"))
    order = windows.order(series, time)
    _check_time(config, cells, series[order], time[order], order)
    rows = np.stack([numbers[name] for name in channels], axis=1).astype(np.float32)[order]
    window, horizon = config.window or 1, (config.horizon or 1) if target else 0
    try:
        cut = windows.cut(series[order], window, horizon)
    except UserError as error:
        raise UserError(f"{config.data}: {error.message}", error.hint) from error
    ahead = window - 1 + horizon
    parts = {
        name: (windows.Windows(rows, starts, window), y[order][starts + ahead]) for name, starts in cut.starts.items()
    }
    return Raw(
        *parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        groups=cut.starts["train"] // (STRETCH * (window + horizon)),
        class_names=target if len(target) > 1 else (),
        preprocessing=f"windows of {window} rows, the columns in this order ({columns.listed(channels)})",
        origin=hashlib.blake2b(rows.tobytes() + y[order].tobytes(), digest_size=8).hexdigest(),
        moments=_moments(rows[cut.training_rows]),
    )


def _channels(
    config: DataConfig, cells: Table, target: tuple[str, ...], y: np.ndarray, asked: dict[str, str]
) -> list[str]:
    """Returns the columns that a window holds. Raises UserError for one that is not made of numbers."""
    left_out = {config.series, config.time, *(target if y.dtype.kind == "U" else ())}
    channels = [name for name in cells.columns if asked.get(name, "drop" if name in left_out else "") != "drop"]
    for name in channels:
        kind = "numeric" if name in target else asked.get(name) or columns.deduce(cells, name)
        if kind != "numeric":
            raise UserError(
                f"{config.data}, column {name!r} is {kind}, but --window takes columns of numbers",
                f"--columns={name}=drop, or name it with --series or --time if it is that",
            )
    if not channels:
        raise UserError(f"{config.data} has no column of numbers for --window={config.window}")
    return channels


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and deviation of each channel, float32; 1 for the deviation of a constant one."""
    mean, std = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64).astype(np.float32)
    return mean.astype(np.float32), np.where(std > 0, std, np.float32(1))


def _series(config: DataConfig, cells: Table) -> np.ndarray:
    """Returns a number for each row's series."""
    if not config.series:
        return np.zeros(len(cells), np.int64)
    return np.unique(np.array(_column(config, cells, "series")), return_inverse=True)[1]


def _time(config: DataConfig, cells: Table) -> np.ndarray:
    """Returns what orders the rows."""
    if not config.time:
        return np.arange(len(cells))
    _column(config, cells, "time")
    filled = [text for text in map(str.strip, cells.columns[config.time]) if text]
    kinds = [
        kind for kind, parse in (("numeric", columns.number), ("date", columns.day)) if columns.mostly(filled, parse)
    ]
    if not kinds:
        raise UserError(
            f"{config.data}: --time={config.time} needs numbers or dates; its first cell is {filled[0][:40]!r}",
            "dates are written as in 2024-12-31 or 2024-12-31T23:59",
        )
    return columns.values(cells, {config.time: kinds[0]})[config.time]


def _check_time(config: DataConfig, cells: Table, series: np.ndarray, time: np.ndarray, order: np.ndarray) -> None:
    again = np.flatnonzero((np.diff(time) == 0) & (np.diff(series) == 0))
    if again.size:
        first, second = sorted(order[again[0] : again[0] + 2].tolist())
        raise UserError(
            f"{cells.place(config.time, second)}: the time {cells.columns[config.time][second]!r} comes again, "
            f"first on line {cells.lines[first]}",
            "name the column that tells several series apart with --series, or remove the line",
        )


def _column(config: DataConfig, cells: Table, flag: str) -> Sequence[str]:
    name = getattr(config, flag)
    if name not in cells.columns:
        raise unknown_name(f"--{flag} column", name, cells.columns)
    return cells.columns[name]

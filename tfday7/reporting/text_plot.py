"""Two curves as letters, for a terminal or a pipe: small, and the same in every encoding."""

from __future__ import annotations

import numpy as np

from tfday7.core.records import LARGEST
from tfday7.core.units import format_number
from tfday7.reporting.axes import LINEAR, LOG, LOG_SPAN, Axis

COLUMNS, ROWS = 64, 10
TRAIN, VALIDATION, BOTH, LOWEST = ".", "o", "8", "*"


def text_plot(train: np.ndarray, validation: np.ndarray) -> list[str]:
    """Returns lines of text: training as ".", validation as "o", both as "8", the lowest validation as "*".

    Args:
        train, validation: float64 [epochs]; what is not finite is a gap. A column that stands for several epochs shows
            their median, so that noise does not fill the plot.
    """
    held = [np.where(np.abs(curve) < LARGEST, curve, np.nan) for curve in (train, validation)]
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in held])
    if not len(finite):
        return []
    low, high = float(finite.min()), float(finite.max())
    axis = Axis("loss", LOG if low > 0 and high > LOG_SPAN * low else LINEAR, low, high)
    grid = np.full((ROWS, min(COLUMNS, len(train))), " ")
    for curve, mark in zip(held, (TRAIN, VALIDATION), strict=True):
        for column, part in enumerate(np.array_split(curve, grid.shape[1])):
            place = axis.place(float(np.median(part[np.isfinite(part)]))) if np.isfinite(part).any() else None
            if place is not None:
                row = round((1 - place) * (ROWS - 1))
                grid[row, column] = BOTH if grid[row, column] == TRAIN else mark
    _mark_lowest(grid, held[1])
    names = {0: format_number(high), ROWS - 1: format_number(low)}
    margin = max(map(len, names.values()))
    lines = [f"{names.get(row, ''):>{margin}} |{''.join(cells)}".rstrip() for row, cells in enumerate(grid)]
    return [*lines, f"{'':{margin}} +{'-' * grid.shape[1]}", f"{'':{margin}}  1{len(train):>{grid.shape[1] - 1}}"]


def _mark_lowest(grid: np.ndarray, validation: np.ndarray) -> None:
    """Marks the column in which validation is lowest, at its mark there."""
    if not np.isfinite(validation).any():
        return
    starts = np.cumsum([len(part) for part in np.array_split(validation, grid.shape[1])])
    column = int(np.searchsorted(starts, np.nanargmin(validation), side="right"))
    rows = np.flatnonzero(np.isin(grid[:, column], (VALIDATION, BOTH)))
    grid[rows, column] = LOWEST

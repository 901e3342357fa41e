"""A `.csv` file with a header line, feature columns and a `--target` column, or several of them.

Where every feature is a number the examples are the numbers themselves. Columns of other kinds are encoded
(`data/table.py`), and with `--window` rows become time series (`data/windows.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfday7.core.errors import UserError, unknown_name
from tfday7.data import columns, table, table_windows
from tfday7.data.columns import Table
from tfday7.data.config import DataConfig
from tfday7.data.loading import trains
from tfday7.data.source import SOURCES, Raw, source

USES = ("target", "columns", "fill_missing", "window", "horizon", "series", "time")


@SOURCES.register("csv")
@source(suffixes=(".csv",), uses=USES)
def load(config: DataConfig) -> Raw:
    """Returns features in the order of the file, and the target: float64 [n, columns] if all of them are numbers.

    The target stays text unless every value is a number; whole numbers stay whole (they may be classes). A word in a
    column of numbers is a mistake unless they are said to be classes. Several columns of numbers are one array
    [n, targets]; with words among them each column is a target of its own.
    """
    cells = columns.read_table(config.data)
    header = list(cells.columns)
    if not config.target and config.task != "reconstruction":
        raise UserError(f"--data={config.data} needs --target=COLUMN", f"columns: {', '.join(header)}")
    target = _target_columns(config, header)
    asked = _asked_kinds(config, header, target)
    y = _targets(cells, target, config.task)
    if config.window:
        if isinstance(y, dict):
            raise UserError(
                f"--target={config.target} with --window={config.window}: not all of these columns are made of numbers",
                "several targets of a time series are numbers: encode them so, or train a model for each alone",
            )
        return table_windows.from_table(config, cells, target, y, asked)
    kept = [name for name in header if name not in target and asked.get(name) != "drop"]
    if not kept:
        raise UserError(f"--columns={config.columns} drops every column of {config.data}", "keep some to predict from")
    kinds = {name: asked.get(name) or columns.deduce(cells, name) for name in kept}
    numbers = columns.values(cells, kinds, config.fill_missing)
    class_names = target if len(target) > 1 else ()
    if set(kinds.values()) == {"numeric"} and not any(np.isnan(column).any() for column in numbers.values()):
        order = f"the columns in this order ({columns.listed(kept)})"
        return Raw(np.stack(list(numbers.values()), axis=1), y, class_names=class_names, preprocessing=order)
    for name, kind in kinds.items():
        columns.check_varies(cells, name, kind)
    groups = table.row_groups(cells, kinds)
    x, encoding, moments = table.encode(cells, kinds, numbers, groups, trains(groups))
    return Raw(
        x,
        y,
        class_names=class_names,
        vocabulary=encoding.tokens(),
        groups=groups,
        preprocessing=f"columns are encoded, in this order ({columns.listed(kept)})",
        origin=encoding.digest(),
        encoding=encoding,
        moments=moments,
    )


def _asked_kinds(config: DataConfig, header: list[str], target: tuple[str, ...]) -> dict[str, str]:
    asked = columns.parse_kinds(config.columns)
    for name, kind in asked.items():
        if name not in header:
            raise unknown_name("--columns name", name, header)
        if name in target and not (config.window and kind in ("numeric", "drop")):
            raise UserError(f"--columns={name}={kind} contradicts --target={config.target}", "leave one of them out")
    return asked


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
    if len(several) == len(header) and not config.window:
        raise UserError(f"--target={config.target} names every column of {config.data}", "leave some to predict from")
    return several


def _targets(cells: Table, names: tuple[str, ...], task: str) -> np.ndarray | dict[str, np.ndarray]:
    """Returns the targets [n]; of several columns numbers [n, targets], or each by its name if one holds words."""
    typed = [_typed(_target(cells, name)) for name in names]
    for name, values in zip(names, typed, strict=True):
        if values.dtype.kind == "U" and task not in ("classification", "reconstruction"):
            _check_words(cells, name, values.tolist(), several=len(names) > 1)
    if len(names) < 2:
        return typed[0] if typed else np.zeros(len(cells))
    if any(values.dtype.kind == "U" for values in typed):
        return dict(zip(names, typed, strict=True))
    return np.stack(typed, axis=1)


def _target(cells: Table, name: str) -> list[str]:
    stripped = list(map(str.strip, cells.columns[name]))
    if "" in stripped:
        raise UserError(f"{cells.place(name, stripped.index(''))}: the target is empty")
    return stripped


def _check_words(cells: Table, name: str, targets: list[str], several: bool) -> None:
    """Raises UserError for the first word of a target of which at least half the cells are numbers."""
    if not columns.mostly(targets, columns.number):
        return
    row = next(row for row, text in enumerate(targets) if not _is_number(text))
    as_classes = f"write all of them as words, for example {name}_{targets[0][:20]}," if several else None
    raise UserError(
        f"{cells.place(name, row)}: {targets[row][:60]!r}; expected a number, as most targets are",
        f"correct or remove the line, or {as_classes or 'give --task=classification'} if these are classes",
    )


def _is_number(text: str) -> bool:
    try:
        _parsed(float, text)
    except ValueError:
        return False
    return True


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

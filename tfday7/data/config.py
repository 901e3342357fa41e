"""Which data, and how to read it."""

from __future__ import annotations

import dataclasses

from tfday7.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class DataConfig(Settings):
    """Names the examples of a run."""

    data: str = setting("digits", "Data set: digits, fashion_mnist, stdlib_text, a .npz file or a .csv file.")
    data_dir: str = setting("", "Folder with the files of a named data set (IDX files for fashion_mnist).")
    target: str = setting("", "Column of a .csv file that holds the label or the value to predict.")
    task: str = setting(
        "auto",
        "What to learn; auto: words and whole numbers that repeat are classes, other numbers are values to predict.",
        choices=("auto", "classification", "regression"),
    )

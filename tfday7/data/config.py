"""Which data, and how to read it."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting
from tfday7.data.columns import parse_kinds

MAX_SIDE = 4096
ALWAYS_READ = ("data", "task")


@dataclasses.dataclass(frozen=True)
class DataConfig(Settings):
    """Names the examples of a run. Every field but `data` and `task` is read by some sources only."""

    data: str = setting(
        "digits",
        "Data set: a name, a .npz, .csv or .tfrecord file, a folder of class folders of images, of .npy or .tfrecord "
        "files, python:MODULE:FUNCTION, keras:NAME or tfds:NAME.",
    )
    data_dir: str = setting("", "Folder with the files of a named data set (IDX files for fashion_mnist).")
    target: str = setting(
        "",
        "Column of a .csv file (or a comma list), or feature of .tfrecord files, that holds what to predict.",
    )
    task: str = setting(
        "auto",
        "What to learn; auto: words and whole numbers that repeat are classes, columns of 0 and 1 are labels that an "
        "example may have several of, other numbers are values to predict. reconstruction: the inputs again.",
        choices=("auto", "classification", "multilabel", "regression", "reconstruction"),
    )
    image_size: str = setting(
        "", "HxW or one number that images are resized to; default: their common size if small, else 96."
    )
    image_channels: int | None = setting(None, "3 for RGB or 1 for grey; default: 3.", minimum=1, maximum=3)
    skip_bad_files: bool = setting(False, "Leave out image files that cannot be read, and say which.")
    features: str = setting("", "JSON file that says what the features of .tfrecord files hold.")
    columns: str = setting(
        "",
        "Kinds of columns of a .csv file, NAME=KIND,...: numeric, categorical, text, date or drop; default: deduced.",
    )
    fill_missing: bool = setting(
        False, "Fill empty cells of numbers and dates with the training mean, and say where in a feature of its own."
    )
    window: int | None = setting(None, "Rows of a .csv file that make one example of a time series.", minimum=1)
    horizon: int | None = setting(
        None, "Rows from the last of a --window to the one whose --target is predicted; default: 1.", minimum=1
    )
    series: str = setting("", "Column that tells several time series in one .csv file apart; --window crosses none.")
    time: str = setting("", "Column of numbers or dates by which --window orders the rows; default: as in the file.")
    max_examples: int | None = setting(
        None, "Most examples that tf.data datasets may give; more is an error; default: 10,000,000.", minimum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.image_shape()
        if self.image_channels == 2:
            raise UserError("--image_channels=2: expected 1 (grey) or 3 (RGB)")

    def check(self) -> None:
        """Checks the flags of tables and time series. Raises UserError naming the ones that contradict each other."""
        parse_kinds(self.columns)
        if self.window and self.fill_missing:
            raise UserError(
                f"--fill_missing contradicts --window={self.window}",
                "fill the gaps of a time series before",
            )
        for flag in ("horizon", "series", "time"):
            value = getattr(self, flag)
            if value and not self.window:
                raise UserError(f"--{flag}={value} needs --window=STEPS", "only time series have it")
        if self.series and self.series == self.time:
            raise UserError(f"--series={self.series} and --time={self.time} name the same column")

    def given(self) -> dict[str, object]:
        """Returns the fields that only some sources read, where they are not at their default."""
        values = {field.name: (getattr(self, field.name), field.default) for field in dataclasses.fields(self)}
        return {
            name: value for name, (value, default) in values.items() if name not in ALWAYS_READ and value != default
        }

    def image_shape(self) -> tuple[int, int] | None:
        """Returns `--image_size` as (height, width), None when it is not given. Raises UserError when it is no size."""
        if not self.image_size:
            return None
        sides = self.image_size.lower().split("x")
        if len(sides) > 2 or not all(re.fullmatch("[0-9]{1,4}", side) for side in sides):
            raise UserError(f"--image_size={self.image_size}: expected HxW or one number, for example 96x128 or 96")
        height, width = int(sides[0]), int(sides[-1])
        if min(height, width) == 0 or max(height, width) > MAX_SIDE:
            raise UserError(f"--image_size={self.image_size}: expected sides of 1 to {MAX_SIDE} pixels")
        return height, width

    def name(self) -> str:
        """Returns what to call the data in file names and reports: "photos" for /data/photos, "keras_mnist"."""
        if is_folder(self.data):
            return Path(os.path.abspath(self.data)).name or "data"  # noqa: PTH100 - a link keeps its own name.
        if ":" in self.data:
            return re.sub(r"[:/\\]", "_", self.data)
        return Path(self.data).stem


def is_folder(path: str) -> bool:
    """Returns whether there is a folder at the path; a name that no file can have is none."""
    try:
        return bool(path) and Path(path).is_dir()
    except (OSError, ValueError):
        return False

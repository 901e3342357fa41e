"""The contract of a source: a function from the configuration to raw arrays, registered under a name.

To add one, write `sources/NAME.py` with

    @SOURCES.register("NAME")
    @source()
    def load(config: DataConfig) -> Raw: ...

It is then known to `--data`, to the errors that list the known names, and to the tests that go over all sources.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.registry import Registry
from tfday7.data.config import DataConfig
from tfday7.data.lazy import Inputs


@dataclasses.dataclass(frozen=True)
class Raw:
    """Arrays as a source found them; `loading` checks, splits and scales them.

    Attributes:
        x, y: examples and labels that still have to be split, or the training split when `test` is given. `y` holds
            whole numbers or strings (classes) or floats (values).
        validation, test: splits that the source brings itself, as (x, y); None is made by content hash.
        class_names: names for whole-number labels; empty when the numbers are the names.
        vocabulary: the word of each token id, when `x` is int32 [n, length] text; index 0 is padding, 1 is unknown.
        groups: [n] integers; examples of one group (lines of a file, windows of a stretch) fall on one side of a
            split. None splits by each example's own content.
        preprocessing: what the source did to the raw values, for people who feed the exported model.
        origin: what else tells this data from another's, for example a version; part of the fingerprint.
    """

    x: Inputs
    y: np.ndarray
    validation: tuple[Inputs, np.ndarray] | None = None
    test: tuple[Inputs, np.ndarray] | None = None
    class_names: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    preprocessing: str = ""
    origin: str = ""


@dataclasses.dataclass(frozen=True)
class Source:
    """A registered source.

    Attributes:
        load: reads the data; raises UserError for anything that is wrong with it.
        suffix: set when `--data` takes a file of this suffix (".csv") instead of the name.
        uses: the optional flags that this source reads; giving another one is an error that names both.
    """

    load: Callable[[DataConfig], Raw]
    suffix: str = ""
    uses: tuple[str, ...] = ()


SOURCES: Registry[Source] = Registry("data set", "tfday7.data.sources")


def source(suffix: str = "", uses: tuple[str, ...] = ()) -> Callable[[Callable[[DataConfig], Raw]], Source]:
    """Returns a decorator that makes a `Source` of a loading function."""
    return lambda load: Source(load, suffix, uses)


def find_source(config: DataConfig) -> Source:
    """Returns the source that `--data` names.

    Raises:
        UserError: no such name or file; or a flag was given that this source does not read.
    """
    suffix = Path(config.data).suffix.lower()
    files = {SOURCES.get(name).suffix: SOURCES.get(name) for name in SOURCES.names() if SOURCES.get(name).suffix}
    named = tuple(name for name in SOURCES.names() if not SOURCES.get(name).suffix)
    if suffix in files:
        found = files[suffix]
        check_file(config.data)
    elif config.data in named:
        found = SOURCES.get(config.data)
    else:
        raise unknown_name("data set", config.data, named, extra="a file that ends in " + " or ".join(sorted(files)))
    for flag in ("data_dir", "target"):
        if getattr(config, flag) and flag not in found.uses:
            raise UserError(
                f"--{flag}={getattr(config, flag)} has no meaning for --data={config.data}", f"leave --{flag} out"
            )
    return found


def check_file(path: str) -> None:
    """Raises UserError when a data file is missing, no file, unreadable or empty."""
    file = Path(path)
    try:
        if not file.exists():
            raise UserError(f"{path}: no such file", "check the path given to --data")
        if not file.is_file():
            raise UserError(f"{path}: not a file")
        with file.open("rb") as stream:
            first = stream.read(1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if not first:
        raise UserError(f"{path}: the file is empty")

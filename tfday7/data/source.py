"""The contract of a source: a function from the configuration to raw arrays, registered under a name.

To add one, write `sources/NAME.py` with

    @SOURCES.register("NAME")
    @source()
    def load(config: DataConfig) -> Raw: ...

`source` says how `--data` names it, where that is not by its name: a file's suffix, a prefix such as `keras:`, or a
kind of folder. It is then known to `--data`, to the errors that list the known names, and to the tests that go over all
sources.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.registry import Registry
from tfday7.data.config import DataConfig, is_folder
from tfday7.data.lazy import Inputs
from tfday7.data.table import Encoding

# What people call the splits.
SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Raw:
    """Arrays as a source found them; `loading` checks, splits and scales them.

    Attributes:
        x, y: examples and labels that still have to be split, or the training split when `test` is given. `y` holds
            whole numbers or strings (classes) or floats (values). Targets of different kinds come as arrays by name;
            then there is no split of the source's own.
        validation, test: splits that the source brings itself, as (x, y); None is made by content hash.
        class_names: names for whole-number labels; empty when the numbers are the names.
        vocabulary: the word of each token id, when `x` is int32 [n, length] text; index 0 is padding, 1 is unknown.
        groups: [n] integers; examples of one group (lines of a file, windows of a stretch) fall on one side of a
            split. None splits by each example's own content.
        preprocessing: what the source did to the raw values, for people who feed the exported model.
        skipped: what was left out because the user asked for it, as (file, reason).
        encoding: how the columns of a table became `x`, for people and for the delivered model; None where `x` is
            what there was.
        moments: mean and deviation of each column or channel, float32, of what trains, where the source knows them;
            None is measured.
        origin: what else tells this data from another's, for example a version; part of the fingerprint.
    """

    x: Inputs
    y: np.ndarray | Mapping[str, np.ndarray]
    validation: tuple[Inputs, np.ndarray] | None = None
    test: tuple[Inputs, np.ndarray] | None = None
    class_names: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    preprocessing: str = ""
    origin: str = ""
    skipped: tuple[tuple[str, str], ...] = ()
    encoding: Encoding | None = None
    moments: tuple[np.ndarray, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """A registered source. `--data` takes its name, unless one of the other forms is set; then it takes those.

    Attributes:
        load: reads the data; raises UserError for anything that is wrong with it.
        suffixes: of the files that `--data` takes, lower case, such as (".csv",).
        prefix: what `--data` starts with, up to the colon, such as "keras:".
        folder: says whether a folder is of this source's kind, by the names in it alone.
        form: what `--data` takes, for the hint that lists the known forms; made of the suffixes where it is empty.
        uses: the optional flags that this source reads; giving another one is an error that names both.
    """

    load: Callable[[DataConfig], Raw]
    suffixes: tuple[str, ...] = ()
    prefix: str = ""
    folder: Callable[[Path], bool] | None = None
    form: str = ""
    uses: tuple[str, ...] = ()

    @property
    def has_name(self) -> bool:
        """Whether `--data` takes the name under which the source is registered."""
        return not (self.suffixes or self.prefix or self.folder)


SOURCES: Registry[Source] = Registry("data set", "tfday7.data.sources")


def source(
    suffixes: tuple[str, ...] = (),
    prefix: str = "",
    folder: Callable[[Path], bool] | None = None,
    form: str = "",
    uses: tuple[str, ...] = (),
) -> Callable[[Callable[[DataConfig], Raw]], Source]:
    """Returns a decorator that makes a `Source` of a loading function; see `Source` for the arguments."""
    return lambda load: Source(load, suffixes, prefix, folder, form, uses)


def find_source(config: DataConfig) -> Source:
    """Returns the source that `--data` names.

    A name comes before a folder of that name, and a prefix before everything but names.

    Raises:
        UserError: no such name, file or folder; or a flag was given that this source does not read.
    """
    found = _find(config.data)
    for flag, value in config.given().items():
        if flag not in found.uses:
            given = str(value).lower() if isinstance(value, bool) else value
            raise UserError(f"--{flag}={given} has no meaning for --data={config.data}", f"leave --{flag} out")
    config.check()
    return found


def _find(data: str) -> Source:
    all_sources = {name: SOURCES.get(name) for name in SOURCES.names()}
    names = tuple(name for name, found in all_sources.items() if found.has_name)
    if data in names:
        return all_sources[data]
    for found in all_sources.values():
        if found.prefix and data.startswith(found.prefix):
            return found
    if is_folder(data):
        return _find_by_folder(data, all_sources)
    suffix = Path(data).suffix.lower()
    for found in all_sources.values():
        if suffix in found.suffixes:
            check_file(data)
            return found
    if "/" in data:
        raise UserError(f"--data={data}: no such file or folder", f"known: {', '.join(names)}; or {_forms()}")
    raise unknown_name("data set", data, names, extra=_forms())


def _find_by_folder(data: str, all_sources: dict[str, Source]) -> Source:
    try:
        entries = [entry for entry in Path(data).iterdir() if not entry.name.startswith(".")]
        fitting = [name for name, found in all_sources.items() if found.folder and found.folder(Path(data))]
    except OSError as error:
        raise UserError(f"--data={data}: cannot be read ({error.strerror})") from error
    if len(fitting) > 1:
        raise UserError(
            f"--data={data}: the folder could be read as {' and as '.join(fitting)}", "keep one kind of data in it"
        )
    if not fitting:
        what = "does not hold data of a known kind" if entries else "is empty"
        kinds = [found.form for found in all_sources.values() if found.folder]
        raise UserError(f"--data={data}: the folder {what}", f"expected {'; or '.join(kinds)}")
    return all_sources[fitting[0]]


def _forms() -> str:
    """Returns the forms of `--data` other than names, for a hint."""
    all_sources = [SOURCES.get(name) for name in SOURCES.names()]
    suffixes = sorted(suffix for found in all_sources for suffix in found.suffixes)
    forms = [found.form for found in all_sources if found.form]
    return "; or ".join(["a file that ends in " + " or ".join(suffixes), *forms])


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

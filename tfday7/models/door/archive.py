"""Opens a `.keras` archive as something that may be an attack: a bomb, a path out of the folder, a truncated file.

Nothing is unpacked to where a member's name leads: what the loader needs is written to files that are named here, and
what a user's own layer needs to a folder that is.
"""

from __future__ import annotations

import contextlib
import errno
import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf

WEIGHTS = "model.weights.h5"
_LARGEST_TEXT_BYTES = 64_000_000
_FREE_WEIGHTS_BYTES = 64_000_000  # So much may be stored around the weights of the smallest model.
_MOST_PER_WEIGHT = 10  # An optimizer keeps a few numbers for each weight, and they are stored with it.
_MOST_MEMBERS = 10_000
_HIGHEST_RATIO = 100  # A pruned model's zeros compress 10 or 20 times; a bomb 1,000 times.
_FREE_RATIO_BYTES = 64_000_000  # Below this size no ratio is suspicious.
_VOCABULARY = "vocabulary.txt"  # The only asset of Keras's own layers.
_BLOCK_BYTES = 1_000_000
_BROKEN = "the file is truncated or damaged; save or download it again"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Yields the archive, checked. Raises UserError when it is no zip, or is built to do harm."""
    with reading(path):
        file = zipfile.ZipFile(path)
    with file:
        archive = Archive(path, file)
        with reading(path):
            archive.check()
        yield archive


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what zipfile raises for a damaged archive into a UserError; a full disk stays what it is."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # A place before the start of the file.
            raise
        raise UserError(f"{path}: not a readable .keras file ({error})", _BROKEN) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError, struct.error) as error:
        raise UserError(f"{path}: not a readable .keras file ({error})", _BROKEN) from error


class Archive:
    """A zip file of settings, weights and assets."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self._file = file
        self._asset_bytes = 0

    def check(self) -> None:
        """Raises UserError for too many members, members outside of the archive, and zip bombs."""
        members = self._file.infolist()
        if len(members) > _MOST_MEMBERS:
            raise UserError(f"{self.path}: {len(members):,} members; a Keras file has a few", _BROKEN)
        for member in members:
            if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(f"{self.path}: member {member.filename!r} is encrypted or packed in an unusual way")
            parts = member.filename.replace("\\", "/").split("/")
            if member.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
                raise UserError(f"{self.path}: member {member.filename!r} leads outside of the archive")
        names = [member.filename for member in members]
        if len(set(names)) != len(names):
            raise UserError(f"{self.path}: two members of one name", _BROKEN)
        unpacked, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
        if unpacked > _FREE_RATIO_BYTES and unpacked > _HIGHEST_RATIO * packed:
            raise UserError(
                f"{self.path}: {packed:,} bytes would unpack to {unpacked:,}; refused as a zip bomb",
                "unpack and look at it by hand if you trust it",
            )

    def names(self) -> list[str]:
        """Returns the members' names."""
        return self._file.namelist()

    def size_bytes(self, name: str) -> int:
        """Returns a member's unpacked size. Raises UserError when it is missing."""
        return self._member(name).file_size

    def text(self, name: str) -> bytes:
        """Returns a small member's content. Raises UserError when it is missing or far too large."""
        if self.size_bytes(name) > _LARGEST_TEXT_BYTES:
            raise UserError(f"{self.path}: {name} is larger than {_LARGEST_TEXT_BYTES:,} bytes")
        with reading(self.path):
            return self._file.read(name)

    def has_assets(self, layer_path: str = "") -> bool:
        """Returns whether there are assets of a layer, or of the layers inside of it, by its path in the model."""
        return any(name.startswith(_assets(layer_path)) for name in self.names())

    @contextlib.contextmanager
    def unpacked(self, model_bytes: int) -> Iterator[Path]:
        """Yields a temporary folder with the weights.

        Args:
            model_bytes: of the model's variables, as of `size_bytes`: there may only be weights that it explains, its
                own and an optimizer's state.

        Raises:
            UserError: there are far more weights than the model has, or the disk has no room.
        """
        member = self._member(WEIGHTS)
        size = member.file_size
        if size > _FREE_WEIGHTS_BYTES + _MOST_PER_WEIGHT * model_bytes:
            raise UserError(f"{self.path}: stores {size:,} bytes of weights; its model has {model_bytes:,}", _BROKEN)
        with tempfile.TemporaryDirectory(prefix="tfday7-") as folder:
            free = shutil.disk_usage(folder).free
            if size > 0.9 * free:
                raise UserError(
                    f"{self.path}: needs {size:,} bytes in {tempfile.gettempdir()}, which has {free:,} free"
                )
            with reading(self.path), self._file.open(member) as packed, (Path(folder) / WEIGHTS).open("wb") as target:
                shutil.copyfileobj(packed, target, _BLOCK_BYTES)
            yield Path(folder)

    def assets_folder(self, layer_path: str, folder: Path, whole: bool) -> str | None:
        """Returns a new folder with a layer's vocabulary, or None where the archive has none.

        Args:
            layer_path: the layer's path in the model.
            folder: where to make the new folder.
            whole: whether the layer may have other assets, as one of a user's own: then all of them are in the folder.

        Raises:
            UserError: the assets are far too large, or lead outside of the folder.
        """
        start = _assets(layer_path)
        names = [name for name in self.names() if name.startswith(start) and not name.endswith("/")]
        names = [name for name in names if whole or name == start + _VOCABULARY]
        if not names:
            return None
        self._asset_bytes += sum(self.size_bytes(name) for name in names)
        if self._asset_bytes > _LARGEST_TEXT_BYTES:
            raise UserError(
                f"{self.path}: the assets of its layers are larger than {_LARGEST_TEXT_BYTES:,} bytes", _BROKEN
            )
        made = Path(tempfile.mkdtemp(dir=folder))
        for name in names:
            parts = name.removeprefix(start).split("/")
            if any(part in ("", ".", "..") or set(part) & set("\\:") for part in parts):
                raise UserError(f"{self.path}: member {name!r} leads outside of the archive")
            made.joinpath(*parts).parent.mkdir(parents=True, exist_ok=True)
            made.joinpath(*parts).write_bytes(self.text(name))
        return str(made)

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self.names():
            raise UserError(f"{self.path}: no {name} inside; expected a Keras model", _BROKEN)
        return self._file.getinfo(name)


def _assets(layer_path: str) -> str:
    """Returns how the names of a layer's assets begin."""
    return f"assets/{layer_path}/" if layer_path else "assets/"


def size_bytes(model: Any) -> int:
    """Returns what a model's variables take; those of an open size, nothing.

    Raises ValueError for a model that is not built.
    """
    variables = (one for one in model.variables if hasattr(one, "shape"))  # Not tf_keras's tables of words.
    return sum(math.prod(size or 0 for size in one.shape) * tf.as_dtype(one.dtype).size for one in variables)

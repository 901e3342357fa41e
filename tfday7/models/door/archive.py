"""Opens a `.keras` archive as something that may be an attack: a bomb, a path out of the folder, a truncated file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tfday7.core.errors import UserError

_LARGEST_TEXT_BYTES = 64_000_000
_MOST_MEMBERS = 10_000
_HIGHEST_RATIO = 100  # A pruned model's zeros compress 10 or 20 times; a bomb 1,000 times.
_FREE_RATIO_BYTES = 64_000_000  # Below this size no ratio is suspicious.
_BROKEN = "the file is truncated or damaged; save or download it again"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Yields the archive, checked. Raises UserError when it is no zip, or is built to do harm."""
    try:
        with zipfile.ZipFile(path) as file:
            archive = Archive(path, file)
            archive.check()
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: not a readable .keras file ({error})", _BROKEN) from error


class Archive:
    """A zip file of settings, weights and assets."""

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self._file = file

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
        """Returns a member's unpacked size."""
        return self._file.getinfo(name).file_size

    def text(self, name: str) -> bytes:
        """Returns a small member's content. Raises UserError when it is missing or far too large."""
        if name not in self._file.namelist():
            raise UserError(f"{self.path}: no {name} inside; expected a Keras model", _BROKEN)
        if self._file.getinfo(name).file_size > _LARGEST_TEXT_BYTES:
            raise UserError(f"{self.path}: {name} is larger than {_LARGEST_TEXT_BYTES:,} bytes")
        return self._file.read(name)

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Yields a temporary folder with the weights and the assets. Raises UserError when the disk has no room."""
        wanted = [m for m in self._file.infolist() if m.filename.endswith(".h5") or m.filename.startswith("assets/")]
        size = sum(member.file_size for member in wanted)
        with tempfile.TemporaryDirectory(prefix="tfday7-") as folder:
            free = shutil.disk_usage(folder).free
            if size > 0.9 * free:
                raise UserError(
                    f"{self.path}: needs {size:,} bytes in {tempfile.gettempdir()}, which has {free:,} free"
                )
            for member in wanted:
                self._file.extract(member, folder)
            yield Path(folder)

"""Writes many files as one folder, whole or not at all, and never over a folder that something else made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.deploying.connection import listed

ELSEWHERE = "choose another folder with --output_dir=FOLDER"


def check_replaceable(
    folder: Path, spec: str, kind_of: str, name: str, overwrite: bool, names: Collection[str]
) -> None:
    """Checks that a folder may be replaced: it does not exist, is empty, or is an earlier bundle of the same artefact.

    An earlier bundle has nothing but files that a deployment writes, or that its README says how to make.

    Args:
        folder: may not exist.
        spec: where such a bundle has its bundle.json, relative to the folder.
        kind_of: a file that only bundles of this kind have, relative to the folder.
        name: the artefact's.
        overwrite: whether a bundle of another artefact, or one with files of the user's own, may be replaced. Anything
            else never is.
        names: of every file that such a bundle of this artefact can have, relative to the folder.

    Raises:
        UserError: it may not.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; expected a folder", ELSEWHERE)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / spec).is_file() or not (folder / kind_of).is_file():
        raise UserError(f"{folder} holds something else, which would be replaced (it has no {kind_of})", ELSEWHERE)
    found = files.read_json(folder / spec)
    other = found.get("name") if isinstance(found, dict) else None
    if other != name and not overwrite:
        raise UserError(f"{folder} holds the bundle of {other!r}, not of {name!r}", f"{ELSEWHERE}, or give --overwrite")
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    added = sorted({path.relative_to(folder).as_posix() for path in paths} - set(names))
    if added and not overwrite:
        hint = f"move them, {ELSEWHERE}, or let them go with --overwrite"
        raise UserError(f"{folder} holds files that no deployment made ({listed(added)})", hint)


def write(folder: Path, contents: Mapping[str, str | bytes]) -> list[str]:
    """Writes a folder in place of any earlier one and returns its files' names, sorted.

    Args:
        folder: made, or replaced.
        contents: of each file, by its name relative to the folder; text is UTF-8.

    Raises:
        UserError: it cannot be written; nothing is then changed.
    """
    with files.replacing(folder) as partial:
        partial.mkdir()
        for name, content in contents.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return sorted(contents)

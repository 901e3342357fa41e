"""What a device said when it was asked what it is: can the bundle go there, and what is missing if it cannot?"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.units import format_bytes
from tfday7.deploying.bundle import FORMAT, MADE_BY_DEPLOYING
from tfday7.deploying.connection import listed, printable

OLDEST_PYTHON = (3, 7)
RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow")
MARGIN_BYTES = 2**20  # For folders, and for what else writes meanwhile.
BLOCK = 4096  # A file takes whole blocks.
_DF = re.compile(r"\s(\d+)\s+(\d+)\s+(-?\d+)\s+(?:\d+%|-)\s")
SIGNALS = {132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 137: "SIGKILL", 139: "SIGSEGV"}


@dataclasses.dataclass(frozen=True)
class Probed:
    """A device's answers.

    Attributes:
        said: each key with its values, in their order.
    """

    said: Mapping[str, list[str]]

    def one(self, key: str) -> str:
        """Returns the last value of a key; "" when it was not said."""
        return self.said.get(key, [""])[-1]

    @property
    def free_bytes(self) -> int | None:
        """The space that is free where the bundle is to go; None where df's words are not understood."""
        found = _DF.search(self.one("df") + " ")
        return int(found.group(3)) * 1024 if found else None

    @property
    def version(self) -> tuple[int, ...]:
        """The Python's version."""
        return tuple(int(part) for part in self.one("version").split() if part.isdecimal())

    @property
    def machine(self) -> str:
        """The architecture as the kernel calls it; with the Python's where that is another."""
        machine = printable(self.one("machine")) or "unknown"
        return f"{machine} with a 32-bit Python" if self.one("bits") == "32" and "64" in machine else machine


def read(text: str) -> Probed:
    """Returns what a device said, from lines of KEY=VALUE."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        said.setdefault(key, []).append(value)
    return Probed(said)


def check(
    probed: Probed, where: str, python: str, spec: Mapping[str, Any], sizes: Iterable[int], overwrite: bool
) -> None:
    """Raises UserError for the first thing that is missing, with what to do about it on the device.

    Args:
        probed: what it said.
        where: the device, for messages.
        python: its Python, as the user named it.
        spec: of the bundle that is to go there.
        sizes: of the bundle's files, in bytes.
        overwrite: whether what was deployed of another artefact, or added to it, may go.
    """
    check_runs(probed, where, python)
    _check_place(probed, where, sizes)
    _check_target(probed, where, spec, overwrite)


def check_runs(probed: Probed, where: str, python: str) -> None:
    """Raises UserError unless a runner would run there, whatever it is to run; arguments as of `check`."""
    if not probed.one("machine"):
        raise UserError(f"{where}: no POSIX shell answered", "deploying needs a device with sh, as Linux has it")
    if probed.said.get("missing"):
        tools = ", ".join(map(printable, probed.said["missing"]))
        raise UserError(f"{where}: {tools} missing there", "apt-get install coreutils findutils tar")
    _check_python(probed, where, python)
    _check_imports(probed, where, python)


def _check_python(probed: Probed, where: str, python: str) -> None:
    if probed.one("exit") == "none":
        hint = "apt-get install python3, or name another with --python=PATH"
        raise UserError(f"{where}: there is no {python}", hint)
    if probed.one("exit") in ("124", "143"):
        hint = "is the device busy? --timeout_seconds allows more"
        raise UserError(f"{where}: {python} did not answer in time", hint)
    if not probed.version or not probed.one("bits"):
        raise UserError(f"{where}: {python} is no Python 3 that works (exit code {printable(probed.one('exit'))})",
                        "name another with --python=PATH")  # fmt: skip
    if probed.version < OLDEST_PYTHON:
        shown, oldest = (".".join(map(str, version)) for version in (probed.version, OLDEST_PYTHON))
        raise UserError(
            f"{where}: {python} is Python {shown}; expected {oldest} or newer", "--python=PATH names another"
        )


def _check_imports(probed: Probed, where: str, python: str) -> None:
    imported, failed = probed.said.get("imported", []), probed.said.get("failed", [])
    trying, ended = probed.said.get("trying", [""])[-1], probed.one("exit")
    told = [name.split()[0] for name in [*imported, *failed] if name]
    if trying and trying not in told:
        how = SIGNALS.get(int(ended), f"exit code {ended}") if ended.isdecimal() else "an unknown end"
        message = f"{where}: importing {trying.partition('.')[0]} ended {python} ({how})"
        raise UserError(
            message, f"its wheel is made for another processor than {probed.machine}; {_install(probed, python)}"
        )
    if "numpy" not in imported:
        reason = _reason(failed, "numpy")
        raise UserError(f"{where}: NumPy cannot be imported there ({reason})", _install(probed, python))
    if not set(imported) & set(RUNTIMES):
        reasons = "; ".join(f"{name.partition('.')[0]}: {_reason(failed, name)}" for name in RUNTIMES[:2])
        message = f"{where} ({probed.machine}): no runtime for .tflite files can be imported there ({reasons})"
        raise UserError(message, _install(probed, python))


def _reason(failed: list[str], name: str) -> str:
    return next((printable(line.partition(" ")[2]) for line in failed if line.split()[0] == name), "not tried")


def _install(probed: Probed, python: str) -> str:
    """Returns the commands that bring NumPy and a runtime to this very device, or says that none do."""
    machine, bits = probed.one("machine"), probed.one("bits")
    if machine in ("x86_64", "aarch64", "arm64") and bits == "64":
        packages = "ai-edge-litert" if probed.version >= (3, 9) else "tflite-runtime 'numpy<2'"
    elif machine.startswith(("armv7", "armv8")) or (machine in ("aarch64", "arm64") and bits == "32"):
        if probed.version >= (3, 12):
            return (
                "32-bit ARM has tflite-runtime alone, up to Python 3.11: name one with --python, or use a 64-bit system"
            )
        packages = "tflite-runtime 'numpy<2'"
    else:
        none = f"neither ai-edge-litert nor tflite-runtime has a wheel for {probed.machine}"
        return f"{none}; a 64-bit ARM or x86 system runs it"
    if probed.one("managed") == "1":  # Debian 12 and newer refuse to install beside the system's packages.
        made = "tfday7-python"
        install = f"{python} -m venv {made} && {made}/bin/python -m pip install {packages}"
        return f"there: {install}; then deploy with --python={made}/bin/python"
    return f"there: {python} -m pip install {packages}"


def _check_place(probed: Probed, where: str, sizes: Iterable[int]) -> None:
    base = printable(probed.one("base"))
    if not probed.one("writable"):
        raise UserError(
            f"{where}: {base} cannot be written there, or is no folder", "choose another: --remote_dir=FOLDER"
        )
    needed = sum(-(-size // BLOCK) * BLOCK for size in sizes) + MARGIN_BYTES
    free = probed.free_bytes
    if free is None:
        raise UserError(f"{where}: df says {printable(probed.one('df'))!r}, and not how much space {base} has free",
                        "choose another folder: --remote_dir=FOLDER")  # fmt: skip
    if free < needed:
        message = f"{where}: {base} has {format_bytes(free)} free; the bundle needs {format_bytes(needed)}"
        raise UserError(message, "free some space there, or choose a folder on another disk: --remote_dir=FOLDER")


def _check_target(probed: Probed, where: str, spec: Mapping[str, Any], overwrite: bool) -> None:
    """Raises UserError where the bundle would replace something that is not an earlier one of the same artefact."""
    if probed.one("target") == "other":
        raise UserError(f"{where}: --remote_dir is there, and no folder", "choose another")
    entries = probed.said.get("entry", [])
    if not entries:
        return
    try:
        earlier = json.loads(probed.one("bundle"))
    except ValueError:
        earlier = None
    if not isinstance(earlier, dict) or earlier.get("format") != FORMAT:
        raise UserError(f"{where}: --remote_dir holds files, and no bundle ({listed(entries)})",
                        "choose a folder of its own for it: --remote_dir=FOLDER")  # fmt: skip
    added = [entry for entry in entries if entry not in (*MADE_BY_DEPLOYING, earlier.get("model"))]
    if added and not overwrite:
        raise UserError(f"{where}: --remote_dir holds files that no deployment made ({listed(added)})",
                        "move them, or let them go with --overwrite")  # fmt: skip
    if earlier.get("name") != spec["name"] and not overwrite:
        raise UserError(f"{where}: --remote_dir holds another artefact, {printable(str(earlier.get('name')))[:200]}",
                        "choose another folder with --remote_dir=FOLDER, or replace it with --overwrite")  # fmt: skip

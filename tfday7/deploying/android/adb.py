"""Talks to a phone through `adb`, the Android debug bridge.

No local shell is involved: adb gets a list of arguments. What adb hands to the phone's shell is quoted word by word.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tfday7.deploying.connection import printable

INSTALL = "install Android's platform-tools, or Debian's adb"


class AdbError(Exception):
    """Something on the way to the phone or on it did not work; the message says what."""


@dataclasses.dataclass(frozen=True)
class Phone:
    """An attached device.

    Attributes:
        adb: path of the program.
        serial: which device.
        timeout_seconds: for each call, beyond what the call itself is to take.
    """

    adb: str
    serial: str
    timeout_seconds: float

    def shell(self, *words: str, seconds: float = 0.0) -> str:
        """Runs one command on the phone and returns its stdout. Raises AdbError when it fails.

        Args:
            words: the command and its arguments; each reaches it as it is.
            seconds: how long it may take beyond the timeout.
        """
        return self._run(["shell", " ".join(shlex.quote(word) for word in words)], seconds)

    def script(self, text: str, *arguments: str, seconds: float = 0.0) -> str:
        """Runs a shell script of ours on the phone, which finds the arguments as "$1" and so on; else as `shell`."""
        return self.shell("sh", "-c", text, "sh", *arguments, seconds=seconds)

    def push(self, paths: Sequence[Path], folder: str) -> None:
        """Copies files into a folder on the phone, which is there already. Raises AdbError."""
        self._run(["push", *(str(path.resolve()) for path in paths), folder + "/"])

    def property(self, name: str) -> str:
        """Returns a property of the system, such as "ro.product.model"; "" where it has none."""
        return self.shell("getprop", name).strip()

    def _run(self, arguments: list[str], seconds: float = 0.0) -> str:
        return _run([self.adb, "-s", self.serial, *arguments], self.timeout_seconds + seconds)


def find(timeout_seconds: float) -> Phone | str:
    """Returns the phone that `ANDROID_SERIAL` names, or the only one that is there; or why there is none, in words."""
    adb = shutil.which("adb")
    if adb is None:
        return f"adb is not on PATH ({INSTALL})"
    try:
        listed = _devices(_run([adb, "devices"], timeout_seconds))
    except AdbError as error:
        return f"adb devices: {error}"
    wanted = os.environ.get("ANDROID_SERIAL", "")
    ready = [serial for serial, state in listed.items() if state == "device"]
    if wanted:
        state = listed.get(wanted, "not attached")
        return Phone(adb, wanted, timeout_seconds) if state == "device" else f"ANDROID_SERIAL={wanted}: {state}"
    if len(ready) == 1:
        return Phone(adb, ready[0], timeout_seconds)
    if len(ready) > 1:
        return f"{len(ready)} Android devices are attached ({', '.join(ready)}): name one with ANDROID_SERIAL"
    others = ", ".join(f"{serial} is {state}" for serial, state in listed.items())
    return "no Android device is attached (adb devices)" + (f": {others}" if others else "")


def _devices(listing: str) -> dict[str, str]:
    """Returns the state of each device by its serial number, from what `adb devices` prints."""
    _, _, rows = listing.partition("List of devices attached")
    parts = [line.rsplit("\t", 1) for line in rows.splitlines() if "\t" in line]
    return {serial.strip(): state.strip() for serial, state in parts}


def _run(command: list[str], timeout_seconds: float) -> str:
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AdbError(f"no end within {timeout_seconds:g} s") from None
    except OSError as error:
        raise AdbError(f"cannot be started ({error.strerror})") from error
    if ended.returncode != 0:
        raise AdbError(_last_line(ended.stderr) or _last_line(ended.stdout) or f"exit code {ended.returncode}")
    return ended.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1])[:300] if lines else ""

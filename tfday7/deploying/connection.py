"""Runs a command on a device through ssh, and turns whatever goes wrong into one clear error.

Keys, passphrases, host keys and aliases are ssh's own business: it is asked to ask nothing (BatchMode), and to set up
nothing beside the one command.
"""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from typing import IO

from tfday7.core.errors import UserError
from tfday7.deploying.address import Address
from tfday7.deploying.scripts import BEGIN

CONNECT_SECONDS = 10
GRACE_SECONDS = 30  # For connecting, beside what a step may take there.
OPTIONS = (
    "-T", "-a", "-x",  # No terminal; neither keys nor windows of this machine are lent to the device.
    "-oBatchMode=yes", f"-oConnectTimeout={CONNECT_SECONDS}", "-oServerAliveInterval=5", "-oServerAliveCountMax=3",
    "-oClearAllForwardings=yes", "-oRemoteCommand=none",
    "-oControlMaster=no",  # A master would stay behind and keep our pipes open. An existing one is used.
)  # fmt: skip
SSH_FAILED = 255
TIMED_OUT = (124, 128 + 15)  # GNU's and BusyBox's timeout.

# What ssh says, and what to do about it.
ADVICE = (
    ("host key verification failed", "connect once with ssh by hand, and compare the key's fingerprint"),
    ("identification has changed", "find out why the device has another key first; ssh-keygen -R forgets the old one"),
    ("permission denied", "set up a key for this user: ssh-copy-id; it must work without a password"),
    ("too many authentication failures", "name the key in ssh's configuration: IdentityFile and IdentitiesOnly"),
    ("could not resolve", "check the name, or give the device's address"),
    ("connection refused", "is sshd running there, and on this port?"),
    ("timed out", "is the device on, and in this network?"),
    ("not responding", "is the device on, and in this network?"),
    ("no route to host", "is the device on, and in this network?"),
    ("unreachable", "is the device on, and in this network?"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that a device is to do.

    Attributes:
        name: what is done, for messages.
        script: one of `scripts`.
        arguments: its "$1", "$2" and so on.
        seconds: how long it may take.
    """

    name: str
    script: str
    arguments: tuple[str, ...]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a step ended: the exit code, and what it said on stdout (after BEGIN, where it says that) and on stderr."""

    code: int
    out: str
    err: str

    def last_line(self) -> str:
        """Returns the last line that was said on stderr; a device's control characters are left out."""
        lines = [printable(line) for line in self.err.splitlines() if line.strip()]
        return lines[-1][:500] if lines else f"exit code {self.code}"


@dataclasses.dataclass(frozen=True)
class Connection:
    """How to reach a device.

    Attributes:
        address: where it is.
        config: a configuration file for ssh; "" for the user's own.
    """

    address: Address
    config: str = ""

    def command(self, step: Step) -> list[str]:
        """Returns the words of the command that runs a step, as one program is started with: no shell here reads them.

        The shell there reads the last word, in which every part is quoted.
        """
        config = ["-F", self.config] if self.config else []
        told = " ".join(map(quoted, ["sh", "-c", step.script.strip(), "sh", *step.arguments]))
        return ["ssh", *config, *OPTIONS, *self.address.words(), told]

    def run(self, step: Step, stdin: IO[bytes] | None = None) -> Ended:
        """Runs a step.

        Raises:
            UserError: ssh is missing, the device cannot be reached, or the step takes too long.
        """
        given = subprocess.DEVNULL if stdin is None else stdin
        limit = step.seconds + GRACE_SECONDS
        try:
            ended = subprocess.run(self.command(step), stdin=given, capture_output=True, timeout=limit, check=False)
        except FileNotFoundError:
            raise UserError("ssh is not installed here", "apt-get install openssh-client") from None
        except subprocess.TimeoutExpired:
            raise self.slow(step) from None
        out, err = (part.decode("utf-8", "replace") for part in (ended.stdout, ended.stderr))
        found = Ended(ended.returncode, _answer(out), err)
        if found.code == SSH_FAILED:
            raise self.unreachable(found)
        if found.code in TIMED_OUT:
            raise self.slow(step)
        return found

    def slow(self, step: Step) -> UserError:
        """Returns the error for a step that takes too long."""
        return UserError(
            f"{self.address}: {step.name} did not end within {step.seconds:g} s",
            "is the device busy? --timeout_seconds allows more",
        )

    def unreachable(self, ended: Ended) -> UserError:
        """Returns the error for what ssh itself could not do, in its own words."""
        said = ended.err.lower()
        hint = next((advice for sign, advice in ADVICE if sign in said), "try the same with ssh by hand")
        return UserError(f"{self.address}: ssh: {ended.last_line()}", hint)


def quoted(word: str) -> str:
    """Returns a word as every POSIX shell, zsh and fish read it: in single quotes, fish takes a backslash for more."""
    return shlex.quote(word).replace("\\", "'\"\\\\\"'")


def _answer(out: str) -> str:
    """Returns what follows the line BEGIN, which a greeting of the login shell may come before."""
    lines = out.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines, 1) if line.strip() == BEGIN), 0)
    return "".join(lines[start:])


def printable(text: str) -> str:
    """Returns a text of the device's as one line without control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def listed(names: list[str]) -> str:
    """Returns the first three names, and how many more there are, as one line without control characters."""
    shown = ", ".join(printable(name)[:80] for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")

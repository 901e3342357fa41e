"""`ssh://user@host:port`, parsed so strictly that what is left is no option of ssh and no piece of a shell command."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from tfday7.core.errors import UserError

EXPECTED = "expected ssh://[user@]host[:port]"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"  # Neither "-" first, which ssh would read as an option, nor anything to quote.
_ADDRESS = re.compile(rf"ssh://(?:({_NAME})@)?({_NAME}|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,5}}))?/?")


@dataclasses.dataclass(frozen=True)
class Address:
    """A host that ssh reaches.

    Attributes:
        host: a name, an IPv4 address, or an IPv6 address without brackets; may be an alias of ssh's configuration.
        user: "" where ssh decides.
        port: None where ssh decides.
    """

    host: str
    user: str = ""
    port: int | None = None

    def words(self) -> list[str]:
        """Returns the last words of an ssh command before what the host is to run."""
        port = [] if self.port is None else ["-p", str(self.port)]
        return [*port, "--", f"{self.user}@{self.host}" if self.user else self.host]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port is not None else "")


def parse(text: str) -> Address:
    """Returns the address that a text says.

    Raises:
        UserError: it says none, or more than one: a password, a path. A password is not repeated.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise _error(text)
    user, host, port = found.groups()
    if host.startswith("["):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise UserError(f"--device={text}: not an IPv6 address ({error})", EXPECTED) from None
    if port is not None and not 1 <= int(port) <= 65535:
        raise UserError(f"--device={text}: expected a port from 1 to 65535", EXPECTED)
    return Address(host, user or "", None if port is None else int(port))


def _error(text: str) -> UserError:
    """Returns what is wrong with a text that is no address."""
    after = text.partition("://")[2].rpartition("@")[2]
    if ":" in re.sub("^ssh:/*", "", text, flags=re.IGNORECASE).rpartition("@")[0]:
        return UserError("--device holds a password", "keys and passwords are ssh's own: set up a key with ssh-copy-id")
    if re.search(r"[/?#]", after.rstrip("/")):
        hint = f"{EXPECTED}; the folder on the device is --remote_dir"
        return UserError(f"--device={text!r}: holds more than a host", hint)
    host = after.partition(":")[0]
    if not host:
        return UserError(f"--device={text!r}: the host is missing", EXPECTED)
    hint = f"{EXPECTED}; names are of letters, digits, '.', '_' and '-', and do not start with '-'"
    return UserError(f"--device={text!r}: not an address of ssh", hint)

"""Free ports of this machine for a group of processes that will listen on them a moment later.

They lie below the range from which the kernel takes the ports of clients, so that no connection can take one between
the search and the moment when its process listens.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from tfday7.core.errors import UserError

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST, HIGHEST, FEWEST = 10_240, 61_000, 1_000


def free_ports(count: int) -> list[int]:
    """Returns so many different ports that nothing listens on. Raises UserError when there are too few."""
    found: list[int] = []
    candidates = list(range(LOWEST, _client_ports()))
    random.SystemRandom().shuffle(candidates)  # Two launchers that search at once shall find different ones.
    for port in candidates:
        if len(found) == count:
            return found
        if _is_free(port):
            found.append(port)
    raise UserError(f"this machine has {len(found)} free ports; expected {count}", "start fewer --workers")


def _client_ports() -> int:
    try:
        first = int(RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return HIGHEST
    return first if first >= LOWEST + FEWEST else HIGHEST


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(("0.0.0.0", port))  # noqa: S104 - Nothing listens; all interfaces are asked.
        except OSError:
            return False
    return True

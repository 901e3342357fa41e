"""A device on loopback: a real OpenSSH server for this user, with keys and a home of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
MISSING = "" if SSHD and shutil.which("ssh") and shutil.which("ssh-keygen") else (
    "needs an OpenSSH server and client (apt-get install openssh-server openssh-client)"
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Device:
    """Where the server listens, and what a client needs.

    Attributes:
        url: for --device.
        config: for --ssh_config.
        home: the home of the device's user; nothing outside of it changes.
        known_hosts: holds the server's key.
        port: where it listens.
    """

    url: str
    config: Path
    home: Path
    known_hosts: Path
    port: int

    def left(self) -> list[str]:
        """Returns all that lies in the home, files and folders, relative to it."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*"))


@contextlib.contextmanager
def serving(folder: Path, path: str = "", login: str = "sh") -> Iterator[Device]:
    """Yields a device while its server runs.

    Args:
        folder: an empty one, for keys, configuration and home.
        path: what comes first on the device's PATH.
        login: its login shell, or more that a login does first.
    """
    home = folder / "home"
    home.mkdir(parents=True)
    make_key(folder / "host_key")
    make_key(folder / "key")
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Where a server of root's locks a part of itself up.
    port = free_port()
    entering = f'cd "{home}" && export HOME="{home}" PATH="{path}:$PATH"'
    (folder / "login").write_text(f'{entering} && {login} -c "$SSH_ORIGINAL_COMMAND"\n')
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        f"ForceCommand sh {folder / 'login'}\n"
    )
    known = f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}"
    (folder / "known_hosts").write_text(known)
    (folder / "ssh_config").write_text(
        f"IdentityFile {folder / 'key'}\nIdentitiesOnly yes\nUserKnownHostsFile {folder / 'known_hosts'}\n"
        f"GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\nUser {getpass.getuser()}\n"
    )
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE, text=True)
    try:
        await_port(server, port)
        config, hosts = folder / "ssh_config", folder / "known_hosts"
        yield Device(f"ssh://127.0.0.1:{port}", config, home, hosts, port)
    finally:
        server.terminate()
        server.communicate(timeout=20)


def make_key(path: Path) -> None:
    """Makes a pair of keys without a passphrase."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Makes a folder a disk of its own while the block runs; skips the test where this is not allowed."""
    folder.mkdir()
    mount, umount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], ["umount", str(folder)]
    ended = subprocess.run(mount, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {ended.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(umount, check=True)


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def await_port(server: subprocess.Popen[str], port: int) -> None:
    """Waits until the server listens."""
    for _ in range(200):
        with socket.socket() as made:
            if made.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            raise RuntimeError(f"sshd ended: {server.communicate()[1]}")
        time.sleep(0.05)
    raise RuntimeError("sshd does not listen")

"""What to deploy, and where to."""

from __future__ import annotations

import dataclasses
import posixpath
from pathlib import Path

from tfday7.core.errors import UserError
from tfday7.core.settings import Settings, setting
from tfday7.deploying.address import Address, parse

FORMS = "ssh://[user@]host[:port], android or micro"
KINDS = ("ssh", "android", "micro")
ONLY_SSH = ("remote_dir", "python", "ssh_config")
ONLY_MEASURED = ("threads", "benchmark_seconds")  # No time is taken of a board.
MAX_THREADS = 1024


@dataclasses.dataclass(frozen=True)
class DeployConfig(Settings):
    """The settings of a deployment."""

    artefact: str = setting("", "The .tflite file to deploy, with its record beside it, as train and export write it.")
    device: str = setting("", f"Where to: {FORMS}.")
    remote_dir: str = setting(
        "", "Folder on the device, below the home there unless it starts with /; default: tfday7/<artefact's name>."
    )
    output_dir: str = setting(
        "", "Folder here for the bundle; default: beside the artefact, and for ssh it is not kept here."
    )
    python: str = setting("python3", "The Python on the device that has NumPy and the runtime.")
    threads: str = setting("1", "Numbers of threads to measure with, a comma list.")
    benchmark_seconds: float = setting(3.0, "How long to measure on the device, for each number of threads.",
                                       above=0, maximum=600)  # fmt: skip
    timeout_seconds: float = setting(120.0, "How long a step on the device may take.", minimum=1, maximum=86400)
    ssh_config: str = setting("", "Configuration file for ssh in place of ~/.ssh/config, as ssh -F takes it.")
    dry_run: bool = setting(False, "Show what would be done, and do nothing.")
    overwrite: bool = setting(False, "Replace what was deployed of another artefact, or what was added to it.")

    def check(self) -> None:
        """Raises UserError for what is missing, does not parse or contradicts something; looks at no device."""
        if not self.artefact:
            raise UserError(
                "--artefact is missing", "for example --artefact=tflite_models/quickstart/quickstart_int8.tflite"
            )
        kind = self.kind()
        self._check_without_meaning(kind, ONLY_SSH if kind != "ssh" else (), "it is for ssh://... alone")
        self._check_without_meaning(kind, ONLY_MEASURED if kind == "micro" else (), "no time is taken of a board")
        self.thread_counts()
        if kind == "ssh":
            self.check_ssh()

    def _check_without_meaning(self, kind: str, names: tuple[str, ...], hint: str) -> None:
        for name in names:
            if getattr(self, name) != getattr(DeployConfig(), name):
                raise UserError(f"--{name}={getattr(self, name)} contradicts --device={kind}", hint)

    def check_ssh(self) -> None:
        """Raises UserError for an address, a Python, a folder or a configuration that cannot be one."""
        self.address()
        self.interpreter()
        self.remote_folder("artefact")
        if self.ssh_config and not Path(self.ssh_config).is_file():
            raise UserError(f"--ssh_config={self.ssh_config}: no such file")

    def kind(self) -> str:
        """Returns "ssh", "android" or "micro". Raises UserError for anything else."""
        kind = "ssh" if self.device.lower().startswith("ssh:") else self.device
        if not kind:
            raise UserError("--device is missing", f"known: {FORMS}")
        if kind not in KINDS:
            shown = self.device if "@" not in self.device else "(what was given)"  # It may hold a password.
            raise UserError(f"--device={shown}: no such device", f"known: {FORMS}")
        return kind

    def address(self) -> Address:
        """Returns the host to deploy to. Raises UserError as `address.parse`."""
        return parse(self.device)

    def thread_counts(self) -> tuple[int, ...]:
        """Returns the numbers of threads, each once. Raises UserError for what is none."""
        found = []
        for part in self.threads.split(","):
            if not (part.strip().isascii() and part.strip().isdecimal() and 1 <= int(part) <= MAX_THREADS):
                raise UserError(f"--threads={self.threads}: expected whole numbers from 1 to {MAX_THREADS}",
                                "for example --threads=1,4")  # fmt: skip
            found.append(int(part))
        return tuple(dict.fromkeys(found))

    def interpreter(self) -> str:
        """Returns the device's Python, as its shell finds it from the home folder."""
        if not self.python or self.python.startswith("-") or not self.python.isprintable():
            raise UserError(f"--python={self.python!r}: expected a command or path on the device")
        return _below_home("python", self.python) if "/" in self.python else self.python

    def remote_folder(self, name: str) -> str:
        """Returns the folder on the device, starting with "/" or, below the home there, with "./".

        Args:
            name: of the artefact.
        """
        given = self.remote_dir or f"tfday7/{name}"
        if not given.isprintable():
            raise UserError(f"--remote_dir={given!r}: holds a control character")
        folder = posixpath.normpath(_below_home("remote_dir", given))
        if posixpath.basename(folder) in ("", ".", ".."):
            raise UserError(f"--remote_dir={given}: expected a folder of its own, which deploying replaces",
                            "for example --remote_dir=models/mine")  # fmt: skip
        return folder if folder.startswith("/") else f"./{folder}"


def _below_home(flag: str, path: str) -> str:
    """Returns a path without "~/": ssh starts in the home, and a quoted ~ would be a folder of that name."""
    if path.startswith("~") and not path.startswith("~/"):
        raise UserError(f"--{flag}={path}: ~ can only be your own home on the device", "write the path from / on")
    rest = path.removeprefix("~/").lstrip("/") if path.startswith("~/") else path
    return rest if rest.startswith("/") else f"./{rest}"

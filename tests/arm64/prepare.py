"""Brings an aarch64 Python with both runtimes for it, to be run under qemu-user: `python tests/arm64/prepare.py`.

Debian's arm64 packages are unpacked into a folder, and so are the aarch64 wheels; nothing of the system changes but
qemu-user, which is installed when it is missing (as root). What is there already is not fetched again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".arm64"
PYTHON = "3.11"
PACKAGES = (f"python{PYTHON}", "libstdc++6")  # What they depend on comes with them.
NUMPY = "numpy==1.26.4"  # tflite-runtime was built against NumPy 1.
RUNTIMES = {
    "litert": "ai-edge-litert==2.3.0",
    "older_litert": "ai-edge-litert==1.4.0",
    "tflite_runtime": "tflite-runtime==2.14.0",
}
# Every glibc up to that of Debian 12.
PLATFORMS = (*(f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)), "manylinux2014_aarch64")
CPU = "cortex-a72"  # A Raspberry Pi 4 has it.
# qemu-user shows the host's /proc/cpuinfo, and LiteRT 2.3 crashes on an x86 one: the sysroot has one for this CPU.
CPUINFO = """\
processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
HARDWARE = "Hardware\t: Cortex-A72 (qemu-user)\n"
WANTED = {"debian": list(PACKAGES), "numpy": NUMPY, "runtimes": RUNTIMES, "cpu": CPU}
APT_CONFIG = """\
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "{user}";
Dir::State "{apt}/state";
Dir::State::status "{apt}/state/status";
Dir::Cache "{apt}/cache";
Dir::Log "{apt}";
"""


def sysroot() -> Path:
    """Returns the folder that qemu takes for `/` where it has a file of that name."""
    return FOLDER / "sysroot"


def command(runtime: str) -> tuple[list[str], dict[str, str]]:
    """Returns the words that start the aarch64 Python, and the environment in which it finds a runtime."""
    python = sysroot() / "usr" / "bin" / f"python{PYTHON}"
    return ["qemu-aarch64", "-cpu", CPU, "-L", str(sysroot()), str(python)], {"PYTHONPATH": str(FOLDER / runtime)}


def is_ready() -> bool:
    """Returns whether everything was fetched, as this file wants it."""
    try:
        found = json.loads((FOLDER / "ready.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return found == WANTED and shutil.which("qemu-aarch64") is not None


def main() -> None:
    """Fetches what is missing."""
    if is_ready():
        return
    install_qemu()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for package in fetch_packages(FOLDER / "apt"):
        run("dpkg", "-x", str(package), str(sysroot()))
    (sysroot() / "proc").mkdir(exist_ok=True)
    processors = [CPUINFO.format(number=number) for number in range(os.cpu_count() or 1)]
    (sysroot() / "proc" / "cpuinfo").write_text("".join(processors) + HARDWARE, encoding="utf-8")
    for name, runtime in RUNTIMES.items():
        fetch_wheels(FOLDER / name, NUMPY, runtime)
    start, environment = command("litert")
    run(*start, "-c", "import platform; print(platform.machine(), platform.python_version())", environment=environment)
    (FOLDER / "ready.json").write_text(json.dumps(WANTED), encoding="utf-8")
    shutil.rmtree(FOLDER / "apt")


def install_qemu() -> None:
    """Installs qemu-user where it is missing."""
    if shutil.which("qemu-aarch64"):
        return
    if os.geteuid() != 0:
        sys.exit("error: qemu-aarch64 is missing\nhint: as root: apt-get install qemu-user")
    run("apt-get", "update", "--quiet=2")
    run("apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", "qemu-user")


def fetch_packages(apt: Path) -> list[Path]:
    """Returns Debian's arm64 packages, fetched with a package list, cache and status of their own.

    The system's apt knows the mirrors; that it has no arm64 stays as it is.
    """
    (apt / "state" / "lists" / "partial").mkdir(parents=True)
    (apt / "cache" / "archives" / "partial").mkdir(parents=True)
    (apt / "state" / "status").touch()
    config = apt / "apt.conf"
    user = "root" if os.geteuid() == 0 else "_apt"
    config.write_text(APT_CONFIG.format(apt=apt, user=user), encoding="utf-8")
    private = {"APT_CONFIG": str(config)}
    run("apt-get", "update", "--quiet=2", environment=private)
    run("apt-get", "install", "--quiet=2", "--yes", "--download-only", *PACKAGES, environment=private)
    return sorted((apt / "cache" / "archives").glob("*.deb"))


def fetch_wheels(folder: Path, *requirements: str) -> None:
    """Unpacks wheels for aarch64, with what they depend on."""
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:", f"--python-version={PYTHON}"]
    wheels = folder.with_name(f"{folder.name}_wheels")
    run(sys.executable, "-m", "pip", "download", *options, *platforms, f"--dest={wheels}", *requirements)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(folder)
    shutil.rmtree(wheels)


def run(*words: str, environment: dict[str, str] | None = None) -> None:
    """Runs a command, or ends this one."""
    ended = subprocess.run(words, env={**os.environ, **(environment or {})}, check=False)
    if ended.returncode != 0:
        sys.exit(f"error: {' '.join(words)} failed with exit code {ended.returncode}")


if __name__ == "__main__":
    main()

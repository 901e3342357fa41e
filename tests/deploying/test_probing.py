"""From what a device says to what is missing there, with the very command that brings it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.deploying import probing

FINE: dict[str, Any] = {
    "machine": "aarch64", "base": ".", "writable": "yes", "df": "/dev/root 30000000 100 2000 1% /", "version": "3 11 2",
    "executable": "/usr/bin/python3", "bits": "64", "managed": "0",
    "trying": ["numpy", "ai_edge_litert.interpreter"], "imported": ["numpy", "ai_edge_litert.interpreter"], "exit": "0",
}  # fmt: skip
OLDER = "there: python3 -m pip install tflite-runtime 'numpy<2'"
NO_RUNTIME: dict[str, Any] = {
    "trying": ["numpy", *probing.RUNTIMES],
    "imported": "numpy",
    "failed": [f"{name} No module named {name!r}" for name in probing.RUNTIMES],
}


def said(**changes: Any) -> str:
    lines = []
    for key, values in {**FINE, **changes}.items():
        for value in [values] if isinstance(values, str) else values:
            lines.append(f"{key}={value}\n")
    return "".join(lines)


def check(text: str, sizes: Iterable[int] = (1000,), overwrite: bool = False) -> None:
    probing.check(probing.read(text), "pi@host", "python3", {"name": "digits"}, sizes, overwrite)


def refused(*parts: str, **changes: Any) -> None:
    with pytest.raises(UserError) as error:
        check(said(**changes))
    assert error.value.message.startswith("pi@host")
    for part in parts:
        assert part in f"{error.value.message} | {error.value.hint}"


def test_a_device_that_has_everything_is_fine() -> None:
    check(said())


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, "there: python3 -m pip install ai-edge-litert"),
        ({"machine": "x86_64"}, "there: python3 -m pip install ai-edge-litert"),
        ({"version": "3 8 10"}, OLDER),
        ({"machine": "armv7l", "bits": "32", "version": "3 9 2"}, OLDER),
        ({"bits": "32"}, OLDER),  # A 64-bit kernel below a 32-bit Python.
        ({"machine": "armv7l", "bits": "32", "version": "3 13 0"}, "32-bit ARM has tflite-runtime alone"),
        ({"machine": "armv6l", "bits": "32"}, "neither ai-edge-litert nor tflite-runtime has a wheel for armv6l"),
        ({"machine": "riscv64"}, "neither ai-edge-litert nor tflite-runtime has a wheel for riscv64"),
        ({"managed": "1"}, "python3 -m venv tfday7-python && tfday7-python/bin/python -m pip install ai-edge-litert"),
        ({"managed": "1"}, "--python=tfday7-python/bin/python"),
    ],
)  # fmt: skip
def test_a_missing_runtime_says_what_to_run_on_this_very_machine(changes: dict[str, Any], command: str) -> None:
    refused(
        "no runtime for .tflite files", "No module named 'tflite_runtime.interpreter'", command, **NO_RUNTIME, **changes
    )


def test_a_runtime_that_is_there_makes_the_architecture_matter_no_more() -> None:
    check(said(machine="riscv64"))


@pytest.mark.parametrize(
    ("parts", "changes"),
    [
        (["no POSIX shell"], {"machine": ""}),
        (["tar, timeout missing there", "apt-get install"], {"missing": ["tar", "timeout"]}),
        (["there is no python3", "apt-get install python3"], {"exit": "none"}),
        (["did not answer in time", "--timeout_seconds"], {"exit": "124"}),
        (["no Python 3 that works (exit code 1)"], {"exit": "1", "version": "", "bits": ""}),
        (["is Python 3.6.9; expected 3.7 or newer"], {"version": "3 6 9"}),
        (["importing ai_edge_litert ended python3 (SIGILL)", "another processor than aarch64"],
         {"imported": "numpy", "exit": "132"}),
        (["NumPy cannot be imported there (No module named 'numpy')"],
         {"imported": [], "failed": ["numpy No module named 'numpy'"], "trying": "numpy"}),
        (["/opt cannot be written there"], {"base": "/opt", "writable": []}),
        (["df says 'what'"], {"df": "what"}),
        ([". has 512.0 kB free; the bundle needs 1.1 MB"], {"df": "/dev/root 30000000 100 500 1% /"}),
        (["--remote_dir is there, and no folder"], {"target": "other"}),
        (["holds files, and no bundle (thesis.txt)"], {"target": "folder", "entry": "thesis.txt"}),
        (["no bundle (a, b, c and 1 more)"], {"target": "folder", "entry": ["a", "b", "c", "d"]}),
        (["no bundle (bundle.json)"], {"target": "folder", "entry": "bundle.json", "bundle": '{"format": "other"}'}),
        (["no bundle (bundle.json)"], {"target": "folder", "entry": "bundle.json", "bundle": "[" * 100}),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(parts: list[str], changes: dict[str, Any]) -> None:
    refused(*parts, **changes)


def test_a_file_takes_whole_blocks() -> None:
    free = 1024 * 1024 + 2 * 4096
    check(said(df=f"/dev/root 1 1 {free // 1024} 1% /"), sizes=[1, 4096])
    with pytest.raises(UserError, match="free; the bundle needs"):
        check(said(df=f"/dev/root 1 1 {free // 1024} 1% /"), sizes=[1, 4097])


@pytest.mark.parametrize(
    ("line", "free"),
    [
        ("/dev/root 30000000 100 2000 1% /", 2000 * 1024),
        ("//server/my share 100 50 -3 100% /mnt/my disk 7 8 9", -3 * 1024),
        ("tmpfs 0 0 0 - /x", 0),
        ("Filesystem 1024-blocks Used Available Capacity Mounted on", None),
    ],
)  # fmt: skip
def test_the_free_space_is_dfs(line: str, free: int | None) -> None:
    assert probing.read(f"df=Filesystem\ndf={line}\n").free_bytes == free


def test_an_earlier_bundle_may_be_replaced_and_what_is_more_only_when_asked() -> None:
    earlier = {
        "target": "folder",
        "bundle": '{"format": "tfday7-bundle-1", "name": "digits", "model": "digits.tflite"}',
    }
    check(said(**earlier, entry=["bundle.json", "digits.tflite", "run_model.py"]))
    refused("no deployment made (mine.txt)", "--overwrite", **earlier, entry=["bundle.json", "mine.txt"])
    check(said(**earlier, entry=["bundle.json", "mine.txt"]), overwrite=True)
    other = {**earlier, "bundle": earlier["bundle"].replace('"digits"', '"cats"'), "entry": ["bundle.json"]}
    refused("holds another artefact, cats", "--overwrite", **other)
    check(said(**other), overwrite=True)

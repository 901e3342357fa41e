"""The command `deploy` as a user runs it: what it says, and its exit codes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploying import loopback, made_artefacts
from deploying.loopback import Device
from support import Ended, run_command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_artefacts.make(tmp_path_factory.mktemp("artefacts"), "cnn", "int8")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    if loopback.MISSING:
        pytest.skip(loopback.MISSING)
    with loopback.serving(tmp_path_factory.mktemp("device")) as device:
        yield device


def _is_exit_2(ended: Ended, *parts: str) -> bool:
    return ended.code == 2 and ended.err.startswith("error: ") and not ended.out and all(p in ended.err for p in parts)


def _deploy(path: Path, *arguments: str) -> Ended:
    return run_command("deploy", f"--artefact={path}", *arguments)


def test_a_device_is_measured_and_a_table_says_so(path: Path, device: Device) -> None:
    settings = [f"--ssh_config={device.config}", f"--python={sys.executable}", "--benchmark_seconds=0.1"]
    ended = _deploy(path, f"--device={device.url}", *settings)
    assert (ended.code, ended.err) == (0, "")
    lines = [line.strip() for line in ended.out.splitlines()]
    (named,) = [number for number, line in enumerate(lines) if "(127.0.0.1), litert " in line]
    assert " ".join(lines[named + 1].split()) == "threads p50 ms p90 ms load ms memory answers difference"
    threads, *_, answers, difference = re.split(r"\s{2,}", lines[named + 2])
    assert (threads, answers, difference) == ("1", "as here", "0")
    assert "bundle: tfday7/cnn_int8" in lines
    assert f"figures: {path.parent / 'benchmark.json'}" in lines
    assert (device.home / "tfday7/cnn_int8/run_model.py").exists()


def test_a_dry_run_prints_commands(path: Path) -> None:
    ended = _deploy(path, "--device=ssh://pi@no-such-host.invalid:2222", "--dry_run", "--remote_dir=it's here")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("# asking the device what it is\nssh -T ")
    assert ended.out.count("-p 2222 -- pi@no-such-host.invalid ") == 5
    record = json.loads(_deploy(path, "--device=ssh://pi@h", "--dry_run", "--json").out)
    assert [shown["step"] for shown in record["commands"]][-1] == "moving it into place"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["--device is missing", "known: ssh://"]),
        (["--device=toaster"], ["--device=toaster", "android or micro"]),
        (["--device=ssh://pi:secret@host"], ["holds a password"]),
        (["--device=ssh://-oProxyCommand=id"], ["not an address of ssh"]),
        (["--device=ssh://host", "--threads=none"], ["--threads=none"]),
        (["--device=ssh://host", "--timeout_seconds=0"], ["--timeout_seconds"]),
        (["--device=android", "--remote_dir=x"], ["--remote_dir=x contradicts --device=android"]),
        (["--device=ssh://no-such-host.invalid"], ["no-such-host.invalid: ssh: "]),
    ],
)  # fmt: skip
def test_mistakes_are_exit_2_with_a_hint(path: Path, arguments: list[str], parts: list[str]) -> None:
    ended = run_command("deploy", f"--artefact={path}", *arguments, "--json")
    said = [line for line in ended.err.splitlines() if "asking the device" not in line]
    assert _is_exit_2(Ended(ended.code, ended.out, "\n".join(said)), *parts, "hint: "), ended
    assert "secret" not in ended.err


def test_a_missing_or_foreign_artefact_is_exit_2(path: Path, tmp_path: Path) -> None:
    assert _is_exit_2(run_command("deploy", "--device=micro"), "--artefact is missing")
    assert _is_exit_2(_deploy(tmp_path / "no.tflite", "--device=micro"), "no such file")
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(path.read_bytes())
    assert _is_exit_2(_deploy(foreign, "--device=micro"), "there is no record foreign.tflite.json beside it")


def test_checking_flags_alone_writes_nothing(path: Path, tmp_path: Path) -> None:
    own = made_artefacts.copy(path, tmp_path / "own")
    before = sorted(own.parent.iterdir())
    ended = _deploy(own, "--device=micro", "--only_check_args")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert sorted(own.parent.iterdir()) == before

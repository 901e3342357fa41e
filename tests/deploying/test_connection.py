"""What ssh is told to run: real shells read it back, whatever the words are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.deploying import connection, scripts
from tfday7.deploying.address import Address
from tfday7.deploying.connection import Connection, Step

SCRIPTS = {name: getattr(scripts, name) for name in ("PROBE", "SEND", "RUN", "INSTALL", "CLEAN")}
SHELLS = [shell for shell in ("dash", "bash", "busybox", "zsh", "fish") if shutil.which(shell)]
WORDS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=20)
HERE = Connection(Address("host", "pi", 22))


def shell(name: str, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs words with a shell by its name."""
    start = ["busybox", "sh"] if name == "busybox" else [name]
    return subprocess.run([*start, *words], capture_output=True, text=True, check=False, timeout=20, **options)


@pytest.mark.parametrize("name", SHELLS)
@settings(max_examples=30, deadline=None)
@given(words=st.lists(WORDS, max_size=4))
@example(words=["\\'; touch x; '", "\\\\", "\\", "'", "$(id) `id` !! ~ * \n \t"])
def test_a_login_shell_gives_the_script_exactly_our_words(name: str, words: list[str]) -> None:
    step = Step(
        "telling", 'for word in "$@"; do printf "%s" "$word" | od -An -tx1 | tr -d " \\n"; echo; done', tuple(words), 1
    )
    told = shell(name, "-c", HERE.command(step)[-1])
    assert told.stderr == ""
    assert told.stdout.split("\n")[:-1] == [word.encode().hex() for word in words]


def test_the_command_is_words_and_the_host_can_be_no_option() -> None:
    command = HERE.command(Step("x", "true", ("a b",), 1))
    assert command[0] == "ssh"
    assert command[-4:] == ["22", "--", "pi@host", "sh -c true sh 'a b'"]
    assert Connection(HERE.address, "my config").command(Step("x", "true", (), 1))[1:3] == ["-F", "my config"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_posix(name: str) -> None:
    script = SCRIPTS[name]
    for posix in (["dash", "-n"], ["bash", "--posix", "-n"]):
        assert subprocess.run(posix, input=script, capture_output=True, text=True, check=False).returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parent with 'quote").mkdir()
    return tmp_path / "parent with 'quote"


def run(script: str, *arguments: Path | str) -> int:
    return shell("sh", "-c", script, "sh", *map(str, arguments)).returncode


def test_installing_swaps_folders(folder: Path) -> None:
    staging, target = folder / ".tfday7-x", folder / "$target"
    for made, text in ((staging / "new", "new"), (target, "old")):
        made.mkdir(parents=True)
        (made / "which").write_text(text)
    assert run(scripts.INSTALL, staging, target) == 0
    assert (target / "which").read_text() == "new"
    assert list(folder.iterdir()) == [target]


def test_installing_that_fails_puts_the_old_one_back(folder: Path) -> None:
    staging, target = folder / ".tfday7-x", folder / "target"
    staging.mkdir()  # Without anything new in it.
    target.mkdir()
    (target / "which").write_text("old")
    assert run(scripts.INSTALL, staging, target) == 1
    assert (target / "which").read_text() == "old"


def test_cleaning_removes_the_folders_that_were_made_and_no_others(folder: Path) -> None:
    staging = folder / "a" / "b" / ".tfday7-x"
    (staging / "new").mkdir(parents=True)
    assert run(scripts.CLEAN, staging, staging.parent, folder, staging.with_name("target")) == 0
    assert list(folder.iterdir()) == []
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "keep").write_text("x")
    assert run(scripts.CLEAN, staging, staging.parent, folder, staging.with_name("target")) == 0
    assert [path.name for path in (folder / "a").iterdir()] == ["keep"]


def test_cleaning_brings_back_what_was_moved_aside_when_installing_broke_off(folder: Path) -> None:
    staging = folder / ".tfday7-x"
    for name in ("old", "new"):
        (staging / name).mkdir(parents=True)
        (staging / name / "which").write_text(name)
    assert run(scripts.CLEAN, staging, folder, folder, folder / "target") == 0
    assert (folder / "target" / "which").read_text() == "old"
    assert list(folder.iterdir()) == [folder / "target"]


def test_a_copy_that_breaks_off_leaves_nothing(folder: Path) -> None:
    staging = folder / ".tfday7-x"
    command = ["sh", "-c", scripts.SEND, "sh", str(staging), str(folder)]
    ended = subprocess.run(command, input=b"no tar file", capture_output=True, check=False)
    assert ended.returncode != 0
    assert list(folder.iterdir()) == []


def test_a_crash_becomes_an_exit_code_and_no_signal_of_the_shell() -> None:
    assert run(scripts.RUN, "5", "sh", "-c", "kill -SEGV $$") == 139
    assert run(scripts.RUN, "5", "sh", "-c", "exit 3") == 3
    assert run(scripts.RUN, "0.2", "sleep", "5") == 124


def fake_ssh(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ssh").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("ssh: connect to host h port 22: Connection refused", "is sshd running"),
        ("ssh: connect to host h port 22: Connection timed out", "is the device on"),
        ("ssh: connect to host h port 22: No route to host", "is the device on"),
        ("ssh: Could not resolve hostname h: Name or service not known", "check the name"),
        ("Host key verification failed.", "fingerprint"),
        ("pi@h: Permission denied (publickey,password).", "ssh-copy-id"),
        ("Timeout, server h not responding.", "is the device on"),
        ("something new", "by hand"),
    ],
)  # fmt: skip
def test_what_ssh_says_comes_through_with_advice(
    said: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_ssh(tmp_path, f'echo "a banner" >&2; echo "{said}" >&2; exit 255', monkeypatch)
    with pytest.raises(UserError) as error:
        HERE.run(Step("x", "true", (), 1))
    assert error.value.message == f"pi@host:22: ssh: {said}"
    assert advice in error.value.hint


def test_a_device_that_does_not_answer_at_all_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(tmp_path, "exec sleep 30", monkeypatch)
    monkeypatch.setattr(connection, "GRACE_SECONDS", 0.2)
    with pytest.raises(UserError, match=r"copying did not end within 0\.1 s"):
        HERE.run(Step("copying", "true", (), 0.1))


def test_a_missing_ssh_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="ssh is not installed here") as error:
        HERE.run(Step("x", "true", (), 1))
    assert "openssh-client" in error.value.hint


def test_what_a_device_says_cannot_steer_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_ssh(tmp_path, r'printf "\033[2Jred\007\n" >&2; exit 255', monkeypatch)
    with pytest.raises(UserError) as error:
        HERE.run(Step("x", "true", (), 1))
    assert error.value.message.isprintable()
    assert error.value.message.endswith("[2Jred")

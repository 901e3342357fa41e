"""Which phone is meant, and that words reach its shell as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from deploying.android.fake_adb import FakePhone

from tfday7.deploying.android import adb

HOSTILE = ["a b", "it's", '"$HOME"', "$(touch bad)", "`touch bad`", "x;touch bad", "line\nbreak", "*", "", "~", "\\"]


def found(timeout: float = 30.0) -> adb.Phone:
    phone = adb.find(timeout)
    assert isinstance(phone, adb.Phone), phone
    return phone


def test_the_only_phone_is_taken(phone: FakePhone) -> None:
    assert found().serial == "R58M12345"


def test_words_reach_the_phones_shell_as_they_are(phone: FakePhone) -> None:
    printed = found().shell("printf", "<%s>", *HOSTILE)
    assert printed == "".join(f"<{word}>" for word in HOSTILE)
    assert found().script('printf "<%s>" "$@"', *HOSTILE) == printed
    assert not list(phone.root.rglob("bad"))
    assert not Path("bad").exists()


def test_files_are_pushed_under_their_own_names(phone: FakePhone, tmp_path: Path) -> None:
    names = ["a b.bin", "it's $(x).bin", "-v.bin"]
    for name in names:
        (tmp_path / name).write_text(name)
    (phone.tmp / "to").mkdir()
    found().push([tmp_path / name for name in names], "/data/local/tmp/to")
    assert {path.name: path.read_text() for path in (phone.tmp / "to").iterdir()} == {name: name for name in names}


def test_a_command_that_fails_says_why(phone: FakePhone) -> None:
    with pytest.raises(adb.AdbError, match=r"nowhere.*No such file"):
        found().shell("ls", "/nowhere")


def test_a_command_that_does_not_end_is_ended(phone: FakePhone) -> None:
    with pytest.raises(adb.AdbError, match=r"no end within 1 s"):
        found(1.0).shell("sleep", "20")


@pytest.mark.parametrize(
    ("states", "serial", "reason"),
    [
        ({}, "", "no Android device is attached (adb devices)"),
        ({"A": "unauthorized"}, "", "no Android device is attached (adb devices): A is unauthorized"),
        ({"A": "device", "B": "device"}, "", "2 Android devices are attached (A, B): name one with ANDROID_SERIAL"),
        ({"A": "device"}, "B", "ANDROID_SERIAL=B: not attached"),
        ({"A": "device", "B": "offline"}, "B", "ANDROID_SERIAL=B: offline"),
    ],
)
def test_where_no_phone_is_meant_the_reason_is_named(
    states: dict[str, str], serial: str, reason: str, phone: FakePhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.attach(states)
    if serial:
        monkeypatch.setenv("ANDROID_SERIAL", serial)
    assert adb.find(30.0) == reason


def test_android_serial_names_one_of_several(phone: FakePhone, monkeypatch: pytest.MonkeyPatch) -> None:
    phone.attach({"A": "device", "emulator-5554": "device"})
    monkeypatch.setenv("ANDROID_SERIAL", "emulator-5554")
    assert found().serial == "emulator-5554"


def test_without_adb_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert adb.find(30.0) == f"adb is not on PATH ({adb.INSTALL})"

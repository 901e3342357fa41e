"""No name steers a terminal: neither in what a command says, nor in what it warns of or complains about."""

from __future__ import annotations

import io

import pytest
from absl import logging

from tfday7 import cli
from tfday7.core.errors import UserError
from tfday7.core.printing import printable, printable_lines

CLIPBOARD = "a\x1b]52;c;cm0K\x1b\\\x9b2Jb"  # Writes to the clipboard, then clears the screen.
SHOWN = "a\ufffd]52;c;cm0K\ufffd\\\ufffd2Jb"


def test_control_characters_are_shown_and_line_breaks_stay_where_text_has_lines() -> None:
    assert printable(f"{CLIPBOARD}\nc") == f"{SHOWN}\ufffdc"
    assert printable_lines(f"{CLIPBOARD}\nc\r") == f"{SHOWN}\nc\ufffd"
    for text in ("深度学习 é 🙂", "我的\u3000数据.csv", "a\u00a0b\u202fc\td"):
        assert printable_lines(text) == text


def test_a_terminal_says_names_as_they_are_and_obeys_none() -> None:
    written = io.StringIO()
    cli.Terminal(file=written).say(f"data: {CLIPBOARD} [bold]")
    assert written.getvalue() == f"data: {SHOWN} [bold]\n"


def test_errors_hints_and_warnings_are_not_obeyed(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def main() -> None:
        logging.warning("%s is left out, 100%% of it", CLIPBOARD)
        raise UserError(f"no column {CLIPBOARD}", f"known: {CLIPBOARD}")

    assert cli.Command("any", "A command.", []).execute(main, ["any"]) == 2
    assert [record.getMessage() for record in caplog.records] == [f"{SHOWN} is left out, 100% of it"]
    assert capsys.readouterr().err == f"error: no column {SHOWN}\nhint: known: {SHOWN}\n"

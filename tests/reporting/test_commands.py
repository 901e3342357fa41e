"""A command that is printed over several lines is, to a shell, the command that was meant."""

from __future__ import annotations

import subprocess

import pytest

from tfday7.reporting.commands import wrapped

LONG = "/home/ann/My Documents/a rather long folder name with several words/it's a table of prices.csv"


@pytest.mark.parametrize("words", [["one"], ["--data=" + LONG, "--target=price", "--model=mlp"], ["a b"] * 40])
def test_a_shell_reads_the_words_that_were_given(words: list[str]) -> None:
    script = "\n".join(wrapped(["printf", "%s\\n", *words], 40))
    read = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert read.stdout.splitlines() == words


def test_lines_are_as_long_as_they_may_be() -> None:
    assert wrapped(["python", "-m", "tfday7.train", "--epochs=3"], 22) == ["python -m tfday7.train \\", "--epochs=3"]

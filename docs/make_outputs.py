"""Runs the commands whose output stands in the pages here, and writes it there.

python docs/make_outputs.py

A page marks an output with two lines, `<!-- output: python -m tfday7.advise ... -->` and `<!-- end of output -->`; what
lies between them, the command and what it prints, is this script's. `tests/test_docs.py` runs the same commands.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
MARKED = re.compile(r"<!-- output: (python -m [^\n]+) -->\n.*?<!-- end of output -->\n", re.DOTALL)
COLUMNS = "100"


def commands(page: Path) -> list[str]:
    """Returns the commands whose output a page shows."""
    return MARKED.findall(page.read_text(encoding="utf-8"))


def output(command: str) -> str:
    """Returns what a command prints, without the spaces that fill its lines."""
    environment = {**os.environ, "COLUMNS": COLUMNS, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, *shlex.split(command)[1:]]
    ended = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in ended.stdout.strip("\n").splitlines()) + "\n"


def section(command: str) -> str:
    """Returns what a page shows of a command, with its marks."""
    shown = f"    {command}\n\n```text\n{output(command)}```\n"
    return f"<!-- output: {command} -->\n{shown}<!-- end of output -->\n"


def page(text: str) -> str:
    """Returns a page with all outputs as they are now."""
    return MARKED.sub(lambda found: section(found[1]), text)


if __name__ == "__main__":
    for path in PAGES:
        if commands(path):
            path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")

"""The child process that converts: `python -m tfday7.exporting.child PARENT REQUEST.json ...`.

A converter can kill its process without an exception (TFLite's, seen with int8 GRUs that stay a loop), so it gets one
of its own; a crash is then a failed artefact with a reason. Requests are carried out one after the other, and each
answer is written as soon as it is there: beside the request, `<request>.done`, with notes or a failure.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tfday7.core import files
from tfday7.core.signals import end_with_parent
from tfday7.exporting.format import FORMATS, Request


def main(parent: int, paths: list[str]) -> None:
    """Carries out the requests of a parent, by its process id, and ends when that does.

    What a converter raises is an answer, as the next request may do better.
    """
    end_with_parent(parent)
    for path in map(Path, paths):
        request = Request(**json.loads(path.read_text(encoding="utf-8")))
        try:
            answer = {"notes": FORMATS.get(request.format).convert(request), "failure": ""}
        except Exception as error:  # noqa: BLE001 - converters raise anything; all of it is a reason.
            answer = {"notes": [], "failure": f"the converter failed: {_said(error)}"}
        files.write_json(path.with_suffix(".done"), answer)


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:500]}" if lines else type(error).__name__


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

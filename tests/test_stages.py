"""A run that is killed while it begins is not taken for one that has ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfday7 import preparing, stages
from tfday7.core.run_folder import MODEL, REPORT, RunFolder
from tfday7.planning import Plan


def test_a_run_that_is_killed_while_more_epochs_begin_is_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flags were those of more epochs already, and not all of what the fewer had led to was removed."""
    folder = RunFolder(tmp_path)
    folder.write_flags({"epochs": "2"})
    folder.update(status="finished")
    (folder / REPORT).touch()
    (folder / MODEL).touch()
    assert stages._is_done(folder, {"epochs": "2"})

    def killed(self: RunFolder, *names: Any) -> None:
        (self / MODEL).unlink()
        raise KeyboardInterrupt

    dataset = SimpleNamespace(fingerprint="", problem=None)
    monkeypatch.setattr(preparing, "prepare", lambda *_: (Plan(), dataset, None, None, None))
    monkeypatch.setattr(RunFolder, "clear", killed)
    with pytest.raises(KeyboardInterrupt):
        stages.run(Plan(), folder, {"epochs": "3"})
    assert (folder / REPORT).exists()
    assert not stages._is_done(folder, {"epochs": "2"})
    assert not stages._is_done(folder, {"epochs": "3"})

"""A run folder may be from a stranger: what its flags.txt names as code runs only where this command allows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import run_command

from tfday7 import stage_compress, stage_export, stage_fix, train
from tfday7.compression.config import CompressConfig
from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.data.config import DataConfig
from tfday7.diagnosis.repairing.config import FixConfig
from tfday7.exporting.config import ModelExportConfig

DATA, MODEL = {"data": "python:evil.payload:load"}, {"model": "python:evil.payload:build"}
UNSAFE = {"model": "evil/mine.keras", "allow_unsafe_model": "true"}
PAYLOAD = """
from pathlib import Path

Path("ran").touch()


def load():
    import numpy as np

    return {"x_train": np.eye(40, 4, dtype="float32"), "y_train": np.arange(40) % 2}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A finished run in ./evil, with a module beside its files."""
    folder = RunFolder(Path("evil"))
    monkeypatch.chdir(tmp_path)
    folder.write_flags({"data": "digits", "model": "mlp"})
    folder.update(status="finished")
    (folder / "model.keras").touch()
    (folder / "payload.py").write_text(PAYLOAD, encoding="utf-8")
    return folder


def _export(run: RunFolder, allowed: bool) -> Any:
    return stage_export.source(ModelExportConfig(run_dir=str(run.path), allow_unsafe_model=allowed), None)


def _export_file(run: RunFolder, allowed: bool) -> Any:
    return stage_export.source(ModelExportConfig(model=str(run / "model.keras"), allow_unsafe_model=allowed), None)


def _compress(run: RunFolder, allowed: bool) -> Any:
    return stage_compress.plan(CompressConfig(run_dir=str(run.path), allow_unsafe_model=allowed), None)


def _fix(run: RunFolder, allowed: bool) -> None:
    stage_fix.check(run, FixConfig(fix=True, allow_unsafe_model=allowed))


@pytest.mark.parametrize(
    ("stage", "flags"),
    [(_export, DATA), (_export_file, DATA), (_compress, DATA), (_fix, DATA), (_fix, MODEL), (_fix, UNSAFE)],
)
def test_code_that_a_run_names_is_refused_unless_it_is_allowed(
    stage: Callable[[RunFolder, bool], Any], flags: dict[str, str], run: RunFolder
) -> None:
    stage(run, False)
    run.write_flags({"data": "digits", "model": "mlp", **flags})
    with pytest.raises(UserError, match="asks for code to be run: --") as caught:
        stage(run, False)
    assert "--allow_unsafe_model" in caught.value.hint
    stage(run, True)


def test_no_command_imports_what_a_run_names(run: RunFolder) -> None:
    run.write_flags({"model": "mlp", **DATA})
    for name, *flags in (("export",), ("compress", "--recipe=dynamic"), ("diagnose", "--fix")):
        ended = run_command(name, *flags, "--run_dir=evil", cwd=Path.cwd())
        assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
        assert "asks for code to be run" in ended.err
    assert not Path("ran").exists()


def test_a_training_with_data_of_the_users_own_function_is_compressed_after_it(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write_flags({"model": "mlp", **DATA})
    kinds = {DataConfig: DataConfig(data=DATA["data"])}
    monkeypatch.setattr(train, "COMMAND", SimpleNamespace(config=lambda kind: kinds.get(kind, kind())))
    monkeypatch.setattr(stage_compress, "compress", lambda task, *others: {"task": task})
    record = train.compress(run, print, "en")
    assert record is not None
    assert record["task"].found.data.data == DATA["data"]

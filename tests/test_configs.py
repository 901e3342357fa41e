"""The jobs in configs/ run from data to verified files; here in a small form."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from support import ROOT, run_command, run_python

pytestmark = pytest.mark.slow

# What makes the run small, and a score that guessing does not reach: it gives 0.33, 0.08, 0.65 and 0.1.
SMALL = {
    "text_transformer": (0.55, "--width=16", "--depth=1", "--epochs=1", "--warmup_steps=10", "--learning_rate=0.005"),
    "keyword_ds_cnn": (0.8, "--epochs=4"),
    "tabular": (0.78, "--epochs=6"),
    "transfer": (0.6, "--export="),  # Its int8 file hangs on few images: see its head.
    "image_folder": (0.8, "--epochs=8", "--width=16", "--learning_rate=0.005"),
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_config_runs_in_a_small_form(name: str, tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for first, *arguments in preparation(name):
        if first == "-m":
            ended = run_command(arguments[0].removeprefix("tfday7."), *arguments[1:], cwd=tmp_path)
        else:
            ended = run_python(first, *arguments, cwd=tmp_path)
        assert ended.code == 0, ended.err
    least, *flags = SMALL[name]
    ended = run_command("train", f"--flagfile=configs/{name}.flags", *flags, cwd=tmp_path)
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "runs" / name / "run.json").read_text(encoding="utf-8"))
    assert record["metric"]["test"] > least
    if "--export=" in flags:
        return
    artefacts = json.loads((tmp_path / "runs" / name / "exports.json").read_text(encoding="utf-8"))["artefacts"]
    assert {artefact["kind"]: artefact["parity"]["failures"] for artefact in artefacts} == {"float32": [], "int8": []}


def preparation(name: str) -> list[list[str]]:
    """Returns the arguments of the commands that the config's head names before its own; trainings in a small form."""
    lines = (ROOT / "configs" / f"{name}.flags").read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line)[2:] for line in lines if line.startswith("#   python ")]
    own = next(i for i, arguments in enumerate(commands) if f"--flagfile=configs/{name}.flags" in arguments)
    return [
        [*arguments, *(("--epochs=5", "--export=") if arguments[0] == "-m" else ())] for arguments in commands[:own]
    ]

"""The jobs in configs/ run from data to verified files; here in a small form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import ROOT, run_command

pytestmark = pytest.mark.slow

SMALL = {
    "text_transformer": ("--width=16", "--depth=1", "--epochs=1", "--warmup_steps=10", "--learning_rate=0.005"),
    "keyword_ds_cnn": ("--epochs=4",),
    "tabular": ("--epochs=6",),
}
LEAST = {"text_transformer": 0.55, "keyword_ds_cnn": 0.8, "tabular": 0.78}  # Guessing gives 0.33, 0.08 and 0.65.


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_config_runs_in_a_small_form(name: str, tmp_path: Path) -> None:
    ended = run_command("train", f"--flagfile={ROOT}/configs/{name}.flags", *SMALL[name], cwd=tmp_path)
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "runs" / name / "run.json").read_text(encoding="utf-8"))
    assert record["metric"]["test"] > LEAST[name]
    artefacts = json.loads((tmp_path / "runs" / name / "exports.json").read_text(encoding="utf-8"))["artefacts"]
    assert {artefact["kind"]: artefact["parity"]["failures"] for artefact in artefacts} == {"float32": [], "int8": []}

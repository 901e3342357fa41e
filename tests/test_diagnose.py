"""The command `diagnose` on a history alone, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import Ended, run_command

EPOCHS = np.arange(40)
LOSS = 0.1 + 2 * np.exp(-EPOCHS / 5)
RISING = np.concatenate([LOSS[:20], LOSS[20] * np.linspace(1.0, 1.5, 20)])


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """The history of a run that overfits from epoch 21 on."""
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"loss": LOSS.tolist(), "val_loss": RISING.tolist()}))
    return path


def _is_exit_2(ended: Ended, *parts: str) -> bool:
    return ended.code == 2 and ended.err.startswith("error: ") and not ended.out and all(p in ended.err for p in parts)


def test_a_history_is_judged_and_nothing_is_written(history: Path, tmp_path: Path) -> None:
    ended = run_command("diagnose", f"--history={history}", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert "The model overfits" in ended.out
    assert '"*" lowest validation' in ended.out
    assert "What could not be seen" in ended.out
    assert list(tmp_path.iterdir()) == [history]


def test_the_record_of_a_history_is_printed_as_json(history: Path) -> None:
    ended = run_command("diagnose", f"--history={history}", "--json", "--lang=zh")
    record = json.loads(ended.out)
    assert (ended.code, record["verdict"], record["findings"][0]["id"]) == (0, "overfit", "overfit")
    assert record["findings"][0]["evidence"]["best_epoch"] == pytest.approx(21, abs=1)
    assert "diagnosis.unseen.no_scores" in [entry["id"] for entry in record["unseen"]]


def test_a_history_and_a_run_contradict_each_other(history: Path) -> None:
    ended = run_command("diagnose", f"--history={history}", "--run_dir=runs/one")
    assert _is_exit_2(ended, f"--history={history} contradicts --run_dir=runs/one")


def test_a_run_folder_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "flags.txt").write_text("--epochs=3\n")
    assert _is_exit_2(run_command("diagnose", f"--history={tmp_path}"), "a run folder", f"--run_dir={tmp_path}")


@pytest.mark.parametrize("content", [None, b"\x89PNG\r\n\x1a\n", b'{"accuracy": [0.5]}', b"a letter\n"])
def test_what_is_no_history_is_exit_2(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    assert _is_exit_2(run_command("diagnose", f"--history={path}"), str(path), "hint: expected a")


def test_without_a_run_or_a_history_both_are_named() -> None:
    assert _is_exit_2(run_command("diagnose"), "--run_dir", "--history")

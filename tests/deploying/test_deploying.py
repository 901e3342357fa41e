"""A deployment as a whole: what is checked first, where folders and figures go, and when the gate holds."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deploying.made_artefacts import change

from tfday7.core.errors import GateError, UserError
from tfday7.deploying import bundle, deploying
from tfday7.deploying.bundle import Bundle
from tfday7.deploying.config import DeployConfig

Artefacts = Callable[..., Path]
ROW = {"artefact": "cnn_float32", "runtime": "x", "device": "board", "threads": 1, "batch_size": 1}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Puts a writer of folders in the place of the one for microcontrollers; notes what it is given."""
    given: list[Any] = []

    def deploy(made: Bundle, folder: Path, config: DeployConfig, say: Callable[[str], Any]) -> dict[str, Any]:
        given.append((made.spec["name"], (made.folder / "run_model.py").exists(), folder))
        rows = [] if config.dry_run else [ROW]
        return {"device": "micro", "folder": str(folder), "rows": rows, "notes": [], "parity": None}

    writer = types.ModuleType("made_writer")
    writer.deploy = deploy
    monkeypatch.setitem(sys.modules, "made_writer", writer)
    monkeypatch.setitem(deploying.WRITERS, "micro", "made_writer")
    return given


def config(path: Path, **settings: Any) -> DeployConfig:
    return DeployConfig(artefact=str(path), **{"device": "micro", **settings})


def test_a_folder_lies_beside_the_artefact_unless_it_is_named(copied: Artefacts, tmp_path: Path, written: list) -> None:
    path = copied("cnn")
    record = deploying.deploy(config(path), print)
    deploying.deploy(config(path, output_dir=str(tmp_path / "elsewhere")), print)
    assert written == [
        ("cnn_float32", True, path.parent / "cnn_float32_micro"), ("cnn_float32", True, tmp_path / "elsewhere"),
    ]  # fmt: skip
    assert record["artefact"] == "cnn_float32"
    assert json.loads((path.parent / "benchmark.json").read_text())["rows"] == [ROW]


def test_a_dry_run_writes_no_figures(copied: Artefacts, written: list) -> None:
    path = copied("cnn")
    before = sorted(path.parent.iterdir())
    deploying.deploy(config(path, dry_run=True), print)
    assert sorted(path.parent.iterdir()) == before


def test_damaged_figures_are_seen_before_anything_is_measured(copied: Artefacts, written: list) -> None:
    path = copied("cnn")
    (path.parent / "benchmark.json").write_text("[]")
    with pytest.raises(UserError, match="not a record of a benchmark"):
        deploying.deploy(config(path), print)
    assert not written


def test_an_output_folder_that_cannot_be_one_is_refused_first(copied: Artefacts, written: list) -> None:
    path = copied("cnn")
    with pytest.raises(UserError, match=r"--output_dir=.* is a file"):
        deploying.deploy(config(path, output_dir=str(path)), print)
    assert not written


def test_a_folder_of_other_things_is_not_taken_for_an_ssh_bundle(copied: Artefacts, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        settings = {"device": "ssh://host", "output_dir": str(tmp_path / "mine"), "overwrite": overwrite}
        with pytest.raises(UserError, match="holds something else"):
            deploying.check(config(copied("cnn"), **settings))


def test_what_was_added_to_an_ssh_bundle_here_is_not_replaced(copied: Artefacts, tmp_path: Path) -> None:
    bundle.make(copied("tokens"), tmp_path / "mine")
    settings = {"device": "ssh://host", "output_dir": str(tmp_path / "mine")}
    deploying.check(config(copied("tokens"), **settings))
    (tmp_path / "mine" / "notes.txt").write_text("dear")
    with pytest.raises(UserError, match=r"no deployment made \(notes.txt\)"):
        deploying.check(config(copied("tokens"), **settings))
    deploying.check(config(copied("tokens"), **settings, overwrite=True))


def test_the_real_writers_take_such_a_bundle(copied: Artefacts, tmp_path: Path) -> None:
    for device in ("android", "micro"):
        record = deploying.deploy(config(copied("cnn", "int8"), device=device, dry_run=True), print)
        assert record["device"] == device
        assert record["artefact"] == "cnn_int8"


def test_a_file_that_does_not_answer_as_its_model_is_not_deployed_without_a_word(
    copied: Artefacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime may run the file as it is: that says nothing of whether the file is good."""
    path = change(copied("cnn", "int8"), parity={"agreement": 0.059, "failures": ["5.9% [same] decisions"]})
    said = "Parity with the Keras model is BROKEN: 5.9% [same] decisions"
    for device in ("android", "micro", "ssh://host"):
        record = deploying.deploy(config(path, device=device, dry_run=True), print)
        assert record["notes"][0] == said, device
    monkeypatch.setenv("PATH", "")  # No adb.
    for device in ("android", "micro"):
        record = deploying.deploy(config(path, device=device), print)
        assert record["notes"].count(said) == 1
        readme = (Path(record["folder"]) / "README.md").read_text().splitlines()
        assert readme[2].startswith("**Parity with the Keras model is BROKEN: 5.9% \\[same\\] decisions.**")
        assert readme[3] == ""


@pytest.mark.parametrize("parity", [None, {"holds": True, "largest_difference": 0.5, "tolerance": 1.0}])
def test_the_gate_is_open_where_answers_hold_or_were_not_compared(parity: dict[str, Any] | None) -> None:
    deploying.gate({"artefact": "a", "parity": parity})


@pytest.mark.parametrize(("largest", "said"), [(0.25, "differ by 0.25; allowed 0.1"), (None, "are not numbers")])
def test_the_gate_says_by_how_much_answers_differ(largest: float | None, said: str) -> None:
    parity = {"holds": False, "largest_difference": largest, "tolerance": 0.1}
    with pytest.raises(GateError, match=said) as error:
        deploying.gate({"artefact": "a", "device": "ssh", "parity": parity})
    assert "another runtime or version" in error.value.hint
    with pytest.raises(GateError, match=said) as error:
        deploying.gate({"artefact": "a", "device": "micro", "parity": parity})
    assert "another kind" in error.value.hint
    assert "another runtime" not in error.value.hint


def test_an_artefact_of_another_format_is_named(copied: Artefacts) -> None:
    with pytest.raises(UserError, match="format 'onnx'"):
        deploying.check(config(change(copied("cnn"), format="onnx")))

"""The bundle for microcontrollers as a whole, and when it is not written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploying.made_bundles import answers_of, convert, dense, made
from deploying.micro.conftest import HOSTILE_LABELS, needs_tflite_micro

from tfday7.core.errors import UserError
from tfday7.deploying.bundle import Bundle
from tfday7.deploying.config import DeployConfig
from tfday7.deploying.micro import deploy, deploying


def deployed(bundle: Bundle, folder: Path, **settings: Any) -> dict[str, Any]:
    return deploy(bundle, folder, DeployConfig(device="micro", **settings), lambda _: None)


@needs_tflite_micro
def test_tflite_micro_gives_the_answers_that_litert_gives(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    for name, bundle in bundles.items():
        record = deployed(bundle, tmp_path / name)
        (row,) = record["rows"]
        assert row["parity"]["holds"], (name, row)
        assert row["parity"]["examples"] == 6
        assert (row["runtime"], row["latency_ms"]["p50"]) == ("tflite_micro", None)
        assert row["peak_memory_bytes"] == record["arena"]["size_bytes"] > 0
        assert record["arena"]["header_bytes"] >= record["arena"]["size_bytes"] + 1024
        assert record["notes"] == []
        json.dumps(record, allow_nan=False)
        assert f"kTensorArenaSize = {record['arena']['header_bytes']};" in (tmp_path / name / "arena.h").read_text()
        assert "Measured" in (tmp_path / name / "arena.h").read_text()


@needs_tflite_micro
def test_answers_beyond_the_tolerance_are_told(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    bundle = bundles["words_float32"]
    path = bundle.folder / "vectors_expected.bin"
    before = path.read_bytes()
    try:
        path.write_bytes((np.frombuffer(before, "<f4") + np.float32(1.0)).tobytes())
        record = deployed(bundle, tmp_path / "out")
    finally:
        path.write_bytes(before)
    assert not record["parity"]["holds"]
    assert record["parity"]["largest_difference"] == pytest.approx(1.0, abs=1e-3)
    assert record["notes"][0].startswith("TFLite Micro's answers differ from LiteRT's by 1; a device is allowed ")


def test_without_tflite_micro_the_arena_is_an_estimate_and_says_so(
    bundles: dict[str, Bundle], tmp_path: Path, without_tflite_micro: None
) -> None:
    record = deployed(bundles["cnn_int8"], tmp_path / "out")
    assert record["arena"]["size_bytes"] is None
    assert record["arena"]["header_bytes"] == record["arena"]["estimate_bytes"]
    assert (record["rows"], record["parity"]) == ([], None)
    assert "pip install 'tfday7[micro]'" in record["notes"][0]
    assert "An ESTIMATE, not measured" in (tmp_path / "out" / "arena.h").read_text()
    assert "`pip install 'tfday7[micro]'`" in (tmp_path / "out" / "README.md").read_text()


def test_the_words_of_a_text_model_lie_beside_it(
    bundles: dict[str, Bundle], tmp_path: Path, without_tflite_micro: None
) -> None:
    bundle = bundles["words_float32"]
    words = ["", "[UNK]", "a\nb", "it's", "\\"]
    artefact = dataclasses.replace(bundle.artefact, input={**bundle.artefact.input, "vocabulary": words})
    for _ in range(2):  # Such a folder is replaced, too.
        record = deployed(dataclasses.replace(bundle, artefact=artefact), tmp_path / "out")
    assert "vocabulary.txt" in record["files"]
    assert (tmp_path / "out" / "vocabulary.txt").read_text() == "\n[UNK]\na\\nb\nit's\n\\\\\n"
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "| `vocabulary.txt` | the word of each token id; a backslash" in readme
    assert "A token id is the number of a word" in readme


def test_no_name_or_label_becomes_code(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    record = deployed(bundles["cnn_int8"], tmp_path / "out")
    assert record["files"] == sorted(path.name for path in (tmp_path / "out").iterdir())
    for path in (tmp_path / "out").iterdir():
        if path.suffix in (".h", ".cc"):
            assert "$cnn" not in path.read_text()
            assert "system(" not in path.read_text()
            assert not set(path.read_text()) & {"?", "`"} - ({"?"} if path.name == "example_main.cc" else set())
    assert HOSTILE_LABELS[0] in json.loads((tmp_path / "out" / "bundle.json").read_text())["labels"]


def test_a_model_that_keeps_state_is_reset(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    deployed(bundles["lstm_int8"], tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "2. Reset() and Invoke()\n3. y = (q - kOutputZeroPoint) * kOutputScale\n" in readme
    assert "without `Reset()` the second answer is wrong" in readme
    assert "interpreter.Reset();" in (tmp_path / "out" / "example_main.cc").read_text()


def test_a_model_that_cannot_run_there_writes_nothing(tmp_path: Path) -> None:
    model, raw = dense(4, 3), np.zeros((1, 4), np.float32)
    bundle = made(tmp_path / "half", convert(model, raw, "float16"), answers_of(model, raw), "half_float16")
    with pytest.raises(UserError, match=r"half_float16: TFLite Micro cannot run it: .*float16") as error:
        deployed(bundle, tmp_path / "out")
    assert "--formats=tflite" in error.value.hint
    assert not (tmp_path / "out").exists()


def test_an_earlier_bundle_is_replaced_and_anything_else_is_not(
    bundles: dict[str, Bundle], tmp_path: Path, without_tflite_micro: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "firmware.c").write_text("dear")
    with pytest.raises(UserError, match="holds something else"):
        deployed(bundles["cnn_int8"], tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["firmware.c"]
    deployed(bundles["cnn_int8"], tmp_path / "out")
    (tmp_path / "out" / "example").write_text("as README.md says")
    deployed(bundles["cnn_int8"], tmp_path / "out")
    assert not (tmp_path / "out" / "example").exists()
    (tmp_path / "out" / "CMakeLists.txt").write_text("dear")
    with monkeypatch.context() as changed:
        changed.setattr(deploying, "reference", None)  # Nothing is run before that is seen.
        with pytest.raises(UserError, match=r"no deployment made \(CMakeLists.txt\)"):
            deployed(bundles["cnn_int8"], tmp_path / "out")
    assert (tmp_path / "out" / "CMakeLists.txt").exists()
    deployed(bundles["cnn_int8"], tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "CMakeLists.txt").exists()
    with pytest.raises(UserError, match="holds the bundle of"):
        deployed(bundles["lstm_int8"], tmp_path / "out")


def test_a_dry_run_writes_and_measures_nothing(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    record = deployed(bundles["cnn_int8"], tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert record["resolver"] == ["AddConv2D", "AddFullyConnected", "AddMaxPool2D", "AddReshape"]
    assert record["arena"] is None

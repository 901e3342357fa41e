"""The model card says what the records say, and shows hostile names as they are."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.exporting import card
from tfday7.exporting.records import Artefact, Parity

BROKEN = Parity(
    "accuracy", 0.9, 0.8, 2.0, 0.1, 0.2, 0.85, [{"example": 1, "difference": 2.0}], 10, {}, ["accuracy drops by 0.1000"]
)


def test_it_lists_every_artefact_of_the_folder_with_its_figures(tmp_path: Path) -> None:
    for kind, size in (("float32", 344_000), ("int8", 94_000)):
        artefact = Artefact(
            f"digits_{kind}", "tflite", kind, path=f"x/digits_{kind}.tflite", size_bytes=size, gzip_bytes=size // 2,
            sha256="ab" * 32, labels=["0", "1"],
            recipe={"command": "python -m tfday7.export --model=a", "versions": {}},
            input={"dtype": kind, "shape": [1, 8], "scale": 0.5 if kind == "int8" else None, "zero_point": 3},
            output={"dtype": kind, "shape": [1, 2], "task": "classification", "meaning": "logits"},
            parity=BROKEN if kind == "int8" else None,
        )  # fmt: skip
        files.write_json(tmp_path / f"digits_{kind}.tflite.json", artefact.to_json())
    files.write_json(tmp_path / "other.json", {"not": "a record"})
    card.write(tmp_path, "digits")
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert r"| digits\_int8.tflite | 94.0 kB | 47.0 kB | 0.8000 | 20.00% | 85.00% |" in text
    assert r"**digits\_int8 does not hold:** accuracy drops by 0.1000." in text
    assert "- quantized: round(x / 0.5) + 3, cut off at -128 and 127" in text
    assert "python -m tfday7.export --model=a" in text
    assert "Labels, in the order of the outputs: 0, 1." in text


def test_it_says_how_a_file_was_compressed(tmp_path: Path) -> None:
    artefact = Artefact("small_int8", "tflite", "int8", path="small_int8.tflite", size_bytes=1, gzip_bytes=1)
    files.write_json(tmp_path / "small_int8.tflite.json", artefact.to_json())
    figures = {"metric": {"name": "accuracy", "value": 0.9}, "test_metric": 0.89, "size_bytes": 300_000,
               "gzip_bytes": 290_000, "latency_ratio": 1.0, "parameters": 80_000, "macs": None}  # fmt: skip
    steps = [{"technique": "shrink", "ratio": 0.5}, {"technique": "quantize", "kind": "int8"}]
    record = {
        **figures, "size_bytes": 30_000, "latency_ratio": 0.31, "latency_spread": [0.29, 0.34], "macs": 5,
        "recipe": {"name": "small", "steps": steps},
        "skipped_layers": [{"technique": "shrink", "layer": "<b>", "reason": "an output"}], "notes": ["a|b"],
        "baseline": figures, "device": "Some CPU",
    }  # fmt: skip
    files.write_json(tmp_path / card.COMPRESSED, record)
    card.write(tmp_path, "small")
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert "1. shrink \\(ratio 0.5\\)\n2. quantize \\(kind int8\\)" in text
    assert "| size | 300.0 kB | 30.0 kB |" in text
    assert "| time of an example, relative, on Some CPU | 1.00 | 0.31 (0.29–0.34) |" in text
    assert "multiply-accumulates" not in text
    assert "- &lt;b&gt;: an output" in text
    assert "- a\\|b" in text


def test_a_card_is_told_from_what_somebody_else_wrote_and_goes_when_nothing_is_left(tmp_path: Path) -> None:
    artefact = Artefact("a_float32", "tflite", "float32", path="a_float32.tflite")
    files.write_json(tmp_path / "a_float32.tflite.json", artefact.to_json())
    card.write(tmp_path, "a")
    assert card.is_ours(tmp_path)
    (tmp_path / "a_float32.tflite.json").unlink()
    card.write(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / card.CARD).write_text("# My own words", encoding="utf-8")
    card.write(tmp_path, "a")
    assert not card.is_ours(tmp_path)
    assert (tmp_path / card.CARD).read_text(encoding="utf-8") == "# My own words"


def test_without_artefacts_there_is_no_card(tmp_path: Path) -> None:
    card.write(tmp_path, "none")
    assert list(tmp_path.iterdir()) == []


def test_names_from_data_cannot_become_markup() -> None:
    hostile = "<script>alert(1)</script> [x](http://y) `a` | b\n# c"
    shown = card.escaped(hostile)
    assert "<" not in shown
    assert "\n" not in shown
    assert r"\[x\]\(http" in shown
    assert r"\|" in shown
    assert r"\`a\`" in shown


def test_what_a_killed_export_left_half_written_is_not_listed(tmp_path: Path) -> None:
    for name, content in (("whole", b"x"), ("half", b"y"), ("gone", None)):
        entry = {"name": f"{name}.tflite", "size_bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
        artefact = Artefact(name, "tflite", "float32", path=f"elsewhere/{name}.tflite", files=[entry])
        files.write_json(tmp_path / f"{name}.tflite.json", artefact.to_json())
        if content is not None:
            (tmp_path / f"{name}.tflite").write_bytes(content)
    card.write(tmp_path, "a")
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert "| whole.tflite |" in text
    assert "half" not in text
    assert "gone" not in text
    (tmp_path / "whole.tflite").unlink()
    card.write(tmp_path, "a")
    assert not (tmp_path / card.CARD).exists()


def test_numbers_are_cut_off_at_the_ends_of_the_files_own_type(tmp_path: Path) -> None:
    end = {"dtype": "int16", "shape": [1, 8], "scale": 0.5, "zero_point": 0}
    artefact = Artefact("a_int16x8", "tflite", "int16x8", path="a_int16x8.tflite", input=end)
    files.write_json(tmp_path / "a_int16x8.tflite.json", artefact.to_json())
    card.write(tmp_path, "a")
    assert "round(x / 0.5) + 0, cut off at -32768 and 32767" in (tmp_path / card.CARD).read_text(encoding="utf-8")
    artefact = dataclasses.replace(artefact, input={**end, "dtype": "float32"})
    files.write_json(tmp_path / "a_int16x8.tflite.json", artefact.to_json())
    with pytest.raises(UserError, match="a record has a scale for 'float32'"):
        card.write(tmp_path, "a")


@pytest.mark.parametrize("compressed", [[1], {"a": 1}, 5, "x"], ids=str)
def test_a_damaged_record_of_a_compression_leaves_no_card(tmp_path: Path, compressed: object) -> None:
    artefact = Artefact("a", "tflite", "int8", path="a.tflite", size_bytes=3, gzip_bytes=2, sha256="ab" * 32)
    files.write_json(tmp_path / "a.tflite.json", artefact.to_json())
    files.write_json(tmp_path / card.COMPRESSED, compressed)
    with pytest.raises(UserError, match=r"compressed\.json: "):
        card.write(tmp_path, "a")
    assert not (tmp_path / card.CARD).exists()


def test_several_targets_are_named_with_their_outputs_and_labels(tmp_path: Path) -> None:
    heads = [
        {"name": "kind", "task": "classification", "columns": [0, 3], "labels": ["a", "<b>", "c"]},
        {"name": "price", "task": "regression", "columns": [3, 4], "labels": []},
    ]
    given = {"dtype": "float32", "shape": [1, 5], "preprocessing": "columns are encoded, in this order (rooms, town)",
             "columns": [{"name": "rooms"}, {"name": "town"}]}  # fmt: skip
    made = {"dtype": "float32", "shape": [1, 4], "task": "several", "meaning": "logits, values", "heads": heads}
    artefact = Artefact("a", "tflite", "float32", path="a.tflite", input=given, output=made)
    files.write_json(tmp_path / "a.tflite.json", artefact.to_json())
    card.write(tmp_path, "a")
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert "- outputs 0 to 2, kind (classification, logits): a, &lt;b&gt;, c\n" in text
    assert "- output 3, price (regression, values)\n" in text
    assert "- before it: columns are encoded, in this order \\(rooms, town\\)\n" in text
    assert "`input.columns` of the record" in text

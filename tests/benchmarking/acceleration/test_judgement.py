"""Shares, records and sentences; every target judges every sample."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from exporting.tflite_samples import sample

from tfday7.benchmarking.acceleration import TARGETS, Judgement, OpVerdict, Remark
from tfday7.benchmarking.acceleration.judgement import judgement
from tfday7.core.errors import UserError
from tfday7.core.texts import LANGUAGES, text
from tfday7.exporting.tflite_file import read

NO = Remark("reason.operator", {"op": "TANH", "target": "XNNPACK"})
SAMPLES = [("conv", "float32"), ("conv", "int8"), ("lstm", "int8"), ("gru", "float32"), ("tokens", "float16")]


def verdicts(*macs: int | None) -> list[OpVerdict]:
    return [OpVerdict(at, "TANH", f"t{at}", count, NO if at % 2 else None) for at, count in enumerate(macs)]


def test_shares_are_of_operators_and_of_multiplications() -> None:
    found = judgement("xnnpack", verdicts(300, 100, 0), measured=False)
    assert [verdict.index for verdict in found.accelerated] == [0, 2]
    assert found.share_of_operators == pytest.approx(2 / 3)
    assert found.share_of_macs == pytest.approx(300 / 400)
    assert found.by_reason() == {"reason.operator": [found.not_accelerated[0]]}


def test_unknown_work_has_no_share() -> None:
    assert judgement("xnnpack", verdicts(300, None), measured=False).share_of_macs is None
    assert judgement("xnnpack", verdicts(0, 0), measured=False).share_of_macs is None
    assert judgement("xnnpack", [], measured=False).share_of_operators is None


def test_a_record_says_why_in_words() -> None:
    record = judgement("xnnpack", verdicts(1, 1), measured=False, notes=[Remark("note.sparse")]).to_json()
    assert record["not_accelerated"][0]["reason"]["text"] == "XNNPACK has no TANH."
    assert "reason" not in record["accelerated"][0]
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("target", TARGETS.names())
@pytest.mark.parametrize("case", SAMPLES, ids="_".join)
def test_every_target_judges_every_operator_and_gives_its_reasons(
    target: str, case: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(sample(*case))
    summary = read(path)
    found = TARGETS.get(target)(path, summary)
    assert isinstance(found, Judgement)
    assert found.target == target
    if target != "openvino_int8":  # Its layers are not the file's operators.
        judged = [(verdict.subgraph, verdict.index) for verdict in (*found.accelerated, *found.not_accelerated)]
        assert sorted(judged) == [(node.subgraph, node.index) for node in summary.nodes]
    assert found.notes
    for lang in LANGUAGES:
        assert text(f"acceleration.target.{target}", lang)
        assert all(verdict.reason and verdict.reason.text(lang) for verdict in found.not_accelerated)
        assert all(note.text(lang) for note in found.notes)
    json.dumps(found.to_json())


@pytest.mark.parametrize("target", sorted(set(TARGETS.names()) - {"openvino_int8"}))
def test_targets_of_tflite_take_nothing_else(target: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"runs \.tflite files alone"):
        TARGETS.get(target)(tmp_path / "model.onnx", None)


def test_an_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="acceleration target 'npu'") as caught:
        TARGETS.get("npu")
    assert "xnnpack" in caught.value.hint

"""Advice on distribution: what binds and what to relax, sentences with sources in two languages, and mistakes."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from support import ROOT

from tfday7.core.errors import UserError
from tfday7.core.texts import LANGUAGES, table
from tfday7.distribution.advising import sources
from tfday7.distribution.advising.accelerators import ACCELERATORS
from tfday7.distribution.advising.advice import DistributionAdvice, advise
from tfday7.distribution.advising.hardware import Hardware
from tfday7.optimizers.situation import MODEL_KINDS, Situation

MILLION, BILLION = 10**6, 10**9
OF_SITUATION = ("parameters", "devices", "batch_size", "device_memory_gb", "model_kind", "data_kind")


def advice(parameters: int | None = 300 * MILLION, **more: Any) -> DistributionAdvice:
    situation = {name: more.pop(name) for name in OF_SITUATION[1:] if name in more}
    return advise(Hardware(**more), Situation(parameters=parameters, **situation))


def texts(record: Any) -> list[dict[str, Any]]:
    """Returns everything in a record that has an id, a sentence and a source."""
    found = []
    if isinstance(record, dict):
        found += [record] if {"id", "text", "source"} <= set(record) else []
        found += [claim for value in record.values() for claim in texts(value)]
    if isinstance(record, list):
        found += [claim for value in record for claim in texts(value)]
    return found


CASES: list[dict[str, Any]] = [
    {"accelerator": "a100_80"},
    {"accelerator": "a100_80", "devices": 8, "optimizer": "lion", "precision": "mixed_bfloat16"},
    {"parameters": 7 * BILLION, "accelerator": "a100_80", "devices": 8, "precision": "mixed_bfloat16"},
    {"parameters": 7 * BILLION, "accelerator": "a100_80", "devices": 4, "precision": "mixed_bfloat16"},
    {"parameters": 7 * BILLION, "accelerator": "t4", "devices": 8},
    {"parameters": 7 * BILLION, "accelerator": "t4", "devices": 2, "optimizer": "rmsprop"},
    {"parameters": 40 * BILLION, "accelerator": "t4", "precision": "mixed_float16", "sequence_length": 64},
    {"accelerator": "t4", "devices": 16, "batch_size": 16, "network_gb_per_s": 0.1, "devices_per_machine": 4},
    {"accelerator": "t4", "devices": 16, "batch_size": 256, "network_gb_per_s": 0.2, "devices_per_machine": 4,
     "sequence_length": 128},
    {"accelerator": "t4", "devices": 8, "batch_size": 20},
    {"accelerator": "tpu_v4", "devices": 16, "precision": "mixed_bfloat16"},
    {"device_memory_gb": 16, "devices": 2, "model_kind": "cnn"},
    {"device_memory_gb": 16, "devices": 2, "model_kind": "rnn"},
    {"accelerator": "t4", "devices": 4, "precision": "mixed_float16"},
    {"device_memory_gb": 16, "devices": 12, "devices_per_machine": 6, "layers": 12, "hidden_size": 1024,
     "attention_heads": 16, "sequence_length": 8},
    {"device_memory_gb": 13, "batch_size": 7, "sequence_length": 4096},
    {"device_memory_gb": 60, "batch_size": 7, "sequence_length": 4096},
]  # fmt: skip


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("asked", CASES)
def test_every_sentence_has_a_source_and_its_values(asked: dict[str, Any], lang: str) -> None:
    record = advice(**asked).to_json(lang)
    assert json.loads(json.dumps(record)) == record
    claims = texts(record)
    assert len(claims) >= 6
    assert all(claim["source"] and claim["text"] for claim in claims)
    assert not [claim["text"] for claim in claims if "None" in claim["text"] or "{" in claim["text"]]


def test_every_sentence_of_the_table_can_be_said_and_has_a_source() -> None:
    areas = ("why", "accumulate", "left_out", "relax", "formula", "note")
    written = {name.removeprefix("distribution.") for name in table() if name.startswith("distribution.")}
    sentences = {name for name in written if name.split(".")[0] in areas} - {"relax.enough", "relax.not_enough"}
    assert sentences == set(sources.SOURCES)
    said = {claim["id"] for asked in CASES for claim in texts(advice(**asked).to_json())}
    needs_a_model = {
        "left_out.refused", "formula.activations.kept", "formula.activations.layer_outputs", "formula.compute.layers",
        "formula.activations.split", "formula.activations.whole", "formula.tensor.layers",
    }  # fmt: skip
    assert sentences - said - needs_a_model == set()


def test_files_that_sources_name_exist() -> None:
    named = {source for given in sources.SOURCES.values() for source in given if source.endswith((".md", ".py"))}
    assert named
    assert all((ROOT / name).is_file() for name in named)


def test_every_accelerator_names_its_data_sheet() -> None:
    assert all("datasheet" in kind.source or "whitepaper" in kind.source or "cloud.google.com" in kind.source
               for kind in ACCELERATORS.values())  # fmt: skip
    assert ACCELERATORS["a100_80"].half_tflops == 312
    assert ACCELERATORS["a100_80"].link_gb_per_s == 600 / 2


def test_what_to_relax_is_enough_when_it_is_done() -> None:
    asked: dict[str, Any] = {"parameters": 3 * BILLION, "accelerator": "a100_40", "devices": 1, "sequence_length": 1024}
    record = advice(**asked)
    assert record.plans.chosen is None
    enough = [change for change in record.changes if change.fits]
    assert len(enough) >= 2
    for change in record.changes:
        said = dict(flag.removeprefix("--").split("=", 1) for flag in change.flags)
        values = {name: float(value) if name == "device_memory_gb" else int(value) if value.isdigit() else value
                  for name, value in said.items()}  # fmt: skip
        again = advice(**{**asked, **values})
        assert (again.plans.chosen is not None) == change.fits


def test_memory_that_would_be_enough_is_barely_so() -> None:
    asked: dict[str, Any] = {"parameters": 3 * BILLION, "accelerator": "a100_40", "devices": 1}
    (flag,) = advice(**asked).changes[-1].flags
    memory = float(flag.removeprefix("--device_memory_gb="))
    assert advice(**asked, device_memory_gb=memory).plans.chosen is not None
    assert advice(**asked, device_memory_gb=memory * 0.97).plans.chosen is None


def test_the_part_that_binds_is_the_largest() -> None:
    record = advice(parameters=7 * BILLION, accelerator="t4").to_json()
    (plan,) = record["candidates"]
    parts = {name: size for name, size in plan["memory"].items() if name != "total"}
    assert record["binding"]["part"] == max(parts, key=lambda name: parts[name]) == "optimizer"
    assert record["binding"]["missing_bytes"] == plan["memory"]["total"] - 0.9 * 16e9
    assert record["flags"] == []


def test_flags_carry_the_plan_out() -> None:
    # Micro-batches of 16 keep 16 * 34 * 512 * 4096 * (10 + 24 / 4 + 20 / 4) = 24 GB beside 38 GB; 32 do not fit.
    record = advice(7 * BILLION, accelerator="a100_80", devices=8, precision="mixed_bfloat16", batch_size=128)
    assert record.flags() == [
        "--strategy=hybrid", "--mesh=batch:2,model:4", "--batch_size=128", "--accumulate_steps=4",
        "--precision=mixed_bfloat16", "--optimizer=adam",
    ]  # fmt: skip


def test_activations_of_other_kinds_are_not_made_up() -> None:
    record = advice(25 * MILLION, device_memory_gb=16, model_kind="cnn").to_json()
    (plan,) = record["candidates"]
    assert plan["memory"]["activations"] is None
    assert plan["seconds"]["compute"] is None
    assert record["accumulation"]["id"] == "accumulate.unknown"
    assert "--micro_batch_size=auto" in record["flags"]


def test_layers_that_loop_are_not_told_to_find_their_micro_batch() -> None:
    """`--micro_batch_size=auto` refuses them."""
    record = advice(25 * MILLION, device_memory_gb=16, model_kind="rnn").to_json()
    assert record["accumulation"]["id"] == "accumulate.loops"
    assert "--accumulate_steps" in record["accumulation"]["text"]
    assert not [flag for flag in record["flags"] if "micro_batch_size" in flag]


def test_a_mlp_meets_every_weight_once() -> None:
    record = advice(25 * MILLION, accelerator="t4", model_kind="mlp", batch_size=64).to_json()
    seconds = record["candidates"][0]["seconds"]
    assert seconds["compute"] == pytest.approx(6 * 25e6 * 64 / (8.1e12 * 0.4))


def test_slow_links_are_named() -> None:
    asked: dict[str, Any] = {"accelerator": "a100_80", "devices": 16, "network_gb_per_s": 1.0, "sequence_length": 128}
    record = advice(300 * MILLION, batch_size=1024, **asked)
    notes = {note["id"]: note["text"] for note in record.to_json()["notes"]}
    assert record.plans.chosen is not None
    assert record.plans.chosen.name == "multiworker"
    assert "note.slow_links" in notes


def test_one_device_stays_alone_where_more_would_be_slower() -> None:
    asked: dict[str, Any] = {"accelerator": "a100_80", "devices": 16, "network_gb_per_s": 1.0}
    record = advice(300 * MILLION, batch_size=16, **asked)
    # One: 6 * 3e8 * 16 * 512 / (156e12 * 0.4) = 0.24 s; sixteen send for 2 * 15 / 16 * 1.2e9 / 1e9 = 2.25 s.
    assert record.flags()[:2] == ["--strategy=one_device", "--batch_size=16"]
    assert record.to_json()["reasons"][0]["id"] == "why.alone"
    assert advice(300 * MILLION, batch_size=1024, **asked).flags()[0] == "--strategy=multiworker"


@hypothesis.settings(max_examples=40)
@hypothesis.given(st.integers(1, 10**12), st.sampled_from(MODEL_KINDS), st.sampled_from([1, 2, 8, 32]))
def test_there_is_an_answer_to_every_question_of_numbers(parameters: int, kind: str, devices: int) -> None:
    try:
        record = advice(parameters, accelerator="l4", devices=devices, model_kind=kind).to_json()
    except UserError:
        assert parameters < 12
        return
    assert (record["chosen"] is None) == bool(record["relax"])
    assert (record["chosen"] is None) == (not record["flags"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"parameters": None, "accelerator": "t4"}, "--topic=distribution needs --parameters"),
        ({}, "--topic=distribution needs --accelerator or --device_memory_gb"),
        ({"accelerator": "t4", "precision": "mixed_bfloat16"}, "--precision=mixed_bfloat16 contradicts"),
        ({"accelerator": "tpu_v4", "precision": "mixed_float16"}, "--precision=mixed_float16 contradicts"),
        ({"accelerator": "t4", "devices": 4, "devices_per_machine": 8}, "--devices_per_machine=8 is more than"),
        ({"accelerator": "t4", "devices": 10, "devices_per_machine": 4}, "--devices=10 is not a multiple of"),
        ({"accelerator": "t4", "devices": 12}, "--devices=12 is not a multiple of --devices_per_machine=8"),
        ({"accelerator": "t4", "devices": 4, "network_gb_per_s": 1}, "--network_gb_per_s=1 has no meaning"),
        ({"device_memory_gb": 9, "devices": 2, "devices_per_machine": 1, "link_gb_per_s": 3}, "--link_gb_per_s=3"),
        ({"accelerator": "t4", "model_kind": "cnn", "layers": 3}, "--layers=3 says nothing about --model_kind=cnn"),
        ({"accelerator": "t4", "devices": 8, "batch_size": 4}, "--devices=8 is more than --batch_size=4"),
    ],
)  # fmt: skip
def test_mistakes_name_their_flags_and_a_way_out(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        advice(**asked)
    assert caught.value.hint

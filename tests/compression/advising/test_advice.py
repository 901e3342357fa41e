"""Advice on compression: never empty, never what is not there, claims with sources, and what devices really take."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from support import ROOT

from tfday7.benchmarking.acceleration import TARGETS
from tfday7.compression import keeping
from tfday7.compression.advising import measured, recipes, sources
from tfday7.compression.advising.advice import advise
from tfday7.compression.advising.deployment import DATA, DEVICES, REDUCE, Deployment
from tfday7.compression.advising.devices import DEPENDS, FASTER, SAME, SLOWER
from tfday7.compression.advising.devices import DEVICES as TABLE
from tfday7.core.errors import UserError
from tfday7.core.run_folder import COMPRESSION_WORK
from tfday7.core.texts import LANGUAGES, table
from tfday7.exporting.config import wanted
from tfday7.optimizers.situation import MODEL_KINDS, Situation

SHIPPED = {
    "int8", "float16", "dynamic", "int16x8", "weight_int8", "weight_int4", "shrink50_int8", "shrink50_qat",
    "shrink50_distil_int8", "prune80_int8", "prune90", "prune_2_4", "cluster16_int8", "qat", "pqat", "cqat", "pcqat",
    "shrink50_prune_int8", "low_rank", "distil",
}  # fmt: skip
WORK = [("none", False), *((data, trained) for data in ("unlabelled", "labelled") for trained in (False, True))]
CASES = list(itertools.product(DEVICES, WORK, REDUCE))
TRAINING_STEPS = ("shrink", "prune", "cluster", "qat", "distil", "low_rank", "finetune")


def record(device: str, data: str = "labelled", can_train: bool | None = None, lang: str = "en", **more: Any) -> Any:
    names = {"parameters", "examples", "model_kind", "data_kind"}
    situation = Situation(**{name: value for name, value in more.items() if name in names})
    rest = {name: value for name, value in more.items() if name not in names}
    deployment = Deployment(device=device, data_available=data, can_train=can_train, **rest)
    return advise(deployment, situation).to_json(lang)


def names(found: Any) -> list[str]:
    return [technique["recipe"] for technique in found["techniques"]]


def steps(recipe: str) -> list[dict[str, Any]]:
    """Returns the steps of a recipe as its file has them."""
    content = json.loads((ROOT / recipes.FOLDER / f"{recipe}.json").read_text(encoding="utf-8"))
    assert content["name"] == recipe
    return list(content["steps"])


def needs(recipe: str) -> tuple[bool, bool]:
    """Returns whether the file of a recipe asks for calibration, and for training."""
    found = steps(recipe)
    calibrates = any(step.get("kind") in ("int8", "int16x8") for step in found)
    return calibrates, any(step["technique"] in TRAINING_STEPS for step in found)


@pytest.mark.parametrize(("device", "work", "reduce"), CASES)
def test_an_answer_is_never_empty_and_asks_for_nothing_that_is_not_there(
    device: str, work: tuple[str, bool], reduce: str
) -> None:
    data, can_train = work
    for kind in MODEL_KINDS:
        found = record(device, data, can_train, reduce=reduce, model_kind=kind)
        assert found["techniques"] or found["with_more"]
        if data != "none":
            assert found["techniques"]
        for name in names(found):
            calibrates, trains = needs(name)
            assert not (trains and not can_train), name
            assert not ((calibrates or trains) and data == "none"), name
            if trains and data == "unlabelled":
                assert {step["technique"] for step in steps(name)} <= {"shrink", "distil", "quantize"}
                assert all(step["epochs"] == 0 for step in steps(name) if step["technique"] == "shrink")
        every = names(found) + [out["recipe"] for out in found["left_out"]]
        assert sorted(every) == sorted(SHIPPED)  # What is not advised is named, with why.


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("device", DEVICES)
def test_every_technique_has_why_for_against_speed_a_command_and_every_claim_its_source(device: str, lang: str) -> None:
    chinese = re.compile("[\u4e00-\u9fff]")
    for (data, can_train), reduce, kind in itertools.product(WORK, REDUCE, MODEL_KINDS):
        found = record(device, data, can_train, lang, reduce=reduce, model_kind=kind, parameters=80_000, max_size_kb=50)
        claims = [found["device"], *found["notes"], *found["left_out"]]
        for technique in found["techniques"]:
            assert technique["path"] == f"configs/recipes/{technique['recipe']}.json"
            assert technique["title"]
            for part in ("why", "advantages", "drawbacks", "speed"):
                assert technique[part]
                claims += technique[part]
            assert [each["part"] for each in technique["speed"]] == [
                part for recipe in recipes.RECIPES if recipe.name == technique["recipe"] for part in recipe.parts
            ]
        claims += [found["operators"]] if found["operators"] else []
        for claim in claims:
            assert claim["source"]
            assert bool(chinese.search(claim["text"])) is (lang == "zh"), claim
            assert "{" not in claim["text"] + claim["source"]
            assert "None" not in claim["text"]


def test_the_recipes_are_those_that_ship_and_are_made_of_what_their_files_say() -> None:
    assert {recipe.name for recipe in recipes.RECIPES} == SHIPPED
    for recipe in recipes.RECIPES:
        found = steps(recipe.name)
        said = []
        for step in found[: -1 if found[-1]["technique"] == "quantize" else None]:
            name = step["technique"]
            if name == "prune":
                name = "pattern" if step.get("pattern") == "2:4" else "sparse" if len(found) == 1 else "zeros"
            said.append("clusters" if name == "cluster" else name)
        said += [found[-1]["kind"]] if found[-1]["technique"] == "quantize" else []
        assert tuple(said) == recipe.parts, recipe.name


@pytest.mark.parametrize("kind", MODEL_KINDS)
@pytest.mark.parametrize("reduce", REDUCE)
def test_on_x86_zeros_are_never_said_to_speed_up(reduce: str, kind: str) -> None:
    for part in ("zeros", "sparse", "pattern", "clusters"):
        assert TABLE["x86"].effect(part, kind).word == SAME
    for data, can_train in WORK:
        found = record("x86", data, can_train, reduce=reduce, model_kind=kind)
        for technique in found["techniques"]:
            for claim in technique["speed"]:
                assert claim["part"] not in ("zeros", "sparse", "pattern") or claim["effect"] == "same"
        if reduce == "latency":
            assert not {"prune80_int8", "prune90", "prune_2_4", "cluster16_int8", "pqat"} & set(names(found))
    said = table()["compression.speed.zeros"]["en"] + table()["compression.speed.sparse.x86"]["en"]
    assert "save no time" in said
    assert "not time" in said


@pytest.mark.parametrize("device", ["microcontroller", "android_npu"])
@pytest.mark.parametrize("reduce", REDUCE)
@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_where_only_full_int8_runs_it_comes_first_and_nothing_else_is_advised(
    device: str, reduce: str, kind: str
) -> None:
    for data, can_train in WORK[1:]:
        found = record(device, data, can_train, reduce=reduce, model_kind=kind)
        assert names(found)[0] == "int8"
        assert all(steps(name)[-1]["kind"] == "int8" for name in names(found))
        refused = {out["recipe"]: out["id"] for out in found["left_out"] if out["id"].startswith("refused.")}
        assert set(refused) == {"float16", "dynamic", "weight_int8", "weight_int4", "int16x8", "prune90"}


@pytest.mark.parametrize("device", ["microcontroller", "android_npu"])
def test_without_examples_the_answer_is_what_to_get_first(device: str) -> None:
    found = record(device, "none")
    assert found["techniques"] == []
    assert found["with_more"][0]["recipe"] == "int8"
    assert [note["id"] for note in found["notes"]] == ["note.nothing_yet"]


@pytest.mark.parametrize("device", ["android_gpu", "nvidia_gpu"])
@pytest.mark.parametrize("work", WORK)
def test_gpus_begin_with_float16(device: str, work: tuple[str, bool]) -> None:
    found = record(device, *work, model_kind="cnn")
    assert names(found)[0] == "float16"
    assert found["techniques"][0]["speed"][0]["effect"] == FASTER


def test_a_two_of_four_pattern_is_for_nvidia_alone() -> None:
    words = {device: TABLE[device].effect("pattern", "cnn").word for device in DEVICES}
    assert words.pop("nvidia_gpu") == DEPENDS
    assert set(words.values()) == {SAME}


def test_removing_channels_is_faster_everywhere() -> None:
    for device, kind in itertools.product(DEVICES, MODEL_KINDS):
        assert TABLE[device].effect("shrink", kind).word == FASTER
    for device in ("raspberry_pi", "android_cpu", "x86", "intel"):
        for reduce in REDUCE:
            assert names(record(device, reduce=reduce, model_kind="cnn"))[0].startswith("shrink50")


def test_int8_on_an_lstm_or_a_transformer_is_slower_in_litert_by_what_was_measured() -> None:
    for kind, ratio, benchmark in (
        ("rnn", "4.53", "benchmarks/runtimes.py"),
        ("transformer", "1.47", "benchmarks/layer_normalization.py"),
    ):
        for device in ("x86", "raspberry_pi", "android_cpu"):
            effect = TABLE[device].effect("int8", kind)
            assert effect.word == SLOWER
            found = record(device, "unlabelled", model_kind=kind, reduce="latency")
            (out,) = (out for out in found["left_out"] if out["recipe"] == "int8")
            assert ratio in out["text"]
            assert benchmark in out["source"]
    assert "measured" in table()["compression.speed.int8.arm.rnn"]["en"]
    assert TABLE["intel"].effect("int8", "rnn").word == SAME


def test_the_figures_that_sentences_fill_in_are_those_of_the_benchmark() -> None:
    result = json.loads((ROOT / "benchmarks" / "results" / "runtimes.json").read_text(encoding="utf-8"))
    assert result["date"] == measured.DATE
    for model, files in measured.RATIOS.items():
        for file, ratio in files.items():
            found = result["workloads"][model]["artefacts"][file]["latency_ratio"]
            assert ratio == pytest.approx(found, abs=0.0051), (model, file)
    centered = json.loads((ROOT / "benchmarks" / "results" / "layer_normalization.json").read_text(encoding="utf-8"))
    assert centered["date"] == measured.DATE_CENTERED
    whole, int8 = (centered["files"][f"centered {kind}"]["latency_ratio"]["cpu"] for kind in ("float32", "int8"))
    assert measured.values()["transformer_tflite_int8"] == pytest.approx(int8 / whole, abs=0.0051)
    assert all(measured.values()[f"{model}_tflite_int8"] > 1 for model in ("lstm", "transformer"))  # "Slower."
    assert measured.values()["lstm_openvino_int8"] > measured.values()["lstm_openvino_float32"]  # "No faster."


def test_what_an_accelerator_lacks_is_asked_of_its_own_table() -> None:
    npu = record("android_npu", model_kind="transformer")["operators"]
    assert "NNAPI has no BATCH_MATMUL" in npu["text"]
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in record("android_gpu", model_kind="rnn")["operators"]["text"]
    assert record("android_gpu", model_kind="cnn")["operators"] is None
    assert record("nvidia_gpu", model_kind="rnn")["operators"] is None  # No table for it.


def test_a_budget_is_held_against_arithmetic() -> None:
    """80,000 weights are 320 kB in float32: 80 kB in int8, 40 in int4, and 20 with half the channels in int8."""
    found = record("raspberry_pi", parameters=80_000, max_size_kb=50)
    weights = {technique["recipe"]: technique["weights_kb"] for technique in found["techniques"]}
    assert weights["shrink50_distil_int8"] == pytest.approx(80_000 * 4 / 4 / 4 / 1000)
    assert weights["weight_int4"] == pytest.approx(80_000 / 2 / 1000)
    assert "int8" not in weights
    (out,) = (out for out in found["left_out"] if out["recipe"] == "int8")
    assert out["id"] == "too_large"
    assert "80.0 kB" in out["text"]
    larger = record("raspberry_pi", parameters=80_000, max_size_kb=100)
    assert "int8" in names(larger)
    nothing_fits = record("x86", "unlabelled", parameters=80_000, max_size_kb=10)
    assert nothing_fits["techniques"]
    assert all("why.not_fits" in [why["id"] for why in one["why"]] for one in nothing_fits["techniques"])


def test_a_tight_metric_moves_what_protects_it_up() -> None:
    tight, loose = (record("intel", max_accuracy_drop=drop) for drop in (0.002, 0.05))
    assert names(tight).index("qat") < names(tight).index("int8")
    assert "qat" not in names(loose)
    assert "int8" in names(loose)
    assert names(loose)[0].startswith("shrink50")
    why = {one["recipe"]: [each["id"] for each in one["why"]] for one in tight["techniques"]}
    assert "why.tight" in why["qat"]
    assert "why.tight" not in why["int8"]
    assert "why.loose" in [each["id"] for each in loose["techniques"][0]["why"]]


def test_commands_are_ones_that_exist() -> None:
    for device, (data, can_train), kind in itertools.product(DEVICES, WORK, MODEL_KINDS):
        for technique in record(device, data, can_train, model_kind=kind, max_accuracy_drop=0.02)["techniques"]:
            words = technique["command"].split()
            assert words[:2] == ["python", "-m"]
            flags = dict(word.removeprefix("--").split("=") for word in words[3:])
            if words[2] == "tfday7.compress":
                assert flags == {"run_dir": "runs/NAME", "recipe": technique["path"], "max_accuracy_drop": "0.02"}
                assert (ROOT / flags["recipe"]).is_file()
            else:
                assert words[2] == "tfday7.export"
                made = wanted((flags["formats"],), flags["kinds"])
                assert [kind for _, kind in made] == [technique["recipe"]]
                assert device == "nvidia_gpu" or data == "none"


def test_what_to_do_with_the_file_suits_the_device() -> None:
    assert any("--device=micro" in command for command in record("microcontroller")["then"])
    assert any("--targets=nnapi,edgetpu" in command for command in record("android_npu")["then"])
    assert any("--runtimes=litert,openvino" in command for command in record("intel")["then"])
    (engine,) = record("nvidia_gpu")["then"]
    assert "--formats=tensorrt --kinds=float16" in engine
    assert engine.split("--model=")[1].split()[0] == f"runs/NAME/{COMPRESSION_WORK}/RECIPE/{keeping.MODEL}"
    known = TARGETS.names()
    assert all(target in known for device in TABLE.values() for target in device.targets)


def test_the_subject_that_was_looked_at_is_in_the_commands() -> None:
    deployment = Deployment(device="x86", data_available="labelled")
    advice = advise(deployment, Situation(model_kind="mlp"), subject=("--model=my.keras", "--data=my data.npz"))
    command = advice.to_json()["techniques"][0]["command"]
    assert command.startswith("python -m tfday7.compress --model=my.keras '--data=my data.npz' --recipe=")


def test_few_examples_and_answers_as_labels_are_noted() -> None:
    notes = [note["id"] for note in record("x86", "unlabelled", examples=20)["notes"]]
    assert notes == ["note.unlabelled", "note.few_examples"]
    assert "20 examples" in record("x86", "unlabelled", examples=20)["notes"][1]["text"]
    assert record("x86", "labelled", examples=2000)["notes"] == []


def test_a_copy_that_stays_in_floating_point_is_noted_where_int8_costs_time() -> None:
    assert "note.float_instead" in [note["id"] for note in record("x86", model_kind="rnn")["notes"]]
    assert "note.float_instead" not in [note["id"] for note in record("x86", model_kind="cnn")["notes"]]


def test_what_is_not_said_is_assumed_or_found_and_marked() -> None:
    found = advise(Deployment(device="x86"), Situation(data_kind="text")).to_json()
    assert found["inputs"]["model_kind"] == "transformer"
    assert found["inputs"]["can_train"] is True
    assumed = {name for name, origin in found["origins"].items() if origin == "assumed"}
    assert assumed == {"reduce", "model_kind", "data_available", "can_train"}
    looked = advise(Deployment(device="x86"), Situation(), Situation(model_kind="cnn", examples=500)).to_json()
    assert looked["origins"]["data_available"] == "found"
    assert looked["origins"]["model_kind"] == "found"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "--topic=compression needs --device"),
        ({"device": "toaster"}, "--device=toaster: expected one of microcontroller"),
        ({"device": "x86", "reduce": "cost"}, "--reduce=cost: expected one of size, latency, both, memory"),
        ({"device": "x86", "max_size_kb": 0.0}, "--max_size_kb=0.0"),
        ({"device": "x86", "max_size_kb": 40.0}, "--max_size_kb=40 needs --parameters"),
        ({"device": "x86", "max_accuracy_drop": 2.0}, "--max_accuracy_drop=2.0"),
        ({"device": "x86", "data_available": "none", "can_train": True}, "--can_train=true contradicts"),
    ],
)
def test_what_cannot_be_is_a_user_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        advise(Deployment(**given), Situation())
    assert message in str(caught.value)
    assert caught.value.hint


def test_every_sentence_that_makes_a_claim_has_a_source_and_every_source_a_sentence() -> None:
    plain = ("recipe.", "kind.", "part.", "effect.", "source.", "label.")
    sentences = {name.removeprefix("compression.") for name in table() if name.startswith("compression.")}
    assert {name for name in sentences if not name.startswith(plain)} == set(sources.SOURCES)
    used = {effect.sentence for device in TABLE.values() for effect in (*device.speed.values(), *device.kinds.values())}
    assert {f"speed.{sentence}" for sentence in used} == {name for name in sources.SOURCES if name.startswith("speed.")}
    refused = {f"refused.{sentence}" for device in TABLE.values() for sentence in device.refused.values()}
    assert refused == {name for name in sources.SOURCES if name.startswith("refused.")}


def test_every_device_says_of_every_part_what_it_does_or_why_it_is_not_taken() -> None:
    assert set(TABLE) == set(DEVICES)
    for device in TABLE.values():
        assert set(device.speed) | set(device.refused) == set(recipes.PARTS)
        assert not set(device.speed) & set(device.refused)


def test_data_and_devices_of_the_flags_are_those_of_the_tables() -> None:
    assert DATA == ("none", "unlabelled", "labelled")
    assert {recipe.needs for recipe in recipes.RECIPES} == set(recipes.NEEDS)


def test_the_documented_table_of_devices_is_the_one_that_decides() -> None:
    page = (ROOT / "docs" / "compression.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")] for line in page.splitlines() if line.startswith("| `")
    ]
    seen = {}
    for cells in rows:
        for device in set(re.findall(r"`(\w+)`", cells[0])) & set(DEVICES):
            seen[device] = cells
    assert set(seen) == set(DEVICES)
    parts = {"fewer channels": "shrink", "2:4": "pattern"} | {part: part for part in recipes.PARTS}
    for device, (_, first, faster, only_bytes, refused) in seen.items():
        assert set(filter(None, refused.split(", "))) == set(TABLE[device].refused), device
        assert first == (TABLE[device].first or "fewer channels"), device
        for name in parts:
            effect = TABLE[device].speed.get(parts[name])
            if re.search(rf"(?<!\w){name}(?!\w)", faster) and effect is not None:
                words = {effect.word, TABLE[device].effect(parts[name], "cnn").word}
                assert words & {FASTER, DEPENDS}, (device, name)
        for name in filter(None, re.split(r"[,:;] ", only_bytes.partition("nothing")[0])):
            assert TABLE[device].speed[parts[name]].word == SAME, (device, name)

"""Advice without a run: three causes or more, each with how to tell, what helps and its cost, ranked by facts."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

import tfday7.train
from tfday7.core.errors import UserError
from tfday7.core.texts import LANGUAGES, table
from tfday7.data.augmentation import AUGMENTATIONS
from tfday7.diagnosis.advising.fit_advice import advise
from tfday7.diagnosis.advising.fit_causes import CAUSES, SYMPTOMS
from tfday7.models.architecture import ARCHITECTURES
from tfday7.optimizers.situation import DATA_KINDS, Situation

KINDS = (None, *DATA_KINDS)


def record(symptom: str, lang: str = "en", flags: dict[str, str] | None = None, **known: Any) -> dict[str, Any]:
    return advise(symptom, Situation(**known), flags=flags).to_json(lang)


def order(symptom: str, **known: Any) -> list[str]:
    return [cause["id"].rpartition(".")[2] for cause in record(symptom, **known)["causes"]]


def flags_of(found: dict[str, Any]) -> list[str]:
    return [flag for cause in found["causes"] for each in cause["solutions"] for flag in each["flag"].split()]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(("symptom", "kind"), itertools.product(SYMPTOMS, KINDS))
def test_every_answer_has_three_causes_each_with_a_sign_a_solution_and_its_cost(
    symptom: str, kind: str | None, lang: str
) -> None:
    found = record(symptom, lang, data_kind=kind)
    assert len(found["signs"]) == 3
    assert len(found["causes"]) >= 3
    for cause in found["causes"]:
        assert cause["text"]
        assert cause["recognise"]
        assert cause["solutions"]
        for solution in cause["solutions"]:
            assert set(solution["cost"]) == {"training", "accuracy", "inference"}
            assert all(solution["cost"].values())
    spoken = " ".join([*found["signs"], *(cause["recognise"] for cause in found["causes"])])
    assert bool(re.search("[\u4e00-\u9fff]", spoken)) is (lang == "zh")
    assert "{" not in str([cause["text"] for cause in found["causes"]])


def test_an_image_classifier_that_overfits() -> None:
    found = record("overfit", data_kind="image")
    assert order("overfit", data_kind="image")[0] == "alike"
    assert {"--augment=shift", "--augment=flip,shift,crop", "--dropout=0.2", "--l2=0.0001", "--width=16"} <= set(
        flags_of(found)
    )


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        ("text", "--augment=token_dropout"), ("text", "--width=64"), ("tabular", "--columns=NAME=drop"),
        ("tabular", "--augment=noise"), ("series", "--augment=noise"), ("speech", "--augment=noise"),
    ],
)  # fmt: skip
def test_what_helps_suits_the_data(kind: str, flag: str) -> None:
    assert flag in flags_of(record("overfit", data_kind=kind))


def test_weights_an_example_decide_on_capacity() -> None:
    assert order("overfit", data_kind="image", examples=5000, parameters=50_000)[0] == "capacity"  # 10 an example.
    assert order("overfit", data_kind="image", examples=5000, parameters=500)[-1] == "capacity"  # 0.1 an example.
    assert order("underfit", examples=5000, parameters=500)[0] == "capacity"
    assert order("underfit", examples=5000, parameters=50_000)[-1] == "capacity"
    first = record("overfit", examples=5000, parameters=50_000)["causes"][0]
    assert first["why"] == ["50,000 weights for 5,000 examples are 10 an example: the model can know each by heart."]


def test_few_examples_put_the_data_before_all_but_capacity() -> None:
    assert order("overfit", data_kind="image", examples=500)[0] == "data"
    assert order("overfit", data_kind="image", examples=500, parameters=100_000)[:2] == ["capacity", "data"]


@pytest.mark.parametrize("symptom", SYMPTOMS)
@pytest.mark.parametrize("known", [{"data_kind": "tabular"}, {"examples": 500}, {"parameters": 3_000_000}])
def test_every_input_alone_changes_the_answer(symptom: str, known: dict[str, Any]) -> None:
    before, after = record(symptom)["causes"], record(symptom, **known)["causes"]
    assert after != before


def test_an_epoch_of_few_steps_is_counted() -> None:
    found = record("underfit", examples=500)
    why = next(cause["why"] for cause in found["causes"] if cause["id"].endswith("short"))
    assert why == ["An epoch of 500 examples is only 16 steps with batches of 32."]  # 500 / 32 = 15.6


def test_flags_start_from_the_model_that_is_named() -> None:
    flags = flags_of(record("overfit", flags={"model": "mlp", "width": "40", "dropout": "0.3"}))
    assert {"--width=20", "--dropout=0.5"} <= set(flags)


def test_a_model_that_sees_the_order_is_not_suspected_of_missing_it() -> None:
    def causes(flags: dict[str, str] | None) -> list[str]:
        return [cause["id"] for cause in record("underfit", flags=flags, data_kind="text")["causes"]]

    assert "fit.underfit.cause.order" in causes(None)
    assert "fit.underfit.cause.order" in causes({"model": "linear"})
    assert "fit.underfit.cause.order" in causes({"model": "own.keras"})
    assert "fit.underfit.cause.order" not in causes({"model": "transformer"})


@pytest.mark.parametrize(("symptom", "kind"), itertools.product(SYMPTOMS, KINDS))
def test_every_flag_is_one_that_train_takes_for_such_data(symptom: str, kind: str | None) -> None:
    flags = flags_of(record(symptom, data_kind=kind, examples=500, parameters=5000))
    problem = {"speech": "series", None: "array"}.get(kind, kind)
    for flag in flags:
        name, _, value = flag.removeprefix("--").partition("=")
        tfday7.train.COMMAND.parse(["train", flag])  # A flag that it has, with a value of its type.
        for config in tfday7.train.COMMAND.settings:
            tfday7.train.COMMAND.config(config)
        if name == "augment":
            assert all(problem in AUGMENTATIONS.get(each).kinds for each in value.split(","))
        if name == "model" and value in ARCHITECTURES.names():
            assert problem in (ARCHITECTURES.get(value).kinds or (problem,))


def test_what_a_diagnosis_says_too_is_said_with_its_ids() -> None:
    used = {cause.id for causes in CAUSES.values() for cause in causes}
    for symptom, check in (("overfit", "overfit"), ("underfit", "underfit"), ("unstable", "unstable")):
        diagnosed = {name for name in table() if name.startswith(f"diagnosis.{check}.cause.")}
        assert {cause.id for cause in CAUSES[symptom]} & diagnosed
    assert {name for name in used if not name.startswith("fit.")} <= set(table())


def test_no_sentence_is_left_that_nothing_says() -> None:
    causes = [(symptom, cause) for symptom, found in CAUSES.items() for cause in found]
    remedies = [remedy for _, cause in causes for remedy in cause.remedies]
    said = {cause.id for _, cause in causes} | {remedy.id for remedy in remedies}
    said |= {f"fit.recognise.{symptom}.{cause.name}" for symptom, cause in causes}
    for place, about in enumerate(("training", "accuracy", "inference")):
        said |= {f"fit.{about}.{remedy.cost[place]}" for remedy in remedies}
    parts = re.compile(r"fit\.(why|label|\w+\.sign)\.")
    assert {name for name in table() if name.startswith("fit.") and not parts.match(name)} <= said


def test_what_contradicts_the_data_and_unknown_symptoms_are_refused() -> None:
    with pytest.raises(UserError, match="--data_kind=text contradicts"):
        advise("overfit", Situation(data_kind="text"), Situation(data_kind="image"))
    with pytest.raises(UserError, match="unknown symptom 'tired'"):
        advise("tired", Situation())

"""The advisor's answers: a specialist's table of scenarios, the playbook's budgets, and what holds for every answer."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from optimizers.scenarios import BILLION, LONG_CNN, QUESTION, SCENARIOS

from tfday7.core.errors import UserError
from tfday7.core.texts import table
from tfday7.optimizers import Advice, OptimizerConfig, Situation, advise, advisor, catalog

# What `--optimizer` takes, as the issue lists it; not the catalog, which would test itself.
NAMES = {
    "sgd", "adam", "adamw", "nadam", "rmsprop", "lamb", "adagrad", "adadelta", "adafactor", "lion", "lars", "radam",
    "lookahead", "schedule_free_adamw", "muon", "novograd", "adabelief", "yogi", "adamax", "ftrl",
}  # fmt: skip

# Optimizers that a user may have settled on, for most of which the rules never decide.
SETTLED = ("adam", "adamax", "ftrl", "lion", "radam", "schedule_free_adamw", "sgd")

# input -> (the others, its value, another one that changes the answer)
EFFECTS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "data_kind": ({"model_kind": "rnn"}, "series", "text"),
    "model_kind": ({"data_kind": "text"}, "rnn", "transformer"),
    "parameters": ({"model_kind": "transformer", "device_memory_gb": 24}, 100_000_000, 1_400_000_000),
    "batch_size": ({"model_kind": "transformer"}, 256, 8192),
    "examples": ({**LONG_CNN}, 5_000, 50_000),
    "epochs": ({**LONG_CNN}, 10, 90),
    "devices": ({"model_kind": "transformer"}, 1, 256),
    "sparse_gradients": ({"model_kind": "mlp"}, False, True),
    "fine_tuning": ({**QUESTION}, False, True),
    "device_memory_gb": ({**BILLION}, 80.0, 16.0),
    "trials": ({**QUESTION}, 5, 30),
    "goal": ({"model_kind": "cnn"}, "balanced", "fast"),
}


def _advice(**inputs: Any) -> Advice:
    return advise(Situation(**inputs))


def _answer(advice: Advice) -> dict[str, Any]:
    """Returns the advice without the inputs and the sentences, which repeat them."""
    record = advice.to_json()
    return {name: record[name] for name in ("optimizer", "runner_up", "settings")} | {
        "tune": [entry["name"] for entry in record["tune"]]
    }


def _reasons(advice: Advice) -> set[str]:
    return {reason.id for reason in advice.reasons}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_gets_the_answer_of_a_specialist(name: str) -> None:
    inputs, optimizer, runner_up, settings, reasons = SCENARIOS[name]
    advice = _advice(**inputs)
    assert (advice.optimizer, advice.runner_up) == (optimizer, runner_up)
    assert {key: advice.settings[key] for key in settings} == settings
    assert reasons <= _reasons(advice)


def test_there_are_at_least_twenty_scenarios() -> None:
    assert len(SCENARIOS) >= 20


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Situation)])
def test_every_input_alone_changes_the_answer_with_a_reason_that_names_it(field: str) -> None:
    others, value, changed = EFFECTS[field]
    before, after = (_advice(**{**others, field: each}) for each in (value, changed))
    assert _answer(before) != _answer(after)
    for lang in ("en", "zh"):
        named = {
            reason["text"]
            for record in (before.to_json(lang), after.to_json(lang))
            for reason in record["reasons"]
            if f"--{field}={str(record['inputs'][field]).removesuffix('.0').lower()}" in reason["text"]
        }
        assert named - {reason["text"] for reason in before.to_json(lang)["reasons"]}, "the reason is the change's own"


def test_the_question_of_a_large_transformer_is_answered_as_a_specialist_would() -> None:
    advice = _advice(**QUESTION)
    settings = advice.settings
    assert advice.optimizer == "adamw"
    assert 1e-4 <= settings["learning_rate"] <= 3e-4
    assert 0.95 <= settings["beta_2"] <= 0.999
    assert 0.01 <= settings["weight_decay"] <= 0.1
    assert settings["schedule"] in ("cosine", "linear")
    assert settings["warmup_steps"] > 0
    assert settings["global_clipnorm"] == 1.0
    assert advice.runner_up in ("lamb", "schedule_free_adamw", "muon", "nadam")
    assert [entry.name for entry in advice.tune[:4]] == ["learning_rate", "warmup_steps", "weight_decay", "beta_1"]


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (0, []),
        (9, ["learning_rate"]),
        (10, ["learning_rate", "beta_1"]),
        (24, ["learning_rate", "beta_1"]),
        (25, ["learning_rate", "warmup_steps", "weight_decay", "beta_1", "epsilon"]),
        (100, ["learning_rate", "warmup_steps", "weight_decay", "beta_1", "epsilon", "beta_2"]),
    ],
)
def test_the_budget_decides_what_is_tuned_as_in_the_playbook(trials: int, expected: list[str]) -> None:
    advice = _advice(**QUESTION, trials=trials)
    assert [(entry.order, entry.name) for entry in advice.tune] == list(enumerate(expected, start=1))


@pytest.mark.parametrize(
    ("memory_gb", "optimizer"),
    [
        (20.0, "adamw"),  # 4 + 4 + 2 * 4 bytes a weight: 16 GB, just the four fifths of 20.
        (19.9, "lion"),
        (15.0, "lion"),  # 4 + 4 + 4 bytes: 12 GB.
        (14.9, "adafactor"),
    ],
)
def test_memory_is_counted_by_weights_gradients_and_slots(memory_gb: float, optimizer: str) -> None:
    assert _advice(**BILLION, device_memory_gb=memory_gb).optimizer == optimizer


@pytest.mark.parametrize(("batch", "rate"), [(256, 0.1), (512, 0.2), (1024, 0.4)])
def test_sgd_scales_its_rate_with_the_batch(batch: int, rate: float) -> None:
    assert _advice(**{**LONG_CNN, "batch_size": batch}).settings["learning_rate"] == rate


@pytest.mark.parametrize(("batch", "rate"), [(8, 1e-3), (32, 1e-3), (128, 2e-3), (512, 4e-3), (2048, 4e-3)])
def test_adam_scales_its_rate_with_the_square_root_within_limits(batch: int, rate: float) -> None:
    assert _advice(model_kind="mlp", batch_size=batch).settings["learning_rate"] == rate


@pytest.mark.parametrize("optimizer", sorted(catalog.OPTIMIZERS))
@pytest.mark.parametrize("kind", [{**QUESTION}, {"model_kind": "cnn", "parameters": 300_000, "batch_size": 64}])
def test_trained_weights_get_a_small_rate_whatever_the_optimizer(optimizer: str, kind: dict[str, Any]) -> None:
    plain, fine = (advise(Situation(**kind, fine_tuning=fine), optimizer=optimizer) for fine in (False, True))
    assert fine.settings["learning_rate"] <= 0.31 * plain.settings["learning_rate"]
    (why,) = (reason for reason in fine.to_json()["reasons"] if reason["id"].startswith("rate_fine_tuning"))
    assert "--fine_tuning=true" in why["text"]


@pytest.mark.parametrize(
    ("optimizer", "rule", "ratio"),
    [
        ("lookahead", "adam", 1), ("tfa_lamb", "lamb", 1), ("tfa_radam", "radam", 1), ("tfa_adabelief", "adabelief", 1),
        ("tfa_novograd", "novograd", 1), ("tfa_yogi", "yogi", 1), ("muon", "adamw", 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inputs", [BILLION, LONG_CNN, {"model_kind": "mlp", "fine_tuning": True}])
def test_a_rate_is_that_of_the_rule(optimizer: str, rule: str, ratio: float, inputs: dict[str, Any]) -> None:
    mine, other = (advise(Situation(**inputs), optimizer=name).settings["learning_rate"] for name in (optimizer, rule))
    assert mine == pytest.approx(ratio * other, rel=0.05)  # Both have two digits.


@pytest.mark.parametrize("inputs", [scenario[0] for scenario in SCENARIOS.values()], ids=list(SCENARIOS))
def test_advice_is_the_same_where_the_batch_that_it_assumes_is_given(inputs: dict[str, Any]) -> None:
    assumed = _advice(**inputs)
    given = Situation(**{**inputs, "batch_size": assumed.settings["batch_size"]})
    assert advise(given).settings == assumed.settings
    config, _ = advisor.resolve(OptimizerConfig(optimizer="auto"), given)
    kept = {name: value for name, value in assumed.settings.items() if hasattr(config, name)}
    assert {name: getattr(config, name) for name in kept} == kept
    assert config.optimizer == assumed.optimizer


def test_a_warm_up_is_six_hundredths_of_a_transformers_run_and_at_most_4000_steps() -> None:
    short = _advice(model_kind="transformer", batch_size=100, examples=10_000, epochs=10)
    assert short.settings["warmup_steps"] == 0.06 * 10 * (10_000 // 100)
    long = _advice(model_kind="transformer", batch_size=100, examples=10_000_000, epochs=10)
    assert long.settings["warmup_steps"] == 4000


def test_lion_takes_a_smaller_rate_and_a_larger_decay_than_adamw() -> None:
    adamw, lion = _advice(**BILLION), _advice(**BILLION, device_memory_gb=16)
    assert 3 <= adamw.settings["learning_rate"] / lion.settings["learning_rate"] <= 10
    assert 3 <= lion.settings["weight_decay"] / adamw.settings["weight_decay"] <= 10


def test_exploding_gradients_are_met_in_the_playbooks_order() -> None:
    sign = next(sign for sign in _advice(**QUESTION).to_json()["watch"] if sign["id"] == "explode")
    assert [flag.partition("=")[0] for flag in sign["flags"]] == [
        "--warmup_steps", "--global_clipnorm", "--optimizer", "--learning_rate",
    ]  # fmt: skip
    assert "90th percentile" in sign["action"]
    assert sign["flags"][-1] == "--learning_rate=1e-05"


def _every_kind_of_situation() -> list[dict[str, Any]]:
    """Returns 1,000 situations drawn from all combinations."""
    values: dict[str, list[Any]] = {
        "data_kind": [None, "text", "tabular", "series"],
        "model_kind": ["cnn", "rnn", "transformer", "mlp", "embedding"],
        "parameters": [None, 50_000, 300_000_000, 1_500_000_000],
        "batch_size": [None, 64, 2048, 16_384],
        "examples": [None, 20_000, 1_000_000],
        "epochs": [None, 0, 1, 90],
        "devices": [None, 4],
        "sparse_gradients": [None, None, True, False],
        "fine_tuning": [None, None, True],
        "device_memory_gb": [None, None, None, 4.0, 24.0],
        "trials": [None, 0, 5, 12, 30, 100],
        "goal": [None, "fast", "accurate"],
    }
    generator = random.Random(0)
    return [{name: generator.choice(each) for name, each in values.items()} for _ in range(1000)]


def test_what_holds_for_every_answer() -> None:
    """Also shows that every sentence of the table is said somewhere, in both languages."""
    said: set[str] = set()
    for number, inputs in enumerate(_every_kind_of_situation()):
        advice = advise(Situation(**inputs), optimizer=SETTLED[number % 20] if number % 20 < len(SETTLED) else "")
        _check_settings(advice)
        _check_tune(advice)
        for lang in ("en", "zh"):
            record = advice.to_json(lang)
            assert json.loads(json.dumps(record, allow_nan=False)) == record
            for reason in record["reasons"]:
                assert all(f"--{name}=" in reason["text"] for name in reason["inputs"]), reason
                assert reason["source"]
        said |= {f"advice.reason.{reason.id}" for reason in advice.reasons}
        said |= {f"advice.watch.{sign.id}.{part}" for sign in advice.watch for part in ("sign", "action")}
        said |= {f"advice.tune.{entry.name}" for entry in advice.tune}
    parts = ("advice.reason.", "advice.watch.", "advice.tune.")
    assert said == {identifier for identifier in table() if identifier.startswith(parts)}


def _check_settings(advice: Advice) -> None:
    settings, inputs = advice.settings, advice.inputs
    assert {advice.optimizer, advice.runner_up} <= NAMES
    assert advice.optimizer != advice.runner_up
    assert 0 < settings["learning_rate"] <= {"sgd": 6.4, "lars": 19.2, "adadelta": 1.0}.get(advice.optimizer, 0.3)
    assert "beta_2" not in settings or 0.9 <= settings["beta_2"] < 1
    if inputs["examples"] and inputs["epochs"]:
        steps = -(-inputs["examples"] // inputs["batch_size"]) * inputs["epochs"]
        assert settings["warmup_steps"] < steps
    fields = {field.name for field in dataclasses.fields(OptimizerConfig)}
    config = OptimizerConfig(
        optimizer=advice.optimizer, **{name: value for name, value in settings.items() if name in fields}
    )
    if config.optimizer in catalog.OPTIMIZERS:
        advisor.check(config)


def _check_tune(advice: Advice) -> None:
    assert [entry.order for entry in advice.tune] == list(range(1, len(advice.tune) + 1))
    if advice.tune:
        assert advice.tune[0].name == "learning_rate"
    for entry in advice.tune:
        start = advice.settings.get(entry.name)
        if entry.scale == "choice":
            assert len(set(entry.range)) > 2
        else:
            low, high = entry.range
            assert 0 < low < high
            assert start is None or low <= start <= high


def test_every_source_names_a_paper_a_guide_or_a_measurement() -> None:
    from tfday7.optimizers import advice_sources

    for name, source in vars(advice_sources).items():
        if name.isupper():
            marks = ("arXiv:", "JMLR", "Playbook", "ICLR", "lecture", advice_sources.MEASURED)
            assert any(mark in source for mark in marks), name


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "neither --model_kind nor --data_kind is given"),
        ({"model_kind": "gan"}, "--model_kind=gan: expected one of cnn, rnn"),
        ({"model_kind": "cnn", "parameters": 0}, "--parameters=0"),
        ({"model_kind": "cnn", "goal": "cheap"}, "--goal=cheap"),
        ({"model_kind": "cnn", "batch_size": 64, "examples": 10}, "--batch_size=64 is more than --examples=10"),
        ({"model_kind": "cnn", "batch_size": 4, "devices": 8}, "--devices=8 is more than --batch_size=4"),
        ({"model_kind": "cnn", "examples": 4, "devices": 8}, "--devices=8 is more than --batch_size=4"),
    ],
)
def test_what_cannot_be_is_refused_naming_the_flags(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        _advice(**inputs)
    assert caught.value.hint


def test_what_was_found_fills_in_and_must_agree_with_what_was_given() -> None:
    found = Situation(model_kind="cnn", examples=1245)
    advice = advise(Situation(epochs=30), found)
    assert advice.origins["model_kind"] == "found"
    assert advice.origins["epochs"] == "given"
    assert advice.origins["batch_size"] == "assumed"
    assert advise(Situation(examples=1245), found).origins["examples"] == "given"
    with pytest.raises(UserError, match="--examples=1000 contradicts the data or the model, for which it is 1245"):
        advise(Situation(examples=1000), found)


def test_auto_settles_every_setting_that_is_open_and_leaves_the_others() -> None:
    found = Situation(**SCENARIOS["tiny transformer, short run"][0])
    config, reasons = advisor.resolve(OptimizerConfig(optimizer="auto", weight_decay=0.0), found)
    assert (config.optimizer, config.learning_rate, config.warmup_steps) == ("adamw", 6.8e-4, 65)
    assert config.weight_decay == 0.0
    assert {"id", "text", "source", "inputs"} == set(reasons[0])
    given, why = advisor.resolve(OptimizerConfig(optimizer="auto", learning_rate=0.02, schedule="linear"), found)
    assert (given.learning_rate, given.schedule) == (0.02, "linear")
    assert {"transformer", "warmup", "decay_small"} <= {reason["id"] for reason in why}
    assert not [reason["id"] for reason in why if reason["id"].startswith(("rate", "schedule", "patience", "budget"))]


@pytest.mark.parametrize(
    ("given", "found", "left_out"),
    [
        ({"clipnorm": 1.0}, {"data_kind": "text", "model_kind": "transformer"}, "global_clipnorm"),
        ({"clipvalue": 0.5}, {"data_kind": "series", "model_kind": "rnn"}, "global_clipnorm"),
        ({"momentum": 0.0}, LONG_CNN, "nesterov"),
    ],
)
def test_auto_leaves_out_what_would_contradict_a_setting_that_was_given(
    given: dict[str, float], found: dict[str, Any], left_out: str
) -> None:
    assert left_out in _advice(**found).settings
    config, reasons = advisor.resolve(OptimizerConfig(optimizer="auto", **given), Situation(**found))
    name, value = next(iter(given.items()))
    assert getattr(config, name) == value
    assert getattr(config, left_out) is None
    assert not [reason["id"] for reason in reasons if reason["id"].startswith(("clip", "momentum"))]


def test_an_auto_rate_is_for_the_optimizer_that_was_named_and_changes_nothing_else() -> None:
    found = Situation(model_kind="cnn", batch_size=512)
    config, reasons = advisor.resolve(OptimizerConfig(optimizer="sgd", learning_rate="auto"), found)
    assert config == OptimizerConfig(optimizer="sgd", learning_rate=0.2)
    assert {reason["id"] for reason in reasons} == {"settled", "rate_linear"}


def test_a_config_without_auto_is_left_as_it_is() -> None:
    config = OptimizerConfig(learning_rate=0.01)
    assert advisor.resolve(config, Situation()) == (config, [])
    assert not advisor.is_auto(config)


def test_auto_that_was_not_settled_is_refused_where_an_optimizer_is_built() -> None:
    for config in (OptimizerConfig(optimizer="auto"), OptimizerConfig(learning_rate="auto")):
        with pytest.raises(UserError, match="auto and find are not settled"):
            catalog.build(config, 10, None)


def test_what_was_settled_can_be_read_back_from_its_record() -> None:
    config, reasons = advisor.resolve(OptimizerConfig(optimizer="auto"), Situation(model_kind="mlp"))
    record = json.loads(json.dumps(advisor.to_record(config, reasons)))
    assert record["name"] == "adam"
    assert advisor.from_record(record) == (config, reasons)
    with pytest.raises(UserError, match=r"run\.json"):
        advisor.from_record({"name": "adam", "rate": 1})


def test_the_flags_of_an_answer_are_those_of_its_settings() -> None:
    advice = _advice(**LONG_CNN)
    assert {"--optimizer=sgd", "--nesterov=true", "--learning_rate=0.05", "--epochs=90"} <= set(advice.flags())


def test_modules_of_the_advisor_say_each_id_that_the_table_has() -> None:
    folder = Path(advisor.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("advisor*.py"))
    ids = {name.split(".")[2] for name in table() if name.startswith(("advice.reason.", "advice.watch."))}
    assert not [name for name in ids if f'"{name}"' not in code]

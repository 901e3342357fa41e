"""The choice of a plan: rules, properties that hold for all questions, and flags that the toolkit takes."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.distribution.advising import memory
from tfday7.distribution.advising.advice import advise, describe
from tfday7.distribution.advising.hardware import Case, Hardware, case
from tfday7.distribution.advising.memory import Layout
from tfday7.distribution.advising.plans import Plans, plans
from tfday7.distribution.config import MOST_STEPS, DistributionConfig
from tfday7.distribution.mesh.axes import check_batch_size, check_devices, parse
from tfday7.optimizers.situation import Situation

MILLION, BILLION = 10**6, 10**9


def asked(parameters: int, devices: int = 1, batch_size: int | None = None, **more: Any) -> Case:
    situation = Situation(
        parameters=parameters, devices=devices, batch_size=batch_size,
        device_memory_gb=more.pop("device_memory_gb", None), model_kind=more.pop("model_kind", None),
    )  # fmt: skip
    hardware = Hardware(**{"accelerator": "a100_80", "precision": "mixed_bfloat16", **more})
    return case(hardware, situation) if "layers" in more else advise(hardware, situation).case


def found(given: Case) -> Plans:
    return plans(given, describe(given))


@pytest.mark.parametrize(
    ("parameters", "devices", "name"),
    [
        (300 * MILLION, 1, "one_device"),
        (300 * MILLION, 8, "mirrored"),
        (300 * MILLION, 16, "multiworker"),
        (7 * BILLION, 4, "model_parallel model:4"),
        (7 * BILLION, 8, "hybrid batch:2,model:4"),
        (7 * BILLION, 16, "hybrid batch:4,model:4"),
    ],
)
def test_data_parallel_while_a_copy_fits_and_then_the_fewest_parts(parameters: int, devices: int, name: str) -> None:
    chosen = found(asked(parameters, devices)).chosen
    assert chosen is not None
    assert chosen.name == name


def test_fewer_parts_than_the_chosen_ones_do_not_fit() -> None:
    all_plans = found(asked(7 * BILLION, 8))
    assert [(plan.parts, plan.fits) for plan in all_plans.candidates] == [
        (1, False), (1, False), (2, False), (4, True), (8, True),
    ]  # fmt: skip


def test_nothing_is_chosen_where_nothing_fits() -> None:
    all_plans = found(asked(100 * BILLION, 8))
    assert all_plans.chosen is None
    assert not any(plan.fits for plan in all_plans.candidates)


def test_a_replica_is_not_split_over_machines() -> None:
    all_plans = found(asked(7 * BILLION, 16, devices_per_machine=2))
    assert {plan.parts for plan in all_plans.candidates} == {1, 2}
    assert all_plans.chosen is None


def test_tpus_hold_whole_copies() -> None:
    all_plans = found(asked(300 * MILLION, 8, accelerator="tpu_v4"))
    assert all_plans.chosen is not None
    assert all_plans.chosen.name == "tpu"
    assert {out.sentence for out in all_plans.left_out} == {"tpu"}


def test_an_optimizer_that_no_mesh_takes_is_left_out_of_divided_plans() -> None:
    all_plans = found(asked(7 * BILLION, 8, optimizer="rmsprop"))
    assert {out.sentence for out in all_plans.left_out} == {"optimizer"}
    assert all_plans.chosen is None


def test_a_mesh_that_would_refuse_float16_is_not_advised() -> None:
    all_plans = found(asked(1500 * MILLION, 4, precision="mixed_float16", accelerator="t4"))
    assert {out.sentence for out in all_plans.left_out} == {"float16"}
    assert all(plan.parts == 1 for plan in all_plans.candidates)


def test_no_plan_has_more_micro_batches_than_training_takes() -> None:
    all_plans = found(
        asked(300 * MILLION, batch_size=1024, accelerator=None, device_memory_gb=20.3, sequence_length=2048)
    )
    assert {plan.accumulate_steps for plan in all_plans.candidates} <= {2**power for power in range(9)}
    assert max(plan.accumulate_steps for plan in all_plans.candidates) == MOST_STEPS


def test_heads_that_cannot_be_shared_out_are_a_reason() -> None:
    given = asked(12 * 6 * 768**2, 8, layers=6, hidden_size=768, attention_heads=12, sequence_length=64)
    all_plans = found(given)
    assert [(out.name, out.sentence) for out in all_plans.left_out] == [("model_parallel model:8", "heads")]


def test_a_batch_that_copies_cannot_share_is_a_reason_and_without_any_plan_a_mistake() -> None:
    all_plans = found(asked(300 * MILLION, 8, batch_size=20))
    assert [out.sentence for out in all_plans.left_out] == ["batch"]
    assert all_plans.chosen is not None
    assert all_plans.chosen.name == "hybrid batch:4,model:2"
    with pytest.raises(UserError, match="--batch_size=20 cannot be shared by --devices=8") as caught:
        found(asked(300 * MILLION, 8, batch_size=20, accelerator="tpu_v4"))
    assert caught.value.hint == "--batch_size=16 or 24 can"


def test_micro_batches_are_the_largest_that_fit() -> None:
    given = asked(300 * MILLION, 1, batch_size=512, device_memory_gb=16.0)
    workload = describe(given)
    chosen = plans(given, workload).chosen
    assert chosen is not None
    assert chosen.accumulate_steps > 1
    assert chosen.accumulate_steps * chosen.micro_batch == 512

    def fits(steps: int) -> bool:
        own = memory.of(workload, Layout(workload.weights), "adam", True, 512 // steps, 1, accumulates=steps > 1)
        return own.total <= 0.9 * 16e9

    fewer = [steps for steps in range(1, chosen.accumulate_steps) if 512 % steps == 0]
    assert fewer
    assert fits(chosen.accumulate_steps)
    assert not any(fits(steps) for steps in fewer)


def test_memory_is_the_arithmetic_of_its_parts() -> None:
    count = 12 * 2 * 64**2 + 640
    given = asked(count, 1, batch_size=4, layers=2, hidden_size=64, attention_heads=4, sequence_length=8)
    workload = describe(given)
    own = memory.of(workload, Layout(workload.weights), "adam", True, 4, 1, accumulates=True)
    assert own.weights == own.gradients == own.accumulated == 4 * count
    assert own.casts == 2 * 12 * 2 * 64**2
    assert own.optimizer == 8 * count + 8
    assert own.activations == 4 * 2 * 8 * 64 * (34 + 5 * 4 * 8 / 64)
    parts = (own.weights, own.casts, own.gradients, own.accumulated, own.optimizer, own.activations)
    assert own.total == sum(parts)


questions = st.fixed_dictionaries(
    {
        "parameters": st.integers(10**4, 10**11),
        "devices": st.sampled_from([1, 2, 3, 4, 6, 8, 16, 24, 64]),
        "share": st.integers(1, 64),
        "accelerator": st.sampled_from(["a100_80", "t4", "l4", "tpu_v5e"]),
        "optimizer": st.sampled_from(["adam", "sgd", "adafactor", "lion", "lookahead", "muon"]),
        "precision": st.sampled_from(["float32", None]),
        "sequence_length": st.sampled_from([32, 512, 4096]),
    }
)


@hypothesis.settings(max_examples=60)
@hypothesis.given(questions)
def test_what_is_recommended_is_what_the_toolkit_takes(question: dict[str, Any]) -> None:
    devices, share = question.pop("devices"), question.pop("share")
    situation = Situation(parameters=question.pop("parameters"), devices=devices, batch_size=devices * share)
    per_machine = devices if devices < 8 else 8
    record = advise(Hardware(**question, devices_per_machine=per_machine, network_gb_per_s=None), situation)
    for plan in record.plans.candidates:
        assert plan.times.efficiency is None or 0 < plan.times.efficiency <= 1
        assert plan.speedup is None or plan.speedup <= plan.devices
        assert plan.devices in (1, devices)
        assert plan.replicas * plan.accumulate_steps * plan.micro_batch == devices * share
    plan_ = record.plans.chosen
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in record.flags())
    assert bool(flags) == (plan_ is not None)
    if plan_ is None:
        return
    config = DistributionConfig(strategy=flags["strategy"], mesh=flags.get("mesh", ""))
    assert int(flags["batch_size"]) % (plan_.replicas * int(flags.get("accumulate_steps", 1))) == 0
    if config.mesh:
        axes = parse(config.mesh, config.strategy)
        check_devices(axes, devices)
        check_batch_size(axes, int(flags["batch_size"]), int(flags.get("accumulate_steps", 1)))
    else:
        assert config.strategy in ("one_device", "mirrored", "multiworker", "tpu")


@hypothesis.given(st.integers(10**5, 10**11), st.integers(1, 64), st.sampled_from(["adam", "adafactor", "muon"]))
def test_more_parts_never_take_more_memory_on_a_device(parameters: int, examples: int, optimizer: str) -> None:
    workload = describe(asked(parameters))
    totals = []
    for parts in (1, 2, 4, 8, 16):
        layout = workload.on(parts)
        if isinstance(layout, Layout):
            totals.append(memory.of(workload, layout, optimizer, True, examples, parts, accumulates=False).total)
    assert totals == sorted(totals, reverse=True)

"""Everything that training needs, made from a plan: data, devices, the model on them, and a settled optimizer.

Every process of a group does this alike; nothing is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfday7.data.dataset import Dataset
from tfday7.distribution import agreement, checking
from tfday7.distribution.cluster import Cluster
from tfday7.distribution.devices import ONE_DEVICE, Devices, open_devices
from tfday7.planning import Plan, Say, load
from tfday7.tuning import settling
from tfday7.tuning.settling import Settled


def prepare(
    plan: Plan, group: Cluster | None, before: Mapping[str, Any], say: Say
) -> tuple[Plan, Dataset, Devices, Any, Settled]:
    """Returns everything that training needs; every process of a group does the same, and writes nothing."""
    first = group is not None or plan.distribution.virtual_devices  # Some sources of data use TensorFlow.
    devices = open_devices(plan.distribution, group) if first else ONE_DEVICE
    dataset = load(plan, say)
    devices = devices if first else open_devices(plan.distribution)
    checking.check_batch(plan.training.batch_size, devices.replicas, plan.training.accumulate_steps)
    if not devices.is_plain:
        say(f"devices: {devices.name}, {devices.describe()}")
    model = build(plan, dataset, say, devices)
    if devices.axes is not None:
        say("\n".join(model.device_plan.rows(batch_size=plan.training.batch_size)))
    with agreement.loss_of_workers(model):
        plan = _fit_into_memory(plan, devices, model, before, say)
        plan, settled = settle(plan, dataset, model, say, before, devices)
    return plan, dataset, devices, model, settled


def _fit_into_memory(plan: Plan, devices: Devices, model: Any, before: Mapping[str, Any], say: Say) -> Plan:
    """Returns the plan with as many accumulation steps as memory asks for, where it leaves them open.

    A run that goes on keeps what it began with; in a group of processes the chief's memory decides.
    """
    if plan.training.micro_batch_size != "auto":
        return plan
    from tfday7.training import micro_batches

    steps = before.get("distribution", {}).get("accumulate_steps", 0)
    if not steps and devices.is_chief:
        local = devices.replicas // (len(devices.cluster.workers) if devices.cluster else 1)
        share = micro_batches.budget(local)
        steps = micro_batches.fewest_steps(model, plan.training.batch_size, devices.replicas, share)
    steps = agreement.from_chief(model, steps)
    checking.check_batch(plan.training.batch_size, devices.replicas, steps)
    say(f"micro-batches: {plan.training.batch_size // (devices.replicas * steps)} examples, {steps} accumulation steps")
    return dataclasses.replace(plan, training=dataclasses.replace(plan.training, accumulate_steps=steps))


def build(plan: Plan, dataset: Dataset, say: Say, devices: Devices = ONE_DEVICE) -> Any:
    """Returns the model of a plan on these devices, untrained, and says how large it is. Raises UserError."""
    from tfday7.models import building

    config, training = plan.model, plan.training
    model = devices.place(lambda: building.build(config, dataset.problem, training.precision, training.seed))
    if plan.training.adaptive_regularization:
        from tfday7.training.callbacks import adaptive_regularization

        adaptive_regularization.check_model(model)
    say(f"model: {model.name}, {model.count_params():,} parameters")
    return model


def settle(
    plan: Plan, dataset: Dataset, model: Any, say: Say, before: Mapping[str, Any], devices: Devices = ONE_DEVICE
) -> tuple[Plan, Settled]:
    """Returns the plan with an optimizer of which nothing is left open, and how that came; `before` is run.json.

    It is found on one device, and in a group of processes by the chief.
    """
    from tfday7.optimizers import advisor

    if not settling.is_open(plan.optimizer):
        return plan, settling.settle(plan.optimizer, dataset, model, (plan.model, plan.training), before)
    settled = Settled(plan.optimizer)
    if devices.is_chief:
        own = model if devices.is_plain else build(plan, dataset, lambda sentence: None)
        settled = settling.settle(plan.optimizer, dataset, own, (plan.model, plan.training), before)
    settled = settling.agreed(settled, model)
    checking.check_on_a_mesh(plan.distribution, settled.config, plan.training.precision)
    if devices.is_chief:
        how = "range test" if settled.range_test else "auto"
        say(f"optimizer: {' '.join(advisor.flags(settled.config))} ({how}; run.json has the reasons)")
    return dataclasses.replace(plan, optimizer=settled.config), settled


def twin(plan: Plan, dataset: Dataset) -> Any:
    """Returns the model once more, on one device and compiled."""
    from tfday7.training.fitting import compile_model

    twin = build(plan, dataset, lambda sentence: None)
    compile_model(twin, dataset, plan.optimizer, plan.training)
    return twin

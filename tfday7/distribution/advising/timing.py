"""How long a step takes, as an estimate: arithmetic over rates, and what devices send each other over links.

A ring all-reduce of n devices sends 2 (n - 1) / n times the bytes through every link (Patarasuk & Yuan, 2009, JPDC 69).
Nothing that is sent counts as hidden behind arithmetic, and no message takes time of its own.
"""

from __future__ import annotations

import dataclasses

from tfday7.distribution.advising import weights as shapes
from tfday7.distribution.advising.hardware import Case
from tfday7.distribution.advising.memory import Layout, Workload

GIGA, TERA = 1e9, 1e12
FLOPS_PER_WEIGHT = 6  # For one word: 2 forward, 4 backward (Kaplan et al., 2020, arXiv:2001.08361, section 2.1).


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of one optimizer step; None where a rate or a link is not known.

    Attributes:
        compute: arithmetic of one device.
        data_parallel: all-reduce of gradients between replicas.
        tensor_parallel: all-reduces of activations inside a replica.
    """

    compute: float | None
    data_parallel: float | None
    tensor_parallel: float | None

    @property
    def step(self) -> float | None:
        """All of it, one after the other."""
        parts = (self.compute, self.data_parallel, self.tensor_parallel)
        return None if None in parts else sum(part for part in parts if part is not None)

    @property
    def efficiency(self) -> float | None:
        """The share of a step that is arithmetic, at most 1."""
        return None if self.step is None or self.compute is None else self.compute / self.step


def ring_seconds(size_bytes: float, devices: int, gb_per_s: float | None) -> float | None:
    """Returns the time of a ring all-reduce; 0 for one device, None where the link is not known."""
    if devices == 1:
        return 0.0
    return None if gb_per_s is None else 2 * (devices - 1) / devices * size_bytes / (gb_per_s * GIGA)


def of(case: Case, workload: Workload, layout: Layout, replicas: int, parts: int, steps: int) -> Times:
    """Returns the times of a step.

    Args:
        case: rates, links and the batch.
        workload: the model.
        layout: how it lies on the devices of a replica.
        replicas: copies of the model that share the batch.
        parts: devices of one machine that each copy is split over.
        steps: micro-batches.
    """
    examples = case.batch_size / replicas
    exchanged = layout.example_bytes * examples + layout.step_bytes * steps
    gradients = shapes.gradient_bytes(layout.weights)
    return Times(
        compute=_compute(case, workload, examples, parts),
        data_parallel=ring_seconds(gradients, replicas, _ring_link(case, replicas, parts)),
        tensor_parallel=ring_seconds(exchanged, parts, case.link_gb_per_s),
    )


def _compute(case: Case, workload: Workload, examples: float, parts: int) -> float | None:
    if workload.example_flops is None or case.device_tflops is None:
        return None
    return workload.example_flops * examples / parts / (case.device_tflops * TERA * case.utilization)


def _ring_link(case: Case, replicas: int, parts: int) -> float | None:
    """Returns the slowest link of a ring of replicas; all rings of a machine share its network."""
    if replicas * parts <= case.devices_per_machine:
        return case.link_gb_per_s
    if case.network_gb_per_s is None:
        return None
    network = case.network_gb_per_s / parts
    if case.devices_per_machine == parts:  # One replica a machine: the ring only crosses the network.
        return network
    return None if case.link_gb_per_s is None else min(case.link_gb_per_s, network)

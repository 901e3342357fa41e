"""Times of a step against arithmetic by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.distribution.advising import timing
from tfday7.distribution.advising.advice import describe
from tfday7.distribution.advising.hardware import Case, Hardware, case
from tfday7.distribution.advising.memory import Layout
from tfday7.optimizers.situation import Situation

PARAMETERS = 12 * 2 * 64**2 + 64 * 10  # Two layers of 64 units, and a table of ten words.


def asked(devices: int, batch_size: int = 32, **more: Any) -> Case:
    known = {
        "layers": 2, "hidden_size": 64, "attention_heads": 4, "sequence_length": 8, "device_tflops": 10.0,
        "utilization": 0.5, "link_gb_per_s": 2.0,
    }  # fmt: skip
    situation = Situation(parameters=PARAMETERS, devices=devices, batch_size=batch_size, device_memory_gb=1.0)
    return case(Hardware(**{**known, **more}), situation)


def times(given: Case, replicas: int, parts: int) -> timing.Times:
    workload = describe(given)
    layout = workload.on(parts)
    assert isinstance(layout, Layout)
    return timing.of(given, workload, layout, replicas, parts, 1)


def test_a_ring_of_four_sends_one_and_a_half_times_the_bytes() -> None:
    assert timing.ring_seconds(3e9, 4, 2.0) == 2 * 3 / 4 * 3e9 / 2e9 == 2.25
    assert timing.ring_seconds(3e9, 1, None) == 0
    assert timing.ring_seconds(3e9, 2, None) is None


def test_compute_is_six_operations_for_each_weight_and_word() -> None:
    words = 32 * 8
    assert times(asked(1), 1, 1).compute == pytest.approx(6 * PARAMETERS * words / (10e12 * 0.5))
    assert times(asked(4), 4, 1).compute == pytest.approx(6 * PARAMETERS * words / 4 / (10e12 * 0.5))
    assert times(asked(4), 2, 2).compute == times(asked(4), 4, 1).compute


def test_replicas_send_float32_gradients_once() -> None:
    found = times(asked(4), 4, 1)
    assert found.data_parallel == pytest.approx(2 * 3 / 4 * 4 * PARAMETERS / 2e9)
    assert found.tensor_parallel == 0
    assert found.step == pytest.approx((found.compute or 0) + (found.data_parallel or 0))


@pytest.mark.parametrize(("precision", "number_bytes"), [("float32", 4), ("mixed_bfloat16", 2)])
def test_parts_send_four_activations_a_layer(precision: str, number_bytes: int) -> None:
    found = times(asked(4, precision=precision), 1, 4)
    each = 32 * 8 * 64 * number_bytes  # b s h.
    assert found.tensor_parallel == pytest.approx(2 * 4 * (2 * 3 / 4 * each / 2e9))
    assert found.data_parallel == 0


def test_replicas_of_parts_send_the_gradients_of_their_share() -> None:
    found = times(asked(4), 2, 2)
    share = 12 * 2 * 64**2 // 2 + 64 * 5  # Matrices and table in halves.
    assert found.data_parallel == pytest.approx(2 * 1 / 2 * 4 * share / 2e9)
    assert found.tensor_parallel == pytest.approx(2 * 4 * (2 * 1 / 2 * (16 * 8 * 64 * 4) / 2e9))


def test_the_slowest_link_counts_and_rings_share_the_network() -> None:
    two_machines: dict[str, Any] = {"devices_per_machine": 2, "network_gb_per_s": 0.5}
    assert times(asked(4, **two_machines), 4, 1).data_parallel == pytest.approx(2 * 3 / 4 * 4 * PARAMETERS / 0.5e9)
    share = 12 * 2 * 64**2 // 2 + 64 * 5
    found = times(asked(4, **two_machines), 2, 2).data_parallel
    assert found == pytest.approx(2 * 1 / 2 * 4 * share / (0.5e9 / 2))  # Two rings on each machine's network.
    fast: dict[str, Any] = {"devices_per_machine": 2, "network_gb_per_s": 100.0}
    assert times(asked(4, **fast), 4, 1).data_parallel == pytest.approx(2 * 3 / 4 * 4 * PARAMETERS / 2e9)


def test_what_is_not_known_stays_unknown() -> None:
    no_network = times(asked(4, devices_per_machine=2), 4, 1)
    assert (no_network.data_parallel, no_network.step, no_network.efficiency) == (None, None, None)
    assert times(asked(4, link_gb_per_s=None), 1, 4).tensor_parallel is None
    assert times(asked(1, device_tflops=None), 1, 1).compute is None


def test_efficiency_is_the_share_of_compute() -> None:
    assert timing.Times(3.0, 0.5, 0.5).efficiency == 0.75
    assert timing.Times(3.0, 0.0, 0.0).efficiency == 1.0

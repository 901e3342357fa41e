"""Which LiteRT and which Android a file's operators ask for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from deploying.made_bundles import convert, dense

from tfday7.deploying.android.versions import NEWER, OLDER, requirements
from tfday7.exporting import tflite_file
from tfday7.exporting.tflite_contents import Operator, Summary


@pytest.fixture(scope="module")
def summary() -> Summary:
    """A dense float32 file: FULLY_CONNECTED 1 and TANH 1."""
    return tflite_file.read(convert(dense(4, 3), np.zeros((1, 4), np.float32)))


def test_the_operators_releases_decide(summary: Summary) -> None:
    """TensorFlow's table of releases: FULLY_CONNECTED version 1 came with 1.5.0, TANH version 1 with 1.14.0."""
    needed = requirements(summary)
    assert {(operator.name, operator.version) for operator in needed.operators} == {
        ("FULLY_CONNECTED", 1),
        ("TANH", 1),
    }
    assert needed.min_runtime_version == "1.14.0"
    assert needed.release == OLDER
    assert needed.dependencies() == ["com.google.ai.edge.litert:litert:1.4.2"]
    assert needed.notes() == []


@pytest.mark.parametrize(
    ("said", "release"), [("2.17.0", OLDER), ("2.9.0", OLDER), ("2.18.0", NEWER), (None, NEWER), ("", NEWER)]
)
def test_later_and_unknown_operators_need_the_newest_release(
    said: str | None, release: object, summary: Summary
) -> None:
    needed = requirements(dataclasses.replace(summary, min_runtime_version=said))
    assert needed.release == release
    assert bool(needed.notes()) == (not said)


def test_tensorflows_own_operators_need_tensorflows_package(summary: Summary) -> None:
    flex = Operator("FlexErf", 1, 1, custom=True, flex=True)
    needed = requirements(dataclasses.replace(summary, operators=(*summary.operators, flex)))
    assert needed.dependencies() == [
        "org.tensorflow:tensorflow-lite:2.16.1",
        "org.tensorflow:tensorflow-lite-select-tf-ops:2.16.1",
    ]
    assert "FlexErf" in needed.notes()[0]
    assert not needed.to_json()["only_builtin_operators"]


def test_custom_operators_are_named(summary: Summary) -> None:
    custom = Operator("Mine", 1, 1, custom=True, flex=False)
    needed = requirements(dataclasses.replace(summary, operators=(custom,)))
    assert needed.notes() == ["Mine are custom operators: the app has to register them itself"]

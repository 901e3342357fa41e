"""Rules step by step beside TensorFlow Addons' own implementations."""

from __future__ import annotations

from typing import Any

import pytest
from optimizers.stepping import assert_same_path, ours, theirs

from tfday7.optimizers import tfa

pytestmark = pytest.mark.skipif(not tfa.is_installed(), reason="tensorflow-addons has no wheels for this Python")
ADAM = {"beta_1": 0.9, "beta_2": 0.999}
VECTORS = {"exclude_from_weight_decay": ["bias"]}  # From layer adaptation too: it follows the first when not given.
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("lamb", "LAMB", {}, {"epsilon": 1e-6, **VECTORS}),
    ("lamb", "LAMB", {"weight_decay": 0.1}, {"epsilon": 1e-6, "weight_decay": 0.1, **VECTORS}),
    ("lamb", "LAMB", {"beta_1": 0.5, "beta_2": 0.9}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-6, **VECTORS}),
    ("radam", "RectifiedAdam", {}, {}),
    ("radam", "RectifiedAdam", {"beta_2": 0.9}, {"beta_2": 0.9}),
    ("adabelief", "AdaBelief", {}, {"epsilon": 1e-16, "rectify": False}),
    ("adabelief", "AdaBelief", {"epsilon": 1e-4}, {"epsilon": 1e-4, "rectify": False}),
    ("novograd", "NovoGrad", {}, {"beta_1": 0.95, "beta_2": 0.98, "epsilon": 1e-8}),
    ("yogi", "Yogi", {}, {}),
    ("yogi", "Yogi", {"beta_2": 0.9, "epsilon": 1e-2}, {"beta2": 0.9, "epsilon": 1e-2}),
]


@pytest.mark.parametrize(("name", "class_name", "settings", "arguments"), CASES)
def test_twelve_steps_are_those_of_addons(
    name: str, class_name: str, settings: dict[str, Any], arguments: dict[str, Any]
) -> None:
    theirs_class = getattr(tfa.optimizers(), class_name)
    assert_same_path(
        ours(optimizer=name, learning_rate=0.01, **settings), theirs(theirs_class(learning_rate=0.01, **arguments))
    )


@pytest.mark.parametrize("name", ["adabelief", "lamb", "novograd", "radam", "yogi"])
def test_the_name_of_addons_gives_the_same_steps_with_the_same_defaults(name: str) -> None:
    assert_same_path(
        ours(optimizer=name, learning_rate=0.01, global_clipnorm=2.0),
        ours(optimizer=f"tfa_{name}", learning_rate=0.01, global_clipnorm=2.0),
    )

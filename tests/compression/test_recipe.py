"""Recipes: the ones that ship can be carried out in their order, and mistakes are named by step and setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import ROOT

from tfday7.compression import recipe
from tfday7.compression.config import CompressConfig, shipped_recipes
from tfday7.core.errors import UserError

SHIPPED = sorted((ROOT / "configs" / "recipes").glob("*.json"))


def steps(*names: str, **last: Any) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"technique": name} for name in names]
    for step in listed:
        if step["technique"] == "shrink":
            step["ratio"] = 0.5
    listed[-1] |= last
    return {"name": "mine", "steps": listed}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_valid_bears_its_files_name_and_says_what_it_is(path: Path) -> None:
    found = recipe.read(path)
    assert found.name == path.stem
    assert found.description.endswith(".")
    assert recipe.parse(found.to_json()).to_json() == found.to_json()
    assert json.loads(path.read_text())["steps"] == found.to_json()["steps"]


def test_every_technique_has_a_recipe_that_uses_it() -> None:
    from tfday7.compression.technique import TECHNIQUES

    used = {step.technique.name for path in SHIPPED for step in recipe.read(path).steps}
    assert used | {"finetune"} == set(TECHNIQUES.names())


@pytest.mark.parametrize(
    "names",
    [
        ("shrink", "prune", "cluster", "qat", "quantize"),
        ("low_rank", "shrink", "qat", "quantize"),
        ("shrink", "finetune", "prune", "distil", "qat", "finetune", "quantize"),
        ("prune",),
    ],
)
def test_an_order_in_which_no_step_undoes_another_is_taken(names: tuple[str, ...]) -> None:
    assert [step.technique.name for step in recipe.parse(steps(*names)).steps] == list(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("prune", "shrink"), "step 2: shrink cannot follow prune"),
        (("cluster", "low_rank"), "step 2: low_rank cannot follow cluster"),
        (("qat", "prune"), "step 2: prune cannot follow qat"),
        (("quantize", "qat"), "step 2: qat after quantize"),
        (("quantize", "finetune"), "step 2: finetune after quantize"),
        (("cluster", "prune"), "prune cannot follow cluster"),
        (("qat", "qat"), "qat comes 2 times"),
    ],
)
def test_an_impossible_order_is_refused_by_step(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe.parse(steps(*names))


def test_training_for_int8_does_not_end_in_other_numbers() -> None:
    with pytest.raises(UserError, match="qat trains for int8, and without quantize the file is float32"):
        recipe.parse(steps("shrink", "qat", "finetune"))
    with pytest.raises(UserError, match="qat trains for int8, and quantize says float16"):
        recipe.parse(steps("qat", "quantize", kind="float16"))


def test_layers_that_were_trained_for_int8_do_not_fall_back() -> None:
    with pytest.raises(UserError, match="leaves layers in float32"):
        recipe.parse(steps("qat", "quantize", fallback="float"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "expected an object"),
        ({"name": "mine", "steps": []}, "steps is no list of 1 to 20"),
        ({"name": "../mine", "steps": [{"technique": "qat"}]}, "name is"),
        ({"name": "float32", "steps": [{"technique": "prune"}]}, "name is 'float32', which stands for something else"),
        ({"name": "groups", "steps": [{"technique": "prune"}]}, "name is 'groups', which stands for something else"),
        ({"name": "mine", "steps": [{"technique": "qat"}], "more": 1}, "unknown 'more'"),
        ({"name": "mine", "steps": ["qat"]}, "step 1: expected an object with a technique"),
        ({"name": "mine", "steps": [{"technique": "melt"}]}, r"step 1 \(melt\): unknown compression technique"),
        ({"name": "mine", "steps": [{"technique": "qat", "epoch": 1}]}, r"step 1 \(qat\): qat has no setting 'epoch'"),
        ({"name": "mine", "steps": [{"technique": "prune", "sparsity": 1.5}]}, r"step 1 \(prune\): sparsity=1.5"),
        ({"name": "mine", "steps": [{"technique": "prune", "sparsity": "much"}]}, r"step 1 \(prune\): sparsity=much"),
        ({"name": "mine", "steps": [{"technique": "quantize", "kind": "int2"}]}, r"step 1 \(quantize\): kind=int2"),
    ],
)
def test_what_is_no_recipe_is_refused_with_the_place(record: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe.parse(record)


def test_recipes_are_found_by_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(shipped_recipes()) == {path.stem for path in SHIPPED}
    assert [one.name for one in CompressConfig(recipe="int8, qat").recipes()] == ["int8", "qat"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("int9", "unknown recipe 'int9'"),
        ("a/b.json", "no such recipe"),
        ("qat,qat", "two"),
    ],
)
def test_recipes_that_cannot_be_found_are_named(given: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CompressConfig(recipe=given).recipes()


def test_the_settings_of_steps_are_no_flags() -> None:
    from tfday7.compression.technique import TECHNIQUES
    from tfday7.core import settings
    from tfday7.training.config import TrainingConfig

    assert TECHNIQUES.names()  # Which imports all of their settings.
    assert settings.defaults()["epochs"] == str(TrainingConfig().epochs)
    assert "sparsity" not in settings.defaults()

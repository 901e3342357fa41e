"""What can be tried: every point is a recipe that can be carried out, with as many epochs as were asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7.compression.search import space
from tfday7.compression.search.space import Point

POINTS = space.points()


def test_every_point_is_there_once_with_a_name_of_its_own() -> None:
    assert len({point.name for point in POINTS}) == len(set(POINTS)) == len(POINTS)
    assert Point() in POINTS
    assert Point(0.5, True, 0.7, 0, "qat", False) in POINTS
    assert Point(sparsity=0.7, kind="dynamic") in POINTS
    assert Point(sparsity=0.7, kind="float16") not in POINTS


@pytest.mark.parametrize("epochs", [1, 2, 3, 6, 20])
def test_every_point_is_a_recipe_with_as_many_epochs(epochs: int) -> None:
    for point in POINTS:
        if point == Point(kind="float32"):
            continue
        recipe = space.recipe(point, epochs, {"conv": 3} if point.uneven else None)
        trained = [step.given["epochs"] for step in recipe.steps if "epochs" in step.given]
        assert trained[:1] == ([epochs] if point.trains else [])
        assert recipe.kind == ("int8" if point.kind == "qat" else point.kind)
        assert recipe.name != "float32"


def test_a_recipe_by_hand() -> None:
    recipe = space.recipe(Point(0.5, True, 0.7, 0, "qat", False), 6, {"a/b": 4, "d": 8})
    assert recipe.name == "s50u_p70_qat_labels_6"
    assert [step.to_json() for step in recipe.steps] == [
        {"technique": "shrink", "counts": "a/b=4, d=8", "distil": "none", "epochs": 6},
        {"technique": "prune", "sparsity": 0.7, "distil": "none", "epochs": 2},
        {"technique": "qat", "distil": "none", "epochs": 2},
        {"technique": "quantize", "kind": "int8", "sparse": False},
    ]
    assert space.recipe(Point(sparsity=0.7), 6, sparse=True).steps[-1].to_json() == {
        "technique": "quantize",
        "kind": "int8",
    }


def test_the_given_model_itself_is_no_recipe() -> None:
    with pytest.raises(ValueError, match="the given model itself"):
        space.recipe(Point(kind="float32"), 3)


@given(epochs=st.integers(1, 100), steps=st.integers(0, 5))
def test_the_first_step_has_all_epochs_and_the_others_a_third(epochs: int, steps: int) -> None:
    shares = space.shared_out(epochs, steps)
    assert len(shares) == steps
    assert shares[:1] == [epochs][:steps]
    assert all(share == max(1, epochs // 3) for share in shares[1:])


def test_what_begins_alike_trains_its_beginning_alike() -> None:
    begins = space.recipe(Point(0.5), 6).steps[0].to_json()
    for point in (Point(0.5, kind="qat"), Point(0.5, sparsity=0.7), Point(0.5, clusters=8, kind="qat")):
        assert space.recipe(point, 6).steps[0].to_json() == begins


@given(st.sampled_from([point for point in POINTS if point.trains]))
def test_neighbours_are_others_that_can_be_carried_out(point: Point) -> None:
    found = space.neighbours(point)
    assert point not in found
    assert len(set(found)) == len(found)
    for one in found:
        space.recipe(one, 3, {"conv": 3} if one.uneven else None)

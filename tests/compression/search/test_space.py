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


@pytest.mark.parametrize("epochs", [1, 2, 3, 6, 20])
def test_every_point_is_a_recipe_with_as_many_epochs(epochs: int) -> None:
    for point in POINTS:
        if point == Point(kind="float32"):
            continue
        recipe = space.recipe(point, epochs, {"conv": 3} if point.uneven else None)
        trained = sum(step.given.get("epochs", 0) for step in recipe.steps)
        assert trained == (epochs if point.trains else 0)
        assert recipe.kind == ("int8" if point.kind == "qat" else point.kind)
        assert recipe.name != "float32"


def test_a_recipe_by_hand() -> None:
    recipe = space.recipe(Point(0.5, True, 0.7, 0, "qat", False), 6, {"a/b": 4, "d": 8})
    assert recipe.name == "s50u_p70_qat_labels_6"
    assert [step.to_json() for step in recipe.steps] == [
        {"technique": "shrink", "counts": "a/b=4, d=8", "distil": "none", "epochs": 4},
        {"technique": "prune", "sparsity": 0.7, "distil": "none", "epochs": 1},
        {"technique": "qat", "distil": "none", "epochs": 1},
        {"technique": "quantize", "kind": "int8"},
    ]


def test_the_given_model_itself_is_no_recipe() -> None:
    with pytest.raises(ValueError, match="the given model itself"):
        space.recipe(Point(kind="float32"), 3)


@given(epochs=st.integers(0, 100), steps=st.integers(0, 5))
def test_epochs_add_up_and_the_first_step_has_most(epochs: int, steps: int) -> None:
    shares = space.shared_out(epochs, steps)
    assert len(shares) == steps
    assert sum(shares) == (epochs if steps else 0)
    if epochs >= steps > 0:
        assert min(shares) >= 1
        assert shares[0] == max(shares)
    assert min(shares, default=0) >= 0


@given(st.sampled_from([point for point in POINTS if point.trains]))
def test_neighbours_are_others_that_can_be_carried_out(point: Point) -> None:
    found = space.neighbours(point)
    assert point not in found
    assert len(set(found)) == len(found)
    for one in found:
        space.recipe(one, 3, {"conv": 3} if one.uneven else None)

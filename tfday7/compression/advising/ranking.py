"""Which recipes are left for a case, in which order, and why the others are not among them.

The order comes from points: for what is to be reduced, for what usually becomes of the metric, and against what costs
training. They are an order of thumb, not measurements; what a recipe really brings on a model, `tfday7.compress` finds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from tfday7.compression.advising.deployment import Case
from tfday7.compression.advising.devices import DEPENDS, DEVICES, FASTER, SAME, SLOWER, Device
from tfday7.compression.advising.recipes import EXAMPLES, LABELS, NOTHING, RECIPES, TEACHER, TRAINED, RecipeFacts

MOST = 6  # More than anybody tries; the others are named as left out.
MOST_ALIKE = 2  # Of recipes that begin with the same part.
SIZE = {
    "float16": 1.0, "dynamic": 1.8, "weight_int8": 1.8, "weight_int4": 2.5, "int8": 2.0, "int16x8": 1.5,
    "shrink": 2.0, "low_rank": 0.5, "zeros": 1.5, "sparse": 2.5, "clusters": 0.8, "pattern": 0.3,
}  # fmt: skip
SPEED = {FASTER: 2.0, DEPENDS: 1.0, SAME: 0.0, SLOWER: -2.0}
MEMORY = {"shrink": 2.0, "int8": 2.0, "int16x8": 1.0, "dynamic": 1.0, "low_rank": 0.5}
METRIC = {
    "shrink": -1.0, "zeros": -1.0, "sparse": -1.5, "pattern": -0.5, "clusters": -0.5, "low_rank": -0.5,
    "int8": -0.3, "dynamic": -0.3, "weight_int8": -0.3, "weight_int4": -1.0, "qat": 0.75, "distil": 1.0,
}  # fmt: skip
TRAINING_COST = {NOTHING: 0.0, EXAMPLES: 0.1, TEACHER: 0.6, LABELS: 0.6}
PART_COST = 0.5  # Each part is one more thing that can go wrong.
TIGHT_DROP, LOOSE_DROP = 0.005, 0.02
SVD_KINDS = ("transformer", "mlp")  # Whose weights lie in large dense layers.
WITHOUT_CHANGE = 1.0  # A model that is only trained on from its own answers hardly changes.


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A recipe that is not advised.

    Attributes:
        recipe: which.
        sentence: id of why not.
        is_missing: it would be possible with more data or training.
        part: the part that is the reason, if it is one.
    """

    recipe: RecipeFacts
    sentence: str
    is_missing: bool = False
    part: str = ""


def rank(case: Case, exported: Collection[str]) -> tuple[list[RecipeFacts], list[LeftOut]]:
    """Returns the recipes for a case, the best first, and what is left out; all together are `RECIPES`.

    Args:
        case: the device, the budget, and what there is.
        exported: kinds of numbers that can be exported without any data.
    """
    device = DEVICES[case.device]
    left_out = [found for recipe in RECIPES if (found := _impossible(case, device, recipe, exported))]
    refused = {found.recipe.name for found in left_out}
    possible = sorted((one for one in RECIPES if one.name not in refused), key=lambda one: -points(case, one))
    for rule in (_too_large, _gains_nothing):
        against = [out for recipe in possible if (out := rule(case, device, recipe))]
        if len(against) < len(possible):  # Where it is true of all, the best of them are still the answer.
            left_out += against
            names = {out.recipe.name for out in against}
            possible = [recipe for recipe in possible if recipe.name not in names]
    first = [recipe for recipe in possible if recipe.name == device.first]
    kept = _varied([*first, *(recipe for recipe in possible if recipe.name != device.first)])
    left_out += [LeftOut(recipe, "behind") for recipe in possible if recipe not in kept]
    return kept, sorted(left_out, key=lambda out: -points(case, out.recipe))


def points(case: Case, recipe: RecipeFacts) -> float:
    """Returns how well a recipe does what a case asks for."""
    device = DEVICES[case.device]
    weight = 1.0
    if case.max_accuracy_drop is not None:
        weight = 2.0 if case.max_accuracy_drop <= TIGHT_DROP else 0.5 if case.max_accuracy_drop >= LOOSE_DROP else 1.0
    metric = weight * sum(METRIC.get(part, 0.0) for part in recipe.parts)
    cost = TRAINING_COST[recipe.needs] + PART_COST * len(recipe.parts)
    suits = 0.0
    if "low_rank" in recipe.parts:
        suits = 0.5 if case.model_kind in SVD_KINDS else -0.5
    if recipe.parts[0] == "distil":
        suits = -WITHOUT_CHANGE
    return sum(gain(case, device, part) for part in recipe.parts) + metric + suits - cost


def gain(case: Case, device: Device, part: str) -> float:
    """Returns the points of a part for what is to be reduced."""
    if part in device.refused:
        return 0.0
    size = 0.0 if part in device.idle else SIZE.get(part, 0.0)
    speed = SPEED[device.effect(part, case.model_kind).word]
    memory = 1.0 if part == "float16" and speed > 0 else MEMORY.get(part, 0.0)  # Not unpacked where it is native.
    return {"size": size, "latency": speed, "both": size + speed, "memory": memory}[case.reduce]


def _impossible(case: Case, device: Device, recipe: RecipeFacts, exported: Collection[str]) -> LeftOut | None:
    """Returns why a recipe cannot be carried out, or not run by the device; None when nothing is in its way."""
    for part in recipe.parts:
        if part in device.refused:
            return LeftOut(recipe, f"refused.{device.refused[part]}", part=part)
    if case.data_available == "none":
        if recipe.needs != NOTHING:
            return LeftOut(recipe, f"missing.{recipe.needs}", is_missing=True)
        if recipe.kind not in exported:
            return LeftOut(recipe, "missing.judge", is_missing=True)
    if recipe.needs in (TEACHER, LABELS) and not case.can_train:
        return LeftOut(recipe, "missing.training", is_missing=True)
    if recipe.needs == LABELS and case.data_available != "labelled":
        return LeftOut(recipe, "missing.labels", is_missing=True)
    return None


def _too_large(case: Case, _: Device, recipe: RecipeFacts) -> LeftOut | None:
    if recipe.share is None or case.max_size_kb is None or case.float_kb is None:
        return None
    return LeftOut(recipe, "too_large") if case.float_kb * recipe.share > case.max_size_kb else None


def _gains_nothing(case: Case, device: Device, recipe: RecipeFacts) -> LeftOut | None:
    """Returns a recipe whose own part does nothing for what is to be reduced, or that makes it worse."""
    if recipe.name == device.first:
        return None
    own = recipe.parts[0]
    gains = [gain(case, device, part) for part in recipe.parts]
    if sum(gains) > 0 and (gains[0] > 0 or own in TRAINED):
        return None
    if sum(gains) == 0 and gains[0] > 0:  # One part makes up for what another costs: a copy without that one gains.
        return None
    if case.reduce == "memory":
        return LeftOut(recipe, "memory.unpacked", part=own)
    part = own if gains[0] <= 0 and own not in TRAINED else recipe.kind
    return LeftOut(recipe, f"speed.{device.effect(part, case.model_kind).sentence}", part=part)


def _varied(recipes: Sequence[RecipeFacts]) -> list[RecipeFacts]:
    """Returns the first of them, without too many of one sort."""
    kept: list[RecipeFacts] = []
    for recipe in recipes:
        alike = sum(one.parts[0] == recipe.parts[0] for one in kept)
        if len(kept) < MOST and alike < MOST_ALIKE:
            kept.append(recipe)
    return kept

"""The recipes that advice can name, the parts that each is made of, and what each needs.

What a part does to a file is arithmetic: bits a weight over float32's 32. Half the channels of every layer leave a
quarter of the weights, as both sides of a kernel are halved; what lies in first and last layers is halved once, so it
is a little more. To add a recipe, add a line here, its file to configs/recipes, and its title to
core/texts/compression.json; a new part needs a line in `devices` for every device, and its own sentences.
"""

from __future__ import annotations

import dataclasses

FOLDER = "configs/recipes"
NUMBERS = ("float16", "dynamic", "weight_int8", "weight_int4", "int8", "int16x8")
TRAINED = ("qat", "distil")  # How weights are found; what is computed stays the same.
NEEDS = NOTHING, EXAMPLES, TEACHER, LABELS = "nothing", "examples", "teacher", "labels"


@dataclasses.dataclass(frozen=True)
class RecipeFacts:
    """What is to be known of a recipe.

    Attributes:
        name: of its file in configs/recipes.
        parts: what it is made of, what is most its own first.
        needs: "nothing", "examples" to calibrate with, "teacher": examples and training, the model's own answers
            being the labels, or "labels": labelled examples and training.
        share: the weights' bytes in the file over those of the float32 file; None where zeros decide it.
    """

    name: str
    parts: tuple[str, ...]
    needs: str
    share: float | None

    @property
    def path(self) -> str:
        """The recipe's file."""
        return f"{FOLDER}/{self.name}.json"

    @property
    def kind(self) -> str:
        """The numbers of the file that it makes."""
        return next((part for part in self.parts if part in NUMBERS), "float32")


# In the order in which equals are named.
RECIPES = (
    RecipeFacts("int8", ("int8",), EXAMPLES, 1 / 4),
    RecipeFacts("float16", ("float16",), NOTHING, 1 / 2),
    RecipeFacts("dynamic", ("dynamic",), NOTHING, 1 / 4),
    RecipeFacts("shrink50_distil_int8", ("shrink", "distil", "int8"), TEACHER, 1 / 16),
    RecipeFacts("shrink50_qat", ("shrink", "qat", "int8"), LABELS, 1 / 16),
    RecipeFacts("shrink50_int8", ("shrink", "int8"), LABELS, 1 / 16),
    RecipeFacts("shrink50_prune_int8", ("shrink", "zeros", "int8"), LABELS, 1 / 16),
    RecipeFacts("qat", ("qat", "int8"), LABELS, 1 / 4),
    RecipeFacts("cluster16_int8", ("clusters", "int8"), LABELS, 1 / 4),
    RecipeFacts("prune80_int8", ("zeros", "int8"), LABELS, 1 / 4),
    RecipeFacts("prune90", ("sparse",), LABELS, None),
    RecipeFacts("prune_2_4", ("pattern", "int8"), LABELS, 1 / 4),
    RecipeFacts("pqat", ("zeros", "qat", "int8"), LABELS, 1 / 4),
    RecipeFacts("cqat", ("clusters", "qat", "int8"), LABELS, 1 / 4),
    RecipeFacts("pcqat", ("zeros", "clusters", "qat", "int8"), LABELS, 1 / 4),
    RecipeFacts("low_rank", ("low_rank", "int8"), LABELS, 1 / 4),
    RecipeFacts("distil", ("distil", "int8"), TEACHER, 1 / 4),
    RecipeFacts("int16x8", ("int16x8",), EXAMPLES, 1 / 4),
    RecipeFacts("weight_int8", ("weight_int8",), NOTHING, 1 / 4),
    RecipeFacts("weight_int4", ("weight_int4",), NOTHING, 1 / 8),
)
PARTS = tuple(dict.fromkeys(part for recipe in RECIPES for part in recipe.parts))

"""What to compress, by which recipes or how long a search, and which limits the result has to keep."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfday7.compression import recipe as recipes
from tfday7.compression.recipe import Recipe
from tfday7.core.errors import UserError, unknown_name
from tfday7.core.settings import Settings, setting

RECIPES = Path("configs/recipes")
MODEL_HELP = "Model to compress: a .keras or .h5 file, a SavedModel, keras.applications:NAME or python:MODULE:FUNCTION."
OBJECTIVES = ("auto", "gzip", "size", "latency", "macs", "memory", "metric")
RUNTIMES = {"litert": "tflite", "onnxruntime": "onnx", "openvino": "openvino"}  # And the format of its artefacts.
USUAL_DROP = 0.01  # Of the metric, where nothing else is said.
TIMED = ("max_latency_ms", "max_latency_ratio", "max_memory_mb")


@dataclasses.dataclass(frozen=True)
class CompressConfig(Settings):
    """The settings of a compression."""

    model: str = setting("", MODEL_HELP)
    run_dir: str = setting(
        "",
        "Run folder: with --model where records and report go (default: runs/<name>_compress), otherwise of the run "
        "whose model is compressed.",
    )
    recipe: str = setting("", "Recipes, a comma list of JSON files or names of those in configs/recipes.")
    teacher: str = setting(
        "", "Models to learn from, a comma list of files; of several the mean answer. Default: the given model."
    )
    distill: str = setting(
        "auto", "Whether fine-tuning learns from the teacher too; a step of a recipe can say otherwise.",
        choices=("auto", "none"),
    )  # fmt: skip
    batch_size: int | None = setting(
        None, "Examples of a step of fine-tuning; default: the run's, otherwise 64.", minimum=1
    )
    augment: str | None = setting(
        None, "Random changes of training data in fine-tuning (comma list); default: the run's, otherwise none."
    )
    seed: int = setting(0, "Decides the order of examples, and what is drawn.", minimum=0, maximum=2**32 - 1)
    measure: bool = setting(True, "Measure latency and memory, interleaved with the float32 file.")
    seconds: float = setting(3.0, "Time for measuring each artefact.", minimum=0.1)
    name: str = setting("", "First part of the files' names; default: the run's, or the model's file's.")
    export_dir: str = setting("", "Folder for the artefacts; each recipe's have a folder in it. Default: "
                                  "tflite_models/<name>.")  # fmt: skip
    overwrite: bool = setting(False, "Make everything again, and replace the artefacts of another model.")
    allow_unsafe_model: bool = setting(
        False,
        "Run code of model files (Lambda layers) or of a run's data (python:); it can do anything that you can.",
    )

    def recipes(self) -> list[Recipe]:
        """Returns the recipes, checked. Raises UserError for a name or file that is none."""
        names = [name.strip() for name in self.recipe.split(",") if name.strip()]
        found = [recipes.read(_path(name)) for name in names]
        twice = [one.name for i, one in enumerate(found) if one.name in [other.name for other in found[:i]]]
        if twice:
            raise UserError(f"--recipe={self.recipe}: two recipes are called {twice[0]}", "give one another name")
        return found

    def teachers(self) -> list[str]:
        """Returns the files of the teachers; empty for the given model."""
        return [name.strip() for name in self.teacher.split(",") if name.strip()]


@dataclasses.dataclass(frozen=True)
class BudgetConfig(Settings):
    """The limits of an artefact. A kB is 1,000 bytes."""

    max_accuracy_drop: float | None = setting(
        None,
        "How much of the validation metric the chosen artefact may lose; default: 0.01, without --min_metric.",
        minimum=0, maximum=1,
    )  # fmt: skip
    min_metric: float | None = setting(None, "Least validation metric of the chosen artefact; default: none.")
    max_size_kb: float | None = setting(None, "Most kB of the file; default: no limit.", above=0)
    max_gzip_kb: float | None = setting(None, "Most kB of the packed file; default: no limit.", above=0)
    max_memory_mb: float | None = setting(
        None, "Most MB of memory of the process that runs the file; default: no limit.", above=0
    )
    max_macs: float | None = setting(None, "Most multiply-accumulates of an example; default: no limit.", above=0)
    max_latency_ms: float | None = setting(
        None, "Most milliseconds of an example, in the median, on --device; default: no limit.", above=0
    )
    max_latency_ratio: float | None = setting(
        None, "Most time relative to the float32 file, measured in the same rounds; default: no limit.", above=0
    )
    runtime: str = setting(
        "litert",
        "What runs the artefacts, which are of its format: litert (.tflite), onnxruntime (.onnx) or openvino (.xml).",
        choices=tuple(RUNTIMES),
    )
    device: str = setting(
        "cpu",
        "Where files are timed: cpu; cpu_without_amx, as on phones and Raspberry Pis, which have no such matrix unit; "
        "or a device, ssh://[user@]host[:port].",
    )
    python: str = setting("python3", "The Python on --device=ssh://... that has NumPy and the runtime.")
    ssh_config: str = setting("", "Configuration file for ssh in place of ~/.ssh/config, as ssh -F takes it.")
    objective: str = setting(
        "auto",
        "What the best artefact within the limits is: the one with the least of it, or the most of metric; auto: the "
        "least product of packed size and latency.",
        choices=OBJECTIVES,
    )

    @property
    def accuracy_drop(self) -> float | None:
        """How much of the metric may be lost; None where only the least metric says what is enough."""
        if self.max_accuracy_drop is None and self.min_metric is None:
            return USUAL_DROP
        return self.max_accuracy_drop

    def to_json(self) -> dict[str, Any]:
        """Returns the limits as plain JSON values, the drop as it holds."""
        return {**dataclasses.asdict(self), "max_accuracy_drop": self.accuracy_drop}

    @property
    def is_remote(self) -> bool:
        """Whether files are timed on another device."""
        return self.device.lower().startswith("ssh:")

    def needs_timing(self) -> bool:
        """Returns whether a limit or the objective is about time or memory."""
        return any(getattr(self, name) is not None for name in TIMED) or self.objective in ("latency", "memory")


@dataclasses.dataclass(frozen=True)
class SearchConfig(Settings):
    """How long a search may take, and how much each candidate is trained."""

    search_minutes: float | None = setting(
        None, "Time for the search; default: 20, without --max_candidates.", above=0
    )  # fmt: skip
    max_candidates: int | None = setting(
        None,
        "Candidates that a search makes at most; without a time, the machine's speed decides nothing.",
        minimum=1,
    )
    search_epochs: int = setting(
        6,
        "Epochs of fine-tuning behind a finished candidate's first step; a third and a ninth of it come before, and a "
        "later step has a third.",
        minimum=1,
    )

    @property
    def minutes(self) -> float:
        """The time that there is; infinite where only the number of candidates ends the search."""
        if self.search_minutes is not None:
            return self.search_minutes
        return 20.0 if self.max_candidates is None else float("inf")


@dataclasses.dataclass(frozen=True)
class AfterTraining(Settings):
    """Whether a search follows a training run."""

    compress: str = setting(
        "none", "auto: search for the best artefact within the limits below when training has ended.",
        choices=("none", "auto"),
    )  # fmt: skip


def _path(name: str) -> Path:
    """Returns the file of a recipe. Raises UserError listing the known names."""
    if name.endswith(".json") or "/" in name:
        return Path(name)
    shipped = shipped_recipes()
    if name not in shipped:
        raise unknown_name("recipe", name, shipped, "the path of a JSON file")
    return shipped[name]


def shipped_recipes() -> dict[str, Path]:
    """Returns the recipes of configs/recipes by name: of the working folder, else of the checkout."""
    folders = [RECIPES, Path(__file__).resolve().parents[2] / RECIPES]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.json"))} if folder else {}

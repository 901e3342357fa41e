"""The compression of a finished run's model, or of any model file with its data: what `tfday7.compress` does.

Records, report and what candidates leave behind go to a run folder: the run's own, or one of the compression's.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7.compression.config import CompressConfig
from tfday7.compression.recipe import Recipe
from tfday7.core import environment, files
from tfday7.core.errors import GateError, UserError
from tfday7.core.run_folder import COMPRESSION, COMPRESSION_WORK, RunFolder
from tfday7.core.settings import from_text, to_text
from tfday7.data.config import DataConfig
from tfday7.exporting.config import ModelExportConfig
from tfday7.optimizers.config import OptimizerConfig
from tfday7.stage_export import Source, loaded
from tfday7.stage_export import source as export_source
from tfday7.training.config import TrainingConfig

if TYPE_CHECKING:
    from tfday7.data.dataset import Dataset

Say = Callable[[str], Any]
BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Task:
    """What is compressed, how, and where it goes.

    Attributes:
        config: the settings.
        found: the model and its data.
        recipes: checked.
        folder: of records and report; the run's own, or one of the compression's.
    """

    config: CompressConfig
    found: Source
    recipes: list[Recipe]
    folder: RunFolder

    @property
    def export_dir(self) -> Path:
        """The folder of the artefacts, with one of each recipe in it."""
        return self.found.folder

    def command(self) -> str:
        """Returns the command that compresses the same again."""
        defaults = to_text(CompressConfig())
        flags = {name: value for name, value in to_text(self.config).items() if value != defaults.get(name)}
        data = to_text(self.found.data) if self.found.data and not self.found.run else {}
        usual = to_text(DataConfig())
        flags |= {name: value for name, value in data.items() if name == "data" or value != usual.get(name)}
        given = (f"--{name}={value}" for name, value in flags.items() if name != "overwrite")
        return shlex.join(["python", "-m", "tfday7.compress", *given])


def plan(config: CompressConfig, data: DataConfig | None) -> Task:
    """Returns what is to be done, checked without loading TensorFlow.

    Args:
        config: the settings.
        data: the data's settings, where they were given.

    Raises:
        UserError: flags contradict each other, or there is no such recipe, run or model.
    """
    recipes = config.recipes()
    if not config.model and not config.run_dir:
        raise UserError("--model or --run_dir is missing", "for example --run_dir=runs/quickstart")
    exported = ModelExportConfig(
        model=config.model,
        run_dir="" if config.model else config.run_dir,
        name=config.name,
        export_dir=config.export_dir,
        overwrite=config.overwrite,
        allow_unsafe_model=config.allow_unsafe_model,
    )
    found = export_source(exported, data)
    if found.data is None:
        raise UserError(
            f"--model={config.model} needs --data: a candidate is trained and judged on data",
            "without data, python -m tfday7.export --kinds=float16,dynamic makes a file smaller",
        )
    for teacher in config.teachers():
        if not Path(teacher).exists():
            raise UserError(f"--teacher={teacher}: no such file", "give .keras, .h5 or SavedModel paths")
    if config.augment is not None:
        from tfday7.data import augmentation

        augmentation.parse(config.augment)
    _check_free(config, found, recipes)
    folder = found.run if found.run else RunFolder(Path(config.run_dir or f"runs/{found.name}_compress"))
    if found.run is None:
        folder.check_reusable(_flags(config, found), config.overwrite or _recipes_alone_differ(folder, config, found))
    return Task(config, found, recipes, folder)


def _check_free(config: CompressConfig, found: Source, recipes: list[Recipe]) -> None:
    """Raises UserError where a delivered file would replace another model's, or one that no export wrote."""
    from tfday7.compression.records import BASELINE
    from tfday7.exporting import exporting

    for name, kind in [(BASELINE, "float32"), *((recipe.name, recipe.kind) for recipe in recipes)]:
        files_name, wanted = f"{found.name}_{name}", [("tflite", kind)]
        exporting.check_free(found.folder / name, found.identity, files_name, wanted, config.overwrite)


def compress(task: Task, say: Say = lambda sentence: None, lang: str = "en") -> dict[str, Any]:
    """Carries the recipes out, and returns the record, which compression.json holds.

    Args:
        task: from `plan`.
        say: told in a sentence what is being done.
        lang: language of the report.

    Raises:
        UserError: the model or the data cannot be read, or do not take the only recipe.
        GateError: no candidate could be made.
        Interrupted: a signal; the same call goes on.
    """
    from tfday7.compression import compressing
    from tfday7.reporting import write_report

    model, dataset, meaning = loaded(task.found, say)
    with task.folder.locked():
        if task.found.run is None:
            _begin(task, model, dataset)
        elif task.config.overwrite:
            task.folder.clear((COMPRESSION, COMPRESSION_WORK))
        job = _job(task, model, dataset, meaning, say)
        seconds = task.config.seconds if task.config.measure else None
        found = compressing.compress(job, task.recipes, task.config.max_accuracy_drop, seconds)
        record = {
            **found,
            "budget": {"max_accuracy_drop": task.config.max_accuracy_drop},
            "command": task.command(),
            "hardware": environment.hardware(),
        }
        files.write_json(task.folder / COMPRESSION, record)
        if task.found.run is None:
            task.folder.update(status="finished")
        write_report(task.folder, lang)
    return record


def check_gate(record: dict[str, Any]) -> None:
    """Raises GateError (exit 3) where no candidate could be made, or none is good enough."""
    candidates = record["candidates"]
    failed = [one for one in candidates if one["failure"]]
    if len(failed) == len(candidates):
        raise GateError("; ".join(f"{one['name']}: {one['failure']}" for one in failed), "try another recipe")
    if record["chosen"] is None:
        drop, base = record["budget"]["max_accuracy_drop"], record["baseline"]["metric"]
        best = max((one for one in candidates if not one["failure"]), key=lambda one: one["metric"]["value"] or -1e9)
        raise GateError(
            f"no candidate keeps the validation {base['name']} within {drop:g} of {base['value']:.4f}; "
            f"the best, {best['name']}, reaches {best['metric']['value']:.4f}",
            "allow more with --max_accuracy_drop, or give the steps of the recipe more epochs",
        )


def _job(task: Task, model: Any, dataset: Dataset, meaning: str, say: Say) -> Any:
    from tfday7 import models
    from tfday7.compression.compressing import Compression
    from tfday7.exporting.exporting import Origin

    data = to_text(task.found.data) if task.found.data else None
    teachers = tuple(models.load(path, dtype_policy="float32") for path in task.config.teachers())
    return Compression(
        model,
        dataset,
        Origin(task.found.name, task.found.identity, meaning, data, task.command()),
        task.folder / COMPRESSION_WORK,
        task.export_dir,
        _optimizer(task),
        _training(task, dataset),
        teachers,
        task.config.distill == "auto",
        say,
    )


def _training(task: Task, dataset: Dataset) -> TrainingConfig:
    """Returns how fine-tuning trains: as the run did, but for what ends a run early or freezes layers."""
    flags = task.found.run.flags() if task.found.run else {}
    before = from_text(TrainingConfig, flags)
    batch_size = task.config.batch_size or (before.batch_size if flags else BATCH_SIZE)
    return dataclasses.replace(
        before,
        batch_size=min(batch_size, len(dataset.train)),
        augment=before.augment if task.config.augment is None else task.config.augment,
        seed=task.config.seed,
        patience=0,
        freeze=False,
        unfreeze_epochs=0,
        adaptive_regularization=False,
    )


def _optimizer(task: Task) -> OptimizerConfig:
    """Returns the run's optimizer as it was settled; of a model file, Adam."""
    from tfday7.optimizers import advisor
    from tfday7.tuning import settling

    if task.found.run is None:
        return OptimizerConfig()
    optimizer = from_text(OptimizerConfig, task.found.run.flags())
    if settling.is_open(optimizer):
        optimizer, _ = advisor.from_record(task.found.run.record()["optimizer"])
    return optimizer


def _begin(task: Task, model: Any, dataset: Dataset) -> None:
    """Makes a folder of the compression's own: its flags, and what the report says of model and data."""
    if task.config.overwrite:
        task.folder.clear()
    task.folder.write_flags(_flags(task.config, task.found))
    task.folder.update(
        status="running",
        name=task.folder.name,
        gate=None,
        versions=environment.versions(),
        hardware=environment.hardware(),
        seed=task.config.seed,
        data={
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "task": dataset.problem.task,
            "kind": dataset.problem.kind,
            "input_shape": list(dataset.problem.input_shape),
            "class_names": list(dataset.problem.class_names),
            "examples": {key: len(getattr(dataset, key)) for key in ("train", "validation", "test")},
        },
        model={"name": model.name, "parameters": model.count_params()},
    )


def _flags(config: CompressConfig, found: Source) -> dict[str, str]:
    own = {name: value for name, value in to_text(config).items() if name not in ("run_dir", "overwrite")}
    return {**own, **(to_text(found.data) if found.data else {})}


def _recipes_alone_differ(folder: RunFolder, config: CompressConfig, found: Source) -> bool:
    """Returns whether a folder holds a compression of the same model: other recipes may join it."""
    may = {"recipe", "max_accuracy_drop", "measure", "seconds"}
    return folder.exists() and set(folder.differing(_flags(config, found))) <= may

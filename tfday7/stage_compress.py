"""The compression of a finished run's model, or of any model file with its data: what `tfday7.compress` does.

Records, report and what candidates leave behind go to a run folder: the run's own, or one of the compression's.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7 import compress_targets
from tfday7.compression.config import RUNTIMES, BudgetConfig, CompressConfig, SearchConfig
from tfday7.compression.recipe import FILE, Recipe
from tfday7.compression.search import space
from tfday7.core import environment, files
from tfday7.core.errors import InUseError, UserError
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
        recipes: checked; empty for a search.
        folder: of records and report; the run's own, or one of the compression's.
        budget: the limits of what is chosen.
        search: how long a search may take.
    """

    config: CompressConfig
    found: Source
    recipes: list[Recipe]
    folder: RunFolder
    budget: BudgetConfig = dataclasses.field(default_factory=BudgetConfig)
    search: SearchConfig = dataclasses.field(default_factory=SearchConfig)

    @property
    def seconds(self) -> float | None:
        """The time for measuring each artefact; None where none is measured."""
        return self.config.seconds if self.config.measure else None

    @property
    def export_dir(self) -> Path:
        """The folder of the artefacts, with one of each recipe in it."""
        return self.found.folder

    def command(self) -> str:
        """Returns the command that compresses the same again."""
        flags: dict[str, str] = {}
        for settings in (self.config, self.budget, self.search):
            usual = to_text(type(settings)())
            flags |= {name: value for name, value in to_text(settings).items() if value != usual.get(name)}
        data = to_text(self.found.data) if self.found.data and not self.found.run else {}
        usual = to_text(DataConfig())
        flags |= {name: value for name, value in data.items() if name == "data" or value != usual.get(name)}
        given = (f"--{name}={value}" for name, value in flags.items() if name != "overwrite")
        return shlex.join(["python", "-m", "tfday7.compress", *given])

    def command_of(self, name: str | None) -> str:
        """Returns the command that makes a delivered candidate alone; "" where there is none."""
        path = "" if name is None else str(self.export_dir / name / FILE)
        if not path or "," in path:  # Recipes are a comma list.
            return ""
        config = dataclasses.replace(self.config, recipe=path)
        return dataclasses.replace(self, config=config, search=SearchConfig()).command()


def plan(
    config: CompressConfig,
    data: DataConfig | None,
    budget: BudgetConfig | None = None,
    search: SearchConfig | None = None,
) -> Task:
    """Returns what is to be done, checked without loading TensorFlow.

    Args:
        config: the settings; without recipes it is a search.
        data: the data's settings, where they were given.
        budget, search: the limits, and how long to search; default: those of the flags.

    Raises:
        UserError: flags contradict each other, or there is no such recipe, run or model.
    """
    budget, search = budget or BudgetConfig(), search or SearchConfig()
    recipes = config.recipes()
    _check_sense(config, budget, search)
    compress_targets.check_runtime(budget, recipes)
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
    for recipe in recipes:
        for teacher in recipe.teachers:
            if not Path(teacher).exists():
                raise UserError(f"{recipe.name}: teacher {teacher}: no such file", "paths are from the current folder")
    if config.augment is not None:
        from tfday7.data import augmentation

        augmentation.parse(config.augment)
    _check_free(config, found, recipes, RUNTIMES[budget.runtime])
    folder = found.run if found.run else RunFolder(Path(config.run_dir or f"runs/{found.name}_compress"))
    if found.run is None:
        folder.check_reusable(_flags(config, found), config.overwrite or _recipes_alone_differ(folder, config, found))
    return Task(config, found, recipes, folder, budget, search)


def _check_sense(config: CompressConfig, budget: BudgetConfig, search: SearchConfig) -> None:
    """Raises UserError where flags contradict each other."""
    compress_targets.check_device(budget)
    for name, value in dataclasses.asdict(search).items():
        if config.recipe and value != getattr(SearchConfig(), name):
            raise UserError(
                f"--{name}={value} contradicts --recipe={config.recipe}",
                "leave --recipe out for a search, or give the epochs in the recipe",
            )
    if not config.measure and budget.needs_timing():
        raise UserError(
            "--nomeasure contradicts a limit or an objective of time or memory",
            "limit --max_macs instead, which needs no measuring",
        )


def _check_free(config: CompressConfig, found: Source, recipes: list[Recipe], format: str) -> None:
    """Raises UserError where a delivered file would replace another model's, or one that no export wrote."""
    from tfday7.compression.records import BASELINE
    from tfday7.exporting import exporting

    known = [(BASELINE, "float32"), *((recipe.name, recipe.kind) for recipe in recipes)]
    if not recipes and found.folder.is_dir():  # A search makes names of its own, whose folders may be there.
        there = [each.name for each in sorted(found.folder.iterdir()) if each.is_dir() and each.name != BASELINE]
        known += [(name, kind) for name in there for kind in space.file_kinds(format)]
    for name, kind in known:
        files_name, wanted = f"{found.name}_{name}", [(format, kind)]
        exporting.check_free(found.folder / name, found.identity, files_name, wanted, config.overwrite)


def compress(task: Task, say: Say = lambda sentence: None, lang: str = "en") -> dict[str, Any] | None:
    """Carries the recipes out, or searches, and returns the record, which compression.json holds.

    Where another process makes the same search in the folder, this one makes candidates for it and returns None: the
    other one concludes.

    Args:
        task: from `plan`.
        say: told in a sentence what is being done.
        lang: language of the report.

    Raises:
        UserError: the model or the data cannot be read, or do not take the only recipe.
        InUseError: another process does something else in the folder.
        GateError: no candidate could be made.
        WorkerLostError: the process that this one helped has ended without concluding; the same call goes on.
        Interrupted: a signal; the same call goes on.
    """
    model, dataset, meaning = loaded(task.found, say)
    try:
        return _concluded(task, model, dataset, meaning, say, lang)
    except InUseError:
        if not _joined(task, model, dataset, meaning, say):
            raise
    return None


def _concluded(task: Task, model: Any, dataset: Dataset, meaning: str, say: Say, lang: str) -> dict[str, Any]:
    """Does what there is to do in the folder, and returns the record; arguments and errors as of `compress`."""
    from tfday7.compression import compressing
    from tfday7.reporting import write_report

    with task.folder.locked():
        job = _job(task, model, dataset, meaning, say)  # First: a device that cannot be reached leaves all as it was.
        task.folder.remove_partials()
        if task.found.run is None:
            _begin(task, model, dataset)
        elif task.config.overwrite:
            task.folder.clear((COMPRESSION, COMPRESSION_WORK))
        if task.recipes:
            found = compressing.compress(job, task.recipes, task.budget, task.seconds)
        else:
            found = _search(task, job).run()
        record = {
            **found,
            "command": task.command(),
            "command_of_chosen": task.command_of(found["chosen"]),
            "hardware": environment.hardware(),
            "device": job.place(),
        }
        files.write_json(task.folder / COMPRESSION, record)
        if task.found.run is None:
            task.folder.update(status="finished")
        write_report(task.folder, lang)
    return record


def _joined(task: Task, model: Any, dataset: Dataset, meaning: str, say: Say) -> bool:
    """Makes candidates for the process that makes this search; returns whether there is one."""
    if task.recipes or task.config.overwrite:
        return False
    search = _search(task, _job(task, model, dataset, meaning, say))
    if not search.can_join():
        return False
    say(f"another process makes this search in {task.folder.path}: joining it")
    made = search.join()
    say(f"made {made} candidates for it; it concludes")
    return True


def _search(task: Task, job: Any) -> Any:
    from tfday7.compression.search.searching import Search

    return Search(job, task.budget, task.search, task.seconds)


def _job(task: Task, model: Any, dataset: Dataset, meaning: str, say: Say) -> Any:
    from tfday7 import models
    from tfday7.compression.compressing import Compression
    from tfday7.exporting.exporting import Origin

    data = to_text(task.found.data) if task.found.data else None
    unsafe = task.config.allow_unsafe_model
    teachers = tuple(models.load(path, allow_unsafe=unsafe, dtype_policy="float32") for path in task.config.teachers())
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
        "cpu" if task.budget.is_remote else task.budget.device,
        _timer(task, say),
        task.budget.runtime,
        unsafe,
    )


def _timer(task: Task, say: Say) -> Any:
    """Returns what times files on another device, if it is to be one. Raises UserError where it cannot be reached."""
    return compress_targets.timer_on(task.budget, say) if task.budget.is_remote and task.seconds is not None else None


def _training(task: Task, dataset: Dataset) -> TrainingConfig:
    """Returns how fine-tuning trains: as the run did, but for what ends a run early or freezes layers."""
    flags = task.found.run.flags() if task.found.run else {}
    before = from_text(TrainingConfig, flags)
    given = task.config.batch_size
    batch_size = given if given is not None else (before.batch_size if flags else BATCH_SIZE)
    return dataclasses.replace(
        before,
        batch_size=min(batch_size, len(dataset.train)),
        augment=before.augment if task.config.augment is None else task.config.augment,
        seed=task.config.seed,
        patience=0,
        freeze=False,
        unfreeze_epochs=0,
        adaptive_regularization=False,
        accumulate_steps=1,
        micro_batch_size="",
        recoveries=0,
    )


def _optimizer(task: Task) -> OptimizerConfig:
    """Returns the run's optimizer as it was settled; of a model file, Adam."""
    from tfday7.optimizers import advisor
    from tfday7.tuning import settling

    if task.found.run is None:
        return OptimizerConfig()
    optimizer = from_text(OptimizerConfig, task.found.run.flags())
    if settling.is_open(optimizer):
        optimizer, _ = advisor.from_record(task.found.run.known().optimizer)
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
        data=_told(dataset),
        model={"name": model.name, "parameters": model.count_params()},
    )


def _told(dataset: Dataset) -> dict[str, Any]:
    """Returns what the records say of a data set."""
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "task": dataset.problem.task,
        "kind": dataset.problem.kind,
        "input_shape": list(dataset.problem.input_shape),
        "class_names": list(dataset.problem.class_names),
        "examples": {key: len(getattr(dataset, key)) for key in ("train", "validation", "test")},
    }


def _flags(config: CompressConfig, found: Source) -> dict[str, str]:
    own = {name: value for name, value in to_text(config).items() if name not in ("run_dir", "overwrite")}
    return {**own, **(to_text(found.data) if found.data else {})}


def _recipes_alone_differ(folder: RunFolder, config: CompressConfig, found: Source) -> bool:
    """Returns whether a folder holds a compression of the same model: other recipes may join it."""
    may = {"recipe", "measure", "seconds"}
    return folder.exists() and set(folder.differing(_flags(config, found))) <= may

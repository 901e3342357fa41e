"""The export of a finished run's model, or of any model file: what `tfday7.export` does.

A run's model is verified on the run's data, and its record and report are brought up to date. A model file is verified
on the data that is given with it; without any, on made-up inputs, and the record says so.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfday7.core import files
from tfday7.core.errors import GateError, UserError
from tfday7.core.run_folder import EXPORTS, MODEL, RunFolder
from tfday7.core.settings import from_text, to_text
from tfday7.data.config import DataConfig
from tfday7.exporting.config import DEFAULT_FOLDER, ExportConfig, ModelExportConfig
from tfday7.exporting.format import CALIBRATED
from tfday7.models.config import ModelConfig

if TYPE_CHECKING:
    from tfday7.data.dataset import Dataset
    from tfday7.exporting.records import Artefact

Say = Callable[[str], Any]
MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")
APPLICATION_SHAPE = (224, 224, 3)


@dataclasses.dataclass(frozen=True)
class Source:
    """What is exported.

    Attributes:
        config: the settings of the export.
        data: of the data that it is verified on; None for made-up inputs.
        run: the run that the model is from; None for a model of its own.
    """

    config: ModelExportConfig
    data: DataConfig | None
    run: RunFolder | None

    @property
    def model(self) -> str:
        """What `--model` would say."""
        return str(self.run / MODEL) if self.run else self.config.model

    @property
    def name(self) -> str:
        """The first part of the files' names."""
        if self.config.name or self.run:
            return self.config.name or self.run.name  # type: ignore[union-attr]
        path = Path(self.config.model.rpartition(":")[2])
        return path.stem if path.suffix in MODEL_SUFFIXES else path.name

    @property
    def identity(self) -> str:
        """What tells this source's artefacts from those of another: a path, or the name of what has no file."""
        if self.run:
            return str(self.run.path.resolve())
        path = Path(self.config.model)
        return str(path.resolve()) if path.exists() else self.config.model

    @property
    def folder(self) -> Path:
        """Where the artefacts go."""
        if self.config.export_dir:
            return Path(self.config.export_dir)
        if self.run:
            return from_text(ExportConfig, self.run.flags()).folder(self.run.name)
        return DEFAULT_FOLDER / self.name

    def command(self) -> str:
        """Returns the command that exports the same again."""
        defaults = to_text(ModelExportConfig())
        flags = {name: value for name, value in to_text(self.config).items() if value != defaults[name]}
        data = to_text(DataConfig()) if self.data and not self.run else {}
        own = to_text(self.data) if self.data else {}
        flags |= {name: own[name] for name in data if name == "data" or own[name] != data[name]}
        given = (f"--{name}={value}" for name, value in flags.items() if name != "overwrite")
        return shlex.join(["python", "-m", "tfday7.export", *given])


def source(config: ModelExportConfig, data: DataConfig | None) -> Source:
    """Returns what is to be exported, checked without loading TensorFlow.

    Args:
        config: the settings.
        data: the data's settings, where they were given.

    Raises:
        UserError: flags contradict each other, there is no such run or model, its data are code that was not allowed,
            or the folder cannot be written.
    """
    config.check()
    if config.run_dir and data is not None:
        message = f"--data={data.data} contradicts --run_dir={config.run_dir}, whose model is verified on its own data"
        raise UserError(message, f"export the model's file: --model={config.run_dir}/{MODEL}")
    run = _run_of(config) if data is None else None
    if run:
        run.check_code(config.allow_unsafe_model, "data")
        data = from_text(DataConfig, run.flags())
    if data is not None and config.input_shape:
        other = f"--run_dir={run.path}" if run else f"--data={data.data}"
        message = f"--input_shape={config.input_shape} contradicts {other}, whose examples have a shape"
        raise UserError(message, "it is for a model that leaves sizes open and comes without data")
    found = Source(config, data, run)
    calibrated = [kind for _, kind in config.wanted() if kind in CALIBRATED]
    if data is None and calibrated and config.kinds:
        message = f"--kinds={config.kinds}: {calibrated[0]} is calibrated on data"
        raise UserError(message, "give the training data with --data")
    if data is not None:
        from tfday7.data.source import find_source

        find_source(data)
    if not run:
        from tfday7.models import building

        building.check_name(_model_config(found))
        path = Path(config.model)
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"--model={config.model}: neither a file nor a folder", "expected a model's file")
        if not _is_exportable(config.model):
            raise UserError(
                f"--model={config.model} is an architecture; it has no weights to export",
                "train it first: python -m tfday7.train, then give --run_dir",
            )
    files.check_writable(found.folder, "export_dir")
    from tfday7.exporting import exporting

    exporting.check_free(found.folder, found.identity, found.name, config.wanted(), config.overwrite)
    if run:
        _recorded(run)
    return found


def export(found: Source, say: Say = lambda sentence: None, lang: str = "en") -> list[Artefact]:
    """Exports a model and records it; returns its artefacts. The gate is the caller's: `exporting.check_gate`.

    Args:
        found: from `source`.
        say: told in a sentence what is being done.
        lang: language of a run's report.

    Raises:
        UserError: the model or the data cannot be read, or do not fit each other.
    """
    from tfday7.exporting import exporting

    wanted = found.config.wanted()
    if found.data is None:
        kept = [(format, kind) for format, kind in wanted if kind not in CALIBRATED]
        if len(kept) < len(wanted):
            say("int8 is left out: it is calibrated on training data, and there is no --data")
        wanted = kept
    model, dataset, meaning = loaded(found, say)
    say(f"export: {', '.join(dict.fromkeys(format for format, _ in wanted))} to {found.folder}")
    origin = exporting.Origin(
        found.name, found.identity, meaning, to_text(found.data) if found.data else None, found.command()
    )
    if found.run is None:
        return exporting.export(model, dataset, wanted, found.folder, origin, found.config.batch_size(), say=say)
    with found.run.locked():
        artefacts = exporting.export(model, dataset, wanted, found.folder, origin, found.config.batch_size(), say=say)
        _record(found.run, artefacts, lang)
    return artefacts


def _recorded(run: RunFolder) -> list[Artefact]:
    """Returns what exports.json names: artefacts that are still there, and those that failed.

    Raises:
        UserError: it is damaged.
    """
    from tfday7.exporting.records import from_json

    path = run / EXPORTS
    record = files.read_json(path) if path.exists() else {"artefacts": []}
    if not isinstance(record, dict) or not isinstance(record.get("artefacts"), list):
        raise UserError(f"{path}: not a record of exports", "remove it, and export again")
    every = [from_json(each, path) for each in record["artefacts"]]
    found = [_located(artefact, run) for artefact in every]
    return [artefact for artefact in found if artefact is not None]


def _located(artefact: Artefact, run: RunFolder) -> Artefact | None:
    """Returns an entry of exports.json with the path at which its file lies; None where it lies there no longer.

    The path that it has holds in the folder where the export ran. From elsewhere the file is found by the way from it
    to the run, which the entry has too; where that does not say enough, the entry stays as it is.
    """
    if artefact.path is None or Path(artefact.path).exists():
        return artefact
    path, way = Path(artefact.path), Path(artefact.run).parts
    up = way.count("..")
    own = Path(os.path.normpath(path.parent)).parts[-up:] if up else ()
    if not artefact.run.startswith(".") or len(own) < up or {"..", path.anchor} & set(own):
        return None if path.is_absolute() else artefact
    folder = run.path.resolve()
    for _ in way[up:]:
        folder = folder.parent
    there = folder.joinpath(*own, path.name)
    return dataclasses.replace(artefact, path=str(there)) if there.exists() else None


def _record(run: RunFolder, artefacts: list[Artefact], lang: str) -> None:
    """Brings exports.json, the run's gate and its report up to date; what was not made again stays, if it is there.

    An artefact that could not be made stays too, and with it the gate that it failed, until one of its name is made.
    """
    from tfday7.exporting import exporting
    from tfday7.reporting import write_report

    made = {artefact.name for artefact in artefacts}
    every = [*(artefact for artefact in _recorded(run) if artefact.name not in made), *artefacts]
    files.write_json(run / EXPORTS, {"artefacts": [artefact.to_json() for artefact in every]})
    if run.known().training.stopped not in ("nan", "broken"):  # That gate is not of the export.
        try:
            exporting.check_gate(every)
            run.update(gate=None)
        except GateError as error:
            run.update(gate={"message": error.message, "hint": error.hint})
    write_report(run, lang)


def loaded(found: Source, say: Say) -> tuple[Any, Dataset, str]:
    """Returns the model as float32, its data, and what its outputs mean.

    Raises:
        UserError: the model or the data cannot be read, or do not fit each other.
    """
    from tfday7 import data, models
    from tfday7.exporting import made_up
    from tfday7.models import building
    from tfday7.stages import check_same_data
    from tfday7.training.objective import output_meaning

    config = _model_config(found)
    if found.data is not None:
        dataset = data.load(dataclasses.replace(found.data, task=_task(found)))
        if found.run:
            check_same_data(found.run, dataset)
        model = models.load(building.build(config, dataset.problem), dtype_policy="float32")
        meaning, how = output_meaning(dataset.problem, model), f"verified on {len(dataset.test):,} test examples"
    else:
        given = _without_data(found, config)
        model = models.load(given, allow_unsafe=config.allow_unsafe_model, dtype_policy="float32")
        building.check_usable(model, found.model)
        dataset = made_up.dataset(model, found.name, found.config.shape())
        meaning, how = "values", "without --data compared on made-up inputs, and without a metric"
    say(f"model: {found.model}, {model.count_params():,} parameters; {how}")
    return model, dataset, meaning


def _task(found: Source) -> str:
    """Returns the task that the run's data had; "auto" and the like were settled by its model."""
    if found.run is None or found.data is None:
        return found.data.task if found.data else "auto"
    recorded = found.run.known().data.task
    return recorded if recorded in ("reconstruction", "multilabel") else found.data.task


def _without_data(found: Source, config: ModelConfig) -> Any:
    """Returns a model that `models.load` takes, when there is no data to say what it is to fit."""
    from tfday7.core import user_code
    from tfday7.data.dataset import Problem
    from tfday7.models import building, transfer

    if transfer.is_application(config.model):
        shape = found.config.shape() or APPLICATION_SHAPE
        return building.build(config, Problem("classification", "image", shape, 1000))
    if config.model.startswith(user_code.PREFIX):
        raise UserError(f"--model={config.model} is made for data", "give the data with --data")
    return config.model


def _model_config(found: Source) -> ModelConfig:
    from tfday7.models import transfer

    head = "own" if transfer.is_application(found.model) else "auto"
    unsafe = found.config.allow_unsafe_model
    return ModelConfig(model=found.model, head=head, pretrained=found.config.pretrained, allow_unsafe_model=unsafe)


def _is_exportable(model: str) -> bool:
    from tfday7.core import user_code
    from tfday7.models import building, transfer

    return building.is_file(model) or transfer.is_application(model) or model.startswith(user_code.PREFIX)


def _run_of(config: ModelExportConfig) -> RunFolder | None:
    """Returns the run that is named, or that the model's file is the result of. Raises UserError when there is none."""
    if not config.run_dir:
        parent = RunFolder(Path(config.model).parent)
        return parent if Path(config.model).name == MODEL and parent.exists() else None
    run = RunFolder(Path(config.run_dir))
    if not run.exists():
        raise UserError(f"--run_dir={config.run_dir}: no run was started there", "train first: python -m tfday7.train")
    if not (run / MODEL).exists():
        raise UserError(f"--run_dir={config.run_dir}: the run has no {MODEL} yet", "finish it: the same command again")
    return run

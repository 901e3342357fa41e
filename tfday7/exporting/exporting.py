"""Exports a model to every format asked for, and says what held and what did not."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import files
from tfday7.core.errors import GateError, UserError
from tfday7.data import Dataset
from tfday7.exporting import bisection, card, children, feeding, vectors
from tfday7.exporting.converters import KEPT
from tfday7.exporting.draft import Draft
from tfday7.exporting.format import FORMATS
from tfday7.exporting.job import Job, vectors_name
from tfday7.exporting.options import QuantizationOptions
from tfday7.exporting.records import Artefact, Origin, record_path, source_of
from tfday7.exporting.writing import remove

__all__ = ["Origin", "QuantizationOptions", "check_free", "check_gate", "export"]

Say = Callable[[str], Any]
FEW = 2  # Artefacts are soon made and shown together; of more each is told of as it comes.


def export(
    model: Any,
    dataset: Dataset,
    wanted: list[tuple[str, str]],
    folder: Path,
    origin: Origin,
    batch: int | None = 1,
    expected: np.ndarray | None = None,
    say: Say = lambda sentence: None,
    bisect: bool = True,
    options: QuantizationOptions | None = None,
) -> list[Artefact]:
    """Exports a model; each artefact has its record beside it, the folder a model card and test vectors.

    Args:
        model: a float32 tf_keras model with one input and one output.
        dataset: training examples calibrate, test examples verify.
        wanted: (format, kind) of each artefact; see `config.wanted`.
        folder: where the files go.
        origin: the model's name, its run, and what its outputs are.
        batch: examples a run, where a format leaves the choice; None for any number.
        expected: the model's outputs on the test split, where they are known.
        say: told of what takes long.
        bisect: whether to look for the layer where a broken artefact parts; that exports many parts of the model.
        options: how numbers are quantized: calibration, layers that stay in float, zeros left out; None for the usual
            way.

    Returns:
        One artefact each; one that could not be made says why.

    Raises:
        UserError: the model cannot be run on the data, or a record in the folder is damaged: then nothing of the folder
            was changed; or the folder cannot be written.
    """
    files.remove_partials(folder, older_than_seconds=3600)
    earlier = card.found_in(folder)
    if any(FORMATS.get(format).needs_child for format, _ in wanted):
        KEPT.start()
    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        job = Job(model, dataset, folder, origin, Path(scratch), batch, expected, options)
        drafts = [Draft(job, FORMATS.get(format), kind) for format, kind in wanted]
        _convert(drafts, Path(scratch) / "requests")
        _remove_stale(earlier, job, say)
        artefacts = []
        written = job.write_vectors() if drafts else None
        for draft in drafts:
            artefact = dataclasses.replace(draft.verify(), vectors=written)
            if bisect and artefact.parity is not None and not artefact.parity.holds:
                say(f"{artefact.name}: {artefact.parity.failures[0]}; looking for the layer where it parts")
                artefact = dataclasses.replace(artefact, parting=bisection.part(draft, artefact.parity))
            artefact = draft.finish(artefact)
            artefacts.append(artefact)
            if len(drafts) > FEW:
                say(f"{artefact.name}: {'held' if artefact.holds else 'broken' if artefact.path else 'not made'}")
        if written and not any(artefact.vectors == written for artefact in card.found_in(folder)):
            (folder / written).unlink(missing_ok=True)  # Nothing was made that they belong to.
        card.write(folder, origin.name)
    return artefacts


def _convert(drafts: list[Draft], folder: Path) -> None:
    """Converts, and looks into the files; one that is refused is made again where another process may do better.

    TensorFlow's quantizer walks tables that are ordered by addresses, so the same model comes out differently from
    process to process (tensorflow#55512): one int8 file of an unrolled GRU in three keeps a split in float32. Forks of
    one process have their addresses in common, so every further attempt has a process of its own.
    """
    prepared = [(draft, draft.prepare()) for draft in drafts]
    for draft, request in prepared:
        if request is None:
            draft.refused()
    waiting = [(draft, request) for draft, request in prepared if request is not None]
    for attempt in itertools.count(1):
        asked = [request for _, request in waiting]
        answers = children.convert(asked, folder / str(attempt), fresh=attempt > 1)
        for (draft, _), answer in zip(waiting, answers, strict=True):
            draft.take(answer)
        refused = [(draft, request) for draft, request in waiting if draft.refused()]
        waiting = [(draft, request) for draft, request in refused if attempt < draft.format.attempts]
        if not waiting:
            break


def check_free(folder: Path, run: str, name: str, wanted: list[tuple[str, str]], overwrite: bool = False) -> None:
    """Checks that nothing that an export would replace is somebody else's.

    Args:
        folder: where the artefacts are to go; may not exist.
        run: the run folder, absolute; for a model file its path.
        name: the first part of the files' names.
        wanted: (format, kind) of each artefact.
        overwrite: whether another run's artefacts may go; a file that no export wrote stays whatever is said.

    Raises:
        UserError: it is; the message names the run or the file.
    """
    records = _records(folder)
    for other in records if not overwrite else []:
        if _source(other, folder) != run:
            raise UserError(
                f"{folder} holds the artefacts of another run or model ({_source(other, folder) or 'unknown'})",
                "choose another folder with --export_dir=FOLDER, or replace them with --overwrite",
            )
    targets = [folder / FORMATS.get(format).file_name(name, kind) for format, kind in wanted]
    foreign = [path for path in targets if path.exists() and not record_path(path).exists()]
    foreign += [folder / card.CARD] if (folder / card.CARD).exists() and not card.is_ours(folder) else []
    beside = folder / vectors_name(name)
    named = [record.get("vectors") for record in records]  # Those of an export that was stopped are named by none.
    foreign += [beside] if beside.exists() and beside.name not in named and not vectors.is_one(beside) else []
    if foreign:
        hint = "choose another folder with --export_dir=FOLDER, or another --name"
        raise UserError(f"{foreign[0]} was not written by an export; it would be replaced", hint)


def _remove_stale(earlier: list[Artefact], job: Job, say: Say) -> None:
    """Removes artefacts of another run (which `check_free` has let pass), and of other weights or data of this one.

    The test vectors that are about to be written would not be theirs.
    """
    for artefact in earlier:
        if other := _other(artefact, job):
            say(f"{artefact.name} in {job.folder} is of other {other}, and is removed")
            remove(job.folder / Path(artefact.path or artefact.name).name)


def _other(artefact: Artefact, job: Job) -> str:
    """Returns in what an artefact is not of this job, "" where it is."""
    is_ours = source_of(artefact.run, job.folder) == job.origin.run
    if not is_ours or artefact.recipe.get("weights_sha256") != job.model_digest:
        return "weights"
    same_data = _fingerprint(artefact) == (job.dataset.fingerprint if job.labelled else None)
    if not same_data or artefact.input.get("divisor", 1.0) != feeding.divisor_of(job.dataset.preprocessing):
        return "data"
    return "" if _takes(artefact.input, job.dataset.problem.input_shape) else "input sizes"


def _takes(end: dict[str, Any], shape: tuple[int, ...]) -> bool:
    """Returns whether an artefact takes examples of a shape, as far as the record of its input says."""
    sizes = end.get("shape")
    if not sizes or not isinstance(sizes, list) or "columns" in end:  # Which the file encodes itself.
        return True
    return len(sizes) == 1 + len(shape) and all(own in (None, size) for own, size in zip(sizes[1:], shape, strict=True))


def _fingerprint(artefact: Artefact) -> Any:
    """Returns the fingerprint of the data that an artefact was made on; None where there were none."""
    data = artefact.recipe.get("data")
    return data.get("fingerprint") if isinstance(data, dict) else None


def _records(folder: Path) -> list[dict[str, Any]]:
    """Returns the records of a folder. Raises UserError when a JSON file cannot be read."""
    found = [files.read_json(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []
    return [each for each in found if isinstance(each, dict) and each.get("format") in FORMATS.names()]


def _source(record: dict[str, Any], folder: Path) -> str:
    run = record.get("run")
    return source_of(run, folder) if isinstance(run, str) else ""


def check_gate(artefacts: list[Artefact]) -> None:
    """Raises GateError (exit 3) when an artefact could not be made or does not give the Keras model's answers."""
    broken = [artefact for artefact in artefacts if not artefact.holds]
    if broken:
        raise GateError(
            "; ".join(f"{artefact.name}: {_reason(artefact)}" for artefact in broken),
            "the report shows each artefact's comparison with the Keras model",
        )


def _reason(artefact: Artefact) -> str:
    if artefact.failure or artefact.parity is None:
        return artefact.failure
    where = (artefact.parting or {}).get("sentence")
    return "; ".join([*artefact.parity.failures, *([where] if where else [])])

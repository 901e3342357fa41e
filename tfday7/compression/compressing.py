"""Carries recipes out on a model, measures what comes of them beside the model itself, and delivers the best.

Three passes, so that the test split is looked at once, at the end: each recipe makes a candidate, whose file is
compared with its Keras model and scored on the validation split; then all files are timed together, in interleaved
rounds; then the chosen one, the frontier and the baseline are exported for good, which scores them on the test split.
"""

from __future__ import annotations

import dataclasses
import shutil
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfday7.benchmarking import devices
from tfday7.compression import judging, keeping, limits
from tfday7.compression.config import RUNTIMES, BudgetConfig
from tfday7.compression.recipe import FILE, Recipe
from tfday7.compression.records import BASELINE, Candidate, from_json, with_frontier
from tfday7.compression.technique import Work
from tfday7.compression.timing import Timer, timed
from tfday7.core import amx, files
from tfday7.core.errors import UserError
from tfday7.data.dataset import Dataset
from tfday7.exporting import card, exporting
from tfday7.exporting.job import weights_digest
from tfday7.exporting.records import Artefact, Origin
from tfday7.models.describe import describe
from tfday7.optimizers.config import OptimizerConfig
from tfday7.training.config import TrainingConfig

RECORD, FILES = "candidate.json", "files"
TRAININGS = ".trainings"  # No recipe has such a name.
Say = Callable[[str], Any]


@dataclasses.dataclass
class Compression:
    """What all candidates of a compression share.

    Attributes:
        model: a float32 tf_keras model; it stays as it is.
        dataset: see `Work`.
        origin: the model's name, where it is from, what its outputs mean.
        folder: for what candidates leave behind, so that the same call goes on where it was interrupted.
        export_dir: where what is delivered goes; a folder each.
        optimizer, training, teachers, distil: of fine-tuning; see `Work`.
        say: told in a sentence what is being done.
        device: where files are timed on this machine; see `benchmarking.devices.DEVICES`.
        timer: times files on another device; None for this machine.
        runtime: runs and times the files, which are of its format.
        allow_unsafe: whether models in files, as candidates leave them in `folder`, may bring code; see `models.load`.
    """

    model: Any
    dataset: Dataset
    origin: Origin
    folder: Path
    export_dir: Path
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    teachers: tuple[Any, ...] = ()
    distil: bool = True
    say: Say = lambda sentence: None
    device: str = "cpu"
    timer: Timer | None = None
    runtime: str = "litert"
    allow_unsafe: bool = False

    @property
    def format(self) -> str:
        """The format of the files."""
        return RUNTIMES[self.runtime]

    def baseline(self) -> Candidate:
        """Returns the given model's own float32 file as a candidate."""
        found = self._candidate(BASELINE, Work(self.model, self.model, self.dataset), None)
        note = judging.no_better_than_guessing(found, self.dataset, self.decides())
        if note:
            self.say(note)
        return dataclasses.replace(found, notes=[*found.notes, *filter(None, [note])])

    def candidate(self, recipe: Recipe) -> Candidate:
        """Returns what comes of a recipe; one that was made before from the same is read instead.

        Raises:
            UserError: the model or the data do not take a step.
            Interrupted: a signal; the same call goes on from the last checkpoint.
        """
        folder = self.folder / recipe.name
        key = self._key(recipe)
        made = self._made_before(folder, key)
        if made is not None:
            self.say(f"{recipe.name}: made before")
            return made
        if folder.exists() and _key_of(folder) != key:
            shutil.rmtree(folder)  # Of another recipe or model: its checkpoints would be continued.
        folder.mkdir(parents=True, exist_ok=True)
        files.remove_partials(folder)
        files.write_json(folder / "key.json", key)
        return self._candidate(recipe.name, self.carried_out(recipe, self.folder / TRAININGS), recipe)

    def carried_out(self, recipe: Recipe, trainings: Path | None = None) -> Work:
        """Returns the model after all steps of a recipe. Raises as `candidate` does.

        Args:
            recipe: what to do.
            trainings: folder of what was trained before: recipes that begin alike train their beginning once.
        """
        work = Work(
            self.model,
            self.model,
            self.dataset,
            self.optimizer,
            self.training,
            self.teachers,
            self.distil,
            trainings,
            self.say,
            allow_unsafe=self.allow_unsafe,
        )
        for number, step in enumerate(recipe.steps, start=1):
            name = step.technique.name
            self.say(f"{recipe.name}, step {number} of {len(recipe.steps)}: {name}")
            work.step = step.to_json()
            try:
                done = step.technique.apply(work, step.settings)
            except UserError as error:
                raise UserError(f"{recipe.name}, step {number} ({name}): {error.message}", error.hint) from error
            work.done.append({"technique": name, **done, **_size(work.model)})
        return work

    def _candidate(self, name: str, work: Work, recipe: Recipe | None) -> Candidate:
        folder = self.folder / name
        keeping.save(work, folder)
        artefact = self._exported(work, name, folder / FILES, dataclasses.replace(self.dataset, test=self.decides()))
        parity = artefact.parity
        candidate = Candidate(
            name=name,
            recipe=recipe.to_json() if recipe else None,
            metric={"name": self.dataset.problem.metric, "value": parity.artefact_metric if parity else None},
            size_bytes=artefact.size_bytes,
            gzip_bytes=artefact.gzip_bytes,
            sha256=artefact.sha256,
            path=artefact.path,
            **_structure(work),
            steps=work.done,
            skipped_layers=[dataclasses.asdict(each) for each in work.skipped],
            notes=[*work.notes, *artefact.notes, *(parity.failures if parity else [])],
            failure=judging.broken(artefact),
        )
        files.write_json(folder / RECORD, candidate.to_json())
        return candidate

    def deliver(self, candidate: Candidate) -> Candidate:
        """Exports a candidate for good, scored on the test split, with its recipe in the record beside the file.

        The conversion is repeated; the file is the one that was measured, to the byte, or a note says that it is not.
        """
        work = keeping.load(self.folder / candidate.name, self.dataset, self.model, self.allow_unsafe)
        target = self.export_dir / candidate.name
        (target / card.COMPRESSED).unlink(missing_ok=True)  # It told of the file that was there before.
        artefact = self._exported(work, candidate.name, target, self.dataset)
        if artefact.path:
            recipe = {"name": candidate.name} if candidate.recipe is None else candidate.recipe
            files.write_json(target / FILE, recipe)
        notes = list(candidate.notes)
        if artefact.sha256 != candidate.sha256:
            notes.append("converted again for delivery; not byte for byte the file that was timed")
        parity = artefact.parity
        return dataclasses.replace(
            candidate,
            size_bytes=artefact.size_bytes if artefact.path else candidate.size_bytes,
            gzip_bytes=artefact.gzip_bytes if artefact.path else candidate.gzip_bytes,
            path=artefact.path,
            sha256=artefact.sha256,
            test_metric=parity.artefact_metric if parity else None,
            notes=notes,
            failure=judging.broken(artefact),
        )

    def _exported(self, work: Work, name: str, folder: Path, dataset: Dataset) -> Artefact:
        kind = getattr(work.numbers, "kind", "float32")
        origin = dataclasses.replace(self.origin, name=f"{self.origin.name}_{name}")
        wanted = [(self.format, kind)]
        options = keeping.options(work)
        (artefact,) = exporting.export(work.model, dataset, wanted, folder, origin, bisect=False, options=options)
        return artefact

    def decides(self) -> Any:
        """Returns the split that decides: validation; where there is none, training."""
        return self.dataset.validation if len(self.dataset.validation) else self.dataset.train

    def _key(self, recipe: Recipe) -> dict[str, Any]:
        """Returns what a candidate is made from; equal keys, equal candidates."""
        own = {name: files.sha256(Path(name)) for name in recipe.teachers}
        said = {"recipe": recipe.to_json(), "format": self.format, **self.key_of_model()}
        return {**said, "own_teachers": own} if own else said

    def place(self) -> str:
        """Returns the name of what files are timed on."""
        return self.timer.name if self.timer is not None else devices.name(self.device, self.runtime)

    def key_of_model(self) -> dict[str, Any]:
        """Returns what all candidates are made from, as JSON values."""
        return {
            "weights_sha256": weights_digest(self.model),
            "data": self.dataset.fingerprint,
            "training": dataclasses.asdict(self.training),
            "optimizer": dataclasses.asdict(self.optimizer),
            "teachers": [weights_digest(teacher) for teacher in self.teachers],
            "distil": self.distil,
        }

    def _made_before(self, folder: Path, key: dict[str, Any]) -> Candidate | None:
        if _key_of(folder) != key or not (folder / RECORD).exists():
            return None
        candidate = from_json(files.read_json(folder / RECORD), str(folder / RECORD))
        return candidate if candidate.path and Path(candidate.path).exists() else None


def compress(
    job: Compression, recipes: Sequence[Recipe], budget: BudgetConfig, seconds: float | None
) -> dict[str, Any]:
    """Returns the record of compression.json, without what the caller knows better (the command, hardware).

    Args:
        job: the model and its data.
        recipes: what to try; one that fails does not lose the others.
        budget: what the chosen one has to keep.
        seconds: for measuring each file; None measures no latency.

    Raises:
        UserError: the only recipe cannot be carried out.
        Interrupted: a signal.
    """
    baseline = job.baseline()
    made = [attempt(job, recipe, alone=len(recipes) == 1) for recipe in recipes]
    return concluded(job, baseline, made, budget, seconds)


def concluded(
    job: Compression,
    baseline: Candidate,
    made: Sequence[Candidate],
    budget: BudgetConfig,
    seconds: float | None,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Times candidates together, chooses, delivers what is chosen and the frontier, and returns the record of it.

    Args:
        job, budget, seconds: as of `compress`.
        baseline, made: what there is.
        names: of the candidates that are timed; others keep the times that they have. None for all.
    """
    if seconds is not None:
        some = [one for one in made if not one.failure and (names is None or one.name in names)]
        job.say(f"timing {len(some) + 1} files in interleaved rounds")
        baseline, *some = timed(job, [baseline, *some], seconds)
        again = {one.name: one for one in some}
        made = [again.get(one.name, one) for one in made]
    job.say("scoring on the test split: the baseline, the frontier and what is chosen")
    baseline, made, chosen = _delivered(job, job.deliver(baseline), made, budget)
    for one in made:
        if one.path:
            _tell(one, baseline, Path(one.path).parent, job.origin.name, job.place())
    broken = {one.name: limits.broken_limits(one, baseline, budget) for one in made if not one.failure}
    here = job.timer is None and job.device == "cpu" and job.runtime == "litert"
    if seconds is not None and here and amx.is_there():
        note = (
            "timed with the CPU's matrix unit (AMX), in whose int8 kernels a layer of 8 channels takes as long as one "
            "of 64; --device=cpu_without_amx times as CPUs without it do"
        )
        baseline = dataclasses.replace(baseline, notes=[*baseline.notes, note])
    return {
        "baseline": baseline.to_json(),
        "candidates": [one.to_json() for one in made],
        "chosen": chosen,
        "budget": budget.to_json(),
        "outside": {name: [each.to_json() for each in found] for name, found in broken.items() if found},
        "nearest": [] if chosen else limits.nearest(made, baseline, budget),
    }


def _delivered(
    job: Compression, baseline: Candidate, made: Sequence[Candidate], budget: BudgetConfig
) -> tuple[Candidate, list[Candidate], str | None]:
    """Delivers the frontier and what is chosen; returns baseline and candidates, and the chosen one's name.

    On the test split a file may turn out to be broken, and one that is converted again to be larger: it is chosen no
    more, and the next best is delivered in its place, as is what it alone kept from the frontier.
    """
    found, delivered = list(made), set[int]()
    while True:
        baseline, *found = with_frontier([baseline, *found], limits.frontier_floor(baseline, budget))
        chosen = limits.choose(found, baseline, budget)
        due = [
            at for at, one in enumerate(found)
            if at not in delivered and not one.failure and (one.pareto or one.name == chosen)
        ]  # fmt: skip
        if not due:
            return baseline, [one if at in delivered else _undelivered(one) for at, one in enumerate(found)], chosen
        for at in due:
            try:
                found[at] = job.deliver(found[at])
            except UserError as error:  # Of this one alone, as the baseline was delivered.
                job.say(f"{found[at].name}: cannot be delivered ({error.message})")
                found[at] = dataclasses.replace(found[at], path=None, failure=error.message)
        delivered.update(due)


def attempt(job: Compression, recipe: Recipe, alone: bool = False) -> Candidate:
    """Returns the candidate of a recipe; one that cannot be made has its reason, unless it is `alone`."""
    try:
        return job.candidate(recipe)
    except Exception as error:
        if alone:
            raise
        folder = job.folder / recipe.name
        folder.mkdir(parents=True, exist_ok=True)
        files.write_text(folder / "failure.txt", traceback.format_exc())
        said = error.message if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        reason = said.strip().splitlines()[0][:500]
        job.say(f"{recipe.name}: failed ({reason}); the others go on")
        return Candidate(recipe.name, recipe.to_json(), failure=reason)


def _tell(one: Candidate, baseline: Candidate, folder: Path, name: str, device: str) -> None:
    """Writes what a delivered candidate is beside its file: as JSON, and into the model card."""
    keys = (
        "name", "metric", "test_metric", "size_bytes", "gzip_bytes", "latency_ratio", "latency_spread", "parameters",
        "macs",
    )  # fmt: skip
    record = {
        **{key: getattr(one, key) for key in keys},
        "recipe": one.recipe,
        "skipped_layers": one.skipped_layers,
        "notes": one.notes,
        "baseline": {key: getattr(baseline, key) for key in keys},
        "device": device if one.latency_ratio is not None else None,
    }
    files.write_json(folder / card.COMPRESSED, record)
    card.write(folder, f"{name}_{one.name}")


def _undelivered(one: Candidate) -> Candidate:
    return dataclasses.replace(one, path=None)


def _key_of(folder: Path) -> Any:
    path = folder / "key.json"
    return files.read_json(path) if path.exists() else None


def _size(model: Any) -> dict[str, Any]:
    """Returns parameters and MACs of a model in plain floats; what wraps layers hides them."""
    from tfday7.compression.keeping import is_quantized

    return {} if is_quantized(model) else _counts(model)


def _counts(model: Any) -> dict[str, Any]:
    described = describe(model)
    return {"parameters": described.parameters, "macs": described.macs}


def _structure(work: Work) -> dict[str, Any]:
    """Returns parameters and MACs of the last step before which the model had no fake quantization."""
    for step in reversed(work.done):
        if "macs" in step:
            return {"parameters": step["parameters"], "macs": step["macs"]}
    return _counts(work.original)

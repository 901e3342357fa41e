"""What the checks look at: the curves of a run, and how its scores compare with guessing."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tfday7.core import records
from tfday7.core.run_folder import METRICS as METRICS_FILE
from tfday7.core.run_folder import RunFolder
from tfday7.core.settings import to_text
from tfday7.data.dataset import METRICS
from tfday7.diagnosis import health
from tfday7.diagnosis.health import Health
from tfday7.optimizers.config import FIND, OptimizerConfig

MAX_REACH = 25  # Epochs to either side; wider windows would flatten what they are to show.


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The measured values of one run.

    Attributes:
        loss, val_loss: float64 [epochs], NaN where a value was not finite.
        metric: as in `Problem.metric`.
        train_score, validation_score: of the delivered weights; None when not measured.
        baseline: the score of the best constant answer: the most common class or labels, or the mean.
        train_examples, validation_examples: sizes of the splits; 0 where not recorded.
        kind: of the data, as in `Problem.kind`.
        stopped: how training ended: "finished", "early" or "nan".
        flags: the flags of the run, name -> value; with what "auto" and "find" were settled as.
        task: as in `Problem.task`.
        train_metric, validation_metric: float64 [epochs], as during training: with dropout, and of the epoch's mean
            weights; empty where not recorded.
        class_recall: share of each class's validation examples that are recognised; empty where not measured.
        step_ms: mean time of a training step, data included; None when not measured.
        input_ms: what the input pipeline alone takes for a batch; None when not measured.
        found_rate: whether a range test has chosen the learning rate.
        health: what was measured of the data and the layers; empty where the run recorded none.
        notes: what was read around, as names of `diagnosis.unseen` in the table of texts.
    """

    loss: np.ndarray
    val_loss: np.ndarray
    metric: str = "accuracy"
    train_score: float | None = None
    validation_score: float | None = None
    baseline: float | None = None
    train_examples: int = 0
    validation_examples: int = 0
    kind: str = "image"
    stopped: str = "finished"
    flags: dict[str, str] = dataclasses.field(default_factory=dict)
    task: str = "classification"
    train_metric: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    validation_metric: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    class_recall: tuple[float | None, ...] = ()
    step_ms: float | None = None
    input_ms: float | None = None
    found_rate: bool = False
    health: Health = dataclasses.field(default_factory=Health)
    notes: tuple[str, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs were recorded."""
        return len(self.loss)


def from_run(folder: RunFolder) -> Evidence:
    """Reads the evidence that a run folder holds. Raises UserError when its records are damaged."""
    run, metrics = folder.known(), folder.metrics()
    scores, training, examples = run.metric, run.training, run.data.examples
    flags = folder.flags() if folder.exists() else {}
    metric = scores.name or METRICS.get(run.data.task, "accuracy")  # A run that diverged has no scores.
    with records.understood(folder / METRICS_FILE, "--overwrite starts again"):
        loss, val_loss, *others = (recorded(metrics, name) for name in ("loss", "val_loss", metric, f"val_{metric}"))
    return Evidence(
        loss=loss,
        val_loss=val_loss,
        metric=metric,
        train_score=scores.train,
        validation_score=scores.validation,
        baseline=scores.baseline,
        train_examples=examples.get("train", 0),
        validation_examples=examples.get("validation", 0),
        kind=run.data.kind,
        task=run.data.task,
        health=health.read(folder)[0],
        stopped=training.stopped,
        train_metric=others[0],
        validation_metric=others[1],
        class_recall=tuple(scores.class_recall),
        step_ms=training.step_ms,
        input_ms=training.input_ms,
        flags=_settled(flags, run.optimizer),
        found_rate=flags.get("learning_rate") == FIND,
    )


def smooth(curve: np.ndarray) -> np.ndarray:
    """Returns the running median over about a twentieth of the curve (3 to 51 epochs), of the same length.

    A median keeps a single bad epoch from looking like a trend. The curve is mirrored at its ends and must be finite.
    """
    from scipy.ndimage import median_filter  # Slow to load, and --help needs the flags of this package.

    reach = min(max(1, len(curve) // 40), MAX_REACH)
    return median_filter(curve, size=2 * reach + 1, mode="reflect")


def noise(curve: np.ndarray) -> float:
    """Returns the standard deviation of a curve's noise from epoch to epoch, whatever its trend.

    Third differences take a smooth trend away and leave independent noise with 1 + 9 + 9 + 1 times its variance; the
    median keeps single bad epochs out (a normal deviation is 1 / 0.6745 times its median magnitude).
    """
    return float(np.median(np.abs(np.diff(curve, 3)))) / (0.6745 * math.sqrt(20.0))


def _settled(flags: dict[str, str], optimizer: dict[str, Any]) -> dict[str, str]:
    """Returns the flags with every setting that the run's optimizer took where they said "auto" or "find"."""
    if not {"auto", FIND} & {flags.get("optimizer"), flags.get("learning_rate")}:
        return flags
    fields = {field.name for field in dataclasses.fields(OptimizerConfig)}
    taken = {"optimizer": optimizer.get("name"), **{name: optimizer[name] for name in fields & optimizer.keys()}}
    said = to_text(OptimizerConfig(**{name: value for name, value in taken.items() if value is not None}))
    return flags | {name: said[name] for name, value in taken.items() if value is not None}


def recorded(metrics: list[dict[str, Any]], name: str) -> np.ndarray:
    """Returns a value of every epoch, float64 [epochs]; NaN where there is none, or it was not finite."""
    found = np.array([np.nan if record.get(name) is None else record[name] for record in metrics], np.float64)
    return np.where(np.abs(found) <= records.LARGEST, found, np.nan)

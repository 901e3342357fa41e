"""Why a model may overfit, underfit, be unstable or broken, and what helps: the table that advice without a run reads.

Causes and remedies that a diagnosis has too are named by its ids, and their flags come from the same functions
(`remedies`); those that only a person can judge, as no measurement tells them, are "fit." ids. To add one, add a line
here and its sentences in core/texts/fit.json: `cause` or `remedy` where the id begins with "fit.", and `recognise`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tfday7.diagnosis import remedies
from tfday7.diagnosis.evidence import Evidence

Flag = Callable[[Evidence], str | None]


@dataclasses.dataclass(frozen=True)
class Remedy:
    """What helps against a cause.

    Attributes:
        id: of its sentence.
        cost: last parts of the ids of what it costs: `fit.training.<>`, `fit.accuracy.<>`, `fit.inference.<>`.
        flag: what applies it; "" where no flag does, None where it does not fit.
    """

    id: str
    cost: tuple[str, str, str]
    flag: Flag


@dataclasses.dataclass(frozen=True)
class Cause:
    """A possible cause.

    Attributes:
        id: of its sentence; how to recognise it is `fit.recognise.<symptom>.<last part of the id>`.
        remedies: the best first.
        weight: how likely it is while nothing is known; see `fit_advice`.
        kind: of the data that it is about; empty for any.
        models: the architectures that it is about; empty for any.
    """

    id: str
    remedies: tuple[Remedy, ...]
    weight: int
    kind: str = ""
    models: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rpartition(".")[2]


def _always(flag: str) -> Flag:
    return lambda evidence: remedies.if_taken(evidence, flag) if flag else ""


def _augment_all(evidence: Evidence) -> str | None:
    return "--augment=flip,shift,crop" if evidence.kind == "image" else None


def _pretrained(evidence: Evidence) -> str | None:
    flags = "--model=keras.applications:MobileNetV2 --pretrained --freeze"
    return flags if evidence.kind == "image" else None


def _normalized(evidence: Evidence) -> str:
    return "--model=resnet8" if evidence.kind == "image" else ""


OVERFIT, UNDERFIT, UNSTABLE = "diagnosis.overfit.remedy.", "diagnosis.underfit.remedy.", "diagnosis.unstable.remedy."
DIVERGED, STUCK = "diagnosis.diverged.remedy.", "diagnosis.not_learning.remedy."

STOP = Remedy(f"{OVERFIT}stop", ("shorter", "stop", "same"), _always("--patience=5"))
AUGMENT = Remedy(f"{OVERFIT}augment", ("longer", "augment", "same"), remedies.augment)
DROPOUT = Remedy(f"{OVERFIT}dropout", ("longer", "dropout", "same"), remedies.more_dropout)
L2 = Remedy(f"{OVERFIT}l2", ("same", "l2", "same"), remedies.more_l2)
SMALLER = Remedy(f"{OVERFIT}smaller", ("shorter", "smaller", "smaller"), lambda e: remedies.width(e, 1 / 2))
LONGER = Remedy(f"{UNDERFIT}longer", ("times", "overfit", "same"), _always("--epochs=60"))
WIDER = Remedy(f"{UNDERFIT}wider", ("larger", "overfit", "larger"), lambda e: remedies.width(e, 2))
FASTER = Remedy(
    f"{UNDERFIT}optimizer", ("same", "generalize", "same"), _always("--optimizer=adam --learning_rate=0.001")
)
FREER = Remedy(f"{UNDERFIT}regularization", ("same", "overfit", "same"), _always("--dropout=0 --l2=0"))
LOWER = Remedy(f"{UNSTABLE}rate", ("longer", "slow", "same"), lambda e: remedies.lower_rate(e, 3))
SCHEDULE = Remedy(f"{UNSTABLE}schedule", ("same", "schedule", "same"), _always("--schedule=cosine"))
CLIP = Remedy(f"{UNSTABLE}clip", ("same", "clip", "same"), remedies.clipping)
MUCH_LOWER = Remedy(f"{DIVERGED}rate", ("longer", "slow", "same"), lambda e: remedies.lower_rate(e, 10))
WARMUP = Remedy(f"{DIVERGED}warmup", ("same", "none", "same"), remedies.warmup)
REFERENCE = Remedy(f"{STUCK}optimizer", ("same", "generalize", "same"), FASTER.flag)
LABELS = Remedy(f"{STUCK}labels", ("hand", "none", "same"), _always(""))
COLLECT = Remedy("fit.remedy.collect", ("hand", "none", "same"), _always(""))
SMOOTH = Remedy("fit.remedy.smooth", ("same", "smooth", "same"), _always("--label_smoothing=0.1"))
PRETRAINED = Remedy("fit.remedy.pretrained", ("pretrained", "pretrained", "larger"), _pretrained)
FLIP = Remedy("fit.remedy.flip", ("longer", "flip", "same"), _augment_all)
VECTORS = Remedy("fit.remedy.vectors", ("shorter", "smaller", "smaller"), SMALLER.flag)
DROP_COLUMNS = Remedy("fit.remedy.drop_columns", ("shorter", "drop_columns", "smaller"), _always("--columns=NAME=drop"))
SPLIT = Remedy("fit.remedy.split", ("hand", "honest", "same"), _always(""))
SEE = {
    "image": Remedy("fit.remedy.cnn", ("larger", "overfit", "larger"), _always("--model=cnn")),
    "text": Remedy("fit.remedy.transformer", ("larger", "overfit", "larger"), _always("--model=transformer")),
    "tabular": Remedy("fit.remedy.mlp", ("larger", "overfit", "larger"), _always("--model=mlp")),
    "speech": Remedy("fit.remedy.ds_cnn", ("larger", "overfit", "larger"), _always("--model=ds_cnn")),
}
FEATURES = Remedy("fit.remedy.features", ("hand", "overfit", "same"), _always(""))
WINDOW = Remedy("fit.remedy.window", ("larger", "overfit", "larger"), _always(""))
BATCH = Remedy("fit.remedy.batch", ("shorter", "batch", "same"), _always("--batch_size=64"))
SEEDS = Remedy("fit.remedy.seeds", ("seeds", "none", "same"), _always(""))
SCALE = Remedy("fit.remedy.scale", ("hand", "none", "same"), _always(""))
NORMALIZED = Remedy("fit.remedy.normalized", ("larger", "overfit", "larger"), _normalized)
FLOAT32 = Remedy("fit.remedy.float32", ("float32", "none", "same"), _always("--precision=float32"))
WORDS = Remedy("fit.remedy.words", ("hand", "none", "same"), _always(""))
PIXELS = Remedy("fit.remedy.pixels", ("hand", "none", "same"), _always(""))

BLIND = ("linear", "mlp")  # They see neither which pixels are neighbours nor in which order words stand.
CAUSES: dict[str, tuple[Cause, ...]] = {
    "overfit": (
        Cause("diagnosis.overfit.cause.capacity", (SMALLER, STOP), 6),
        Cause("diagnosis.overfit.cause.regularization", (DROPOUT, L2, AUGMENT), 4),
        Cause("diagnosis.overfit.cause.data", (COLLECT, PRETRAINED, SMOOTH), 2),
        Cause("fit.overfit.cause.long", (STOP,), 1),
        Cause("fit.overfit.cause.alike", (AUGMENT, FLIP), 7, "image"),
        Cause("fit.overfit.cause.rare_words", (AUGMENT, VECTORS), 7, "text"),
        Cause("fit.overfit.cause.columns", (DROP_COLUMNS, AUGMENT), 7, "tabular"),
        Cause("fit.overfit.cause.windows", (SPLIT, AUGMENT), 7, "series"),
        Cause("fit.overfit.cause.speakers", (COLLECT, AUGMENT), 7, "speech"),
    ),
    "underfit": (
        Cause("diagnosis.underfit.cause.short", (LONGER,), 6),
        Cause("diagnosis.underfit.cause.rate", (FASTER,), 4),
        Cause("diagnosis.underfit.cause.capacity", (WIDER,), 5),
        Cause("diagnosis.underfit.cause.regularization", (FREER,), 2),
        Cause("fit.underfit.cause.neighbours", (SEE["image"],), 3, "image", BLIND),
        Cause("fit.underfit.cause.order", (SEE["text"],), 3, "text", BLIND),
        Cause("fit.underfit.cause.interactions", (SEE["tabular"], FEATURES), 3, "tabular", ("linear",)),
        Cause("fit.underfit.cause.window", (WINDOW,), 3, "series"),
        Cause("fit.underfit.cause.spectrum", (SEE["speech"],), 3, "speech", BLIND),
    ),
    "unstable": (
        Cause("diagnosis.unstable.cause.rate", (LOWER, WARMUP), 6),
        Cause("diagnosis.unstable.cause.schedule", (SCHEDULE,), 4),
        Cause("diagnosis.unstable.cause.gradients", (CLIP, BATCH), 3),
        Cause("fit.unstable.cause.chance", (SEEDS, BATCH), 2),
        Cause("fit.unstable.cause.statistics", (BATCH,), 3, "image"),
        Cause("fit.unstable.cause.outliers", (SCALE, CLIP), 5, "tabular"),
    ),
    "broken": (
        Cause("diagnosis.not_learning.cause.rate", (MUCH_LOWER, REFERENCE, WARMUP), 6),
        Cause("diagnosis.not_learning.cause.labels", (LABELS,), 4),
        Cause("diagnosis.diverged.cause.unscaled", (SCALE, CLIP), 3),
        Cause("diagnosis.not_learning.cause.saturated", (NORMALIZED, MUCH_LOWER), 2),
        Cause("diagnosis.diverged.cause.precision", (FLOAT32,), 0),
        Cause("fit.broken.cause.pixels", (PIXELS,), 5, "image"),
        Cause("fit.broken.cause.words", (WORDS,), 5, "text"),
    ),
}
SYMPTOMS = tuple(CAUSES)

"""What is known of an exported file, as it goes to the record beside it and to exports.json."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Parity:
    """How an artefact's outputs compare with the Keras model's on the same examples.

    Attributes:
        metric: its name; `keras_metric` and `artefact_metric` are its values on the test split.
        largest_difference, mean_difference: of the outputs, absolute.
        relative_difference: the largest difference over the largest absolute output of the Keras model; for regression
            over the target's standard deviation, for reconstruction both are in deviations.
        agreement: share of examples with the same decision (on every label; of several targets, on the
            one that agrees least); None where nothing is decided.
        worst_example: index in the test split of the largest difference.
        examples: how many were compared.
        limits: what was allowed: relative_difference, metric_drop.
        failures: why parity does not hold, in words; empty when it holds.
    """

    metric: str
    keras_metric: float
    artefact_metric: float
    largest_difference: float
    mean_difference: float
    relative_difference: float
    agreement: float | None
    worst_example: int
    examples: int
    limits: dict[str, float]
    failures: list[str]

    @property
    def holds(self) -> bool:
        """Whether every limit was kept."""
        return not self.failures


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where an artefact comes from.

    Attributes:
        name: the model's name, the first part of every file name.
        run: the run folder, absolute; another run's artefacts are not replaced without being asked.
        meaning: what the outputs are: "logits", "probabilities" or "values".
    """

    name: str
    run: str
    meaning: str


@dataclasses.dataclass(frozen=True)
class Artefact:
    """One exported file, or the reason why it could not be made.

    Attributes:
        name: the file's name without suffix, for example "quickstart_int8".
        format, kind: for example "tflite" and "int8".
        run: the run folder that it comes from.
        path: the file; None when it was not made.
        failure: why it was not made; empty when it was.
        size_bytes, gzip_bytes: of the file, and of the file compressed as an app store would.
        sha256: hexadecimal digest of the file.
        input, output: dtype, shape, quantization and meaning, for people who feed the file; where `standardization` is
            set, the file takes (x - mean) / std, and gives y for which y * std + mean is the answer.
        labels: class names in the order of the outputs.
        parity: None when it could not be measured.
    """

    name: str
    format: str
    kind: str
    run: str = ""
    path: str | None = None
    failure: str = ""
    size_bytes: int | None = None
    gzip_bytes: int | None = None
    sha256: str | None = None
    input: dict[str, Any] = dataclasses.field(default_factory=dict)
    output: dict[str, Any] = dataclasses.field(default_factory=dict)
    labels: list[str] = dataclasses.field(default_factory=list)
    parity: Parity | None = None

    @property
    def holds(self) -> bool:
        """Whether the file was made and gives the Keras model's answers."""
        return self.parity is not None and self.parity.holds

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        return dataclasses.asdict(self)

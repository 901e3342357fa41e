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
        relative_difference: the largest difference over the largest absolute output of the Keras model.
        agreement: share of examples with the same decision; None for regression.
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
class Artefact:
    """One exported file, or the reason why it could not be made.

    Attributes:
        name: the file's name without suffix, for example "quickstart_int8".
        format, kind: for example "tflite" and "int8".
        path: the file; None when it was not made.
        failure: why it was not made; empty when it was.
        size_bytes, gzip_bytes: of the file, and of the file compressed as an app store would.
        sha256: hexadecimal digest of the file.
        input, output: dtype, shape, quantization and meaning, for people who feed the file.
        labels: class names in the order of the outputs.
        parity: None when it could not be measured.
    """

    name: str
    format: str
    kind: str
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

"""What was measured of a run beside its curves: its data, simple references on them, and its layers while they learned.

These types are the contract of health.json: `inspection` measures the data and the references,
`watching` probes the layers during it, checks and reports read them. Loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfday7.core import files, records
from tfday7.core.run_folder import HEALTH, RunFolder

ROUNDING = 1e-12  # Of a column's mean: what deviates by less, in float64, is a constant that was rounded.


@dataclasses.dataclass(frozen=True)
class LayerProbe:
    """One layer at one time, on a batch of training examples; root mean squares over all values of the layer.

    Attributes:
        name: of the layer.
        kind: its class, for example "Dense"; "Input" for what the first layer with a kernel sees.
        activation: for example "relu"; empty where it has none.
        mean, std: of its outputs; None when they are no numbers.
        scale_ratio: largest over smallest deviation of the columns that vary, where inputs are a table.
        dead_share: share of its units that are zero for every example (relu and its kin); None for other activations.
        saturated_share: share of outputs within 2% of an end of the range (tanh, sigmoid, softmax of no last layer);
            None for other activations.
        spread: the outputs' deviation from one example to another; 0 when every example looks the same to the layer.
        gradient: of its kernel; None without one, or where it does not train.
        weight: of its kernel; None without one.
        change: of the kernel since the start of training; None at the start.
        statistics_gap: of a BatchNormalization: how far its moving mean lies from the batch's, in the batch's
            deviations, and how far apart the logarithms of their deviations are, the larger of both; median of units.
    """

    name: str
    kind: str
    activation: str
    mean: float | None
    std: float | None
    scale_ratio: float | None = None
    dead_share: float | None = None
    saturated_share: float | None = None
    spread: float | None = None
    gradient: float | None = None
    weight: float | None = None
    change: float | None = None
    statistics_gap: float | None = None


@dataclasses.dataclass(frozen=True)
class Probe:
    """All layers at one time.

    Attributes:
        epoch: how many epochs had been trained; 0 before the first.
        loss: of the probed batch, without penalties and dropout; None when it is no number.
        layers: in the order of the forward pass.
        penalty: what L2 and other penalties add to the loss.
        dropout: the largest rate of a Dropout layer.
        last_activation: of the output, looked for behind layers that only reshape or rescale.
    """

    epoch: int
    loss: float | None
    layers: tuple[LayerProbe, ...]
    penalty: float = 0.0
    dropout: float = 0.0
    last_activation: str = ""


@dataclasses.dataclass(frozen=True)
class DataHealth:
    """What the splits look like; of at most `inspection.EXAMPLES` examples of each.

    Attributes:
        class_counts: of the training split; empty for other than classification.
        duplicates: share of the validation examples that have a twin in training; None: not looked for.
        shift: area under the ROC curve of a classifier that tells validation from training inputs; 0.5 is none.
        shift_error: its standard error.
        distinct_targets: how many values the targets of a regression take; None for other tasks.
        whole_targets: whether they all are whole numbers.
        target_largest: largest distance of a regression's target from the median, in robust deviations.
    """

    class_counts: tuple[int, ...] = ()
    duplicates: float | None = None
    shift: float | None = None
    shift_error: float | None = None
    distinct_targets: int | None = None
    whole_targets: bool = False
    target_largest: float | None = None


@dataclasses.dataclass(frozen=True)
class References:
    """What simple methods reach with the same data, in the task's metric on the validation split; None: not measured.

    Attributes:
        constant: the most common class, or the mean.
        linear: a ridge classifier or regression on the inputs, or on counts of words.
        neighbours: the five nearest training examples.
        codes: where a regression's targets are a few whole numbers: how far off the neighbours' wrong votes are,
            relative to votes for any wrong number; near 0 where numbers are an order, None with too few wrong votes.
        ceiling: the best that any model can reach on training examples whose inputs repeat with other labels.
    """

    constant: float | None = None
    linear: float | None = None
    neighbours: float | None = None
    codes: float | None = None
    ceiling: float | None = None

    @property
    def best(self) -> float | None:
        """The highest of what simple methods reach, but no more than contradicting labels allow any model."""
        known = [value for value in (self.constant, self.linear, self.neighbours) if value is not None]
        if not known:
            return None
        return max(known) if self.ceiling is None else min(max(known), self.ceiling)


@dataclasses.dataclass(frozen=True)
class Health:
    """The content of health.json; `failure` says why there are no probes, where they were tried."""

    data: DataHealth | None = None
    references: References | None = None
    probes: tuple[Probe, ...] = ()
    failure: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return dataclasses.asdict(self)


def read(folder: RunFolder) -> tuple[Health, dict[str, Any]]:
    """Returns the health of a run and its record; empty ones before it is written. Raises UserError when damaged."""
    path = folder / HEALTH
    record = files.read_json(path) if path.exists() else {}
    return from_json(record, path), record


def from_json(record: Any, where: Path | str = HEALTH) -> Health:
    """Returns the health that a record holds; what it does not hold is None. Raises UserError when it is none."""
    again = "--overwrite starts again"
    records.check_measured(record, where, again)
    return records.build(Health, record, where, again)

"""Which layers suffer from int8, and which have to stay in float32 for the file to keep its accuracy.

Every figure is that of a real `.tflite` file, run by LiteRT on validation examples; training examples calibrate. The
test split is not looked at. A layer's sensitivity is how far the outputs move when it alone is int8 and all others
compute in float32. Where the whole int8 file loses more than is allowed, the most sensitive layers stay in float32: the
fewest of them, found by halving, with which the file has been seen to hold.

Source: leaving out the worst layers after measuring each alone is the practice of TensorFlow's quantization debugger,
https://ai.google.dev/edge/litert/models/quantization_debugger.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.seeds import derive_seed
from tfday7.data import Dataset, pipeline
from tfday7.data.lazy import take
from tfday7.data.scoring import score
from tfday7.exporting import children, tflite_file, tflite_layers
from tfday7.exporting.draft import request
from tfday7.exporting.format import FORMATS
from tfday7.exporting.job import Job
from tfday7.exporting.options import QuantizationOptions
from tfday7.exporting.records import Origin
from tfday7.runtimes import open_artefact
from tfday7.training.objective import output_meaning

EXAMPLES = 1000  # Of the validation split that a file is judged on: it takes one at a time.
KIND = "int8"


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What int8 does to one layer alone.

    Attributes:
        layer: its name.
        difference: root mean square of what the outputs move, over that of the outputs.
        metric_drop: of the metric on validation examples; negative where it rises.
    """

    layer: str
    difference: float
    metric_drop: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a search for layers that stay in float32 has found.

    Attributes:
        float_layers: the most sensitive first; empty where the int8 file holds as it is, and where nothing helps.
        metric: its name.
        float_metric: of the model, on validation examples.
        int8_metric: of the file that is int8 throughout.
        mixed_metric: of the file in which `float_layers` stay in float32; where nothing helps, of the one in which all
            layers but the least sensitive do.
        holds: whether that file's metric is no more than the allowed drop below the model's.
        layers: the sensitivity of each layer, the most sensitive first; empty where nobody had to know.
        examples: validation examples that were looked at.
    """

    float_layers: tuple[str, ...]
    metric: str
    float_metric: float
    int8_metric: float
    mixed_metric: float
    holds: bool
    layers: tuple[Sensitivity, ...]
    examples: int

    def to_json(self) -> dict[str, Any]:
        """Returns the record as plain JSON values."""
        record = dataclasses.asdict(self)
        return {**record, "float_layers": list(self.float_layers), "layers": [dict(each) for each in record["layers"]]}


def per_layer(model: Any, dataset: Dataset, options: QuantizationOptions | None = None) -> list[Sensitivity]:
    """Returns the sensitivity of each layer that has operators of its own in the file, the most sensitive first.

    Args:
        model: a float32 tf_keras model with one input and one output.
        dataset: training examples calibrate, validation examples are judged on.
        options: of the calibration.

    Raises:
        UserError: the model cannot be converted, or there are no validation examples.
    """
    with _Measuring(model, dataset, options or QuantizationOptions()) as measuring:
        return measuring.sensitivities()


def search(model: Any, dataset: Dataset, allowed: float, options: QuantizationOptions | None = None) -> Outcome:
    """Returns the layers that have to stay in float32 for the metric to drop by no more than `allowed`.

    Args:
        model, dataset, options: as of `per_layer`.
        allowed: drop of the metric on validation examples; one example may always change.

    Raises:
        UserError: as `per_layer`.
    """
    with _Measuring(model, dataset, options or QuantizationOptions()) as measuring:
        int8 = measuring.metric_with(())
        needed = measuring.needed(allowed)
        if int8 >= needed:
            return measuring.outcome((), int8, int8, True, [])
        ranked = measuring.sensitivities()
        names = [each.layer for each in ranked]
        # One layer at least is int8, or the file would not be.
        count, metric = _fewest(needed, measuring.metrics_with([names[:count] for count in range(1, len(names))]))
        holds = metric is not None and metric >= needed
        return measuring.outcome(tuple(names[:count]) if holds else (), int8, metric or int8, holds, ranked)


def _fewest(needed: float, metrics: Sequence[Callable[[], float]]) -> tuple[int, float | None]:
    """Returns how many layers in float32 hold, the fewest, and the metric then; all where none hold, None without any.

    Args:
        needed: the least metric.
        metrics: asked for the metric with one layer in float32, with two, and so on; halving asks few of them.
    """
    low, high, known = 1, len(metrics), {}
    while low <= high:
        middle = (low + high) // 2
        known[middle] = metrics[middle - 1]()
        low, high = (low, middle - 1) if known[middle] >= needed else (middle + 1, high)
    best = min(low, len(metrics))
    return best, known.get(best)


class _Measuring:
    """Makes files of one model, and judges them on validation examples."""

    def __init__(self, model: Any, dataset: Dataset, options: QuantizationOptions) -> None:
        count = len(dataset.validation)
        if not count:
            raise UserError(f"{dataset.name} has no validation examples to judge int8 on", "give --validation data")
        order = np.random.default_rng(derive_seed(options.calibration_seed, "sensitivity")).permutation(count)
        chosen = np.sort(order[:EXAMPLES])
        self._x = take(dataset.validation.x, chosen)[:]
        self._y = np.asarray(take(dataset.validation.y, chosen)[:])
        self._problem, self._meaning = dataset.problem, output_meaning(dataset.problem, model)
        self._expected = np.concatenate([y for y, _ in pipeline.predict_in_parts(model, self._x)])
        self.baseline = float(score(self._problem, self._expected, self._y, self._meaning))
        self._scratch = tempfile.TemporaryDirectory(prefix="tfday7-")
        self._folder = Path(self._scratch.name)
        origin = Origin("int8", "", self._meaning)
        # The expected answers are given, so that the job asks for none on the test split.
        self._job = Job(model, dataset, self._folder, origin, self._folder, 1, self._expected, options)
        self._layers = [layer.name for layer in self._job.core[0].layers]
        self._done = 0

    def __enter__(self) -> _Measuring:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._scratch.cleanup()

    def sensitivities(self) -> list[Sensitivity]:
        """See `per_layer`."""
        (whole,) = self._files([()])
        found = list(tflite_layers.owners(tflite_file.read(whole), self._layers))
        others = [tuple(other for other in found if other != layer) for layer in found]
        floating, *alone = self._files([tuple(found), *others])
        # Operators that only move numbers stay int8 whatever is said, and so do all that learned their own ranges.
        stuck = set(tflite_layers.without_float(tflite_file.read(floating), found))
        made = [self._sensitivity(*each) for each in zip(found, alone, strict=True) if each[0] not in stuck]
        return sorted(made, key=lambda each: -each.difference)

    def needed(self, allowed: float) -> float:
        """Returns the least metric; accuracy has no finer step than one example."""
        if self._problem.task == "classification":
            allowed = max(allowed, 1.0 / len(self._x))
        return self.baseline - allowed - 1e-9

    def metric_with(self, float_layers: Sequence[str]) -> float:
        """Returns the metric of the file in which these layers stay in float32."""
        return self.metrics_with([float_layers])[0]()

    def metrics_with(self, kept: Sequence[Sequence[str]]) -> list[Callable[[], float]]:
        """Returns what measures the metric of each of some files; all are made at once, in few processes."""
        return [functools.partial(self._metric, path) for path in self._files([tuple(layers) for layers in kept])]

    def _metric(self, path: Path) -> float:
        return float(score(self._problem, self._outputs(path), self._y, self._meaning))

    def outcome(
        self, layers: tuple[str, ...], int8: float, mixed: float, holds: bool, ranked: list[Sensitivity]
    ) -> Outcome:
        """Returns the record of a search."""
        return Outcome(layers, self._problem.metric, self.baseline, int8, mixed, holds, tuple(ranked), len(self._x))

    def _sensitivity(self, layer: str, path: Path) -> Sensitivity:
        outputs = self._outputs(path)
        moved = np.sqrt(np.mean((outputs.astype(np.float64) - self._expected) ** 2))
        size = np.sqrt(np.mean(self._expected.astype(np.float64) ** 2)) or 1.0
        metric = float(score(self._problem, outputs, self._y, self._meaning))
        return Sensitivity(layer, float(moved / size), self.baseline - metric)

    def _outputs(self, path: Path) -> np.ndarray:
        way_in, way_out = self._job.ends(KIND)
        x = way_in.standardize(self._x) if way_in else self._x
        outputs = open_artefact(path, "litert").predict(x)
        return way_out.restore(outputs) if way_out else outputs

    def _files(self, kept: Sequence[tuple[str, ...]]) -> list[Path]:
        """Returns int8 files, in each of which some layers stay in float32."""
        asked = []
        for float_layers in kept:
            self._done += 1
            output = self._folder / f"{self._done}.tflite"
            whole = request(self._job, FORMATS.get("tflite"), KIND, output)
            asked.append(dataclasses.replace(whole, float_layers=float_layers, sparse=False))
        answers = children.convert(asked, self._folder / f"requests_{self._done}")
        for answer in answers:
            if answer.failure:
                raise UserError(f"no int8 file can be made of the model: {answer.failure}")
        return [Path(each.output) for each in asked]

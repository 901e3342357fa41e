"""Where an artefact parts from the Keras model: the model is cut behind its layers, and each part exported alone.

A part is all that comes before a cut, converted to the same format and kind with the same calibration, and compared at
the cut on the worst examples of the whole. First at most twelve cuts, evenly spread, then those between the last that
holds and the first that does not, until they are neighbours.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.data.lazy import take
from tfday7.exporting import children, normalization
from tfday7.exporting.format import CALIBRATED, CONVERSION_ERRORS, Format, Request
from tfday7.exporting.job import save_with_batch
from tfday7.exporting.records import Parity

if TYPE_CHECKING:
    from tfday7.exporting.draft import Draft

CUTS = 12
EXAMPLES = 32


@dataclasses.dataclass(frozen=True)
class Cut:
    """A part of the model up to one layer. `difference` is the largest one at the cut, over its largest value."""

    layer: str
    kind: str
    difference: float | None
    failure: str = ""

    def parts(self, limit: float) -> bool:
        """Returns whether the artefact's part differs by more than the limit, or could not be made at all."""
        return self.difference is None or self.difference > limit


def part(draft: Draft, parity: Parity) -> dict[str, Any]:
    """Returns where an artefact parts from the Keras model, as a JSON value.

    Args:
        draft: of the artefact whose parity is broken.
        parity: the comparison that broke.

    Returns:
        {"sentence", "limit", "last_that_holds", "first_that_parts", "layers": [{"layer", "kind", "difference",
        "failure"}]}, layers in the order of the model; both names None where only the whole parts, or nothing does, or
        where no part can be saved: the sentence says which.
    """
    try:
        return _parting(draft, parity)
    except (OSError, *CONVERSION_ERRORS, tf.errors.OpError) as error:  # UserError is a ValueError.
        return _nothing(f"where it parts is not known: the parts could not be made ({_first_line(error)})")


def _parting(draft: Draft, parity: Parity) -> dict[str, Any]:
    if not draft.format.needs_child:
        return _nothing(f"a {draft.format.name} artefact is not cut into parts")
    model = draft.job.part(draft.kind)
    cuts = _cuts(model)
    if not cuts:
        return _nothing("the model has no layers behind which it could be cut")
    limit = parity.limits["relative_difference"]
    if parity.relative_difference:  # Where only the metric dropped, outputs differ by less than the limit.
        limit = min(limit, parity.relative_difference / 2)
    measured = _search(cuts, limit, _Bisection(draft, model, parity).measure)
    first = next((i for i in sorted(measured) if measured[i].parts(limit)), None)
    before = None if first is None else max((i for i in measured if i < first), default=None)
    names = [None if i is None else measured[i].layer for i in (before, first)]
    return {
        "sentence": _sentence(names[0], None if first is None else measured[first]),
        "limit": limit,
        "last_that_holds": names[0],
        "first_that_parts": names[1],
        "layers": [dataclasses.asdict(measured[i]) for i in sorted(measured)],
    }


def _search(cuts: list[Any], limit: float, measure: Callable[[list[Any]], list[Cut]]) -> dict[int, Cut]:
    """Returns the cuts that were measured, by their place: enough to know the first that parts, and the one before."""
    measured: dict[int, Cut] = {}
    pending = _spread(range(len(cuts)))
    while pending:
        measured |= dict(zip(pending, measure([cuts[i] for i in pending]), strict=True))
        first = next((i for i in sorted(measured) if measured[i].parts(limit)), None)
        if first is None:
            break
        pending = _spread(range(max((i for i in measured if i < first), default=-1) + 1, first))
    return measured


def _spread(places: range) -> list[int]:
    """Returns at most twelve of these places, evenly spread, both ends among them."""
    if len(places) <= CUTS:
        return list(places)
    return sorted({places[round(i)] for i in np.linspace(0, len(places) - 1, CUTS)})


def _sentence(before: str | None, cut: Cut | None) -> str:
    if cut is None:
        return "each part of the model alone holds: they part only together"
    what = f"differs by {cut.difference:.1%}" if cut.difference is not None else f"cannot be made ({cut.failure})"
    start = f"up to {before} it holds, " if before else ""
    return f"{start}with {cut.layer} it {what}"


def _nothing(reason: str) -> dict[str, Any]:
    return {"sentence": reason, "limit": None, "last_that_holds": None, "first_that_parts": None, "layers": []}


def _cuts(model: Any) -> list[tuple[Any, Any]]:
    """Returns (layer, its output) of the layers behind which a model can be cut, in order.

    Those are used once in this very model (a layer may be part of others, too), and give one tensor of real numbers.
    """
    used: dict[Any, list[Any]] = {}
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            used.setdefault(node.layer, []).append(node.outputs)
    found = []
    for layer in model.layers:
        outputs = used.get(layer, [])
        is_one = len(outputs) == 1 and hasattr(outputs[0], "dtype")
        if is_one and not isinstance(layer, keras.layers.InputLayer) and tf.as_dtype(outputs[0].dtype).is_floating:
            found.append((layer, outputs[0]))
    return found


class _Bisection:
    """Measures cuts of one model in one format and kind."""

    def __init__(self, draft: Draft, model: Any, parity: Parity) -> None:
        self.job, self.format, self.kind, self.model = draft.job, draft.format, draft.kind, model
        test = self.job.dataset.test.x
        worst = [entry["example"] for entry in parity.worst_examples]
        others = [i for i in range(min(len(test), EXAMPLES)) if i not in worst]
        x = take(test, np.array(sorted([*worst, *others])[: EXAMPLES + len(worst)]))[:]
        way_in = self.job.ends(self.kind)[0]
        self.x = way_in.standardize(x) if way_in else x
        self.folder = draft.job.scratch / f"{draft.scratch.name}_parts"
        self.done = 0

    def measure(self, cuts: list[tuple[Any, Any]]) -> list[Cut]:
        """Returns what came of these cuts."""
        layers = [layer for layer, _ in cuts]
        parts = [keras.Model(self.model.inputs, output) for _, output in cuts]
        folders = [self.folder / str(self.done + i) for i in range(len(parts))]
        self.done += len(parts)
        try:
            requests = [self._request(model, folder) for model, folder in zip(parts, folders, strict=True)]
            answers = children.convert(requests, self.folder / f"requests_{self.done}")
            return [
                self._cut(layer, model, Path(request.output), answer)
                for layer, model, request, answer in zip(layers, parts, requests, answers, strict=True)
            ]
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)  # Each part is a model with its weights.

    def _request(self, model: Any, folder: Path) -> Request:
        folder.mkdir(parents=True)
        with normalization.centered(model) if self.format.centered else contextlib.nullcontext():
            save_with_batch(model, self.x.shape[1:], folder / "saved_model", 1)
        calibration = str(self.job.calibration) if self.kind in CALIBRATED else None
        output = folder / f"part{self.format.suffix}"
        stay = self.job.float_layers(self.format, self.kind)
        return Request(self.format.name, self.kind, str(folder / "saved_model"), calibration, str(output), 1, stay)

    def _cut(self, layer: Any, model: Any, path: Path, answer: children.Answer) -> Cut:
        kind, failure = type(layer).__name__, answer.failure
        if not failure:
            try:
                difference = _difference(self.format, path, model, self.x)
                return Cut(layer.name, kind, difference, "" if difference is not None else "outputs hold NaN")
            except (UserError, *CONVERSION_ERRORS, tf.errors.OpError) as error:
                failure = _first_line(error)
        return Cut(layer.name, kind, None, failure)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__


def _difference(format: Format, path: Path, model: Any, x: np.ndarray) -> float | None:
    expected = np.asarray(model(x, training=False), np.float64)
    outputs = format.open(path).predict(x)
    if not (np.isfinite(outputs).all() and np.isfinite(expected).all()):
        return None
    return float(np.abs(outputs - expected).max() / (np.abs(expected).max() or 1.0))

"""Before and after: the Keras model beside each exported file, as numbers.

Ratios refer to the float32 `.tflite` file, measured on the same device with the same threads and batch size.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tfday7.reporting.records import RunRecords, count, mapping, number, string, strings

TOLERANCE = 1e-9
SAME_CELL = ("file", "runtime", "threads", "batch_size")
OWN_RUNTIMES = {".tflite": "litert", ".onnx": "onnxruntime", ".xml": "openvino", ".keras": "tensorflow"}


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why an artefact does not hold.

    Attributes:
        id: of the sentence "report.reason.<id>"; empty when only the record's own words are known.
        values: for that sentence.
        text: the record's own words, English.
    """

    id: str
    values: dict[str, Any]
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One artefact. None is unknown. Sizes in bytes, times in milliseconds.

    Attributes:
        name: the artefact's name.
        label: the name without the run's name in front.
        metric: its value on the test split, through the artefact's own runtime.
        difference, relative_difference: largest difference of the outputs, absolute and over the outputs' scale.
        agreement: share of test examples with the same decision.
        latency_ms: the median; `latency_ratio` and `size_ratio` are over the float32 file's.
        state: "held", "broken", "failed" (not made) or "unverified".
    """

    name: str
    label: str
    format: str
    kind: str
    path: str
    size_bytes: int | None
    gzip_bytes: int | None
    size_ratio: float | None
    metric: float | None
    difference: float | None
    relative_difference: float | None
    agreement: float | None
    latency_ms: float | None
    latency_ratio: float | None
    state: str
    reasons: list[Reason]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The whole table.

    Attributes:
        metric: its name.
        keras_metric: the Keras model's value on the test split.
        parameters: of the Keras model.
        rows: one an artefact, in the order of the record.
        conditions: device, threads and batch size of the latencies shown; {} without any.
    """

    metric: str
    keras_metric: float | None
    parameters: int | None
    rows: list[Row]
    conditions: dict[str, Any]

    @property
    def smallest(self) -> Row | None:
        """The smallest file that gives the Keras model's answers."""
        held = [row for row in self.rows if row.state == "held" and row.size_bytes is not None]
        return min(held, key=lambda row: row.size_bytes or 0, default=None)

    @property
    def fastest(self) -> Row | None:
        """The fastest file that gives the Keras model's answers."""
        held = [row for row in self.rows if row.state == "held" and row.latency_ms is not None]
        return min(held, key=lambda row: row.latency_ms or 0.0, default=None)


def compare(records: RunRecords) -> Comparison:
    """Returns the before/after table of a run."""
    metric = records.of_run("metric")
    timed = _comparable(records.benchmark)
    reference = _reference(records.artefacts)
    rows = [_row(artefact, reference, timed, records.name) for artefact in records.artefacts]
    parities = [mapping(artefact.get("parity"), "parity") for artefact in records.artefacts]
    measured = [number(parity.get("keras_metric")) for parity in parities]
    test = number(metric.get("test"))
    return Comparison(
        metric=string(metric.get("name")) or next((string(p.get("metric")) for p in parities if p), ""),
        keras_metric=test if test is not None else next((m for m in measured if m is not None), None),
        parameters=count(records.of_run("model").get("parameters")),
        rows=rows,
        conditions=next(iter(timed.values()), {}),
    )


def latency(row: dict[str, Any], quantile: str = "p50") -> float | None:
    """Returns a latency of a row of benchmark.json, in milliseconds."""
    return number(mapping(row.get("latency_ms"), "benchmark.json: latency_ms").get(quantile))


def memory(row: dict[str, Any]) -> int | None:
    """Returns what a row of benchmark.json took, in bytes: above the runtime alone where that is known, else all."""
    peak, before = count(row.get("peak_memory_bytes")), count(row.get("memory_before_bytes"))
    return peak if peak is None or before is None else max(0, peak - before)


def _comparable(benchmark: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns one row an artefact, on its own runtime, all with the smallest batch and fewest threads."""
    timed = [row for row in benchmark if latency(row) is not None and _is_its_own(row)]
    if not timed:
        return {}
    first = min(timed, key=lambda row: (count(row.get("batch_size")) or 1, count(row.get("threads")) or 1))
    conditions = [first.get(name) for name in ("device", "threads", "batch_size")]
    same = [row for row in timed if [row.get(name) for name in ("device", "threads", "batch_size")] == conditions]
    return {string(row.get("artefact")): row for row in reversed(same)}


def _is_its_own(row: dict[str, Any]) -> bool:
    """Returns whether a row is of the runtime that its file is made for; of a row that names no file, yes."""
    suffix = Path(string(row.get("file"))).suffix
    return suffix not in OWN_RUNTIMES or row.get("runtime") == OWN_RUNTIMES[suffix]


def _reference(artefacts: list[dict[str, Any]]) -> dict[str, Any]:
    return next((a for a in artefacts if a.get("kind") == "float32" and a.get("format") == "tflite"), {})


def _row(artefact: dict[str, Any], reference: dict[str, Any], timed: dict[str, Any], run: str) -> Row:
    parity = mapping(artefact.get("parity"), "exports.json: parity")
    name = string(artefact.get("name"))
    own, reference_row = timed.get(name, {}), timed.get(string(reference.get("name")), {})
    own_latency = latency(own)
    format_ = string(artefact.get("format"))
    label = name.removeprefix(f"{run}_") or name
    if format_ != "tflite":  # Those are named as their files are.
        label = f"{string(artefact.get('kind'))} {format_}"
    return Row(
        name=name,
        label=label,
        format=format_,
        kind=string(artefact.get("kind")),
        path=string(artefact.get("path")),
        size_bytes=count(artefact.get("size_bytes")),
        gzip_bytes=count(artefact.get("gzip_bytes")),
        size_ratio=_ratio(number(artefact.get("size_bytes")), number(reference.get("size_bytes"))),
        metric=number(parity.get("artefact_metric")),
        difference=number(parity.get("largest_difference")),
        relative_difference=number(parity.get("relative_difference")),
        agreement=number(parity.get("agreement")),
        latency_ms=own_latency,
        latency_ratio=_latency_ratio(own, reference_row),
        state=_state(artefact, parity),
        reasons=_reasons(artefact, parity),
    )


def _latency_ratio(row: dict[str, Any], reference: dict[str, Any]) -> float | None:
    """Returns the ratio of the interleaved rounds where the row was measured against the reference, else of medians."""
    baseline = mapping(row.get("baseline"), "benchmark.json: baseline")
    measured = number(row.get("latency_ratio"))
    if measured is not None and baseline and all(baseline.get(key) == reference.get(key) for key in SAME_CELL):
        return measured
    return _ratio(latency(row), latency(reference))


def _ratio(value: float | None, reference: float | None) -> float | None:
    return value / reference if value is not None and reference else None


def _state(artefact: dict[str, Any], parity: dict[str, Any]) -> str:
    if artefact.get("failure"):
        return "failed"
    if not parity:
        return "unverified"
    return "broken" if strings(parity.get("failures")) else "held"


def _scale_of_before(artefact: dict[str, Any]) -> str:
    """Returns what differences were relative to in records that do not say it."""
    task = mapping(artefact.get("output"), "exports.json: output").get("task")
    return {"regression": "deviation", "several": "own_scale"}.get(string(task), "largest_output")


def _reasons(artefact: dict[str, Any], parity: dict[str, Any]) -> list[Reason]:
    """Returns why an artefact does not hold, worked out again from its numbers, so that any language can say it."""
    if artefact.get("failure"):
        return [Reason("", {}, string(artefact["failure"]))]
    failures = strings(parity.get("failures"))
    if not failures:
        return []
    limits = mapping(parity.get("limits"), "exports.json: limits")
    difference, allowed = number(parity.get("relative_difference")), number(limits.get("relative_difference"))
    if difference is None:
        return [Reason("not_finite", {})]
    found = []
    if allowed is not None and difference > allowed:
        scale = string(parity.get("relative_to")) or _scale_of_before(artefact)
        found.append(Reason("difference", {"relative": difference, "allowed": allowed, "scale": scale}))
    same, required = number(parity.get("agreement")), number(limits.get("agreement"))
    if same is not None and required is not None and same < required - TOLERANCE:
        found.append(Reason("agreement", {"same": same, "required": required}))
    keras, own = number(parity.get("keras_metric")), number(parity.get("artefact_metric"))
    drop_allowed = number(limits.get("metric_drop"))
    if keras is not None and own is not None and drop_allowed is not None and keras - own > drop_allowed + TOLERANCE:
        values = {"metric": string(parity.get("metric")), "drop": keras - own, "allowed": drop_allowed}
        found.append(Reason("drop", values))
    return found if len(found) == len(failures) else [Reason("", {}, failure) for failure in failures]

"""The small print: what a file takes and gives, and what a run was made of. Pairs of a name and a text."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
from typing import Any

from tfday7.core.run_folder import FLAGS
from tfday7.core.units import format_bytes, format_count, format_duration, format_number
from tfday7.reporting.records import RunRecords, count, mapping, mappings, number, string, strings
from tfday7.reporting.words import Words

MAX_CLASSES = 40
MAX_NUMBERS = 12
VISIBLE = 5e-5  # A smaller difference of outputs is shown as 0.
LIMITS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


@dataclasses.dataclass(frozen=True)
class Detail:
    """One line of small print; `code` is for what people copy."""

    name: str
    value: str
    code: bool = False


def of_artefact(artefact: dict[str, Any], words: Words) -> list[Detail]:
    """Returns what somebody needs who feeds the file: path, digest, input, output, labels."""
    given, made = (mapping(artefact.get(side), f"exports.json: {side}") for side in ("input", "output"))
    labels = strings(artefact.get("labels"))
    parity = mapping(artefact.get("parity"), "exports.json: parity")
    found = [
        Detail(words("detail.file"), string(artefact.get("path")), code=True),
        Detail("SHA-256", string(artefact.get("sha256")), code=True),
        Detail(words("detail.input"), _tensor(given), code=True),
        Detail(words("detail.preprocessing"), string(given.get("preprocessing"))),
        Detail(words("detail.standardize"), _standardization(given), code=True),
        Detail(words("detail.quantize"), _quantize(given), code=True),
        Detail(words("detail.output"), _tensor(made), code=True),
        Detail(words("detail.dequantize"), _dequantize(made), code=True),
        Detail(words("detail.restore"), _restoration(made), code=True),
        Detail(words("detail.meaning"), _meaning(made, words)),
        *_heads(made, words),
        Detail(words("detail.labels"), _some(labels, words)),
        Detail(words("detail.compared"), format_count(count(parity.get("examples"))) if parity else ""),
        Detail(words("detail.worst"), _worst(parity)),
        Detail(words("detail.parting"), string(mapping(artefact.get("parting"), "parting").get("sentence"))),
        Detail(words("detail.notes"), "; ".join(strings(artefact.get("notes")))),
    ]
    return [detail for detail in found if detail.value]


def _worst(parity: dict[str, Any]) -> str:
    """Returns the test examples on which the file and the Keras model differ most, where they differ visibly."""
    found = mappings(parity.get("worst_examples"), "exports.json: worst_examples")
    differing = [each for each in found if (number(each.get("difference")) or 0.0) > VISIBLE]
    return ", ".join(
        f"{format_count(count(each.get('example')))} ({format_number(number(each.get('difference')))})"
        for each in differing
    )


def of_run(records: RunRecords, words: Words) -> list[Detail]:
    """Returns what the run was made of: data, model, training, machine, versions."""
    return [
        detail
        for detail in [
            *_data(records, words),
            *targets(records, words),
            *_training(records, words),
            *machine(records.of_run("hardware"), records.of_run("versions"), words),
        ]
        if detail.value
    ]


def targets(records: RunRecords, words: Words) -> list[Detail]:
    """Returns the score of each of several targets beside guessing it; nothing for a single one."""
    found = []
    for head in mappings(records.of_run("metric").get("heads"), "run.json: metric: heads"):
        value, guess = (format_number(number(head.get(key))) for key in ("test", "baseline"))
        score = words("head.score", metric=words.metric(string(head.get("name"))), value=value, guess=guess)
        found.append(Detail(words("detail.head", name=string(head.get("target"))), score))
    return found


def started(records: RunRecords) -> str:
    """Returns when the run began, for example "2026-11-23 18:04 UTC"; as it was recorded if that is no ISO time."""
    recorded = string(records.run.get("started"))
    try:
        moment = datetime.datetime.fromisoformat(recorded)
    except ValueError:
        return recorded
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".rstrip()


def command(records: RunRecords) -> str:
    """Returns the command that trains the same again in a new folder; empty without flags."""
    if not records.flags:
        return ""
    return f"python -m tfday7.train --flagfile={shlex.quote(str(records.path / FLAGS))} --run_dir=NEW"


def machine(hardware: dict[str, Any], versions: dict[str, Any], words: Words) -> list[Detail]:
    """Returns what a record says of the machine and the packages."""
    cores, memory = count(hardware.get("cores")), number(hardware.get("memory_bytes"))
    parts = [
        string(hardware.get("cpu")),
        string(hardware.get("machine")),
        string(hardware.get("system")),
        words("cores", count=cores) if cores is not None else "",
        words("memory", size=format_bytes(memory)) if memory is not None else "",
    ]
    return [
        Detail(words("detail.hardware"), words.joined([part for part in parts if part])),
        Detail(
            words("detail.versions"),
            words("names").join(
                [f"{name} {string(version)}" for name, version in versions.items() if version is not None]
            ),
        ),
    ]


def _data(records: RunRecords, words: Words) -> list[Detail]:
    data, model = records.of_run("data"), records.of_run("model")
    examples = mapping(data.get("examples"), "run.json: examples")
    sizes = [
        words(f"split.{name}", count=format_count(count(n))) for name, n in examples.items() if count(n) is not None
    ]
    shape = " × ".join(strings(data.get("input_shape")))
    task = words.known(f"task.{data.get('task')}", string(data.get("task")))
    return [
        Detail(words("detail.data"), words.joined([part for part in (string(data.get("name")), task, shape) if part])),
        Detail(words("detail.examples"), words.joined(sizes)),
        Detail(words("detail.classes"), _some(strings(data.get("class_names")), words)),
        Detail(words("detail.preprocessing"), string(data.get("preprocessing"))),
        Detail(words("detail.fingerprint"), string(data.get("fingerprint")), code=True),
        Detail(words("detail.model"), string(model.get("name"))),
        Detail(words("tile.parameters"), format_count(count(model.get("parameters"))) if model else ""),
        Detail(words("detail.optimizer"), _optimizer(records.of_run("optimizer")), code=True),
    ]


def _optimizer(record: dict[str, Any]) -> str:
    """Returns the optimizer with its settings as they were settled, for example "adamw learning_rate=0.003"."""
    settings = {name: value for name, value in record.items() if name not in ("name", "reasons") and value is not None}
    return " ".join([string(record.get("name")), *(f"{name}={value}" for name, value in settings.items())]).strip()


def _training(records: RunRecords, words: Words) -> list[Detail]:
    training = records.of_run("training")
    stopped = string(training.get("stopped"))
    epochs = [
        format_count(count(training.get("epochs"))) if training else "",
        words.known(f"stopped.{stopped}", stopped),
    ]
    changes = mappings(training.get("regularization_changes"), "run.json: regularization_changes")
    resumed = training.get("resumed_at") or None  # 0 epochs: it began there and was not resumed.
    resumed = strings(resumed) if isinstance(resumed, list) else [string(resumed)] * (resumed is not None)
    return [
        Detail(words("detail.epochs"), words.joined([part for part in epochs if part])),
        Detail(words("detail.seconds"), format_duration(number(training.get("seconds"))) if training else ""),
        Detail(words("detail.step"), _step_time(training, words)),
        Detail(words("detail.devices"), _devices(records.of_run("distribution"), words)),
        Detail(words("detail.recoveries"), _recoveries(training, words)),
        Detail(words("detail.overflow"), _overflow(training)),
        Detail(words("detail.resumed"), words.joined(resumed)),
        Detail(
            words("detail.regularization"), words("semicolon").join(_change(change, words) for change in changes[:50])
        ),
        Detail(words("detail.seed"), string(records.run.get("seed"))),
        Detail(words("detail.started"), started(records)),
    ]


def _devices(record: dict[str, Any], words: Words) -> str:
    """Returns what the run was spread over; nothing of one device that took each batch at once."""
    replicas, steps = count(record.get("replicas")), count(record.get("accumulate_steps"))
    strategy = string(record.get("strategy"))
    if not strategy or (strategy == "one_device" and steps == 1):
        return ""
    where = " ".join(filter(None, (strategy, string(record.get("mesh")))))
    size = format_count(count(record.get("micro_batch_size")))
    return words("devices", where=where, replicas=format_count(replicas), steps=format_count(steps), size=size)


def _recoveries(training: dict[str, Any], words: Words) -> str:
    """Returns where the loss was no longer a number and the run went back."""
    found = mappings(training.get("recoveries"), "run.json: recoveries")[:50]
    keys = {"epoch": "epoch", "steps": "steps_left_out", "factor": "rate_factor"}
    return words("semicolon").join(
        words("recovery", **{name: string(each.get(key)) for name, key in keys.items()}) for each in found
    )


def _overflow(training: dict[str, Any]) -> str:
    """Returns the layers whose outputs leave float16's range."""
    return ", ".join(
        string(each.get("layer")) for each in mappings(training.get("overflow"), "run.json: overflow")[:50]
    )


def _step_time(training: dict[str, Any], words: Words) -> str:
    """Returns a step's time and the input pipeline's share; near 100% training waits for data."""
    step, pipeline = number(training.get("step_ms")), number(training.get("input_ms"))
    if not step or pipeline is None:
        return ""
    return words("step_time", step=f"{step:.3g}", input=f"{pipeline:.3g}", share=f"{100 * pipeline / step:.0f}")


def _change(change: dict[str, Any], words: Words) -> str:
    return words(
        "change", epoch=string(change.get("epoch")), dropout=string(change.get("dropout")), l2=string(change.get("l2"))
    )


def _heads(made: dict[str, Any], words: Words) -> list[Detail]:
    """Returns for each of several targets its outputs, counted from 0, its task and its labels."""
    found = []
    for head in mappings(made.get("heads"), "exports.json: heads"):
        first, end = (strings(head.get("columns")) or ["?", "?"])[:2]
        last = str(int(end) - 1) if end.isdigit() else end
        task = words.known(f"task.{head.get('task')}", string(head.get("task")))
        parts = [words("head.columns", first=first, last=last), task, _some(strings(head.get("labels")), words)]
        name = words("detail.head", name=string(head.get("name")))
        found.append(Detail(name, words.joined([part for part in parts if part])))
    return found


def _meaning(made: dict[str, Any], words: Words) -> str:
    meaning = string(made.get("meaning"))
    return words.known(f"meaning.{made.get('task')}.{meaning}", words.known(f"meaning.{meaning}", meaning))


def _tensor(side: dict[str, Any]) -> str:
    shape = side.get("shape")
    return f"{string(side.get('dtype'))}[{', '.join(strings(shape))}]" if side.get("dtype") else ""


def _quantize(side: dict[str, Any]) -> str:
    scale, zero = number(side.get("scale")), count(side.get("zero_point"))
    if not scale:
        return ""
    low, high = LIMITS.get(string(side.get("dtype")), ("min", "max"))
    return f"q = clip(round(x / {scale:.9g}) + {zero or 0}, {low}, {high})".replace("+ -", "- ")


def _dequantize(side: dict[str, Any]) -> str:
    scale, zero = number(side.get("scale")), count(side.get("zero_point"))
    return f"y = (q - {zero or 0}) * {scale:.9g}".replace("- -", "+ ") if scale else ""


def _standardization(side: dict[str, Any]) -> str:
    mean, deviation = _moments(side)
    return f"x = (x - {mean}) / {deviation}" if mean else ""


def _restoration(side: dict[str, Any]) -> str:
    mean, deviation = _moments(side)
    return f"y = y * {deviation} + {mean}" if mean else ""


def _moments(side: dict[str, Any]) -> tuple[str, str]:
    values = mapping(side.get("standardization"), "exports.json: standardization")
    return (_numbers(values.get("mean")), _numbers(values.get("std"))) if values else ("", "")


def _numbers(values: Any) -> str:
    listed = values if isinstance(values, list) else [values]
    known = [f"{value:.6g}" for value in map(number, listed) if value is not None]
    return f"[{', '.join(known[:MAX_NUMBERS])}{', …' if len(known) > MAX_NUMBERS else ''}]"


def _some(names: list[str], words: Words) -> str:
    shown = words("names").join(names[:MAX_CLASSES])
    return shown if len(names) <= MAX_CLASSES else words("and_more", shown=shown, count=len(names) - MAX_CLASSES)

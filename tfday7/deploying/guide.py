"""The README of a bundle: how to run it, what to install, what to mind, and what was measured."""

from __future__ import annotations

from typing import Any

from tfday7.core.units import format_bytes, format_number
from tfday7.deploying.rendering import raw_values, shown
from tfday7.exporting import feeding
from tfday7.exporting.card import escaped
from tfday7.exporting.records import Artefact


def text(artefact: Artefact, spec: dict[str, Any], keras_difference: float) -> str:
    """Returns the README.

    Args:
        artefact: what is bundled.
        spec: bundle.json.
        keras_difference: the largest difference between `expected` and `keras` of the test vectors.
    """
    parts = [_head(artefact, spec), _run(artefact, spec), _install(), _numbers(spec)]
    parts += [_state()] if spec["stateful"] else []
    return "\n".join([*parts, _parity(artefact, spec, keras_difference)])


def broken(artefact: Artefact) -> str:
    """Returns how the file does not answer as the Keras model does, by its record; "" where it does, or is unknown."""
    if artefact.parity is None or artefact.parity.holds:
        return ""
    return f"Parity with the Keras model is BROKEN: {'; '.join(artefact.parity.failures)}"


def broken_line(artefact: Artefact) -> str:
    """Returns `broken` as a paragraph of Markdown; "" where there is nothing to say."""
    said = broken(artefact)
    return f"\n**{escaped(said)}.** That was measured where it was exported.\n" if said else ""


def _head(artefact: Artefact, spec: dict[str, Any]) -> str:
    return f"""# {escaped(spec["name"])}

`{shown(spec["model"])}` ({format_bytes(spec["size_bytes"])}, {artefact.kind}), ready to run on a device.

    SHA-256 {spec["sha256"]}
"""


def _run(artefact: Artefact, spec: dict[str, Any]) -> str:
    shape = spec["input"]["shape"][1:]
    count = 1
    for size in shape:
        count *= size
    values = "1,2,3" if count > 3 else ",".join("123"[:count])
    more = f",... ({count} numbers)" if count > 3 else ""
    known = raw_values(artefact.input)
    about = f"\n{known}" if known else ""
    return f"""## Run it

    python3 run_model.py check                    # does it answer here as it did where it was exported?
    python3 run_model.py benchmark --threads=1    # latency, load time, memory
    python3 run_model.py predict --values={values}{more}
    python3 run_model.py predict --raw=FILE.npy   # of the shape {shape}, or several: {["n", *shape]}

Each prints one JSON object. `check` ends with exit code 3 when the answers are not the expected ones.
{about}"""


def _install() -> str:
    return """## What it needs

Python 3.7 or newer, NumPy, and one of:

- `python3 -m pip install ai-edge-litert` (Linux on x86-64 and aarch64, Python 3.9 or newer)
- `python3 -m pip install tflite-runtime 'numpy<2'` (also 32-bit ARM, armv7l; Python 3.7 to 3.11)

Where both are there, ai-edge-litert is used. TensorFlow serves as well where neither is; `check` says what it used.
"""


def _numbers(spec: dict[str, Any]) -> str:
    start, end = spec["input"], spec["output"]
    steps = []
    if start.get("divisor", 1.0) != 1.0:
        steps.append(f"divide raw values by {start['divisor']:g}")
    if start.get("standardization"):
        steps.append("take (x - mean) / std, with `input.standardization`")
    if start.get("scale"):
        low, high = feeding.limits(start)
        steps.append(f"quantize: round(x / scale) + zero_point, cut off at {low} and {high}")
    steps.append("run the model")
    if end.get("scale"):
        steps.append("dequantize: (y - zero_point) * scale")
    if end.get("standardization"):
        steps.append("take y * std + mean, with `output.standardization`")
    listed = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    meaning = escaped(f"{end.get('task')}, {end.get('meaning')}")
    return f"""## In a program of your own

`run_model.py` shows every step; `bundle.json` has every number.

{listed}

The answers are: {meaning}.
"""


def _state() -> str:
    return """## It keeps state: reset it before every example

This model has variables that keep their values from one run to the next. Without a reset the second answer is wrong.
`run_model.py` resets them; a program of your own must, too: `interpreter.reset_all_variables()` in Python,
`interpreter.resetVariableTensors()` in Java, `interpreter->ResetVariableTensors()` in C++, before every `invoke`.
"""


def _parity(artefact: Artefact, spec: dict[str, Any], keras_difference: float) -> str:
    vectors = spec["vectors"]
    lines = [
        "## What was measured where it was exported",
        "",
        f"- {vectors['count']} test vectors: the largest difference from the Keras model is {keras_difference:.3g}.",
        f"- `check` allows a device a difference of {vectors['tolerance']:.3g} from the answers of this file there.",
    ]
    parity = artefact.parity
    if parity is not None:
        lines.append(
            f"- {parity.examples} test examples: largest difference {_shown(parity.largest_difference)},"
            f" mean {_shown(parity.mean_difference)}."
        )
        if parity.metric is not None:
            before, after = format_number(parity.keras_metric), format_number(parity.artefact_metric)
            lines.append(f"- {escaped(parity.metric)}: {after}; the Keras model has {before}.")
        lines.append(f"- {escaped(broken(artefact) or 'Parity with the Keras model holds')}.")
    lines += [f"- {escaped(note)}" for note in artefact.notes]
    return "\n".join(lines) + "\n"


def _shown(difference: float | None) -> str:
    """Returns a difference for people; of outputs that are not finite there is none."""
    return "unknown" if difference is None else f"{difference:.3g}"

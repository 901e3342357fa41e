"""Writes the bundle for microcontrollers, with memory and answers measured where tflite-micro is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfday7.core import environment
from tfday7.core.errors import UserError
from tfday7.deploying import output_folder
from tfday7.deploying.micro import arena, ops, readme, source
from tfday7.deploying.micro.measuring import Measured, measure
from tfday7.deploying.reference import read_vectors, reference
from tfday7.deploying.rendering import escaped_lines, identifier
from tfday7.exporting import tflite_file
from tfday7.exporting.feeding import restored
from tfday7.exporting.tflite_contents import Summary
from tfday7.runtimes import Tensor

if TYPE_CHECKING:
    from tfday7.deploying.bundle import Bundle
    from tfday7.deploying.config import DeployConfig

SPEC, SOURCE, README, VOCABULARY = "bundle.json", "model_data.cc", "README.md", "vocabulary.txt"
# Of all files that a bundle can have, and of the program that its README says how to make.
NAMES = (SPEC, README, VOCABULARY, *source.FILES, source.LABELS, readme.PROGRAM)
HINT = (
    "export int8, or float32 if the board has the memory (--formats=tflite); change layers whose operators are "
    "missing, or deploy to a device that LiteRT runs on"
)


def deploy(bundle: Bundle, folder: Path, config: DeployConfig, say: Callable[[str], Any]) -> dict[str, Any]:
    """Writes a bundle for microcontrollers and returns its record.

    Args:
        bundle: the model with its vectors.
        folder: made, or replaced when it is an earlier bundle of this kind and artefact.
        config: timeout_seconds is for running it here; dry_run writes and measures nothing.
        say: called with what happens, a line at a time.

    Raises:
        UserError: TFLite Micro cannot run the model, or the folder may not be replaced.
    """
    named = str(bundle.spec["name"])
    output_folder.check_replaceable(folder, SPEC, SOURCE, named, config.overwrite, NAMES)
    summary = tflite_file.read(bundle.model)
    if problems := ops.problems(summary):
        raise UserError(f"{bundle.spec['name']}: TFLite Micro cannot run it: {'; '.join(problems)}", HINT)
    found = reference(bundle)
    methods = ops.methods(summary)
    record: dict[str, Any] = {
        "device": "micro",
        "folder": str(folder),
        "namespace": f"tfday7_{identifier(str(bundle.spec['name']))}",
        "operators": [{"name": operator.name, "version": operator.version} for operator in summary.operators],
        "resolver": methods,
        "rows": [],
    }
    if config.dry_run:
        return record | {"arena": None, "parity": None, "notes": ["dry run: nothing was written or measured"]}
    say("running the model in TFLite Micro")
    measured = measure(bundle.model, found.given, config.timeout_seconds)
    sized = _arena(summary, measured)
    parity = _parity(bundle, measured)
    notes = _notes(measured, parity)
    vocabulary = [str(word) for word in bundle.artefact.input.get("vocabulary") or []]
    name, lines = identifier(str(bundle.spec["name"])), _arena_lines(sized)
    contents: dict[str, str | bytes] = {
        **source.sources(name, bundle.spec, bundle.model.read_bytes(), methods, lines, found),
        README: readme.text(name, bundle.artefact, bundle.spec, summary, lines, notes),
        **({VOCABULARY: escaped_lines(vocabulary)} if vocabulary else {}),
        SPEC: (bundle.folder / SPEC).read_bytes(),
    }
    files = output_folder.write(folder, contents)
    say(f"wrote {folder}: {len(files)} files for TFLite Micro, an arena of {sized['header_bytes']:,} bytes")
    rows = [_row(bundle, measured, parity)] if parity else []
    return record | {"files": files, "arena": sized, "parity": parity, "rows": rows, "notes": notes}


def _arena(summary: Summary, measured: Measured) -> dict[str, Any]:
    estimated = arena.estimate(summary)
    size = measured.arena_bytes
    return {
        "size_bytes": size,
        "estimate_bytes": estimated,
        "header_bytes": estimated if size is None else arena.with_margin(size),
        "tflite_micro": measured.version,
    }


def _arena_lines(sized: dict[str, Any]) -> tuple[int, str, str]:
    """Returns the arena's size in the header, and two lines on where it is from."""
    if sized["size_bytes"] is None:
        first = f"An ESTIMATE, not measured: {arena.BYTES_A_TENSOR} bytes a tensor and {arena.BYTES_AN_OPERATOR}"
        second = "an operator beside the activations that live at once. If AllocateTensors fails, make it larger."
        return sized["header_bytes"], first, second
    more = sized["header_bytes"] - sized["size_bytes"]
    first = f"Measured: {sized['size_bytes']} bytes with tflite-micro's reference kernels on a 64-bit computer."
    second = f"{more} bytes are added, as kernels made for a processor (CMSIS-NN, ESP-NN) take scratch memory."
    return sized["header_bytes"], first, second


def _parity(bundle: Bundle, measured: Measured) -> dict[str, Any] | None:
    """Returns how TFLite Micro's answers differ from LiteRT's; None where it did not run."""
    if measured.outputs is None:
        return None
    vectors, output = bundle.spec["vectors"], bundle.spec["output"]
    end = Tensor(output["dtype"], tuple(output["shape"]), output.get("scale"), output.get("zero_point"))
    answers = restored(end.dequantize(measured.outputs), output)
    expected = read_vectors(bundle, "expected").reshape(answers.shape)
    difference = np.abs(answers.astype(np.float64) - expected)
    allowed = np.array(vectors.get("column_tolerances") or vectors["tolerance"], np.float64)
    largest = float(difference.max())
    return {
        "largest_difference": largest if np.isfinite(largest) else None,
        "tolerance": vectors["tolerance"],
        "examples": len(answers),
        "holds": bool((difference <= allowed).all()),  # False where a number is none.
    }


def _notes(measured: Measured, parity: dict[str, Any] | None) -> list[str]:
    if parity is None:
        return [f"the arena was not measured and answers were not compared: {measured.reason}"]
    if parity["holds"]:
        return []
    largest = parity["largest_difference"]
    how = "are not numbers" if largest is None else f"differ from LiteRT's by {largest:.3g}"
    return [f"TFLite Micro's answers {how}; a device is allowed {parity['tolerance']:.3g}"]


def _row(bundle: Bundle, measured: Measured, parity: dict[str, Any]) -> dict[str, Any]:
    machine = environment.hardware()
    return {
        "artefact": bundle.spec["name"],
        "file": Path(str(bundle.artefact.path)).name,
        "runtime": "tflite_micro",
        "runtime_version": measured.version,
        "device": f"{machine['cpu'] or machine['machine']}, in place of a microcontroller",
        "threads": 1,
        "batch_size": 1,
        "latency_ms": {"p50": None, "p90": None, "p99": None},  # This computer's time says nothing of a board's.
        "runs": 0,
        "load_ms": None,
        "peak_memory_bytes": measured.arena_bytes,
        "size_bytes": bundle.spec["size_bytes"],
        "metric": None,
        "parity": parity,
        "machine": machine,
    }

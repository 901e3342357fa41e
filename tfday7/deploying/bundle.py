"""A bundle: everything that a device needs to run a model, and to prove that it runs it right.

It is a folder with the `.tflite` file, labels, test vectors with the answers that this very file gives here, and one
Python file that runs it. Two questions are kept apart: whether the file answers as the Keras model does was measured
when it was exported; whether the device answers as this machine does is what the bundle asks.
"""

from __future__ import annotations

import dataclasses
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.deploying import guide, kernels
from tfday7.exporting import feeding, tflite_file, vectors
from tfday7.exporting.records import Artefact, read_artefact
from tfday7.exporting.vectors import Vectors
from tfday7.runtimes import Runner, open_artefact

FORMAT = "tfday7-bundle-1"
SPEC, RUNNER, README, LABELS, VOCABULARY = "bundle.json", "run_model.py", "README.md", "labels.txt", "vocabulary.txt"
VECTOR_FILES = {"raw": "vectors_raw.bin", "expected": "vectors_expected.bin", "keras": "vectors_keras.bin"}
MADE_BY_DEPLOYING = (SPEC, RUNNER, README, LABELS, VOCABULARY, *VECTOR_FILES.values())  # Beside the model.
EXPORT_AGAIN = "export the model again with python -m tfday7.export"

# Answers of float files may differ by this share of the largest one: a device's kernels add up in another order, and
# float32 keeps 7 digits of each sum. Measured on x86-64 and aarch64 with three runtimes: up to 8e-7.
FLOAT_TOLERANCE = 1e-4
# Dynamic-range files round what goes into each layer to 8 bits as they run; one step of 1/127 more or less is 0.8% of a
# layer's largest input. Measured: up to 2e-4, for two LSTMs.
DYNAMIC_TOLERANCE = 0.01
# Int8 kernels may round a tie in another direction: one step of the output, and 1% for float32 itself. Each layer of a
# deep network may pass one on: between LiteRT 2.3 and tflite-runtime 2.14 it was 1 step for up to 12 operators, 3 for
# 19 and 24, 2 for 30; between LiteRT 2.3 and 1.4, on x86-64 and on aarch64, none.
# What a layer passes on may grow behind it, so operators alone do not tell. Between XNNPACK and LiteRT's other kernels
# (reference and optimized; TFLite Micro's give the same) on 64 images: classifiers 1 step for 2 to 11 operators (mlp,
# cnn, ds_cnn), 2 for 14 (resnet8), 6 for 64 (mobilenet_v2); autoencoders 1 for 5, 3 for 8 of 8x8 pixels and 6 for 8 of
# 32x32, 4 for 11, 5 for 14. So what those kernels differ by on the file itself counts, too, up to the 8th step: more
# would hide mistakes.
QUANTIZED_STEP = 1.01
OPERATORS_A_STEP = 8
MAX_STEPS_APART = 8


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bundle that was made.

    Attributes:
        folder: where it lies.
        spec: bundle.json.
        artefact: what was bundled.
    """

    folder: Path
    spec: dict[str, Any]
    artefact: Artefact

    @property
    def model(self) -> Path:
        """The `.tflite` file in it."""
        return self.folder / str(self.spec["model"])

    def size_bytes(self) -> int:
        """Returns the size of all its files."""
        return files.folder_size_bytes(self.folder)


def check(path: Path) -> Artefact:
    """Returns what the record beside an artefact says, if it can be bundled; nothing is run.

    Raises:
        UserError: no such file, no record, a damaged or foreign file, not a `.tflite` file, or no test vectors.
    """
    if path.exists() and path.suffix != ".tflite":
        hint = "devices take a .tflite file: python -m tfday7.export --formats=tflite"
        raise UserError(f"--artefact={path}: {path.suffix or 'a folder'} cannot be deployed", hint)
    artefact = read_artefact(path)
    if artefact.format != "tflite":
        raise UserError(f"{path}: its record is of the format {artefact.format!r}; expected 'tflite'", EXPORT_AGAIN)
    if artefact.sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != artefact.sha256:
        raise UserError(f"{path}: not the file that its record describes (SHA-256)", EXPORT_AGAIN)
    if Path(artefact.name).name != artefact.name or artefact.name.startswith((".", "-")) or not _plain(artefact.name):
        raise UserError(f"{path}: its record has the name {artefact.name!r}; expected a file's name", EXPORT_AGAIN)
    if not artefact.vectors:
        raise UserError(f"{path}: its record names no test vectors, and a device is checked with them", EXPORT_AGAIN)
    return artefact


def make(artefact_path: Path, folder: Path) -> Bundle:
    """Writes a bundle, whole or not at all; the same artefact gives the same bytes.

    Args:
        artefact_path: a `.tflite` file with its record and test vectors.
        folder: made, or replaced.

    Raises:
        UserError: as `check`; or the file does not run, or is not as its record says.
    """
    artefact = check(artefact_path)
    given = vectors.read(artefact_path.parent / str(artefact.vectors))
    model = open_artefact(artefact_path, "litert")
    _check_ends(artefact_path, artefact, model, given)
    expected = answers(model, artefact, given.raw)
    if expected.shape != given.keras.shape or not np.isfinite(expected).all():
        found = "hold NaN or infinity" if expected.shape == given.keras.shape else f"have the shape {expected.shape}"
        raise UserError(f"{artefact_path}: its answers to the test vectors {found}", EXPORT_AGAIN)
    content = artefact_path.read_bytes()
    arrays = {"raw": given.raw, "expected": expected, "keras": given.keras}
    fed = model.quantize(feeding.standardized(feeding.divided(given.raw, artefact.input), artefact.input))
    apart = kernels.steps_apart(artefact_path, fed) if artefact.output.get("scale") else 0
    spec = _spec(artefact, content, arrays, apart)
    _write(folder, artefact, spec, content, arrays)
    return Bundle(folder, spec, artefact)


def answers(model: Runner, artefact: Artefact, raw: np.ndarray) -> np.ndarray:
    """Returns what a file answers to raw values [n, ...], float32, before softmax or sigmoid."""
    return feeding.predict(model, artefact, feeding.divided(raw, artefact.input))


def tolerances(artefact: Artefact, expected: np.ndarray, operators: int, steps_apart: int = 0) -> np.ndarray:
    """Returns the largest allowed difference between a device's answers and `expected`, one or one a column.

    Args:
        artefact: its kind and its output decide.
        expected: [n, ...].
        operators: how many the file has.
        steps_apart: of a file with integer outputs: what kernels differ by here, from `kernels.steps_apart`.
    """
    scaling = artefact.output.get("standardization")
    mean, std = (np.array(scaling[name] if scaling else [none], np.float64) for name, none in (("mean", 0), ("std", 1)))
    spread = np.abs(std)  # A Rescaling at the end may turn the sign.
    if artefact.output.get("scale"):
        steps = max(1 + operators // OPERATORS_A_STEP, min(steps_apart, MAX_STEPS_APART))
        return QUANTIZED_STEP * steps * artefact.output["scale"] * spread
    share = DYNAMIC_TOLERANCE if artefact.kind == "dynamic" else FLOAT_TOLERANCE
    if scaling:  # What the file itself gives decides, not the offset that is added outside of it; but that rounds, too.
        rounding = np.finfo(np.float32).eps * np.abs(expected).reshape(-1, expected.shape[-1]).max(axis=0)
        return share * float(np.abs((expected - mean) / std).max()) * spread + rounding
    heads = artefact.output.get("heads") or [{"columns": [0, expected.shape[-1]]}]
    each = [
        (last - first, float(np.abs(expected[..., first:last]).max())) for first, last in (h["columns"] for h in heads)
    ]
    found = np.concatenate([np.full(count, share * (largest or 1.0)) for count, largest in each])
    return found if artefact.output.get("heads") else found[:1]


def _check_ends(path: Path, artefact: Artefact, model: Runner, given: Vectors) -> None:
    """Raises UserError where the record, the file and the test vectors do not belong together."""
    for side, found in (("input", model.input), ("output", model.output)):
        described = getattr(artefact, side)
        for name, value in found.to_json().items():
            if described.get(name) != value:
                message = f"{path}: its record says {side} {name} {described.get(name)}; the file has {value}"
                raise UserError(message, EXPORT_AGAIN)
    expected = "integer" if model.input.dtype.startswith("int") and model.input.scale is None else "float32"
    kind = "integer" if np.issubdtype(given.raw.dtype, np.integer) else "float32"
    if given.raw.shape[1:] != model.input.shape[1:] or kind != expected:
        found_ = f"{kind} {list(given.raw.shape[1:])}"
        wanted = f"{expected} {list(model.input.shape[1:])}"
        raise UserError(f"{artefact.vectors}: its inputs are {found_}; {path.name} takes {wanted}", EXPORT_AGAIN)


def _spec(artefact: Artefact, content: bytes, arrays: dict[str, np.ndarray], steps_apart: int) -> dict[str, Any]:
    summary = tflite_file.read(content)
    allowed = tolerances(artefact, arrays["expected"], len(summary.nodes), steps_apart)
    described = {
        which: {"file": VECTOR_FILES[which], "dtype": array.dtype.name, "shape": list(array.shape)}
        for which, array in arrays.items()
    }
    return {
        "format": FORMAT,
        "name": artefact.name,
        "model": f"{artefact.name}.tflite",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "kind": artefact.kind,
        "input": {name: value for name, value in artefact.input.items() if name != "vocabulary"},
        "output": artefact.output,
        "labels": artefact.labels,
        "stateful": summary.is_stateful,
        "vectors": {
            "count": len(arrays["raw"]),
            **described,
            "tolerance": float(allowed.max()),
            **({"column_tolerances": allowed.tolist()} if len(allowed) > 1 else {}),
        },
    }


def _write(
    folder: Path, artefact: Artefact, spec: dict[str, Any], content: bytes, arrays: dict[str, np.ndarray]
) -> None:
    runner = resources.files("tfday7.deploying").joinpath("device", RUNNER).read_bytes()
    words = {LABELS: artefact.labels, VOCABULARY: artefact.input.get("vocabulary") or []}
    texts = {name: _lines(name, listed) for name, listed in words.items() if listed}
    difference = float(np.abs(arrays["expected"].astype(np.float64) - arrays["keras"]).max())
    texts[README] = guide.text(artefact, spec, difference)
    with files.replacing(folder) as partial:
        partial.mkdir()
        (partial / spec["model"]).write_bytes(content)
        (partial / RUNNER).write_bytes(runner)
        for which, array in arrays.items():
            (partial / VECTOR_FILES[which]).write_bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        files.write_json(partial / SPEC, spec)


def _lines(name: str, listed: list[str]) -> str:
    """Returns one name a line. Raises UserError for one that would be two lines, or is no text."""
    for entry in listed:
        if not isinstance(entry, str) or "\n" in entry or "\r" in entry:
            raise UserError(f"{entry!r} cannot be a line of {name}", "name it without a line break, and export again")
    return "".join(f"{entry}\n" for entry in listed)


def _plain(name: str) -> bool:
    return bool(name) and name.isprintable()

"""One model on its way to files: what all formats need of it is made once, when the first asks for it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import environment, files
from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.data import Dataset, pipeline
from tfday7.data.lazy import take
from tfday7.exporting import feeding, normalization, vectors
from tfday7.exporting.affine import Affine, core_of, equalized, offset_last
from tfday7.exporting.calibration import calibration_examples
from tfday7.exporting.format import CALIBRATED, WITHOUT_ENDS, Format
from tfday7.exporting.options import QuantizationOptions
from tfday7.exporting.records import Origin

# How the lines begin that TensorFlow puts before an error's message.
_WHERE = ("Graph execution error", "Detected at node", "File ", "<stack traces", "[[")


class Job:
    """A model, its data, and where its artefacts go.

    Args:
        model: a float32 tf_keras model with one input and one output.
        dataset: training examples calibrate, test examples verify.
        folder: of the model's artefacts.
        origin: the model's name, its run, and what its outputs are.
        scratch: a folder for what is needed on the way.
        batch: examples a run, where a format leaves the choice; None for any number.
        expected: the model's outputs on the test split, where they are known.
        options: how numbers are quantized; None for the usual way.
    """

    def __init__(
        self,
        model: Any,
        dataset: Dataset,
        folder: Path,
        origin: Origin,
        scratch: Path,
        batch: int | None = 1,
        expected: np.ndarray | None = None,
        options: QuantizationOptions | None = None,
    ) -> None:
        self.model, self.dataset, self.folder, self.origin = model, dataset, folder, origin
        self.scratch, self.batch, self.options = scratch, batch, options or QuantizationOptions()
        self.expected = answers(model, dataset, origin.name) if expected is None else expected

    @functools.cached_property
    def calibration_inputs(self) -> np.ndarray:
        """Inputs that show which numbers occur, as the data set has them."""
        how = self.options
        return calibration_examples(self.dataset, self.model, how.calibration_examples, how.calibration_seed)

    @functools.cached_property
    def core(self) -> tuple[Any, Affine | None, Affine | None]:
        """The model without its affine ends, and these: what a file of `WITHOUT_ENDS` holds."""
        core, way_in, way_out = core_of(self.model)
        if self.dataset.problem.heads and way_out is not None:
            core, way_out = equalized(core, way_out, _into(way_in, self.calibration_inputs))
        return core, way_in, way_out

    @functools.cached_property
    def calibration(self) -> Path:
        """A file of the core's inputs, for converters."""
        path = self.scratch / "calibration.npy"
        np.save(path, _into(self.core[1], self.calibration_inputs))
        return path

    @property
    def labelled(self) -> bool:
        """Whether the test split has labels, so that there is a metric."""
        return self.origin.data is not None

    @functools.cached_property
    def model_digest(self) -> str:
        """See `weights_digest`."""
        return weights_digest(self.model)

    def recipe(self, format: Format, kind: str) -> dict[str, Any]:
        """Returns what makes a file of this format and kind again."""
        calibration = None
        if kind in CALIBRATED:
            calibration = {
                "examples": len(self.calibration_inputs),
                "seed": self.options.calibration_seed,
                "from": "training, then validation examples",
            }
        flags = self.origin.data
        data = {"name": self.dataset.name, "fingerprint": self.dataset.fingerprint, "flags": dict(flags or {})}
        return {
            "command": self.origin.command,
            "weights_sha256": self.model_digest,
            "data": data if self.labelled else None,
            "calibration": calibration,
            "float_layers": list(self.options.float_layers) if kind in CALIBRATED else [],
            "sparse": self.options.sparse,
            "batch": format.batch(self.batch),
            "versions": environment.versions(),
        }

    def float_layers(self, format: Format, kind: str) -> tuple[str, ...]:
        """Returns the layers that stay in float32 in a file of this format and kind."""
        return self.options.float_layers if kind in format.mixed_kinds else ()

    def ends(self, kind: str) -> tuple[Affine | None, Affine | None]:
        """Returns what a file of this kind leaves out at the way in and at the way out."""
        return self.core[1:] if kind in WITHOUT_ENDS else (None, None)

    @functools.cached_property
    def whole(self) -> Any:
        """The model, written so that converters keep its precision."""
        return offset_last(self.model)

    def part(self, kind: str) -> Any:
        """Returns the model that a file of this kind holds: without its affine ends, or whole."""
        return self.core[0] if kind in WITHOUT_ENDS else self.whole

    def saved_model(self, kind: str, batch: int | None, centered: bool = False) -> Path:
        """Returns a SavedModel for batches of this size; of some kinds, the core alone. Each is written once.

        Args:
            kind, batch: of the file that it is for.
            centered: whether layer normalizations are written as `normalization` says.
        """
        model = self.part(kind)
        part = "core" if kind in WITHOUT_ENDS and model is not self.model else "whole"
        anew = centered and bool(normalization.normalizations(model))
        path = self.scratch / f"{part}_{batch or 'any'}{'_centered' if anew else ''}"
        if not path.exists():
            with normalization.centered(model) if anew else contextlib.nullcontext():
                save_with_batch(model, self.dataset.problem.input_shape, path, batch)
        return path

    def write_vectors(self) -> str:
        """Writes the test vectors beside the artefacts, and returns their file's name."""
        problem, x = self.dataset.problem, self.dataset.test.x
        bytes_each = 4 * (int(np.prod(problem.input_shape)) + int(np.prod(self.expected.shape[1:])))
        chosen = take(x, np.arange(vectors.fitting(len(x), bytes_each)))[:]
        divisor = feeding.divisor_of(self.dataset.preprocessing)
        raw = feeding.raw_of(chosen, divisor)
        given = feeding.divided(raw, {"divisor": divisor})
        answers = np.asarray(self.model(given, training=False), np.float32)
        name = vectors_name(self.origin.name)
        vectors.write(self.folder / name, vectors.Vectors(raw, answers))
        return name


def answers(model: Any, dataset: Dataset, name: str) -> np.ndarray:
    """Returns a model's outputs on the test split. Raises UserError where there are none, or not finite ones."""
    try:
        outputs = pipeline.predict(model, dataset.test)
    except (ValueError, tf.errors.OpError) as error:
        if isinstance(error, UserError):
            raise
        shape = dataset.problem.input_shape
        raise UserError(f"{name} cannot be run on examples of shape {shape} ({_reason(error)})") from error
    if not np.isfinite(outputs).all():
        raise UserError(
            f"{name}: the model's own outputs hold NaN or infinity", "train it again: its weights are broken"
        )
    return outputs


def _reason(error: Exception) -> str:
    """Returns the line that says what was wrong, without those in which TensorFlow says where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(_WHERE)), type(error).__name__)[:300]


def vectors_name(name: str) -> str:
    """Returns the name of the file with the test vectors of a model."""
    return f"{name}_vectors.npz"


def weights_digest(model: Any) -> str:
    """Returns the SHA-256 of a model's weights, in their order, hexadecimal."""
    digest = hashlib.sha256()
    for weights in model.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def save_with_batch(model: Any, shape: tuple[int, ...], folder: Path, batch: int | None) -> None:
    """Writes a SavedModel with the signature `input` -> `output`.

    Args:
        model: a tf_keras model with one input.
        shape: of one example; the model's own may leave sizes open.
        folder: made here, whole or not at all.
        batch: examples a run; with a known one the converters fold all shape arithmetic. None for any number.
    """
    expected = tf.TensorSpec((batch, *shape), model.inputs[0].dtype, name="input")
    module = tf.Module()
    module.serve = tf.function(lambda x: {"output": model(x, training=False)}, input_signature=[expected])
    # Of a Keras model each layer would be traced and written several times over: four to six times the seconds.
    module.kept = model if _looks_up(module.serve.get_concrete_function()) else model.variables
    with files.replacing(folder) as partial:
        tf.saved_model.save(module, str(partial), signatures=module.serve)


def _looks_up(traced: Any) -> bool:
    """Returns whether a traced function needs what is no variable, as a table of words, which its layer holds."""
    variables = {id(variable.handle) for variable in traced.graph.variables}
    return any(id(each) not in variables for each in traced.captured_inputs if each.dtype == tf.resource)


def _into(way_in: Affine | None, x: np.ndarray) -> np.ndarray:
    return way_in.standardize(x) if way_in else x

"""Makes live models from judged settings, of either Keras."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models.door import applications
from tfday7.models.door.activations import PACKAGE
from tfday7.models.door.budget import within_file
from tfday7.models.door.judge import Known, vetted
from tfday7.models.door.known import keras3_known, tf_keras_known
from tfday7.models.door.legacy import modern

_BROKEN = "the file is truncated or damaged, or was written by a version that is not known here"
_DEEP = "make models of parts of the chain: each of them counts as one layer of the whole"
# What either Keras raises for settings or weights that do not fit together.
_MISFIT = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, ArithmeticError, RuntimeError, AssertionError
)  # fmt: skip


def keras3_model(config: Any, source: Path, allow_unsafe: bool, stored_bytes: int) -> Any:
    """Returns a Keras 3 model, with fresh weights, for a file that stores so many bytes of values.

    Raises:
        UserError: the settings are refused, broken, or ask for far larger weights.
    """
    known = keras3_known()
    judged = vetted(config, known, str(source), allow_unsafe)
    with fitting(source), within_file(stored_bytes, source):
        model = keras3.saving.deserialize_keras_object(judged, dict(known.custom), safe_mode=not allow_unsafe)
    return _a_model(model, keras3.Model, source)


def tf_keras_model(config: Any, source: Path, allow_unsafe: bool, stored_bytes: int) -> Any:
    """Returns a tf_keras model, with fresh weights, for a file that stores so many bytes of values.

    Raises:
        UserError: the settings are refused, broken, or ask for far larger weights.
    """
    known = tf_keras_known(names_ours=PACKAGE + ">" in json.dumps(config))
    judged = vetted(modern(config), known, str(source), allow_unsafe)
    with fitting(source), within_file(stored_bytes, source):
        model = tf_keras_object(judged, known, allow_unsafe)
    return _a_model(model, keras.Model, source)


def tf_keras_object(judged: Any, known: Known, allow_unsafe: bool) -> Any:
    """Returns what tf_keras makes of judged settings; it does not know the layers of its own applications by name."""
    named = applications.classes("tf_keras") | dict(known.custom)
    return keras.saving.deserialize_keras_object(judged, named, safe_mode=not allow_unsafe)


@contextlib.contextmanager
def fitting(source: Path) -> Iterator[None]:
    """Turns what either Keras raises for parts that do not fit together into a UserError."""
    try:
        yield
    except UserError:
        raise
    except RecursionError as error:
        raise UserError(f"{source}: more layers follow each other than Keras can walk", _DEEP) from error
    except (*_MISFIT, tf.errors.OpError, MemoryError) as error:
        refused = _refusal(error)
        if refused is not None:
            raise UserError(refused.message, refused.hint) from error
        lines = [line for line in str(error).strip().splitlines() if line.strip()] or [type(error).__name__]
        raise UserError(f"{source}: its parts do not fit together: {lines[0][:300]}", _BROKEN) from error


def _refusal(error: BaseException) -> UserError | None:
    """Returns the refusal that either Keras put into an error of its own, or None."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, UserError):
        found = found.__context__
    return found


def _a_model(model: Any, kind: type, source: Path) -> Any:
    if not isinstance(model, kind):
        raise UserError(f"{source}: describes a {type(model).__name__}; expected a model", _BROKEN)
    return model

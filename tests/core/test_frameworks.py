"""The one place that sets up Keras: lazily, and whoever imported what before."""

from __future__ import annotations

import pkgutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import tfday7

Run = Callable[..., subprocess.CompletedProcess[str]]

COMMANDS = ("train", "tune", "advise", "diagnose", "compress", "export", "benchmark", "deploy", "launch", "report")
HEAVY = "('tensorflow', 'tf_keras', 'keras')"


def test_no_command_and_no_shared_module_loads_tensorflow_on_import(run_python: Run) -> None:
    root = Path(tfday7.__file__).parent
    top = [module.name for module in pkgutil.iter_modules([str(root)])]
    assert set(COMMANDS) <= set(top)
    light = ("core", "data", "diagnosis", "reporting", "models", "optimizers", "training.config", "exporting.config")
    names = ["tfday7", *(f"tfday7.{name}" for name in sorted({*top, *light}))]
    code = (
        f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
        f"    assert not [heavy for heavy in {HEAVY} if heavy in sys.modules], name"
    )
    run_python(code)


def test_names_are_known_without_tensorflow(run_python: Run) -> None:
    run_python(
        "import sys\nfrom tfday7.data.source import SOURCES\nfrom tfday7.models.architecture import ARCHITECTURES\n"
        "from tfday7.diagnosis.check import CHECKS\nfrom tfday7.core import frameworks\n"
        "assert SOURCES.names() and ARCHITECTURES.names() and CHECKS.names()\n"
        f"assert not [name for name in {HEAVY} if name in sys.modules]\n"
        "assert not frameworks.tensorflow_is_loaded()"
    )


USE = """
import numpy as np, sys
from tfday7.core.frameworks import keras, keras3, tensorflow_is_loaded, tf
assert keras.__class__.__name__ == "_LazyModule"
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
assert type(model).__module__.startswith("tf_keras."), type(model)
model.layers[0].set_weights([np.arange(6, dtype="float32").reshape(3, 2)])
x = np.ones((2, 3), "float32")
assert model.predict(x, verbose=0).tolist() == [[6, 9], [6, 9]]
model.compile("sgd", "mse")
model.fit(x, np.zeros((2, 2), "float32"), epochs=1, verbose=0)
assert keras3.__version__ if hasattr(keras3, "__version__") else True
assert keras3.layers.Dense.__module__.startswith("keras.")
assert keras3.config.backend() == "tensorflow"
assert tensorflow_is_loaded()
print("works", keras.backend.experimental.is_tf_random_generator_enabled())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    ["", "import tensorflow", "import keras", "import keras, tensorflow; tensorflow.keras", "import tf_keras"],
)
def test_tf_keras_works_whoever_imported_what_before(run_python: Run, before: str) -> None:
    # Random layers that draw from generators are what makes a run resumable.
    assert run_python(f"{before}\n{USE}").stdout == "works True\n"


def test_loading_tensorflow_first_writes_nothing_to_the_terminal(run_python: Run) -> None:
    done = run_python("from tfday7.core.frameworks import tf\nprint(tf.constant(3).numpy())")
    assert done.stdout == "3\n"
    assert done.stderr == ""


def test_another_backend_of_keras_is_refused_with_what_to_do(run_python: Run) -> None:
    code = (
        "import sys, types\nfake = types.ModuleType('keras')\n"
        "fake.config = types.SimpleNamespace(backend=lambda: 'jax')\nsys.modules['keras'] = fake\n"
        "sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        "from tfday7.core.errors import UserError\nfrom tfday7.core.frameworks import keras3\n"
        "try:\n    keras3.layers\nexcept UserError as error:\n    print(error.message, '|', error.hint)"
    )
    printed = run_python(code).stdout
    assert "Keras 3 runs on jax; expected TensorFlow" in printed
    assert "KERAS_BACKEND=tensorflow" in printed


def test_introspection_does_not_load_tensorflow(run_python: Run) -> None:
    run_python(
        "import inspect, sys\nfrom tfday7.core import frameworks\ninspect.unwrap(frameworks.tf)\n"
        "assert not hasattr(frameworks.tf, '__wrapped__')\nassert 'tensorflow' not in sys.modules"
    )

"""Which runtimes there are, which files each takes, and what is missing when one is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.registry import Registry
from tfday7.runtimes.runner import Runner

RUNTIMES: Registry[type[Any]] = Registry("runtime", "tfday7.runtimes")
# What each imports, and the extra that brings it.
PACKAGES = {
    "litert": ("ai_edge_litert", "litert"),
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "openvino": ("openvino", "openvino"),
    "tensorflow": ("tensorflow", "tensorflow"),
    "xla": ("tensorflow", "tensorflow"),
}


def find(name: str) -> type[Runner]:
    """Returns a runtime's class. Raises UserError for an unknown one, or one that is not installed."""
    found = RUNTIMES.get(name)
    package, extra = PACKAGES[name]
    if importlib.util.find_spec(package) is None:
        raise UserError(f"the runtime {name} is not installed", f"pip install 'tfday7[{extra}]'")
    return found


def takes(name: str, path: Path) -> bool:
    """Returns whether a runtime takes such a file or folder."""
    return suffix_of(path) in RUNTIMES.get(name).suffixes


def default_runtime(path: Path) -> str:
    """Returns the runtime that a file is made for. Raises UserError for a file that none takes."""
    for name in PACKAGES:
        if takes(name, path):
            return name
    suffixes = sorted({suffix for name in PACKAGES for suffix in RUNTIMES.get(name).suffixes if suffix})
    raise UserError(f"{path}: no runtime takes such a file", f"known: {', '.join(suffixes)} (a folder is a SavedModel)")


def open_artefact(path: Path, runtime: str = "", **settings: Any) -> Runner:
    """Returns a loaded artefact; without a name, in the runtime that it is made for. Raises UserError, as `Runner`."""
    return find(runtime or default_runtime(path))(path, **settings)


def suffix_of(path: Path) -> str:
    """Returns ".tflite" and so on; "" for a folder, which is a SavedModel."""
    return "" if path.is_dir() else path.suffix.lower()


def one_of_each(path: Path, inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple[Any, Any]:
    """Returns the only input and the only output. Raises UserError when there are more, or none."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(f"{path}: {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
    return inputs[0], outputs[0]

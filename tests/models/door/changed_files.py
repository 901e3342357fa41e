"""Files of small models, and changes to what they hold."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def plain_model(framework: Any) -> Any:
    """Returns a model of two inputs and one Dense layer, "d"."""
    inputs = framework.layers.Input((2,))
    return framework.Model(inputs, framework.layers.Dense(2, name="d")(inputs))


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], **members: bytes) -> Path:
    """Changes the settings inside a .keras file, and adds members."""
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    config = json.loads(content["config.json"])
    change(config)
    content["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in {**content, **members}.items():
            file.writestr(name, data)
    return path


def layer_of(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns a layer's record in a model's settings."""
    found: dict[str, Any] = next(one for one in config["config"]["layers"] if one["config"]["name"] == name)
    return found

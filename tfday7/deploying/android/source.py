"""The Kotlin of a bundle, and the files that it reads beside the model.

Only numbers and words of our own become code. Names of classes and words are data: they are read from text files, one a
line. So are means and deviations of columns, of which there may be more than a JVM method has room for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.deploying.reference import Head, elements
from tfday7.deploying.rendering import escaped, escaped_lines, float32_literal, render

TEMPLATES = Path(__file__).parent / "templates"
MAIN, TEST = ("ModelSpec.kt", "ModelProcessing.kt", "ModelRunner.kt"), ("CheckVectors.kt",)
STANDARDIZATIONS = {"input": "input_standardization.bin", "output": "output_standardization.bin"}
ASSETS = ("labels.txt", "vocabulary.txt", "targets.txt", *STANDARDIZATIONS.values())


def kotlin(name: str, spec: Mapping[str, Any], targets: list[Head], vocabulary: list[str]) -> dict[str, str]:
    """Returns the Kotlin files by their path in the bundle.

    Args:
        name: from `rendering.identifier`; the package is `tfday7.<name>`.
        spec: bundle.json.
        targets: from `reference.heads`.
        vocabulary: the word of each token id; empty where there are none.
    """
    values = {**_numbers(spec, targets), "PACKAGE": f"tfday7.{name}", "FOLDER": name, "MODEL_FILE": f"{name}.tflite"}
    values["HAS_VOCABULARY"] = _boolean(bool(vocabulary))
    sources = f"app/src/main/java/tfday7/{name}"
    found = {f"{sources}/{file}": render(TEMPLATES, file, values) for file in MAIN}
    return found | {f"test/{file}": render(TEMPLATES, file, values) for file in TEST}


def assets(name: str, spec: Mapping[str, Any], targets: list[Head], vocabulary: list[str]) -> dict[str, str | bytes]:
    """Returns what lies beside the model among the assets, by its path in the bundle. Arguments as of `kotlin`."""
    found: dict[str, str | bytes] = {}
    if spec["labels"]:
        found["labels.txt"] = escaped_lines(spec["labels"])
    if vocabulary:
        found["vocabulary.txt"] = escaped_lines(vocabulary)
    if _has_targets(targets):
        found["targets.txt"] = "".join("\t".join(map(escaped, (head.name, *head.labels))) + "\n" for head in targets)
    for side, file in STANDARDIZATIONS.items():
        affine = spec[side].get("standardization")
        if affine:
            numbers = np.array([affine["mean"], affine["std"]], "<f8")
            found[file] = numbers.tobytes()
    return {f"app/src/main/assets/{name}/{file}": content for file, content in found.items()}


def _numbers(spec: Mapping[str, Any], targets: list[Head]) -> dict[str, object]:
    values: dict[str, object] = {
        "SHA256": "".join(c for c in str(spec["sha256"]) if c in "0123456789abcdef"),
        "INPUT_DIVISOR": float32_literal(spec["input"].get("divisor") or 1.0),
        "HAS_LABELS": _boolean(bool(spec["labels"])),
        "HAS_TARGETS": _boolean(_has_targets(targets)),
        "IS_STATEFUL": _boolean(bool(spec["stateful"])),
        "HEADS": ",\n".join(
            f'        Head("{head.task}", "{head.meaning}", {head.first}, {head.last})' for head in targets
        ),
    }
    for side in ("input", "output"):
        end, prefix = spec[side], side.upper()
        affine = end.get("standardization")
        values |= {
            f"{prefix}_SHAPE": ", ".join(str(int(size)) for size in end["shape"]),
            f"{prefix}_SIZE": elements(end),
            f"{prefix}_TYPE": end["dtype"],
            f"{prefix}_SCALE": float32_literal(end.get("scale") or 1.0),
            f"{prefix}_ZERO_POINT": int(end.get("zero_point") or 0),
            f"{prefix}_STANDARDIZATION": len(affine["mean"]) if affine else 0,
        }
    return values


def _has_targets(targets: list[Head]) -> bool:
    """Whether there are several targets with names of their own."""
    return any(head.name for head in targets)


def _boolean(value: bool) -> str:
    return "true" if value else "false"

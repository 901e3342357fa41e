"""The C++ of a bundle: the model as bytes, its operators, the arena, a few test vectors, and a program that runs them.

Names of classes become string literals in which every character but letters, digits and spaces is written as a number;
the model's name becomes an identifier. Nothing else in the sources comes from the user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.deploying.reference import Reference, elements
from tfday7.deploying.rendering import float32_literal, render

TEMPLATES = Path(__file__).parent / "templates"
FILES = ("model_data.h", "model_data.cc", "op_resolver.h", "arena.h", "test_vectors.h", "example_main.cc")
LABELS = "labels.h"
NUMBERS_A_LINE = 12
MAX_VECTORS, MAX_NUMBERS = 4, 16_384  # Flash is small; at least one vector all the same.
C_TYPES = {"int8": "std::int8_t", "int32": "std::int32_t", "float32": "float"}
_HEX = [f"0x{byte:02x}" for byte in range(256)]


def sources(
    name: str,
    spec: Mapping[str, Any],
    content: bytes,
    methods: list[str],
    arena: tuple[int, str, str],
    found: Reference,
) -> dict[str, str]:
    """Returns the files by name.

    Args:
        name: from `rendering.identifier`.
        spec: bundle.json.
        content: the `.tflite` file.
        methods: of the resolver, from `ops.methods`.
        arena: its size in bytes, and two lines on where that is from.
        found: the test vectors after each step.
    """
    values: dict[str, object] = {
        "NAMESPACE": f"tfday7_{name}",
        "GUARD": f"TFDAY7_{name.upper()}",
        "SHA256": "".join(c for c in str(spec["sha256"]) if c in "0123456789abcdef"),
        "MODEL_SIZE": len(content),
        "BYTES": "\n".join(_lines(_HEX[byte] for byte in content)),
        "OP_COUNT": len(methods),
        "ADD_OPS": "\n".join(f"  if (resolver.{method}() != kTfLiteOk) return kTfLiteError;" for method in methods),
        "ARENA_SIZE": arena[0],
        "ARENA_1": arena[1],
        "ARENA_2": arena[2],
        **_ends(spec),
        **_vectors(spec, found),
    }
    files = {file: render(TEMPLATES, file, values) for file in FILES}
    labels = [str(label) for label in spec["labels"]]
    if labels:
        values |= {"LABEL_COUNT": len(labels), "LABELS": ",\n".join(f"    {string_literal(label)}" for label in labels)}
        files[LABELS] = render(TEMPLATES, LABELS, values)
    return files


def string_literal(text: str) -> str:
    """Returns a C string literal of a text's UTF-8; what is no letter, digit or space is written in octal."""
    plain = "".join(
        chr(byte) if byte < 128 and (chr(byte).isalnum() or byte == 32) else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return f'"{plain}"'


def tolerances(spec: Mapping[str, Any]) -> list[float]:
    """Returns what a device may differ by in the output's own numbers, for what it may differ by in answers.

    It is one number for each column of the last axis, or a single one where all are the same.
    """
    vectors, output = spec["vectors"], spec["output"]
    allowed = np.array(vectors.get("column_tolerances") or vectors["tolerance"], np.float64)
    scale = np.float64(output.get("scale") or 1.0)
    affine = output.get("standardization")
    found = np.atleast_1d(allowed / (scale * (np.abs(affine["std"]) if affine else 1.0)))
    rounded = [float(f"{value:.9g}") for value in found]  # What was multiplied and divided again is the same again.
    return rounded if len(set(rounded)) > 1 else rounded[:1]


def _ends(spec: Mapping[str, Any]) -> dict[str, object]:
    values: dict[str, object] = {}
    for side in ("input", "output"):
        end, prefix = spec[side], side.upper()
        values |= {
            f"{prefix}_SHAPE": ", ".join(str(int(size)) for size in end["shape"][1:]),
            f"{prefix}_SIZE": elements(end),
            f"{prefix}_TYPE": C_TYPES[end["dtype"]],
            f"{prefix}_SCALING": _scaling(side.capitalize(), end),
        }
    return values


def _scaling(side: str, end: Mapping[str, Any]) -> str:
    lines = []
    divisor = end.get("divisor") or 1.0
    if divisor != 1.0:
        lines.append(f"constexpr float kInputDivisor = {float32_literal(divisor)}f;  // x = raw / divisor")
    if end.get("scale"):
        how = "q = round(x / scale) + zero point" if side == "Input" else "y = (q - zero point) * scale"
        lines.append(f"constexpr float k{side}Scale = {float32_literal(end['scale'])}f;  // {how}")
        lines.append(f"constexpr int k{side}ZeroPoint = {int(end['zero_point'])};")
    return "".join(line + "\n" for line in lines)


def _vectors(spec: Mapping[str, Any], found: Reference) -> dict[str, object]:
    largest = max(elements(spec["input"]), elements(spec["output"]))
    count = max(1, min(MAX_VECTORS, len(found.given), MAX_NUMBERS // largest))
    allowed = tolerances(spec)
    return {
        "COUNT": count,
        "TOLERANCE_COUNT": len(allowed),
        "TOLERANCES": "\n".join(_lines(repr(value) for value in allowed)),
        "INPUTS": _arrays(found.given[:count]),
        "OUTPUTS": _arrays(found.made[:count]),
    }


def _arrays(rows: np.ndarray) -> str:
    blocks = ("\n".join(_lines(_number(value) for value in row.ravel())) for row in rows)
    return ",\n".join("    {\n" + block + "\n    }" for block in blocks)


def _number(value: np.generic) -> str:
    if isinstance(value, np.floating):
        return float32_literal(float(value)) + "f"
    return str(int(value)) if int(value) != -(2**31) else "INT32_MIN"  # C has no literal for it.


def _lines(numbers: Iterator[str]) -> Iterator[str]:
    """Yields lines of 12 numbers each, with a comma behind every number but the last."""
    line: list[str] = []
    for number in numbers:
        if len(line) == NUMBERS_A_LINE:
            yield "    " + ", ".join(line) + ","
            line = []
        line.append(number)
    yield "    " + ", ".join(line)

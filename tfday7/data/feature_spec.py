"""What the features of a TFRecord file hold, as a JSON file says it:

    {"image": {"kind": "jpeg", "shape": [64, 64, 3]}, "label": {"kind": "int64"}}

Kinds: "jpeg", "png" or "image" (a file of either format, or BMP or GIF; resized to the shape), "raw" (bytes of numbers,
with "shape" and "dtype", little-endian), "float" and "int64" (with "shape"; one number without), and "string" (a word).
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import files
from tfday7.core.errors import UserError
from tfday7.data import images

EXAMPLE = '{"image": {"kind": "jpeg", "shape": [64, 64, 3]}, "label": {"kind": "int64"}}'
IMAGE_KINDS = ("jpeg", "png", "image")
LISTS = {"raw": "bytes_list", "string": "bytes_list", "float": "float_list", "int64": "int64_list"}
DTYPES = ("uint8", "int8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64")
MAX_VALUES = 100_000_000


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """What one feature holds.

    Attributes:
        name: its name in the records.
        kind: one of the kinds above.
        shape: of its values; () is one value.
        dtype: of raw bytes; empty otherwise.
    """

    name: str
    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""

    @property
    def is_image(self) -> bool:
        """Whether it is the file of an image."""
        return self.kind in IMAGE_KINDS

    @property
    def are_pixels(self) -> bool:
        """Whether its values go from 0 to 255 and become 0 to 1."""
        return self.is_image or (self.dtype == "uint8" and len(self.shape) >= 2)

    def content(self, features: dict[str, Any], place: str) -> Any:
        """Returns the feature's values as the record has them: bytes, or a sequence of numbers.

        Raises:
            UserError: the feature is missing, of another kind, or has another number of values.
        """
        if self.name not in features:
            found = ", ".join(sorted(features)[:10]) or "nothing"
            raise UserError(f"{place}: there is no feature {self.name!r}", f"found: {found}")
        feature = features[self.name]
        wanted, have = LISTS.get(self.kind, "bytes_list"), feature.WhichOneof("kind")
        if have != wanted:
            held = "nothing" if have is None else f"a {have}"
            raise UserError(f"{place}: {self.name!r} holds {held}; expected a {wanted} for the kind {self.kind}")
        values = getattr(feature, wanted).value
        count = 1 if wanted == "bytes_list" else math.prod(self.shape)
        if len(values) != count:
            raise UserError(f"{place}: {self.name!r} holds {len(values)} values; expected {count} for {self.shape}")
        return values[0] if wanted == "bytes_list" else values

    def array(self, content: Any, place: str) -> np.ndarray:
        """Returns what `content` gave as numbers of `shape`; images are uint8.

        Raises:
            UserError: no image, or another number of bytes.
        """
        if self.is_image:
            try:
                return images.pixels(content, (self.shape[0], self.shape[1], self.shape[2]))
            except images.BadImageError as error:
                raise UserError(f"{place}: {self.name!r}: {error}") from error
        if self.kind != "raw":
            return np.array(content, np.int64 if self.kind == "int64" else np.float32).reshape(self.shape)
        dtype = np.dtype(self.dtype).newbyteorder("<")
        expected = dtype.itemsize * math.prod(self.shape)
        if len(content) != expected:
            held = f"{self.name!r} holds {len(content):,} bytes"
            raise UserError(f"{place}: {held}; expected {expected:,} for {self.shape} of {self.dtype}")
        return np.frombuffer(content, dtype).reshape(self.shape)


def read_spec(path: str, target: str) -> tuple[FeatureSpec, FeatureSpec]:
    """Returns what the input and the label are.

    Args:
        path: the JSON file.
        target: the name of the label's feature.

    Raises:
        UserError: the file is missing or wrong; the message says where.
    """
    files.check_plain(Path(path), files.MOST_JSON_BYTES)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"--features={path}: cannot be read ({error})", f"for example: {EXAMPLE}") from error
    if not isinstance(content, dict):
        raise UserError(f"--features={path}: expected an object of features", f"for example: {EXAMPLE}")
    specs = {name: _spec(path, name, entry) for name, entry in content.items()}
    if target not in specs or len(specs) != 2:
        raise UserError(
            f"--features={path}: describes {', '.join(specs) or 'nothing'}; expected an input and the label {target}",
            "--target=NAME says which feature is the label",
        )
    (source,) = (spec for name, spec in specs.items() if name != target)
    label = specs[target]
    if source.kind == "string":
        raise UserError(f"--features={path}: {source.name!r} is the input, and of the kind string; expected numbers")
    if not source.shape:
        raise UserError(f"--features={path}: {source.name!r} is the input and needs a shape", f"for example: {EXAMPLE}")
    if label.is_image or label.kind == "raw" or (label.kind == "string" and label.shape):
        raise UserError(f"--features={path}: {label.name!r} is the label; expected int64, float, or one string")
    return source, label


def _spec(path: str, name: str, entry: Any) -> FeatureSpec:
    where = f"--features={path}: {name!r}"
    if not isinstance(entry, dict) or not set(entry) <= {"kind", "shape", "dtype"}:
        raise UserError(f"{where}: expected an object with kind, shape and dtype", f"for example: {EXAMPLE}")
    kind, shape, dtype = entry.get("kind"), entry.get("shape", []), entry.get("dtype", "")
    kinds = (*IMAGE_KINDS, *LISTS)
    if kind not in kinds:
        raise UserError(f"{where}: unknown kind {kind!r}", f"known: {', '.join(kinds)}")
    if not isinstance(shape, list) or not all(type(side) is int and side > 0 for side in shape):
        raise UserError(f"{where}: the shape is {shape!r}; expected a list of numbers above 0, such as [64, 64, 3]")
    if math.prod(shape) > MAX_VALUES:
        raise UserError(f"{where}: the shape {shape} has more than {MAX_VALUES:,} values")
    if kind in IMAGE_KINDS and (len(shape) != 3 or shape[2] not in (1, 3)):
        raise UserError(f"{where}: the shape is {shape}; expected [height, width, channels] with 1 or 3 channels")
    if (kind == "raw") != bool(dtype) or (dtype and dtype not in DTYPES):
        raise UserError(f"{where}: the dtype is {dtype!r}; raw bytes need one", f"known: {', '.join(DTYPES)}")
    return FeatureSpec(name, kind, tuple(shape), dtype)

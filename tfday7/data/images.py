"""Image files as pixels: PNG, JPEG, BMP and GIF (its first frame), told apart by content and never by name.

Decoded by Pillow, which nothing here loads before the first image. All functions may be called from several threads.
"""

from __future__ import annotations

import functools
import io
import warnings
from typing import Any

import numpy as np

FORMATS = ("PNG", "JPEG", "BMP", "GIF")
MAX_PIXELS = 50_000_000  # A photograph has 12 to 48 million; what claims more is likely a decompression bomb.
Shape = tuple[int, int, int]  # Height, width, channels.


class BadImageError(ValueError):
    """The bytes are no image that can be read; the text says why."""


def check(content: bytes) -> tuple[int, int]:
    """Decodes an image whole, and returns (height, width) as it is shown, after EXIF's turn.

    Raises:
        BadImageError: of another format, cut off, damaged, or larger than 50 million pixels.
    """
    image, (width, height) = _open(content, side=1)
    return (width, height) if _is_turned(image) else (height, width)


def pixels(content: bytes, shape: Shape) -> np.ndarray:
    """Returns an image as uint8 [height, width, channels], resized by area-weighted bilinear interpolation.

    Colour becomes grey by ITU-R 601, transparency is dropped, 16 bits become 8, and EXIF's orientation is applied.

    Args:
        content: the bytes of the file.
        shape: height, width, and 1 channel for grey or 3 for RGB.

    Raises:
        BadImageError: as `check`.
    """
    pillow = _pillow()
    height, width, channels = shape
    image, _ = _open(content, side=2 * max(height, width))
    try:
        image = pillow.ImageOps.exif_transpose(_with_8_bits(image))
        if "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert("RGB" if channels == 3 else "L")
        if image.size != (width, height):
            image = image.resize((width, height), pillow.Image.Resampling.BILINEAR)
    except Exception as error:
        raise BadImageError(_said(error)) from error
    return np.asarray(image, np.uint8).reshape(shape)


def _open(content: bytes, side: int) -> tuple[Any, tuple[int, int]]:
    """Returns the decoded image and its whole size (width, height); large JPEGs are decoded at a smaller scale."""
    pillow = _pillow()
    try:
        image = pillow.Image.open(io.BytesIO(content), formats=FORMATS)
        size = image.size
        if size[0] * size[1] > MAX_PIXELS:
            raise BadImageError(f"{size[0]} x {size[1]} pixels are more than {MAX_PIXELS:,}")
        image.draft(None, (side, side))
        image.load()
    except BadImageError:
        raise
    except pillow.UnidentifiedImageError as error:
        raise BadImageError("it is no PNG, JPEG, BMP or GIF image") from error
    except Exception as error:  # Damaged files make decoders raise almost anything.
        raise BadImageError(_said(error)) from error
    return image, size


def _is_turned(image: Any) -> bool:
    """Returns whether EXIF turns the image by a quarter, so that its sides change places."""
    try:
        return image.getexif().get(0x0112) in (5, 6, 7, 8)
    except Exception as error:
        raise BadImageError(_said(error)) from error


def _with_8_bits(image: Any) -> Any:
    if not image.mode.startswith("I"):
        return image
    values = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    changed = _pillow().Image.fromarray(((values + 128) // 257).astype(np.uint8))
    changed.info = image.info
    return changed


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@functools.cache
def _pillow() -> Any:
    import PIL
    import PIL.Image
    import PIL.ImageOps

    # The limit here is lower than the one that Pillow warns at.
    warnings.filterwarnings("ignore", category=PIL.Image.DecompressionBombWarning)
    return PIL

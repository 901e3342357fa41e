"""Image files as pixels, against NumPy, TensorFlow's own decoders and formats written by hand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfday7.core.frameworks import tf
from tfday7.data.images import MAX_PIXELS, BadImageError, check, pixels

COLORS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(values: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(values).save(stream, kind, **options)
    return stream.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, data: bytes, depth: int = 8, color: int = 0, *extra: bytes) -> bytes:
    """Returns a PNG written by hand: what the specification allows, whatever an encoder would do."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    rest = b"".join(extra) + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + rest


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_formats_give_the_pixels_that_were_written(kind: str) -> None:
    content = encoded(COLORS, kind)
    assert check(content) == (5, 7)
    np.testing.assert_array_equal(pixels(content, (5, 7, 3)), COLORS)


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_other_formats_agree_with_tensorflows_decoder(kind: str) -> None:
    smooth = np.stack(np.meshgrid(*[np.arange(32) * 8] * 2), axis=-1).astype(np.uint8)
    content = encoded(np.concatenate([smooth, smooth[..., :1]], axis=-1), kind)
    theirs = tf.io.decode_image(content, channels=3, expand_animations=False).numpy().astype(int)
    assert np.abs(pixels(content, (32, 32, 3)) - theirs).max() <= 3  # JPEG decoders may round differently.


def test_an_animation_is_its_first_frame() -> None:
    frames = [PIL.Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (10, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert set(np.ravel(pixels(stream.getvalue(), (4, 4, 1)))) == {10}


def test_colour_becomes_grey_by_the_weights_of_itu_r_601() -> None:
    grey = pixels(encoded(COLORS), (5, 7, 1))[..., 0]
    np.testing.assert_allclose(grey, COLORS @ [0.299, 0.587, 0.114], atol=1)
    np.testing.assert_array_equal(pixels(encoded(COLORS[..., 0]), (5, 7, 3))[..., 2], COLORS[..., 0])


def test_resizing_by_half_averages_blocks_in_the_middle_of_a_flat_slope() -> None:
    slope = np.repeat(np.arange(0, 64, dtype=np.uint8)[np.newaxis], 64, axis=0)
    half = pixels(encoded(slope), (32, 32, 1))[..., 0]
    np.testing.assert_allclose(half[5, 2:-2], slope.reshape(64, 32, 2).mean(axis=2)[0][2:-2], atol=1)


def test_large_jpegs_keep_their_mean_though_they_are_decoded_at_a_smaller_scale() -> None:
    values = np.random.default_rng(0).integers(0, 256, (640, 480, 3), dtype=np.uint8)
    small = pixels(encoded(values, "JPEG", quality=95), (8, 8, 3))
    np.testing.assert_allclose(small.mean(axis=(0, 1)), values.mean(axis=(0, 1)), atol=2)


@pytest.mark.parametrize("alpha", [0, 255])
def test_transparency_is_dropped(alpha: int) -> None:
    with_alpha = np.concatenate([COLORS, np.full((5, 7, 1), alpha, np.uint8)], axis=-1)
    np.testing.assert_array_equal(pixels(encoded(with_alpha), (5, 7, 3)), COLORS)


def test_a_transparent_palette_keeps_its_colours() -> None:
    content = _png(
        2, 1, b"\x00\x00\x01", 8, 3, _chunk(b"PLTE", bytes([9, 8, 7, 1, 2, 3])), _chunk(b"tRNS", b"\x00\x80")
    )
    assert pixels(content, (1, 2, 3)).tolist() == [[[9, 8, 7], [1, 2, 3]]]


def test_sixteen_bits_become_eight_without_being_cut_off() -> None:
    levels = [0, 257, 32896, 65535]
    content = _png(4, 1, b"\x00" + struct.pack(">4H", *levels), depth=16)
    assert np.ravel(pixels(content, (1, 4, 1))).tolist() == [0, 1, 128, 255]


def test_one_bit_is_black_and_white() -> None:
    assert np.ravel(pixels(_png(8, 1, b"\x00\xa5", depth=1), (1, 8, 1))).tolist() == [255, 0, 255, 0, 0, 255, 0, 255]


@pytest.mark.parametrize(
    ("orientation", "turned"), [(1, COLORS), (3, np.rot90(COLORS, 2)), (6, np.rot90(COLORS, -1)), (8, np.rot90(COLORS))]
)
def test_the_orientation_of_a_camera_is_applied(orientation: int, turned: np.ndarray) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    content = encoded(COLORS, exif=exif)
    assert check(content) == turned.shape[:2]
    np.testing.assert_array_equal(pixels(content, turned.shape), turned)


WHOLE = {kind: encoded(np.tile(COLORS, (8, 8, 1)), kind) for kind in ("PNG", "JPEG", "BMP", "GIF")}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_bad(kind: str, share: float) -> None:
    with pytest.raises(BadImageError):
        check(WHOLE[kind][: int(share * len(WHOLE[kind]))])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"BM",
        b"\xff\xd8\xff",
        encoded(COLORS, "TIFF"),
        encoded(COLORS, "WEBP"),
    ],
)
def test_what_is_no_image_of_the_four_formats_is_bad(content: bytes) -> None:
    with pytest.raises(BadImageError, match=r"\w"):
        check(content)


@pytest.mark.parametrize("side", [7_100, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    assert side * side > MAX_PIXELS
    with pytest.raises(BadImageError, match="pixel"):
        check(_png(side, side, b"\x00" * 1000))


def test_a_bomb_in_a_text_chunk_is_refused() -> None:
    text = _chunk(b"zTXt", b"a\x00\x00" + zlib.compress(b"x" * 80_000_000))
    with pytest.raises(BadImageError):
        check(_png(1, 1, b"\x00\x00", 8, 0, text))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.integers(0, 2000), st.binary(min_size=1, max_size=6))
def test_a_file_with_changed_bytes_is_an_image_or_bad(kind: str, start: int, change: bytes) -> None:
    whole = WHOLE[kind]
    start %= len(whole)
    content = whole[:start] + change + whole[start + len(change) :]
    try:
        check(content)
        assert pixels(content, (8, 9, 3)).shape == (8, 9, 3)
    except BadImageError as error:
        assert str(error)  # noqa: PT017

"""Fashion-MNIST: 70,000 grey images of clothes, 28x28, in ten classes (Xiao et al., 2017, arXiv:1708.07747).

Read from IDX files, compressed or not: in `--data_dir`, else in Keras's cache, else where Debian's package
dataset-fashion-mnist puts them. Nothing is downloaded.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from tfday7.core.errors import UserError
from tfday7.data.config import DataConfig
from tfday7.data.source import SOURCES, Raw, source

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
MAX_IDX_BYTES = 200_000_000  # Four times the real training images: a file that unpacks to more is not this data set.


@SOURCES.register("fashion_mnist")
@source(uses=("data_dir",))
def load(config: DataConfig) -> Raw:
    """Returns uint8 images [n, 28, 28, 1] and labels: 60,000 to train on and 10,000 for the test."""
    return read_folder(_find_folder(config.data_dir))


def read_folder(folder: Path) -> Raw:
    """Returns the set in a folder of four IDX files. Raises UserError when one is missing or damaged."""
    train_x, train_y, test_x, test_y = (read_idx(_find_file(folder, name)) for name in FILES)
    for images, labels in ((train_x, train_y), (test_x, test_y)):
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise UserError(
                f"{folder}: images {images.shape} and labels {labels.shape} do not belong together",
                "expected [n, height, width] images and [n] labels",
            )
    test = (test_x[..., np.newaxis], test_y.astype(np.int64))
    return Raw(train_x[..., np.newaxis], train_y.astype(np.int64), test=test, class_names=CLASS_NAMES)


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file of unsigned bytes (format: http://yann.lecun.com/exdb/mnist/), gzipped or not.

    Returns:
        A uint8 array of the shape in the file's header.

    Raises:
        UserError: not an IDX file of bytes, or its length does not match its header.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(MAX_IDX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError.
        raise UserError(f"{path}: cannot be read ({error})", "the file is damaged; get it again") from error
    if len(content) > MAX_IDX_BYTES:
        raise UserError(f"{path}: unpacks to more than {MAX_IDX_BYTES:,} bytes; expected Fashion-MNIST")
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or not 1 <= content[3] <= 4:
        raise UserError(f"{path}: not an IDX file of unsigned bytes", "expected the magic bytes 00 00 08")
    header_bytes = 4 + 4 * content[3]
    if len(content) < header_bytes:
        raise UserError(f"{path}: ends within its header", "the file is cut off; get it again")
    shape = tuple(int(size) for size in np.frombuffer(content[4:header_bytes], ">u4"))
    values = np.frombuffer(content, np.uint8, offset=header_bytes)
    if values.size != math.prod(shape):
        raise UserError(f"{path}: {values.size:,} values for the shape {shape}", "the file is cut off; get it again")
    return values.reshape(shape)


def _find_folder(data_dir: str) -> Path:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    folders = [Path(data_dir)] if data_dir else [home / "datasets" / "fashion-mnist", DEBIAN_FOLDER]
    for folder in folders:
        if folder.is_dir() and (data_dir or any(folder.iterdir())):  # An empty cache must not hide Debian's files.
            return folder
    raise UserError(
        "fashion_mnist was not found in " + " or ".join(map(str, folders)),
        "apt-get install dataset-fashion-mnist, or give --data_dir=FOLDER with the four IDX files",
    )


def _find_file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise UserError(f"{folder}: {name} (or {name}.gz) is missing", "expected " + ", ".join(FILES))

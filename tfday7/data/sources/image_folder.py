"""A folder of class folders of images; the folders' names, sorted, are the classes. See `image_tree` for the layout.

Every file is decoded once when the data is loaded, so that a bad one is named before anything trains. While training,
images are decoded when they are asked for, and kept as bytes where all of them fit into 500 MB.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from absl import logging

from tfday7.core.errors import UserError
from tfday7.data import images
from tfday7.data.config import DataConfig
from tfday7.data.image_tree import ImageFile, ImageTree, holds_images, read_tree
from tfday7.data.lazy import Inputs, LazyInputs
from tfday7.data.source import SOURCES, Raw, source

DEFAULT_SIDE = 96
MAX_COMMON_SIDE = 256  # Photographs straight from a camera agree in size, too; nobody wants to train on all of it.
KEPT_BYTES = 500_000_000
NAMED = 5  # Bad files in an error; the record has all that were skipped.
_Split = tuple[Inputs, np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Image:
    """A file that can be decoded: its size (height, width) and a digest of its bytes."""

    file: ImageFile
    size: tuple[int, int]
    digest: bytes


@SOURCES.register("image_folder")
@source(
    folder=holds_images,
    form="a folder of class folders of PNG, JPEG, BMP or GIF images",
    uses=("image_size", "image_channels", "skip_bad_files"),
)
def load(config: DataConfig) -> Raw:
    """Returns images read when asked for, [n, height, width, channels] in [0, 1], and their class indices.

    Raises:
        UserError: the folder is laid out in another way, or files cannot be used; the first ones are named.
    """
    root = Path(config.data).resolve()
    tree = read_tree(root)
    good, bad = _judge(tree.files)
    if bad and not config.skip_bad_files:
        raise UserError(
            f"{config.data}: {len(bad)} of {len(tree.files)} files cannot be used: {_list(bad)}",
            "mend or remove them, or leave them out with --skip_bad_files",
        )
    if bad:
        logging.warning("%s: %d of %d files were skipped: %s", config.data, len(bad), len(tree.files), _list(bad))
    _check_classes(config.data, good, tree)
    height, width = config.image_shape() or _common_size(good)
    shape = (height, width, config.image_channels or 3)
    splits = {split: _split(good, split, tree.class_names, shape) for split in tree.splits}
    color = "RGB" if shape[2] == 3 else "grey"
    return Raw(
        *splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        class_names=tree.class_names,
        preprocessing=f"{color}, resized to {height} x {width} (bilinear over areas), pixels / 255",
        skipped=tuple((file.name, file.problem) for file in bad),
    )


class ImageFiles(LazyInputs):
    """Images in files, decoded when they are asked for.

    Args:
        paths: the files.
        digests: what tells the files' contents apart.
        shape: of one image: height, width, channels.
    """

    finite = True

    def __init__(self, paths: Sequence[Path], digests: Sequence[bytes], shape: images.Shape) -> None:
        super().__init__((len(paths), *shape), np.float32)
        self.paths = paths
        self.digests = digests
        keep = self.size <= KEPT_BYTES
        self._kept = np.empty(self.shape, np.uint8) if keep else None  # Takes memory where it was written, not before.
        self._is_kept = np.zeros(len(paths), bool)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """See `LazyInputs.read`."""
        values = np.empty((len(indices), *self.shape[1:]), np.float32)
        for row, index in enumerate(indices):
            np.divide(self._pixels(int(index)), np.float32(255), out=values[row])
        return values

    def contents(self, indices: np.ndarray) -> Iterator[bytes]:
        """See `LazyInputs.contents`."""
        return (self.digests[index] for index in indices)

    def _pixels(self, index: int) -> np.ndarray:
        if self._kept is not None and self._is_kept[index]:
            return self._kept[index]
        try:
            found = images.pixels(self.paths[index].read_bytes(), (self.shape[1], self.shape[2], self.shape[3]))
        except (OSError, images.BadImageError) as error:
            raise UserError(f"{self.paths[index]}: it has changed and cannot be read any more ({error})") from error
        if self._kept is not None:
            self._kept[index] = found
            self._is_kept[index] = True  # After the pixels: another thread may look at any time.
        return found


def _judge(files: list[ImageFile]) -> tuple[list[_Image], list[ImageFile]]:
    """Decodes all files, and returns those that can be used and those that cannot, each with its problem."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without Python's lock.
        judged = list(pool.map(_check, files, chunksize=16))
    good = [image for image in judged if isinstance(image, _Image)]
    bad = [file for file in judged if isinstance(file, ImageFile)]
    first: dict[bytes, _Image] = {}
    contradicting = {
        image.digest: first[image.digest]
        for image in good
        if first.setdefault(image.digest, image).file.label != image.file.label
    }
    for image in good:
        if image.digest in contradicting:
            other = contradicting[image.digest].file
            problem = f"the same image is in other classes too, first as {other.name}"
            bad.append(dataclasses.replace(image.file, problem=problem))
    return [image for image in good if image.digest not in contradicting], bad


def _check(file: ImageFile) -> _Image | ImageFile:
    if file.problem:
        return file
    try:
        content = file.path.read_bytes()
        return _Image(file, images.check(content), hashlib.blake2b(content, digest_size=16).digest())
    except images.BadImageError as error:
        return dataclasses.replace(file, problem=str(error))
    except OSError as error:
        return dataclasses.replace(file, problem=f"it cannot be read ({error.strerror})")


def _check_classes(data: str, good: list[_Image], tree: ImageTree) -> None:
    counts = collections.Counter(image.file.label for image in good if image.file.split == "train")
    empty = [name for name in tree.class_names if not counts[name]]
    if empty:
        raise UserError(
            f"{data}: the class folder {empty[0]!r} has no image to train on", "remove the folder, or fill it"
        )
    for split in tree.splits:
        if not any(image.file.split == split for image in good):
            raise UserError(f"{data}: the {split} folder has no image", "remove the folder, or fill it")
    for image in good:
        if image.file.label not in tree.class_names:
            raise UserError(f"{data}: {image.file.name} is of a class that the training split does not have")


def _common_size(good: list[_Image]) -> tuple[int, int]:
    sizes = {image.size for image in good}
    common = sizes.pop() if len(sizes) == 1 else (0, 0)
    return common if 0 < max(common) <= MAX_COMMON_SIDE else (DEFAULT_SIDE, DEFAULT_SIDE)


def _split(good: list[_Image], split: str, class_names: tuple[str, ...], shape: images.Shape) -> _Split:
    chosen = [image for image in good if image.file.split == split]
    index = {name: i for i, name in enumerate(class_names)}
    paths, digests = [image.file.path for image in chosen], [image.digest for image in chosen]
    return ImageFiles(paths, digests, shape), np.array([index[image.file.label] for image in chosen], np.int64)


def _list(bad: list[ImageFile]) -> str:
    named = "; ".join(f"{file.name}: {file.problem}" for file in bad[:NAMED])
    return named + (f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else "")

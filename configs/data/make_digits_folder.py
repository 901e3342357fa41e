"""Writes scikit-learn's handwritten digits as a folder of class folders of PNG files, as people keep their images.

    python configs/data/make_digits_folder.py runs/digits_folder

1,797 images of 8x8 grey pixels (E. Alpaydin and C. Kaynak, 1998, Optical Recognition of Handwritten Digits, UCI,
doi:10.24432/C50P49, CC BY 4.0). --digits takes some of the classes; with --train_per_class so many images of each go to
FOLDER/train, 20 to FOLDER/val and the others to FOLDER/test.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

VALIDATION_PER_CLASS = 20


def write(folder: Path, chosen: str, train_per_class: int | None) -> None:
    """Writes FOLDER/<digit>/<number>.png, or the same below train, val and test, for each chosen digit."""
    digits = load_digits()
    for label in map(int, chosen):
        for rank, number in enumerate(np.flatnonzero(digits.target == label)):
            target = folder / split(rank, train_per_class) / str(label)
            target.mkdir(parents=True, exist_ok=True)
            pixels = np.round(digits.images[number] * (255 / 16)).astype(np.uint8)
            Image.fromarray(pixels).save(target / f"{number:04d}.png")


def split(rank: int, train_per_class: int | None) -> str:
    """Returns the folder of a class's image number `rank`."""
    if train_per_class is None:
        return ""
    if rank < train_per_class:
        return "train"
    return "val" if rank < train_per_class + VALIDATION_PER_CLASS else "test"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--digits", default="0123456789")
    parser.add_argument("--train_per_class", type=int)
    given = parser.parse_args()
    write(given.folder, given.digits, given.train_per_class)

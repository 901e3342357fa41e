"""How the trainings of a repair ended, and where they are kept: what has ended is not trained again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfday7.core import files, records
from tfday7.core.errors import UserError

OUT_OF_TIME = "out of time"
Weights = list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Trained:
    """One training with one seed.

    Attributes:
        value: the task's metric on the validation split, of the best epoch's weights; None when there are none.
        reason: why there are none; empty otherwise.
        loss, val_loss: one value an epoch, None where it was not finite.
        train_score: as `value`, on the training split.
        stopped: as in `Evidence`.
        seconds: how long it took.
        contradicts: whether it never began, as the settings contradict each other or the data.
    """

    value: float | None
    reason: str = ""
    loss: Sequence[float | None] = ()
    val_loss: Sequence[float | None] = ()
    train_score: float | None = None
    stopped: str = "finished"
    seconds: float = 0.0
    contradicts: bool = False


class Trials:
    """The trainings that have ended, in a folder.

    Args:
        folder: made when the first training is kept; what killed processes left half-written in it is removed.
        fingerprint: of the data; trainings on other data are not found again.
    """

    def __init__(self, folder: Path, fingerprint: str = "") -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        files.remove_partials(folder)

    def find(self, flags: Mapping[str, str], seed: int) -> Trained | None:
        """Returns how a training ended; None when it has not. Raises UserError when its file is damaged."""
        path = self._path(flags, seed, "json")
        if not path.exists():
            return None
        again = "remove that file: its training is run again"
        trained = records.build(Trained, files.read_json(path), path, again)
        if trained.val_loss and len(trained.val_loss) != len(trained.loss):
            raise UserError(f"{path}: {len(trained.loss)} epochs of loss, {len(trained.val_loss)} of val_loss", again)
        return trained

    def keep(self, flags: Mapping[str, str], seed: int, trained: Trained) -> None:
        """Keeps how a training ended."""
        files.write_json(self._path(flags, seed, "json"), dataclasses.asdict(trained))

    def keep_weights(self, flags: Mapping[str, str], seed: int, weights: Weights) -> None:
        """Keeps the weights of a training that may be delivered."""
        with files.replacing(self._path(flags, seed, "npz")) as partial:
            np.savez(partial, *weights)

    def weights(self, flags: Mapping[str, str], seed: int) -> Weights | None:
        """Returns weights that were kept; None without any. Raises UserError when their file is damaged."""
        path = self._path(flags, seed, "npz")
        if not path.exists():
            return None
        files.check_plain(path)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
        except Exception as error:  # A damaged archive makes NumPy, zipfile and decompressors raise almost anything.
            raise UserError(f"{path}: not the weights of a training", "remove that file: it trains again") from error

    def forget_weights(self, flags: Mapping[str, str], seed: int) -> None:
        """Removes weights that will not be delivered."""
        self._path(flags, seed, "npz").unlink(missing_ok=True)

    def _path(self, flags: Mapping[str, str], seed: int, suffix: str) -> Path:
        content: Any = [sorted(flags.items()), seed, self.fingerprint]
        name = hashlib.blake2b(json.dumps(content).encode(), digest_size=12).hexdigest()
        return self.folder / f"{name}.{suffix}"

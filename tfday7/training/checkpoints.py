"""Checkpoints: one `.npz` file each, written atomically, checked when read, the newest few kept.

A `.npz` holds a checksum for every array and is read without running any code. The best weights so far lie in the same
file, so that state and best weights can never come from different moments.
"""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from tfday7.core import files

KEEP = 2
COST_SHARE = 0.03  # Saving may take this share of the time, so that it never slows short epochs down.
# What reading a damaged file raises; RuntimeError for bits that say it is encrypted, or packed in ways not known here.
DAMAGE = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
_NAME = re.compile(r"epoch_(\d{8})_step_(\d{8})\.npz")
_STATE, _COUNT = "state", "arrays"


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made on the first save.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int = KEEP) -> None:
        self.folder = folder
        self.keep = keep
        self._saved_at = float("-inf")
        self._cost_seconds = 0.0
        self._damaged: set[Path] = set()

    def is_due(self) -> bool:
        """Returns whether enough time has passed since the last save for another one to be cheap."""
        return time.monotonic() - self._saved_at >= self._cost_seconds / COST_SHARE

    def save(self, capture: Callable[[], dict[str, np.ndarray]], state: dict[str, Any]) -> Path:
        """Writes a checkpoint and removes all but the newest ones.

        Args:
            capture: returns the run's state; its time counts as part of the cost.
            state: JSON-able values; `epoch` and `step` say where training goes on.

        Raises:
            UserError: the folder cannot be written.
        """
        started = time.monotonic()
        buffer, arrays = io.BytesIO(), capture()
        encoded = np.frombuffer(json.dumps({**state, _COUNT: len(arrays)}).encode(), np.uint8)
        np.savez(buffer, **{_STATE: encoded}, **arrays)  # type: ignore[arg-type]
        path = self.folder / f"epoch_{state['epoch']:08d}_step_{state['step']:08d}.npz"
        files.write_bytes(path, buffer.getvalue())
        others = [other for other in self._newest_first() if other not in (path, *self._damaged)]
        for old in (*others[self.keep - 1 :], *self._damaged - {path}):  # The damaged may be newer by name.
            old.unlink(missing_ok=True)
        self._damaged.clear()
        self._saved_at = time.monotonic()
        self._cost_seconds = self._saved_at - started
        return path

    def load_newest(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Returns (arrays, state) of the newest undamaged checkpoint, or None; damaged ones are named in a warning.

        Only who writes here may call it: what killed processes left half-written is removed.
        """
        files.remove_partials(self.folder)
        for path in self._newest_first():
            try:
                files.check_plain(path)
                with np.load(path, allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in archive.files}
                state = json.loads(arrays.pop(_STATE).tobytes())
                count = state.pop(_COUNT, len(arrays))  # A wrong bit in the archive's table may hide some of them.
                if count != len(arrays):
                    raise ValueError(f"it holds {len(arrays)} of {count} arrays")
                return arrays, state
            except DAMAGE as error:
                self._damaged.add(path)
                logging.warning("%s is damaged (%s); trying the one before it", path, error)
        return None

    def _newest_first(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)

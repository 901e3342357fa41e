"""Writes metrics.jsonl: one line an epoch, with Keras's names."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from tfday7.core import files
from tfday7.core.frameworks import keras
from tfday7.optimizers.state import learning_rate


class MetricsLog(keras.callbacks.Callback):
    """Appends each epoch's record to a file as a whole line, and keeps all records in `records`.

    Args:
        path: the file; None keeps the records in memory only.
        records: records of earlier epochs, when the run is resumed; the file is rewritten to hold just these.
    """

    def __init__(self, path: Path | None, records: list[dict[str, Any]]) -> None:
        super().__init__()
        self.path = path
        self.records = list(records)
        self._started = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts the file with the records of earlier epochs."""
        if self.path is not None:
            files.write_text(self.path, "".join(_line(record) for record in self.records))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the epoch's clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the epoch; a value that is not finite becomes null, as JSON has no other way to say it."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        record: dict[str, Any] = {"epoch": epoch + 1}
        record |= {name: value if math.isfinite(value) else None for name, value in values.items()}
        record["learning_rate"] = learning_rate(self.model.optimizer)
        record["seconds"] = round(time.perf_counter() - self._started, 4)
        self.records.append(record)
        if self.path is not None:
            with files.open_own(self.path) as stream:
                stream.write(_line(record).encode())


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"

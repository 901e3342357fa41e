"""Writes the trials of a search for TensorBoard's HParams view: `tensorboard --logdir RUN_DIR/tensorboard`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfday7.core.frameworks import tf


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Writes one run a trial: its settings, and the objective after each epoch; replaces what was there.

    Args:
        folder: made here.
        record: of a study.
    """
    from tensorboard.plugins.hparams import api

    shutil.rmtree(folder, ignore_errors=True)
    name = record["objective"]["name"]
    for trial in record["trials"]:
        with tf.summary.create_file_writer(str(folder / f"trial_{trial['number']:04d}")).as_default():
            api.hparams(dict(trial["values"]), trial_id=str(trial["number"]))
            for epoch, value in enumerate(trial["curve"], start=1):
                if value is not None:
                    tf.summary.scalar(name, value, step=epoch)

"""TensorBoard logs are read without TensorFlow."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import ROOT
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from tfday7.core.errors import UserError
from tfday7.diagnosis import diagnose
from tfday7.diagnosis.history.histories import read

LOSS, VALIDATION = [3.0, 2.0, 1.5], [3.5, 2.5, 2.25]


def _file(folder: Path, *events: Event, name: str = "events.out.tfevents.1.host") -> Path:
    """Writes an event file with TensorBoard's own checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as stream:
        for content in (event.SerializeToString() for event in (Event(file_version="brain.Event:2"), *events)):
            length = struct.pack("<Q", len(content))
            stream.write(length + struct.pack("<I", masked_crc32c(length)))
            stream.write(content + struct.pack("<I", masked_crc32c(content)))
    return folder / name


def _scalars(tag: str, values: list[float], start: int = 0) -> list[Event]:
    return [Event(step=i, summary=scalar_pb(tag, value)) for i, value in enumerate(values, start=start)]


def _old(tag: str, values: list[float]) -> list[Event]:
    events = [Event(step=i) for i in range(len(values))]
    for event, value in zip(events, values, strict=True):
        event.summary.value.add(tag=tag, simple_value=value)
    return events


def _assert_read(folder: Path) -> None:
    evidence = read(folder)
    np.testing.assert_allclose([evidence.loss, evidence.val_loss], [LOSS, VALIDATION])


def test_the_folders_of_keras_are_read(tmp_path: Path) -> None:
    batches = _scalars("batch_loss", [9.0] * 30)
    _file(tmp_path / "train", *_scalars("epoch_loss", LOSS), *_scalars("epoch_accuracy", [0.25, 0.5, 0.75]), *batches)
    _file(tmp_path / "validation", *_scalars("epoch_loss", VALIDATION), *_scalars("epoch_accuracy", [0.25] * 3))
    _assert_read(tmp_path)
    assert (read(tmp_path).train_score, read(tmp_path).validation_score) == (0.75, 0.25)


def test_old_scalars_and_the_tags_of_other_programs_are_read(tmp_path: Path) -> None:
    _file(tmp_path, *_old("Loss/train", LOSS), *_old("Loss/val", VALIDATION))
    _assert_read(tmp_path)


def test_a_resumed_run_has_several_files(tmp_path: Path) -> None:
    _file(tmp_path / "train", *_scalars("epoch_loss", [LOSS[0], 99.0]), name="events.out.tfevents.1.a")
    _file(tmp_path / "train", *_scalars("epoch_loss", LOSS[1:], start=1), name="events.out.tfevents.2.a")
    _file(tmp_path / "validation", *_scalars("epoch_loss", VALIDATION))
    _assert_read(tmp_path)


def test_a_log_that_is_still_being_written_is_read_to_its_last_whole_record(tmp_path: Path) -> None:
    for part, values in (("train", LOSS), ("validation", VALIDATION)):
        path = _file(tmp_path / part, *_scalars("epoch_loss", [*values, 1.0]))
        path.write_bytes(path.read_bytes()[:-3])
    _assert_read(tmp_path)


def test_texts_images_and_graphs_are_passed_over(tmp_path: Path) -> None:
    text = Event(step=0)
    text.summary.value.add(tag="note").tensor.string_val.append(b"a text")
    text.summary.value[0].tensor.dtype = 7
    large = Event(step=0, graph_def=b"g" * 2_000_000)
    _file(tmp_path / "train", text, large, *_scalars("epoch_loss", LOSS))
    _file(tmp_path / "validation", *_scalars("epoch_loss", VALIDATION))
    _assert_read(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no history: no TensorBoard logs"),
        ({"a/train": LOSS, "b/train": LOSS}, "holds the logs of 2 runs"),
        ({"train": []}, "the TensorBoard logs hold no scalars"),
        ({"validation": LOSS}, "no training loss in it; it holds val_loss"),
    ],
)
def test_logs_without_one_history_are_refused(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    for folder, values in files.items():
        _file(tmp_path / folder, *_scalars("epoch_loss", values))
    with pytest.raises(UserError, match=message):
        diagnose(tmp_path)


def test_a_damaged_log_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, *_scalars("loss", LOSS))
    whole = path.read_bytes()
    path.write_bytes(b"no event file at all")
    with pytest.raises(UserError, match="no event file of TensorBoard"):
        diagnose(tmp_path)
    path.write_bytes(whole[:60] + b"\xff" * 12 + whole[72:])
    with pytest.raises(UserError, match="a damaged event file"):
        diagnose(tmp_path)


def test_reading_logs_loads_no_tensorflow(tmp_path: Path) -> None:
    _file(tmp_path / "train", *_scalars("epoch_loss", LOSS))
    code = (
        "import sys; from tfday7.diagnosis import diagnose\n"
        f"assert diagnose({str(tmp_path)!r}).verdict == 'undetermined'\n"
        "print('loaded' if {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules) else 'free')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout == "free\n"


@pytest.mark.slow
def test_what_keras_and_our_own_callback_write_is_read(tmp_path: Path) -> None:
    from tfday7.core.frameworks import keras
    from tfday7.training.callbacks.tensorboard_log import TensorBoardLog

    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse", metrics=["accuracy"])
    x = np.ones((8, 2), np.float32)
    ours = TensorBoardLog(tmp_path / "ours")
    callbacks = [keras.callbacks.TensorBoard(str(tmp_path / "theirs"), update_freq=1, histogram_freq=1), ours]
    history = model.fit(x, x[:, :1], epochs=6, validation_data=(x, 0 * x[:, :1]), callbacks=callbacks, verbose=0)
    ours.close()
    for folder in ("ours", "theirs"):
        evidence = read(tmp_path / folder)
        np.testing.assert_allclose(evidence.loss, history.history["loss"], rtol=1e-6)
        np.testing.assert_allclose(evidence.val_loss, history.history["val_loss"], rtol=1e-6)
    assert diagnose(history).verdict == diagnose(history.history).verdict == diagnose(tmp_path / "theirs").verdict

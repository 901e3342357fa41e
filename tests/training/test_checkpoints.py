"""Checkpoints come back whole or not at all, the newest few are kept, and saving stays cheap."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tfday7.core.errors import UserError
from tfday7.training.checkpoints import CheckpointStore

ARRAYS = {"model/00000": np.arange(6, dtype=np.float32).reshape(2, 3), "random/00000": np.array([2**62], np.int64)}

WHOLE = {name: array.tolist() for name, array in ARRAYS.items()}


def save(store: CheckpointStore, epoch: int, step: int = 0) -> Path:
    return store.save(lambda: ARRAYS, {"epoch": epoch, "step": step})


def test_what_was_saved_comes_back_with_types_and_values(tmp_path: Path) -> None:
    save(CheckpointStore(tmp_path / "made"), 3, 7)
    arrays, state = CheckpointStore(tmp_path / "made").load_newest() or ({}, {})
    assert state == {"epoch": 3, "step": 7}
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_the_newest_two_are_kept_in_order_of_epoch_and_step(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for position in ((9, 0), (10, 0), (10, 5), (100, 0)):
        save(store, *position)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch_00000010_step_00000005.npz",
        "epoch_00000100_step_00000000.npz",
    ]


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    path = save(CheckpointStore(tmp_path), 1)
    (tmp_path / ".partial-abc").mkdir()
    assert CheckpointStore(tmp_path).load_newest() is not None
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_checkpoint_stays_where_damaged_ones_are_newer_by_name(tmp_path: Path) -> None:
    for epoch in (9, 10):
        save(CheckpointStore(tmp_path), epoch).write_bytes(b"")
    store = CheckpointStore(tmp_path)
    assert store.load_newest() is None
    first, second = save(store, 1), save(store, 2)
    assert sorted(tmp_path.iterdir()) == [first, second]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_file_is_passed_over_for_the_one_before_it(damage: str, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)
    newest = save(store, 2)
    content = newest.read_bytes()
    middle = content.index(ARRAYS["model/00000"].tobytes()) + 3
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    newest.write_bytes({"truncated": content[:-40], "flipped": flipped, "empty": b"", "text": b"hello"}[damage])
    loaded = store.load_newest()
    assert loaded is not None
    assert loaded[1]["epoch"] == 1


def test_whichever_bit_is_wrong_the_arrays_come_back_whole_or_not_at_all(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    path = save(store, 1)
    content = path.read_bytes()
    passed_over = 0
    for place in range(len(content)):
        for bit in (0, 1 + place % 7):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            loaded = store.load_newest()
            if loaded is None:
                passed_over += 1
                continue
            arrays, state = loaded
            assert state == {"epoch": 1, "step": 0}
            assert {name: array.tolist() for name, array in arrays.items()} == WHOLE
    assert passed_over > len(content)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 1)
    newest = save(store, 2)
    newest.unlink()
    os.mkfifo(newest)
    loaded = store.load_newest()
    assert loaded is not None
    assert loaded[1]["epoch"] == 1


def test_there_is_none_in_a_missing_or_foreign_folder(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path / "missing").load_newest() is None
    (tmp_path / "other.npz").write_bytes(b"")
    assert CheckpointStore(tmp_path).load_newest() is None


def test_the_next_save_is_due_when_it_costs_a_small_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("tfday7.training.checkpoints.time.monotonic", lambda: now[0])
    store = CheckpointStore(tmp_path)

    def slow_capture() -> dict[str, np.ndarray]:
        now[0] += 3.0
        return ARRAYS

    assert store.is_due()
    store.save(slow_capture, {"epoch": 1, "step": 0})
    now[0] += 99.0
    assert not store.is_due()  # 3 s are more than 3% of 99 s,
    now[0] += 1.5
    assert store.is_due()  # and less than 3% of 100.5 s.


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write"):
        save(CheckpointStore(tmp_path / "file" / "checkpoints"), 1)

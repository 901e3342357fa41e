"""What a worker feeds, and that its memory is that of the artefact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfday7.benchmarking import worker
from tfday7.core.errors import UserError
from tfday7.runtimes import Runner, Tensor


class Numbers(Runner):
    """A runner that is never run."""

    def __init__(self, end: Tensor, batch_size: int = 1) -> None:
        super().__init__(Path("m.tflite"), batch_size=batch_size)
        self.input = end

    def feed(self, x: np.ndarray) -> None:
        raise NotImplementedError

    def run(self) -> None:
        raise NotImplementedError

    def read(self) -> np.ndarray:
        raise NotImplementedError


def batches(tmp_path: Path, x: np.ndarray, end: Tensor, batch_size: int) -> list[np.ndarray]:
    np.save(tmp_path / "x.npy", x)
    return list(worker.batches(Numbers(end, batch_size), str(tmp_path / "x.npy")))


def test_batches_go_over_all_inputs_and_begin_again_to_fill_the_last(tmp_path: Path) -> None:
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    found = batches(tmp_path, x, Tensor("float32", (None, 2)), 2)
    assert [batch[:, 0].tolist() for batch in found] == [[0, 2], [4, 6], [8, 0]]
    (large,) = batches(tmp_path, x, Tensor("float32", (None, 2)), 12)
    assert large[:, 0].tolist() == [0, 2, 4, 6, 8] * 2 + [0, 2]


def test_inputs_are_quantized_as_the_file_says(tmp_path: Path) -> None:
    x = np.array([[0.0], [0.5], [100.0]], np.float32)
    found = batches(tmp_path, x, Tensor("int8", (1, 1), 0.5, -3), 1)
    assert [batch.tolist() for batch in found] == [[[-3]], [[-2]], [[127]]]
    assert found[0].dtype == np.int8


def test_large_inputs_do_not_fill_the_memory(tmp_path: Path) -> None:
    x = np.zeros((8, worker.BATCH_BYTES // 4 // 2), np.float32)  # Each is half of what batches may take.
    assert len(batches(tmp_path, x, Tensor("float32", (1, x.shape[1])), 1)) == 2
    assert len(batches(tmp_path, x, Tensor("float32", (None, x.shape[1])), 8)) == 1


def test_inputs_of_another_shape_are_refused(tmp_path: Path) -> None:
    for shape in ((3, 3), (3, 2, 1)):
        with pytest.raises(UserError, match="takes inputs of"):
            batches(tmp_path, np.zeros(shape, np.float32), Tensor("float32", (1, 2)), 1)


def test_random_inputs_are_the_same_every_time_and_fit_the_type() -> None:
    real = worker.random_inputs(Numbers(Tensor("float32", (None, 50))))
    assert np.array_equal(real, worker.random_inputs(Numbers(Tensor("float32", (None, 50)))))
    assert abs(real.mean()) < 0.3
    assert 0.7 < real.std() < 1.3
    tokens = worker.random_inputs(Numbers(Tensor("int32", (1, 50))))
    assert set(np.unique(tokens)) == {0, 1}
    with pytest.raises(UserError, match="sizes are open"):
        worker.random_inputs(Numbers(Tensor("float32", (1, None, 3))))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say how much memory is used")
def test_the_peak_follows_what_is_allocated_and_can_be_reset() -> None:
    worker.reset_peak()
    before = worker.peak_bytes()
    assert before is not None
    block = np.ones(8_000_000)  # 64 MB, touched.
    during = worker.peak_bytes()
    assert during is not None
    assert during - before >= 0.9 * block.nbytes
    del block
    assert worker.peak_bytes() == pytest.approx(during, abs=2_000_000)  # The kernel counts in batches of pages.
    worker.reset_peak()
    after = worker.peak_bytes()
    assert after is not None
    assert after < during - 32_000_000

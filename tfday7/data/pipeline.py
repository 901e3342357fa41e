"""From arrays to `tf.data`: batches whose order is a pure function of (seed, epoch).

A run that is resumed in the middle of an epoch therefore sees exactly the batches that it would have seen. One endless
pipeline serves all epochs, so that prefetching does not stop at their borders; batches are gathered from the arrays by
index, which keeps the work per example out of Python and out of tf.data's element-by-element operators.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.seeds import derive_seed
from tfday7.data.dataset import Examples
from tfday7.data.lazy import Inputs, LazyInputs, chunks

MAX_EVALUATION_BATCH_SIZE = 1024
MIN_EVALUATION_BATCH_SIZE = 8
MAX_CACHED_BYTES = 2**28  # Batches of a split up to this size are put together once.
PREFETCHED = 4  # Batches that wait for training.
EVALUATION_BATCH_BYTES = 2**26  # Of inputs; the first activations are often ten times as large.


def slice_bounds(number: Any, count: int, size: Any) -> tuple[Any, Any]:
    """Returns where slice `number` of `count` begins and ends in `size` examples; numbers or integer tensors.

    No example is left out or comes twice, sizes differ by one at most, and none is empty unless size < count.
    """
    return number * size // count, (number + 1) * size // count


@dataclasses.dataclass(frozen=True)
class Parts:
    """Which parts of every batch are wanted: each is an element of its own, in this order.

    A batch is cut into micro-batches first and each of those into the parts of the replicas, so that a micro-batch
    holds the same examples however many replicas there are.

    Attributes:
        count: into how many parts a batch is cut.
        wanted: the numbers of those that this process takes.
        micro_batches: a part holds its share of the first micro-batch, then that of the second, and so on.
    """

    count: int = 1
    wanted: tuple[int, ...] = (0,)
    micro_batches: int = 1

    def of(self, batch: Any, part: Any) -> Any:
        """Returns what a part holds of a batch.

        Args:
            batch: a tensor [examples, ...].
            part: its number, int64.
        """
        size = tf.shape(batch, tf.int64)[0]
        found = []
        for number in range(self.micro_batches):
            low, high = slice_bounds(number, self.micro_batches, size)
            first, last = slice_bounds(part, self.count, high - low)
            found.append(batch[low + first : low + last])
        return tf.concat(found, 0) if len(found) > 1 else found[0]


WHOLE = Parts()
Change = Callable[[Any, Any, Any], tuple[Any, Any]]


def steps_per_epoch(examples: Examples, batch_size: int) -> int:
    """Returns the number of batches in an epoch; the last one may be smaller."""
    return math.ceil(len(examples) / batch_size)


def evaluation_batch_size(examples: Examples) -> int:
    """Returns how many examples of this size are evaluated at once: 1,024 small ones, 8 of any size."""
    bytes_each = examples.x.size * examples.x.dtype.itemsize // max(len(examples), 1)
    return max(MIN_EVALUATION_BATCH_SIZE, min(MAX_EVALUATION_BATCH_SIZE, EVALUATION_BATCH_BYTES // max(bytes_each, 1)))


def evaluation_steps(examples: Examples) -> int:
    """Returns the number of batches in which a split is evaluated."""
    return steps_per_epoch(examples, evaluation_batch_size(examples))


def training_batches(
    examples: Examples,
    batch_size: int,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    change: Change | None = None,
    parts: Parts = WHOLE,
) -> Any:
    """Returns an endless `tf.data.Dataset` of (x [batch, ...], y [batch, ...]), an epoch after the other.

    Args:
        examples: what to draw from, without replacement within an epoch.
        batch_size: examples a batch; an epoch's last batch holds what is left.
        seed: the run's seed.
        first_epoch, first_step: where to start; the rest of the sequence does not depend on it.
        change: applied to each whole batch as (x, y, step); see `augmentation.augmenter`.
        parts: of each batch. They are those of the whole batch's own sequence: only what is wanted is read, unless a
            change looks at all of it.
    """
    read = _pair_reader(examples)
    parallel = _cores() if isinstance(examples.x, LazyInputs) else None  # A gather is too short to hand over.
    steps = steps_per_epoch(examples, batch_size)
    shuffle_seed = derive_seed(seed, "shuffle")
    per_step = 1 if change else len(parts.wanted)

    def epoch_batches(epoch: Any) -> Any:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(examples)), seed=[shuffle_seed, epoch])

        def batch(step: Any) -> Any:
            chosen = order[step * batch_size : (step + 1) * batch_size]
            return change(*read(chosen), epoch * steps + step) if change else read(chosen)

        def part(number: Any) -> Any:
            step = number // per_step
            low = step * batch_size
            at = tf.constant(parts.wanted, tf.int64)[number % per_step]
            return read(parts.of(order[low : low + batch_size], at))

        first = tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), tf.constant(0, tf.int64))
        if parts != WHOLE and not change:
            return tf.data.Dataset.range(first * per_step, steps * per_step).map(part, parallel)
        batches = tf.data.Dataset.range(first, steps).map(batch, parallel)
        return batches if parts == WHOLE else batches.flat_map(lambda x, y: _cut(x, y, parts))

    epochs = tf.data.Dataset.range(first_epoch, tf.int32.max)
    return _untuned(epochs.flat_map(epoch_batches).prefetch(PREFETCHED))


def _cut(x: Any, y: Any, parts: Parts) -> Any:
    """Returns a `tf.data.Dataset` of the wanted parts of one batch."""

    def part(at: Any) -> Any:
        return parts.of(x, at), parts.of(y, at)

    return tf.data.Dataset.from_tensor_slices(tf.constant(parts.wanted, tf.int64)).map(part)


def evaluation_batches(examples: Examples, parts: Parts = WHOLE) -> Any:
    """Returns a `tf.data.Dataset` of (x, y) in order: one pass over the split, at most 64 MB of inputs a batch.

    Args:
        examples: the split.
        parts: of each batch; as many elements a batch as are wanted.
    """
    size = evaluation_batch_size(examples)
    if parts != WHOLE:
        return _evaluation_parts(examples, size, parts)
    if not isinstance(examples.x, LazyInputs):
        # Without a mapped function: making one ready for each pass would take 10 ms, half of a short epoch.
        with tf.device("/CPU:0"):
            batches = _slices(examples).batch(size)
        small = examples.x.nbytes <= MAX_CACHED_BYTES
        return _untuned((batches.cache() if small else batches).prefetch(1))
    read = _pair_reader(examples)

    def batch(step: Any) -> Any:
        return read(tf.range(step * size, tf.minimum((step + 1) * size, len(examples))))

    return _untuned(tf.data.Dataset.range(evaluation_steps(examples)).map(batch, _cores()).prefetch(1))


def _evaluation_parts(examples: Examples, size: int, parts: Parts) -> Any:
    read, per_step = _pair_reader(examples), len(parts.wanted)

    def part(number: Any) -> Any:
        low = number // per_step * size
        at = tf.constant(parts.wanted, tf.int64)[number % per_step]
        return read(parts.of(tf.range(low, tf.minimum(low + size, len(examples))), at))

    count = evaluation_steps(examples) * per_step
    return _untuned(tf.data.Dataset.range(count).map(part, _cores()).prefetch(per_step))


def _untuned(dataset: Any) -> Any:
    """Returns a `tf.data.Dataset` that does not tune itself while it runs.

    TensorFlow's tuner looks ever less often, in the end once a minute, and who lets go of an iterator may have to wait
    until it does: some trainings of two minutes ended 25 to 42 seconds late, with both cores idle.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _cores() -> int:
    return os.cpu_count() or 1


def predict(model: Any, examples: Examples) -> np.ndarray:
    """Returns a Keras model's outputs [n, ...] on a split, in order."""
    with user_errors(examples):
        return model.predict(evaluation_batches(examples).map(lambda x, y: x), verbose=0)


def predict_in_parts(model: Any, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields a Keras model's outputs and its inputs, one part after the other; all may not fit in memory."""
    # Keras's predict_on_batch fails on a model that was compiled for several steps an execution.
    call = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    for x in chunks(inputs):
        yield call(tf.constant(x)).numpy(), x


@contextlib.contextmanager
def user_errors(*parts: Examples) -> Iterator[None]:
    """Raises the UserError of an example that could not be read, where TensorFlow only says that its graph failed."""
    try:
        yield
    except tf.errors.OpError as error:
        for part in parts:
            if isinstance(part.x, LazyInputs) and part.x.failure:
                raise part.x.failure from error
        raise


def _slices(examples: Examples) -> Any:
    """Returns a `tf.data.Dataset` of (x, y) of examples in memory; inputs that are labels, too, are held once."""
    if examples.y is not examples.x:
        return tf.data.Dataset.from_tensor_slices((examples.x, examples.y))
    return tf.data.Dataset.from_tensor_slices(examples.x).map(lambda x: (x, x))


def _pair_reader(examples: Examples) -> Callable[[Any], tuple[Any, Any]]:
    """Returns a function from indices [batch] to (x, y), [batch, ...]; inputs that are labels, too, are read once."""
    read_x = _reader(examples.x)
    if examples.y is not examples.x:
        read_y = _reader(examples.y)
        return lambda chosen: (read_x(chosen), read_y(chosen))

    def both(chosen: Any) -> tuple[Any, Any]:
        x = read_x(chosen)
        return x, x

    return both


def _reader(x: Inputs) -> Callable[[Any], Any]:
    """Returns a function from indices [batch] to inputs [batch, ...].

    Arrays become tensors in the host's memory (a whole data set has no business on an accelerator) and are gathered
    inside the graph; lazy inputs are read by Python.
    """
    if not isinstance(x, LazyInputs):
        with tf.device("/CPU:0"):
            held = tf.constant(x)
        return lambda chosen: tf.gather(held, chosen)

    def read_now(indices: np.ndarray) -> np.ndarray:
        try:
            return x.read(indices)
        except UserError as error:
            x.failure = error
            raise

    def read(chosen: Any) -> Any:
        batch = tf.numpy_function(read_now, [chosen], tf.as_dtype(x.dtype), stateful=False)
        return tf.ensure_shape(batch, (None, *x.shape[1:]))

    return read

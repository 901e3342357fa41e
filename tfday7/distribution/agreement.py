"""What all processes of a group have to know alike: the chief's decisions, its saved state, and whether one must stop.

Each function is a collective: every process calls it at the same point. With one process they return what they get. The
group is that of the model: of its strategy, or of the mesh that its variables lie on.
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfday7.core.errors import WorkerLostError
from tfday7.core.frameworks import tf
from tfday7.distribution import parameter_servers
from tfday7.distribution.mesh import variables

CHUNK_BYTES = 2**22  # Of what is sent at once; it travels as four times as much, to every device.
LOST = ("Collective ops is aborted", "failed to connect to all addresses", "Connection reset", "Socket closed")


def is_group(model: Any) -> bool:
    """Returns whether a model trains in several processes."""
    return processes(model) > 1


def processes(model: Any) -> int:
    """Returns how many processes decide on a model's training; with parameter servers only the chief."""
    if mesh_of(model) is not None:
        return int(tf.experimental.dtensor.num_clients())
    strategy = model.distribute_strategy
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1  # One process leads the others, or is alone.
    return len(strategy.cluster_resolver.cluster_spec().as_dict()["worker"])


def is_chief(model: Any) -> bool:
    """Returns whether this process is the one that decides and writes."""
    return not is_group(model) or _index(model) == 0


def mesh_of(model: Any) -> Any:
    """Returns the mesh that a model's variables lie on; None for none."""
    return getattr(model, "device_mesh", None)


@contextlib.contextmanager
def loss_of_workers(model: Any) -> Iterator[None]:
    """Raises WorkerLostError where TensorFlow says, in many words, that another process no longer answers."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, tf.errors.OpError) and not parameter_servers.is_wrapped(error):
            raise
        lost = parameter_servers.error_of(error) if parameter_servers.coordinates(model.distribute_strategy) else None
        if lost is not None:
            raise lost from error
        if not is_group(model) or not any(sign in str(error) for sign in LOST):
            raise
        raise WorkerLostError(
            "another worker of the group was lost; this one stops",
            "see the other workers' logs; the same command on all of them goes on from the last checkpoint",
        ) from error


def highest(model: Any, value: int) -> int:
    """Returns the largest of the values that the processes give, each at least 0."""
    if not is_group(model):
        return value
    mine = np.zeros(processes(model), np.int64)
    mine[_index(model)] = value
    return int(_summed(model, mine).max())


def from_chief(model: Any, value: int) -> int:
    """Returns the value that the chief gives."""
    return highest(model, value if is_chief(model) else 0)


def arrays_from_chief(model: Any, arrays: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray] | None:
    """Returns the chief's arrays by name, or None when it has none; what the others give is not looked at.

    So a group goes on from a checkpoint that only the chief's disk has.
    """
    if not is_group(model):
        return None if arrays is None else dict(arrays)
    packed = _pack(arrays) if is_chief(model) and arrays is not None else np.zeros(0, np.uint8)
    size = from_chief(model, packed.size)
    if not size:
        return None
    mine = packed if is_chief(model) else np.zeros(size, np.uint8)
    parts = [_summed(model, mine[at : at + CHUNK_BYTES].astype(np.int32)) for at in range(0, size, CHUNK_BYTES)]
    return _unpack(np.concatenate(parts).astype(np.uint8))


def _index(model: Any) -> int:
    if mesh_of(model) is not None:
        return int(tf.experimental.dtensor.client_id())
    return int(model.distribute_strategy.cluster_resolver.task_id)


def _summed(model: Any, value: np.ndarray) -> np.ndarray:
    """Returns the sum over all processes; of several devices of a process the first gives the value."""
    mesh = mesh_of(model)
    return _summed_on_mesh(mesh, value) if mesh is not None else _summed_by_strategy(model.distribute_strategy, value)


def _summed_by_strategy(strategy: Any, value: np.ndarray) -> np.ndarray:
    return _total_of(strategy)(tf.constant(value)).numpy()


@functools.cache
def _total_of(strategy: Any) -> Any:
    """Returns the traced function of a strategy; a strategy lives as long as its process."""
    local = strategy.num_replicas_in_sync // len(strategy.cluster_resolver.cluster_spec().as_dict()["worker"])

    def one(given: Any) -> Any:
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group % local == 0
        return context.all_reduce(tf.distribute.ReduceOp.SUM, given if is_first else tf.zeros_like(given))

    @tf.function(reduce_retracing=True)
    def total(tensor: Any) -> Any:
        return strategy.experimental_local_results(strategy.run(one, args=(tensor,)))[0]

    return total


def _summed_on_mesh(mesh: Any, value: np.ndarray) -> np.ndarray:
    dtensor = tf.experimental.dtensor
    layout = variables.layout(mesh, [*mesh.dim_names, *[None] * value.ndim])
    ones = [1] * len(mesh.dim_names)
    mine = [value if first == 0 else np.zeros_like(value) for first in range(mesh.num_local_devices())]
    with tf.device("/CPU:0"):
        parts = [tf.constant(each.reshape(*ones, *each.shape)) for each in mine]
    gathered = variables.whole(dtensor.pack(parts, layout))
    return gathered.sum(axis=tuple(range(len(ones))))


def _pack(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]
    return np.frombuffer(buffer.getvalue(), np.uint8)


def _unpack(packed: np.ndarray) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(packed.tobytes()), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}

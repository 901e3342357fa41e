"""Cuts every batch into the parts of its replicas. Importing this module loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfday7.core.frameworks import tf
from tfday7.data.pipeline import WHOLE, Parts
from tfday7.distribution import parameter_servers


def feed(strategy: Any, make: Callable[[Parts], Any], endless: bool, micro_batches: int = 1) -> Any:
    """Returns what `fit` and `evaluate` take for a model of this strategy.

    Every process makes the same sequence of batches and takes its own parts of each: no example is left out or comes
    twice, and the batches are those of one device.

    Args:
        strategy: a `tf.distribute.Strategy`; of one replica, the pipeline is given as it is, and with
            parameter servers it is run by each worker.
        make: returns the pipeline of some parts of every batch, one element a part.
        endless: whether the pipeline has no end; TensorFlow would otherwise ask all replicas in every step whether
            there is more.
        micro_batches: of a batch; see `Parts`.
    """
    if parameter_servers.coordinates(strategy):
        return parameter_servers.per_worker(lambda: make(WHOLE))
    if strategy.num_replicas_in_sync == 1:
        return make(WHOLE)

    def of_a_process(context: Any) -> Any:
        count = context.num_replicas_in_sync
        each = count // context.num_input_pipelines
        first = context.input_pipeline_id * each
        made = make(Parts(count, tuple(range(first, first + each)), micro_batches))
        return made.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)) if endless else made

    return strategy.distribute_datasets_from_function(of_a_process)

"""How long an optimizer step takes, measured on one batch before a run begins. Importing this loads TensorFlow."""

from __future__ import annotations

import statistics
import time
from typing import Any

from tfday7.data import Dataset
from tfday7.data.pipeline import Parts
from tfday7.distribution.feeding import feed
from tfday7.optimizers import OptimizerConfig
from tfday7.training import batch_statistics
from tfday7.training.batches import training_batches
from tfday7.training.callbacks.unfreezing import Unfreezing
from tfday7.training.config import TrainingConfig
from tfday7.training.fitting import compile_model

WARM_UP = 2  # The first step traces the graph, the second still allocates.
CALLS = 20
SECONDS = 5.0


def measure(model: Any, dataset: Dataset, optimizer: OptimizerConfig, training: TrainingConfig) -> float:
    """Returns the median time of a step on one batch in milliseconds, as a run carries them out on all its devices.

    The batch is there already: what reading and augmenting it costs is not part of it (`batches.input_ms` is that). The
    model learns a little.

    Args:
        model: a tf_keras model that fits the data's problem.
        dataset: its training split gives the batch.
        optimizer, training: the settings of the run.
    """
    with batch_statistics.fused(model, training.deterministic):
        compile_model(model, dataset, optimizer, training)
        if training.freeze:
            Unfreezing(model, training.unfreeze_epochs)

        def batches(parts: Parts) -> Any:
            return training_batches(dataset, training, parts=parts).take(len(parts.wanted)).cache().repeat()

        given = feed(model.distribute_strategy, batches, True, training.accumulate_steps)
        run, iterator = model.make_train_function(), iter(given)
        per_call = int(model._steps_per_execution.numpy())
        times: list[float] = []
        while len(times) < WARM_UP + 1 or (len(times) < WARM_UP + CALLS and sum(times[WARM_UP:]) < SECONDS):
            started = time.perf_counter()
            float(run(iterator)["loss"])  # Reading it waits for the steps.
            times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:]) * 1000.0 / per_call

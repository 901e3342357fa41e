"""What can be said about a distribution before TensorFlow loads, and before anything is written."""

from __future__ import annotations

from collections.abc import Mapping

from tfday7.core.errors import UserError
from tfday7.distribution import cluster as clusters
from tfday7.distribution import parameter_servers
from tfday7.distribution.cluster import Cluster
from tfday7.distribution.config import ASYNCHRONOUS, ON_A_MESH, DistributionConfig
from tfday7.distribution.mesh import axes
from tfday7.optimizers import advisor, catalog
from tfday7.optimizers.config import OptimizerConfig


def check(config: DistributionConfig, batch_size: int, accumulate_steps: int, environ: Mapping[str, str]) -> None:
    """Checks the settings against each other and against the environment.

    Args:
        config: the settings.
        batch_size: examples of one optimizer step.
        accumulate_steps: micro-batches of each device.
        environ: the environment variables, which may name a cluster.

    Raises:
        UserError: a contradiction, a cluster that cannot be, or a batch that does not divide.
    """
    found = group(config, environ)
    if found is not None and found.role == "evaluator":
        raise UserError(
            "TF_CONFIG names this process an evaluator; the workers validate", "leave it out of the cluster"
        )
    if config.strategy == "multiworker" and found is None:
        raise UserError(
            "--strategy=multiworker: nothing says which workers there are",
            "start with python -m tfday7.launch --workers=2 -- ..., or set TF_CONFIG, or --cluster and --worker_index",
        )
    if config.strategy in ASYNCHRONOUS:
        parameter_servers.check_cluster(found)
    elif found is not None and found.parameter_servers:
        raise UserError(
            f"the cluster has parameter servers, which --strategy={config.strategy} has no use for",
            "give --strategy=parameter_server, or leave ps out of TF_CONFIG",
        )
    if config.virtual_devices and config.strategy in ASYNCHRONOUS:
        raise UserError(
            f"--virtual_devices={config.virtual_devices} has no meaning for --strategy={config.strategy}",
            "start more workers instead",
        )
    if config.tpu and config.strategy != "tpu":
        raise UserError(f"--tpu={config.tpu} has no meaning for --strategy={config.strategy}", "give --strategy=tpu")
    if config.mesh and config.strategy not in ON_A_MESH:
        raise UserError(
            f"--mesh={config.mesh} has no meaning for --strategy={config.strategy}",
            "give --strategy=model_parallel or --strategy=hybrid",
        )
    if config.strategy == "one_device" and config.virtual_devices > 1:
        raise UserError(
            f"--virtual_devices={config.virtual_devices} has no meaning for --strategy=one_device",
            "give --strategy=mirrored, or leave it out",
        )
    if config.strategy in ON_A_MESH:
        mesh = axes.parse(config.mesh, config.strategy)
        if config.virtual_devices:
            axes.check_devices(mesh, config.virtual_devices * (len(found.workers) if found else 1))
        axes.check_batch_size(mesh, batch_size, accumulate_steps)
    elif config.strategy != "one_device" and config.virtual_devices:
        replicas = config.virtual_devices * (len(found.workers) if found else 1)
        check_batch(batch_size, replicas, accumulate_steps)


def check_on_a_mesh(config: DistributionConfig, optimizer: OptimizerConfig, precision: str) -> None:
    """Raises UserError for an optimizer or a precision that no mesh can train with; nothing without a mesh."""
    if config.strategy not in ON_A_MESH:
        return
    if precision == "mixed_float16":
        raise UserError(
            "--precision=mixed_float16 cannot train on a mesh: the loss scale is assigned and read within a step",
            "--precision=mixed_bfloat16 needs none, or --precision=float32",
        )
    if not advisor.is_auto(optimizer):
        catalog.check_mesh(optimizer)


def group(config: DistributionConfig, environ: Mapping[str, str]) -> Cluster | None:
    """Returns the processes that this one works with; None where the strategy is one of a single process.

    Raises:
        UserError: as `cluster.find`, or a cluster was named by flags for a strategy that has none.
    """
    if config.strategy in ("auto", "multiworker", *ON_A_MESH, *ASYNCHRONOUS):
        return clusters.find(config, environ)
    if config.cluster or config.worker_index is not None:
        given = "cluster" if config.cluster else "worker_index"
        raise UserError(
            f"--{given}={getattr(config, given)} has no meaning for --strategy={config.strategy}",
            "give --strategy=multiworker",
        )
    return None


def check_batch(batch_size: int, replicas: int, accumulate_steps: int) -> None:
    """Raises UserError for a batch that cannot be cut into equal micro-batches, and says which one can."""
    each = replicas * accumulate_steps
    if batch_size % each == 0:
        return
    below, above = batch_size // each * each, (batch_size // each + 1) * each
    nearest = f"--batch_size={above}" if not below else f"--batch_size={below} or --batch_size={above}"
    raise UserError(
        f"--batch_size={batch_size} cannot be cut evenly: {replicas} replicas x {accumulate_steps} accumulation steps "
        f"are {each} micro-batches",
        f"{nearest}",
    )

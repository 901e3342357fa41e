"""Opens the devices that a run is spread over. Importing this module loads no TensorFlow; opening them does.

A strategy of several processes has to be opened before TensorFlow has done anything else, so this comes before data
pipelines and models.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from typing import Any, cast

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.core.native_logs import without_notes
from tfday7.distribution import parameter_servers
from tfday7.distribution.cluster import Cluster, check_own_port, meet, wait_for_chief
from tfday7.distribution.config import ASYNCHRONOUS, ON_A_MESH, DistributionConfig
from tfday7.distribution.mesh import device_mesh
from tfday7.distribution.mesh.axes import Axes, parse

HEARTBEAT_SECONDS = 10  # A worker that says nothing for so long is lost; the others then stop.
BARRIER_SECONDS = 30  # At the end workers wait so long for each other.


@dataclasses.dataclass(frozen=True)
class Devices:
    """What a run is spread over.

    Attributes:
        name: the strategy's, with "auto" decided.
        strategy: a `tf.distribute.Strategy`; None for one device, and on a mesh.
        cluster: the group of processes, if there are several.
        axes: of the mesh; None without one.
        mesh: a `tf.experimental.dtensor.Mesh`; None without one.
    """

    name: str = "one_device"
    strategy: Any = None
    cluster: Cluster | None = None
    axes: Axes | None = None
    mesh: Any = None

    @property
    def replicas(self) -> int:
        """How many copies of the model train, over all processes."""
        if self.axes is not None:
            return self.axes.batch
        return int(self.strategy.num_replicas_in_sync) if self.strategy is not None else 1

    @property
    def is_plain(self) -> bool:
        """Whether models are what they are without any distribution."""
        return self.strategy is None and self.mesh is None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes files."""
        return self.cluster is None or self.cluster.is_chief

    def describe(self) -> str:
        """Returns what there is, in a few words."""
        if self.axes is not None:
            return f"mesh {self.axes}"
        if self.cluster is not None and self.cluster.parameter_servers:
            workers, servers = len(self.cluster.workers) - 1, len(self.cluster.parameter_servers)
            return f"asynchronous, workers: {workers}, parameter servers: {servers}"
        return f"{self.replicas} replicas"

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the context in which models, optimizers and metrics are made."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()

    def place(self, build: Callable[[], Any]) -> Any:
        """Returns a model whose variables lie on these devices.

        Args:
            build: makes the plain model, with the same initial weights each time.

        Raises:
            UserError: the mesh cannot divide or compute the model.
        """
        if self.axes is None:
            with self.scope():
                return build()
        from tfday7.distribution.mesh import layouts, placing

        plan = layouts.plan(build(), self.axes)
        model = placing.place(build, plan, self.mesh)
        model.device_mesh, model.device_plan = self.mesh, plan
        return model

    def leave(self) -> None:
        """Waits at the end of training for all processes of a mesh: the first to go would end the others' gathering."""
        if self.mesh is not None:
            device_mesh.leave(self.mesh)

    def record(self) -> dict[str, Any]:
        """Returns what run.json says of it."""
        found = [f"{device.device_type}:{i}" for i, device in enumerate(tf.config.list_logical_devices())]
        servers = len(self.cluster.parameter_servers) if self.cluster else 0
        workers = len(self.cluster.workers) if self.cluster else 1
        return {
            "strategy": self.name,
            "replicas": self.replicas,
            "workers": workers - 1 if servers else workers,  # The chief of parameter servers computes nothing.
            "parameter_servers": servers,
            "asynchronous": bool(servers),
            "mesh": str(self.axes) if self.axes else None,
            "devices": found,
        }


ONE_DEVICE = Devices()


def decide(config: DistributionConfig, cluster: Cluster | None) -> str:
    """Returns the strategy's name where "auto" leaves it open; looks for GPUs only then."""
    if config.strategy != "auto":
        return config.strategy
    if cluster is not None:
        return "multiworker"
    if config.virtual_devices > 1 or len(tf.config.list_physical_devices("GPU")) > 1:
        return "mirrored"
    return "one_device"


def open_devices(config: DistributionConfig, cluster: Cluster | None = None) -> Devices:
    """Returns the devices that the settings name, ready for use.

    Args:
        config: the settings.
        cluster: the processes of the group; see `cluster.find`.

    Raises:
        UserError: there are no such devices, they are set up otherwise already, or the other workers cannot be reached.
    """
    if config.virtual_devices:
        split_cpu(config.virtual_devices)
    name = decide(config, cluster)
    if name == "one_device":
        return Devices()
    with without_notes():
        if name in ON_A_MESH:
            return _on_a_mesh(name, config, cluster)
        return Devices(name, _OPEN[name](config, cluster), cluster if name in ("multiworker", *ASYNCHRONOUS) else None)


def _on_a_mesh(name: str, config: DistributionConfig, cluster: Cluster | None) -> Devices:
    """Opens a mesh; of several processes, those of the cluster."""
    if cluster is not None:
        os.environ.update(cluster.dtensor_environment())
        check_own_port(cluster)
        meet(cluster, config.cluster_timeout)
        wait_for_chief(cluster, config.cluster_timeout)
    axes = parse(config.mesh, name)
    return Devices(name, None, cluster, axes, device_mesh.make(axes))


def split_cpu(count: int) -> None:
    """Makes TensorFlow see so many CPU devices.

    Raises:
        UserError: TensorFlow was in use before and has another number of them.
    """
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) != count:
            raise UserError(
                f"--virtual_devices={count}: TensorFlow is in use and sees "
                f"{len(tf.config.list_logical_devices('CPU'))} CPU devices",
                "open the devices before anything else, in a process of its own",
            ) from error


def _mirrored(config: DistributionConfig, cluster: Cluster | None) -> Any:
    del cluster
    kind = "CPU" if config.virtual_devices else "GPU"
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    if not names:
        raise UserError(
            "--strategy=mirrored: this machine has no GPU that TensorFlow sees",
            "--virtual_devices=2 splits the CPU, to try it; --strategy=one_device trains on the CPU",
        )
    # Several virtual devices of one CPU share its memory: NCCL is for GPUs.
    return tf.distribute.MirroredStrategy(names)


def _multiworker(config: DistributionConfig, cluster: Cluster | None) -> Any:
    if cluster is None:
        raise UserError(
            "--strategy=multiworker: nothing says which workers there are",
            "start with python -m tfday7.launch --workers=2 -- ..., or set TF_CONFIG, or --cluster and --worker_index",
        )
    check_own_port(cluster)
    _coordinate(cluster, config.cluster_timeout)
    wait_for_chief(cluster, config.cluster_timeout)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (tf.errors.DeadlineExceededError, tf.errors.UnavailableError) as error:
        raise UserError(
            f"not every worker of {', '.join(cluster.workers)} came within {config.cluster_timeout:g} s",
            "start all of them, check that they reach each other, or wait longer with --cluster_timeout",
        ) from error


def _coordinate(cluster: Cluster, timeout: float) -> None:
    """Bounds how long the group waits for its members; TensorFlow's own settings would wait for an hour."""
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.eager import context

    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=int(timeout * 1000),
        heartbeat_timeout_in_ms=HEARTBEAT_SECONDS * 1000,
        shutdown_barrier_timeout_in_ms=BARRIER_SECONDS * 1000,
        coordinated_jobs=[coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=len(cluster.workers))],
    )


def _parameter_server(config: DistributionConfig, cluster: Cluster | None) -> Any:
    parameter_servers.check_cluster(cluster)
    return parameter_servers.open_strategy(cast(Cluster, cluster), config.cluster_timeout)


def _tpu(config: DistributionConfig, cluster: Cluster | None) -> Any:
    """Opens a TPU; written for real hardware, not run by this project's own tests."""
    del cluster
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=config.tpu or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"--strategy=tpu: no TPU {config.tpu or 'of this machine'} can be used ({said})",
            "run on a TPU VM, or name one with --tpu=NAME",
        ) from error


_OPEN: dict[str, Callable[[DistributionConfig, Cluster | None], Any]] = {
    "mirrored": _mirrored,
    "multiworker": _multiworker,
    "parameter_server": _parameter_server,
    "tpu": _tpu,
}

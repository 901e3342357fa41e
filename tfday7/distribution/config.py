"""How a training run is spread over devices and machines."""

from __future__ import annotations

import dataclasses

from tfday7.core.settings import Settings, setting

DATA_PARALLEL = ("one_device", "mirrored", "multiworker", "tpu")
ON_A_MESH = ("model_parallel", "hybrid")
ASYNCHRONOUS = ("parameter_server",)
MOST_STEPS = 256  # Of accumulation.


@dataclasses.dataclass(frozen=True)
class DistributionConfig(Settings):
    """The settings of the devices that a run is spread over."""

    strategy: str = setting(
        "auto",
        "How training is spread; auto: multiworker in a cluster, mirrored over several GPUs or virtual devices, "
        "otherwise one_device.",
        choices=("auto", *DATA_PARALLEL, *ON_A_MESH, *ASYNCHRONOUS),
    )
    virtual_devices: int = setting(
        0, "Split this machine's CPU into so many devices, to try distribution without GPUs; 0: none.", minimum=0,
        maximum=64,
    )  # fmt: skip
    mesh: str = setting("", "For model_parallel and hybrid: the axes and their devices, for example batch:2,model:2.")
    cluster: str = setting(
        "", "The workers, HOST:PORT in a comma list, the chief first; default: TF_CONFIG, Slurm or Kubernetes say it."
    )
    worker_index: int | None = setting(None, "With --cluster: which of them this process is, from 0.", minimum=0)
    cluster_timeout: float = setting(
        120.0, "Seconds to wait for the other workers before giving up.", minimum=1.0, maximum=86_400.0
    )
    tpu: str = setting("", "With --strategy=tpu: the TPU's name or address; empty: the one of this machine.")

"""Many devices, the same result: strategies, clusters and meshes.

`devices.open_devices(DistributionConfig(...))` gives the devices that a run is spread over; models, optimizers and
metrics are made in their scope, and `feeding.feed` cuts every batch into their parts. Everything but `devices`,
`feeding`, `agreement` and the mesh's own steps loads no TensorFlow.
"""

from tfday7.distribution.config import DistributionConfig

__all__ = ["DistributionConfig"]

"""The mesh itself: local devices, or those of several processes, which the DTENSOR_* variables of DTensor describe."""

from __future__ import annotations

import os
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.distribution.mesh.axes import BATCH, MODEL, Axes, check_devices

CLIENTS = "DTENSOR_NUM_CLIENTS"
CLIENT, JOBS = "DTENSOR_CLIENT_ID", "DTENSOR_JOBS"


def clients() -> int:
    """Returns the number of processes that share the mesh, as the environment says; 1 for this one alone.

    Raises:
        UserError: the variables are incomplete, or no numbers.
    """
    text = os.environ.get(CLIENTS, "1")
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{CLIENTS}={text}; expected a positive integer", "or unset it for a single process")
    if int(text) > 1:
        for name in (CLIENT, JOBS):
            if name not in os.environ:
                raise UserError(
                    f"{CLIENTS}={text} needs {name}", f"{CLIENT} counts from 0; {JOBS} lists HOST:PORT of each, sorted"
                )
        jobs = os.environ[JOBS].split(",")
        if len(jobs) != int(text):
            raise UserError(f"{CLIENTS}={text} contradicts {JOBS}={os.environ[JOBS]}, which lists {len(jobs)}")
    return int(text)


def make(axes: Axes) -> Any:
    """Returns the `tf.experimental.dtensor.Mesh` over all GPUs, or over the CPU's virtual devices where there is none.

    With several processes this joins them first, so that it must come before TensorFlow has used a device; it returns
    when all are there.

    Raises:
        UserError: the mesh takes more devices than there are, or fewer.
    """
    dtensor = tf.experimental.dtensor
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    count = clients()
    if count > 1:
        dtensor.initialize_accelerator_system(kind)
        check_devices(axes, dtensor.num_global_devices(kind), f"{kind}, in {count} processes")
        return dtensor.create_distributed_mesh(
            [(BATCH, axes.batch), (MODEL, axes.model)], device_type=kind, local_devices=dtensor.local_devices(kind)
        )
    devices = [f"{kind}:{index}" for index in range(len(tf.config.list_logical_devices(kind)))]
    check_devices(axes, len(devices), kind)
    return dtensor.create_mesh([(BATCH, axes.batch), (MODEL, axes.model)], devices=devices)


def leave(mesh: Any) -> None:
    """Waits for all processes of a mesh: the first to end would take the others' last gathering down with it."""
    if clients() > 1:
        tf.experimental.dtensor.barrier(mesh)

"""One of several processes that train a small model on a mesh together; the DTENSOR_* variables say which.

Called with the axes and a file, to which the first process writes the weights; each prints its local bytes.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
from distribution.mesh import training_on_a_mesh as single

from tfday7.core.frameworks import tf
from tfday7.distribution import mesh as meshes
from tfday7.distribution.mesh import layouts


def main(axes_text: str, devices: str, path: str) -> None:
    """Trains and prints {"bytes": of this process's devices, "loss": of the last epoch}."""
    axes = meshes.parse(axes_text, "model_parallel")
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(devices))
    mesh = meshes.make_mesh(axes)
    model = meshes.place(single.mlp, layouts.plan(single.mlp(), axes), mesh)
    meshes.prepare(model, mesh)
    single.compiled(model, "adam", 0.5, mesh)
    fitted = model.fit(single.ROWS, single.Y, batch_size=8, epochs=5, verbose=0, shuffle=False)
    held = [sum(part.nbytes for part in meshes.local_parts(variable)) for variable in model.variables]
    weights = model.get_weights()
    if os.environ["DTENSOR_CLIENT_ID"] == "0":
        np.savez(path, *weights)
    meshes.leave_mesh(mesh)
    sys.stdout.write(json.dumps({"bytes": sum(held), "loss": fitted.history["loss"][-1]}))


if __name__ == "__main__":
    main(*sys.argv[1:])

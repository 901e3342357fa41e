"""Model parallelism on DTensor: weights divided over the axis "model" of a mesh, examples over the axis "batch".

axes = parse("batch:2,model:2", "hybrid")
mesh = make_mesh(axes)
layout = layouts.plan(build(), axes)
model = place(build, layout, mesh)
prepare(model, mesh)
model.compile(optimizer=catalog.build(config, steps, model, mesh), loss=..., metrics=...)
model.fit(...)
copy_weights(model, plain)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfday7.distribution.mesh.axes import Axes, check_batch_size, check_devices, parse
    from tfday7.distribution.mesh.device_mesh import leave as leave_mesh
    from tfday7.distribution.mesh.device_mesh import make as make_mesh
    from tfday7.distribution.mesh.placing import copy_weights, place
    from tfday7.distribution.mesh.plan import Communication, Plan, Weight
    from tfday7.distribution.mesh.refusals import check
    from tfday7.distribution.mesh.stepping import prepare
    from tfday7.distribution.mesh.variables import local_parts, read, write

# Where each name is: nothing is imported before it is asked for, as most of it needs TensorFlow.
_PLACES = {
    "Axes": "axes.Axes", "check_batch_size": "axes.check_batch_size", "check_devices": "axes.check_devices",
    "parse": "axes.parse", "leave_mesh": "device_mesh.leave", "make_mesh": "device_mesh.make",
    "copy_weights": "placing.copy_weights", "place": "placing.place", "Communication": "plan.Communication",
    "Plan": "plan.Plan", "Weight": "plan.Weight", "check": "refusals.check", "prepare": "stepping.prepare",
    "local_parts": "variables.local_parts", "read": "variables.read", "write": "variables.write",
}  # fmt: skip

__all__ = [
    "Axes", "Communication", "Plan", "Weight", "check", "check_batch_size", "check_devices", "copy_weights",
    "leave_mesh", "local_parts", "make_mesh", "parse", "place", "prepare", "read", "write",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(".")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)

"""The axes of a mesh of devices, and what fits on them; loads no TensorFlow.

Devices stand in a grid. Those of one row along "batch" see different examples; those along "model" share the weights
(Shoeybi et al., 2019, arXiv:1909.08053, section 3; Shazeer et al., 2018, arXiv:1811.02084, for the naming of axes).
"""

from __future__ import annotations

import dataclasses

from tfday7.core.errors import UserError

BATCH, MODEL = "batch", "model"
NAMES = (BATCH, MODEL)
FORM = "for example --mesh=batch:2,model:2"


@dataclasses.dataclass(frozen=True)
class Axes:
    """How many devices there are along each axis."""

    batch: int
    model: int

    @property
    def devices(self) -> int:
        """Number of devices of the mesh."""
        return self.batch * self.model

    def __str__(self) -> str:
        """Returns the form that `parse` takes."""
        return f"{BATCH}:{self.batch},{MODEL}:{self.model}"


def parse(text: str, strategy: str) -> Axes:
    """Returns the axes of `--mesh`; an axis that is not named has one device.

    Args:
        text: for example "batch:2,model:2".
        strategy: "model_parallel" (needs more than one device along "model") or "hybrid" (along both).

    Raises:
        UserError: an unknown axis, one named twice, a size that is no positive integer, or a strategy that they
            contradict.
    """
    if not text.strip():
        raise UserError(f"--strategy={strategy} needs --mesh", FORM)
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, _, size = (each.strip() for each in part.partition(":"))
        if name not in NAMES:
            raise UserError(f"--mesh={text}: unknown axis {name!r}; the axes are {' and '.join(NAMES)}", FORM)
        if name in sizes:
            raise UserError(f"--mesh={text} names the axis {name} twice", FORM)
        if not (size.isascii() and size.isdigit()) or int(size) < 1:
            raise UserError(f"--mesh={text}: {name} has {size!r} devices; expected a positive integer", FORM)
        sizes[name] = int(size)
    axes = Axes(sizes.get(BATCH, 1), sizes.get(MODEL, 1))
    _check_strategy(text, strategy, axes)
    return axes


def check_devices(axes: Axes, devices: int, kind: str = "CPU") -> None:
    """Checks that a mesh takes all devices, no more and no fewer.

    Args:
        axes: of the mesh.
        devices: how many there are, over all processes.
        kind: of which kind, for the message.

    Raises:
        UserError: another number of devices is needed.
    """
    if axes.devices == devices:
        return
    splits = [Axes(devices // model, model) for model in range(2, devices + 1) if devices % model == 0]
    hint = f"--virtual_devices={axes.devices} splits this machine's CPU into so many"
    if splits:
        hint = f"{' or '.join(f'--mesh={each}' for each in splits)}; or {hint}"
    raise UserError(
        f"--mesh={axes} needs {axes.batch} x {axes.model} = {axes.devices} devices, but there are {devices} ({kind})",
        hint,
    )


def check_batch_size(axes: Axes, batch_size: int, accumulate_steps: int = 1) -> None:
    """Checks that every device gets equally many examples of every micro-batch.

    Args:
        axes: of the mesh.
        batch_size: examples of one optimizer step, over all devices and micro-batches.
        accumulate_steps: micro-batches of one optimizer step.

    Raises:
        UserError: they do not divide; the hint names the nearest batch sizes that do.
    """
    unit = axes.batch * accumulate_steps
    if batch_size % unit == 0:
        return
    below, above = batch_size // unit * unit, (batch_size // unit + 1) * unit
    steps = f" x --accumulate_steps={accumulate_steps}" if accumulate_steps > 1 else ""
    raise UserError(
        f"--batch_size={batch_size} cannot be divided by {unit} (axis {BATCH} of --mesh={axes}: {axes.batch}{steps})",
        f"--batch_size={f'{below} or {above}' if below else above} can",
    )


def _check_strategy(text: str, strategy: str, axes: Axes) -> None:
    if strategy == "hybrid" and axes.batch == 1:
        raise UserError(
            f"--strategy=hybrid contradicts --mesh={text}: it needs more than one device along {BATCH}",
            f"--strategy=model_parallel --mesh={text}, or {FORM}",
        )
    if axes.model == 1:
        instead = f"; --strategy=mirrored spreads {BATCH}es alone" if axes.batch > 1 else ""
        raise UserError(
            f"--strategy={strategy} contradicts --mesh={text}: it needs more than one device along {MODEL}",
            FORM + instead,
        )

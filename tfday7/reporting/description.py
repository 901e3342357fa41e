"""What a run will cost, as `--describe` shows it before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfday7.core.printing import printable
from tfday7.core.units import format_bytes, format_count
from tfday7.reporting.words import Words

if TYPE_CHECKING:
    from rich.table import Table


def description(record: Mapping[str, Any], lang: str = "en") -> Table:
    """Returns the record of `stages.describe` as a rich renderable; lang is "en" or "zh"."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True)
    drawn.add_column(overflow="fold")
    for label, value in _lines(record, Words(lang)):
        drawn.add_row(Text(printable(label)), Text(printable(value)))
    return drawn


def _lines(record: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
    count, batch = format_count, record["batch_size"]
    kinds = [(f"  {kind}", count(macs)) for kind, macs in record["macs_by_layer_type"].items()]
    missing = [(f"  {name}", reason) for name, reason in record["not_counted"].items()]
    trainable = words("describe.trainable", count=count(record["trainable_parameters"]))
    devices = record["devices"]
    where = [(words("describe.devices"), f"{devices['strategy']}: {', '.join(devices['devices'])}")]
    return [
        (words("describe.model"), record["model"]),
        *(where if len(devices["devices"]) > 1 else []),
        (words("describe.parameters"), words.joined([count(record["parameters"]), trainable])),
        (words("describe.macs"), "?" if record["macs"] is None else count(record["macs"])),
        *kinds,
        *missing,
        (words("describe.activations", batch=batch), format_bytes(record["activation_bytes"] * batch)),
        (words("describe.step", batch=batch), f"{record['step_ms']:.3g} ms"),
        (words("describe.input"), f"{record['input_ms']:.3g} ms"),
        (words("describe.epoch", steps=count(record["steps_per_epoch"])), f"{record['epoch_seconds']:.3g} s"),
    ]

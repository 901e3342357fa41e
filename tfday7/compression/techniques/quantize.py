"""Decides which numbers the file has: the last step of a recipe.

Post-training quantization itself happens in the export, which makes the file. With `fallback="float"` an int8 file is
tried here on validation examples, and the layers that suffer most stay in float32 until it holds; see `sensitivity`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.compression.technique import TECHNIQUES, StepSettings, Technique, Work
from tfday7.core.errors import UserError
from tfday7.core.settings import setting
from tfday7.exporting.format import CALIBRATED, FORMATS
from tfday7.exporting.options import MOST_EXAMPLES, QuantizationOptions

KINDS = ("float32", "float16", "dynamic", "int8", "int16x8", "weight_int8", "weight_int4")
LEAST_EXAMPLES = 100


@dataclasses.dataclass(frozen=True)
class Numbers(StepSettings):
    """The settings of "quantize". `float_layers` is what a step with a fallback has found; nobody has to give it."""

    kind: str = setting("int8", "Numbers of the .tflite file.", choices=KINDS)
    calibration_examples: int = setting(
        MOST_EXAMPLES,
        "Training examples that show which numbers occur.",
        minimum=LEAST_EXAMPLES,
        maximum=MOST_EXAMPLES,
    )
    calibration_seed: int = setting(0, "Seed of their choice.", minimum=0)
    fallback: str = setting(
        "none",
        "Where int8 loses too much: float leaves the most sensitive layers in float32, none leaves it at that.",
        choices=("none", "float"),
    )
    max_metric_drop: float = setting(
        0.005, "Most that the metric may drop on validation examples before layers fall back.", minimum=0.0, below=1.0
    )
    float_layers: str = setting("", "Layers that stay in float32 in an int8 file, a comma list.")
    sparse: bool = setting(
        True,
        "After prune, leave zeros out of a .tflite file where that makes it smaller; packed it is larger.",
    )

    def options(self, sparse: bool = False) -> QuantizationOptions:
        """Returns what the export has to know; `sparse`: whether there are zeros that may be left out of the file."""
        sparse = sparse and self.sparse
        return QuantizationOptions(self.calibration_examples, self.calibration_seed, self.layers(), sparse)

    def layers(self) -> tuple[str, ...]:
        """Returns the names of `float_layers`."""
        return tuple(name.strip() for name in self.float_layers.split(",") if name.strip())


class Quantize(Technique):
    """See the module."""

    name = "quantize"
    phase = "numbers"
    settings = Numbers

    def check(self, settings: Numbers) -> None:
        """See `Technique.check`."""
        given = "fallback=float" if settings.fallback == "float" else f"float_layers={settings.float_layers}"
        if (settings.fallback == "float" or settings.layers()) and settings.kind not in FORMATS.get(
            "tflite"
        ).mixed_kinds:
            message = f"{given} contradicts kind={settings.kind}: only int8 files keep single layers in float32"
            raise UserError(message, "leave one of them out")
        if settings.fallback == "float" and settings.layers():
            raise UserError("fallback=float contradicts float_layers, which it is to find", "leave one of them out")

    def apply(self, work: Work, settings: Numbers) -> dict[str, Any]:
        """See `Technique.apply`."""
        from tfday7.compression import qat

        if (settings.fallback == "float" or settings.layers()) and qat.is_quantized(work.model):
            message = "the model was trained with fake quantization, which says of each layer whether it is int8"
            raise UserError(message, "leave fallback and float_layers out after qat")
        known = {layer.name for layer in work.model.layers}
        for name in settings.layers():
            if name not in known:
                raise UserError(f"float_layers: the model has no layer {name!r}", f"it has {', '.join(sorted(known))}")
            work.skip(self.name, name, "stays in float32, as was asked for")
        done: dict[str, Any] = {"technique": self.name, "kind": settings.kind}
        if settings.kind in CALIBRATED:
            done |= {
                "calibration_examples": settings.calibration_examples,
                "calibration_seed": settings.calibration_seed,
            }
        if settings.fallback == "float":
            settings, found = self._fallback(work, settings)
            done |= found
        work.numbers = settings
        return {**done, "float_layers": list(settings.layers())}

    def _fallback(self, work: Work, settings: Numbers) -> tuple[Numbers, dict[str, Any]]:
        from tfday7.compression import sensitivity

        work.say("quantize: trying int8 on validation examples")
        outcome = sensitivity.search(work.model, work.dataset, settings.max_metric_drop, settings.options())
        for each in outcome.layers:
            if each.layer in outcome.float_layers:
                reason = f"stays in float32: int8 in this layer alone moves the outputs by {each.difference:.2%}"
                work.skip(self.name, each.layer, reason)
        if not outcome.holds:
            work.notes.append(
                f"int8 takes {outcome.metric} from {outcome.float_metric:.4f} to {outcome.int8_metric:.4f} on "
                f"validation examples, allowed {settings.max_metric_drop}; layers in float32 do not help. "
                "int16x8, weight_int8 or float16 may, or training with the rounding (qat)"
            )
        return dataclasses.replace(settings, float_layers=",".join(outcome.float_layers)), outcome.to_json()


TECHNIQUES.add("quantize", Quantize())

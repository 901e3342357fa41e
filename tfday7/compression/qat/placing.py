"""Puts fake quantization where an int8 file rounds, after the rules of `rules`.

Between a convolution, the BatchNormalization that the converter folds into it and the rectifier that TFLite computes
with it nothing is rounded. Everything else rounds once, where it comes out. What goes into a concatenation takes the
range of what comes out, unless it is used elsewhere too, because one tensor of the file has one scale.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tfday7.compression.qat import Left
from tfday7.compression.qat.layers import (
    FakeQuantize,
    QuantizedLayerNormalization,
    QuantizedScale,
    QuantizedWeights,
)
from tfday7.compression.qat.rules import (
    RECURRENT,
    WEIGHTS,
    Kind,
    fixed_range,
    is_relu,
    kind_of,
    name_of,
    reason_inside,
    recurrent_weights,
    stays_floating,
    takes_normalization,
    takes_relu,
)
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.models.door.graph import TF_KERAS, Call
from tfday7.models.door.rebuild import Rebuild


class Placing(Rebuild):
    """One rebuild of a flat model; `model` returns the new one.

    Args:
        flat: of `flattening.flattened`.
        ends: the tensors of the flat model between which an int8 file computes.
        skip: names of layers whose weights are not rounded.
        decay: of the ranges.

    Raises:
        UserError: the converter would leave a layer in floating point.

    Attributes:
        left: what is left to the export.
        exported: whether the file's ranges are those of the model; else the export calibrates its own.
    """

    def __init__(self, flat: Any, ends: tuple[Any, Any], skip: Collection[str], decay: float) -> None:
        super().__init__(TF_KERAS, TF_KERAS)
        self._start, self._end = ends
        self._skip, self._decay = skip, decay
        self._quantizers: dict[str, FakeQuantize] = {}
        self._by_tensor: dict[int, FakeQuantize] = {}  # id of a new tensor -> what rounded it
        self._held: list[Any] = []  # Tensors that must stay alive, because they are known by identity.
        self._calls = TF_KERAS.calls(flat)
        self._consumers: dict[int, list[Call | None]] = {id(flat.outputs[0]): [None]}
        for call in self._calls:
            for leaf in _symbolic([list(call.args), call.kwargs]):
                self._consumers.setdefault(id(leaf), []).append(call)
        self._makers = {id(output): call for call in self._calls for output in call.outputs}
        self._before, self._after = self._outside()
        self._check_int8()
        self.left = self._left_inside()
        self.exported = not self.left
        self.left += [Left(name, "named in skip: its weights are rounded by the export alone") for name in skip]
        self._joined = self._into_joins()

    def _outside(self) -> tuple[set[int], set[int]]:
        """Returns the tensors before the way in of an int8 file, and behind its way out: they stay as they are."""
        before, behind = set(), set()
        for call in self._calls:  # In order: what is made of what lies behind the end lies behind it too.
            if any(id(leaf) == id(self._end) or id(leaf) in behind for leaf in _symbolic(list(call.args))):
                behind |= {id(output) for output in call.outputs}
        for call in reversed(self._calls):
            if any(id(output) == id(self._start) or id(output) in before for output in call.outputs):
                before |= {id(leaf) for leaf in _symbolic(list(call.args))}
        return before, behind

    def _check_int8(self) -> None:
        """Raises UserError for a layer that would leave the file in floating point there, after all of the training."""
        for call in self._calls:
            if self._is_core(call) and stays_floating(call.layer):
                raise UserError(
                    f"layer {call.layer.name!r}: the converter leaves ELU in floating point, so that no file of this "
                    "model is int8 throughout",
                    "use gelu, LeakyReLU or relu there, or a recipe without qat, such as dynamic or float16",
                )

    def _left_inside(self) -> list[Left]:
        inside = [call.layer for call in self._calls if self._is_core(call) and _floating(call)]
        named = {each.name: each for each in inside if kind_of(each) is Kind.INSIDE}
        return [Left(name, reason_inside(layer)) for name, layer in named.items()]

    def _is_core(self, call: Call) -> bool:
        places = {id(output) for output in call.outputs}
        return not places & self._after and not places & self._before and id(self._start) not in places

    def _into_joins(self) -> dict[int, str]:
        """Returns for each tensor that only a concatenation reads the name of that concatenation."""
        found = {}
        for call in self._calls:
            if kind_of(call.layer) is Kind.JOINS:
                for leaf in _symbolic([list(call.args), call.kwargs]):
                    if len(self._consumers[id(leaf)]) == 1:
                        found[id(leaf)] = call.layer.name
        return found

    def _functional(self, model: Any) -> Any:
        tensor = model.inputs[0]
        new = self._input(tensor)
        starts = tensor is self._start and tensor.dtype.is_floating
        tensors = {id(tensor): self._observed(new, "input") if starts else new}
        for call in self._calls:
            self._repeat(call, tensors)
        return keras.Model(new, tensors[id(model.outputs[0])], name=model.name)

    def _outputs(self, call: Call, tensors: dict[int, Any]) -> Any:
        outputs = self.called(call, tensors)
        if not self._is_core(call):
            starts = any(output is self._start for output in call.outputs)
            return self._observed(outputs, call.layer.name) if starts else outputs
        kind, given = kind_of(call.layer), _symbolic(self._swap([list(call.args), call.kwargs], tensors))
        inherited = next((self._by_tensor[id(leaf)] for leaf in given if id(leaf) in self._by_tensor), None)
        if kind in (Kind.MOVES, Kind.SAME) and inherited is not None:
            flat = TF_KERAS.flatten(outputs)
            if kind is Kind.SAME:
                outputs = flat[0] = inherited(flat[0], observe=False)
            for each in flat:
                self._remember(each, inherited)
            return outputs
        if not _floating(call) or self._is_open(call):
            return outputs
        if len(call.outputs) > 1:
            return self.target.map(lambda each: self._observed(each, call.layer.name), outputs)
        return self._rounded(call, outputs)

    def _rounded(self, call: Call, output: Any) -> Any:
        fixed = fixed_range(call.layer)
        join = self._joined.get(id(call.outputs[0]))
        if fixed is not None:
            return self._observed(output, call.layer.name, fixed=fixed)
        if join is not None:
            return self._observed(output, join, observe=False)
        return self._observed(output, call.layer.name)

    def _is_open(self, call: Call) -> bool:
        """Returns whether the next operator is computed together with this one, so that nothing rounds between."""
        consumers = self._consumers.get(id(call.outputs[0]), [])
        if len(call.outputs) != 1 or len(consumers) != 1 or consumers[0] is None:
            return False
        follower = consumers[0].layer
        if not self._is_core(consumers[0]):
            return False
        if takes_relu(call.layer) and is_relu(follower):
            return True
        normalizes = name_of(follower) == "BatchNormalization" and kind_of(follower) is Kind.LINEAR
        once = sum(each.layer is follower for each in self._calls) == 1  # Else it may stand alone elsewhere.
        return normalizes and once and takes_normalization(call.layer)

    def _observed(self, tensor: Any, name: str, fixed: Any = None, **arguments: Any) -> Any:
        quantizer = self._quantizers.get(name)
        if quantizer is None:
            quantizer = FakeQuantize(fixed, self._decay, self.exported, name=f"{name}_range")
            self._quantizers[name] = quantizer
        output = quantizer(tensor, **arguments)
        self._remember(output, quantizer)
        return output

    def _remember(self, tensor: Any, quantizer: FakeQuantize) -> None:
        self._by_tensor[id(tensor)] = quantizer
        self._held.append(tensor)

    def again(self, layer: Any) -> Any:
        """Returns the layer that takes a layer's place."""
        new, name = super().again(layer), type(layer).__name__
        calls = [call for call in self._calls if call.layer is layer]
        if not calls or not all(self._is_core(call) for call in calls):
            return new
        if name == "BatchNormalization" and kind_of(layer) is Kind.LINEAR and not self._folds(calls):
            return QuantizedScale.from_config(new.get_config())
        if name == "LayerNormalization" and kind_of(layer) is Kind.COMPUTES:
            settings = {**new.get_config(), "decay": self._decay, "exported": self.exported}
            return QuantizedLayerNormalization.from_config(settings)
        if layer.name in self._skip:
            return new
        if name in WEIGHTS and kind_of(layer) is Kind.LINEAR:
            return QuantizedWeights(new, WEIGHTS[name])
        return QuantizedWeights(new, recurrent_weights(layer)) if name in RECURRENT else new

    def _folds(self, calls: list[Call]) -> bool:
        given = [self._makers.get(id(leaf)) for call in calls for leaf in _symbolic(list(call.args))]
        return all(maker is not None and self._is_open(maker) for maker in given)


def _symbolic(nest: Any) -> list[Any]:
    return [leaf for leaf in TF_KERAS.flatten(nest) if TF_KERAS.is_symbolic(leaf)]


def _floating(call: Call) -> bool:
    return any(output.dtype.is_floating for output in call.outputs)

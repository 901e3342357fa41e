"""What only Keras 3 has, kept inside a tf_keras model: its own code runs there on the same TensorFlow.

Keras 3 on TensorFlow computes with TensorFlow's tensors, as tf_keras does, so an operation or layer without an equal
needs no imitation: a tf_keras layer holds the Keras 3 one, owns its weights, and calls it. The results are the same
bits, and on the way out the Keras 3 layer is taken out again. Importing this module loads both Kerases.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models.door import keras3_classes
from tfday7.models.door.template import filled
from tfday7.models.door.weights import is_seed_state


class _Held:
    """Holds a Keras 3 layer where tf_keras's tracking of attributes does not look."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer


class _NotPruned(keras.layers.Layer):
    """Tells TFMOT, which asks every layer of a model, that pruning leaves this one alone."""

    def get_prunable_weights(self) -> list[Any]:
        return []


@keras.saving.register_keras_serializable("tfday7")
class KerasOperation(_NotPruned):
    """One call of a `keras.ops` function on a list of tensors.

    Args:
        operation: the name of the operation's class in Keras 3, for example "Einsum".
        settings: JSON of what the operation was made with.
        arguments: JSON of the call's arguments, a template (template.py) of [args, kwargs].
    """

    def __init__(self, operation: str, settings: str, arguments: str, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "autocast": False, "dynamic": False})
        self.operation, self.settings, self.arguments = operation, settings, arguments
        self._held = _Held(keras3_classes.operation(operation, json.loads(settings)))

    def call(self, inputs: Any) -> Any:
        args, kwargs = filled(json.loads(self.arguments), inputs if isinstance(inputs, (list, tuple)) else [inputs])
        return self._held.layer.call(*args, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None  # As in Keras 3, where the result of an operation carries no mask.

    def get_config(self) -> dict[str, Any]:
        config = {"operation": self.operation, "settings": self.settings, "arguments": self.arguments}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("tfday7")
class Keras3Layer(_NotPruned):
    """A layer that only Keras 3 has, with its weights as weights of this layer.

    Args:
        layer_class: the class, as `keras3_classes` lists it.
        settings: JSON of the layer's `get_config()`.
        build: JSON of the layer's `get_build_config()`.
    """

    def __init__(self, layer_class: str, settings: str, build: str, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "autocast": False, "dynamic": False})
        self.layer_class, self.settings, self.build_settings = layer_class, settings, build
        layer = keras3_classes.layer(layer_class, json.loads(settings))
        if json.loads(build) is not None:
            layer.build_from_config(json.loads(build))
        self._held = _Held(layer)
        self._compute_output_and_mask_jointly = True  # Keras 3 puts the mask on its outputs itself.
        self.supports_masking = True
        self._kept_weights = [self._own(variable) for variable in layer.variables]

    def call(self, *args: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        layer = self._held.layer
        if layer._call_has_training_arg:
            kwargs["training"] = bool(training)
        if mask is not None and "mask" in inspect.signature(layer.call).parameters:
            kwargs["mask"] = mask
        pairs = list(zip(layer.variables, self._kept_weights, strict=True))
        state = [(variable, tf.convert_to_tensor(own)) for variable, own in pairs]
        with keras3.StatelessScope(state_mapping=state) as scope:
            outputs = layer(*args, **kwargs)
        if training:
            for variable, own in pairs:
                updated = scope.get_current_value(variable)
                if not variable.trainable and updated is not None:
                    own.assign(updated)
        return outputs

    @property
    def paired_weights(self) -> list[Any]:
        """This layer's weights in the order of the Keras 3 layer's, without the states of random generators."""
        pairs = zip(self._held.layer.variables, self._kept_weights, strict=True)
        return [own for variable, own in pairs if not is_seed_state(variable)]

    def get_config(self) -> dict[str, Any]:
        config = {"layer_class": self.layer_class, "settings": self.settings, "build": self.build_settings}
        return {**super().get_config(), **config}

    def _own(self, variable: Any) -> Any:
        value = keras3.ops.convert_to_numpy(variable)
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA  # A mean of the states of random generators is no state.
        aggregation = tf.VariableAggregation.MEAN if value.dtype.kind == "f" else first
        return self.add_weight(
            name="/".join(variable.path.split("/")[1:]) or variable.name,
            shape=tuple(variable.shape),
            dtype=value.dtype.name,
            initializer=lambda shape, dtype=None: tf.reshape(tf.constant(value, dtype=dtype), shape),
            trainable=bool(variable.trainable),
            regularizer=getattr(variable, "regularizer", None),
            constraint=getattr(variable, "constraint", None),
            experimental_autocast=False,
            aggregation=aggregation,
        )


def keep_layer(layer: Any, dtype_policy: str | None = None) -> Any:
    """Returns the tf_keras layer that holds a new copy of a Keras 3 layer.

    Raises:
        UserError: the layer's class is none of Keras's own, or runs code of another framework.
    """
    class_name = keras3_classes.name_of(type(layer))
    if class_name is None:
        raise UserError(f"layer {layer.name!r}: {type(layer).__name__} cannot be kept inside a tf_keras model")
    settings = dict(layer.get_config())
    if dtype_policy is not None:
        settings["dtype"] = dtype_policy
    trainable = settings.pop("trainable", True)
    build = keras3.saving.serialize_keras_object(layer.get_build_config()) if layer.built else None
    settings = keras3.saving.serialize_keras_object(settings)
    kept = Keras3Layer(class_name, json.dumps(settings), json.dumps(build), name=layer.name)
    kept.trainable = trainable
    return kept

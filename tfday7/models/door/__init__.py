"""The Keras 3 door: any Keras model in, a Keras 3 file out, bit for bit.

Inside, everything works on tf_keras functional models; people have Keras 3 models, files of three Keras generations,
and want a file back that plain `keras.models.load_model` opens. A model passes the door by being rebuilt call by call:
each layer is made anew in the other Keras from its settings, each call is repeated on the new layer, and the weights
are copied. No code of a file ever runs (`judge`), and nothing is approximated in silence: what cannot be carried over
is a `UserError` that names the layer, its class and the way to register it.

    model = door.load("theirs.keras")       # a tf_keras functional model
    door.save(model, "ours.keras")          # Keras 3 opens it, without tfday7
"""

from __future__ import annotations

from tfday7.models.door.load import load, read
from tfday7.models.door.rules import register
from tfday7.models.door.save import save, to_keras3

__all__ = ["load", "read", "register", "save", "to_keras3"]

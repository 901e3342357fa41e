"""Subclassed models and layers: traced when they are made of layers, else named; and registered builders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.door.trips import difference

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3, tf
from tfday7.models import door
from tfday7.models.door import rules

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


@pytest.fixture(autouse=True)
def _nothing_stays_registered() -> Iterator[None]:
    before = dict(rules.REGISTERED), dict(rules.RETURNING)
    yield
    for table, content in zip((rules.REGISTERED, rules.RETURNING), before, strict=True):
        table.clear()
        table.update(content)


def classes() -> Any:
    """Returns the test's Keras 3 classes; they are made on call, so that importing the test loads no Keras."""

    class Block(keras3.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense, self.norm = keras3.layers.Dense(4), keras3.layers.LayerNormalization()

        def call(self, x: Any) -> Any:
            return self.norm(x + self.dense(x))

    class Traceable(keras3.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.block, self.drop, self.head = Block(name="block"), keras3.layers.Dropout(0.5), keras3.layers.Dense(2)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.head(self.drop(keras3.ops.relu(self.block(x)), training=training))

    class OwnWeight(keras3.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.shift = keras3.layers.Dense(2), self.add_weight(shape=(2,), name="shift")

        def call(self, x: Any) -> Any:
            return self.dense(x) + self.shift

    class RawTensorFlow(keras3.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras3.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return tf.nn.relu(self.dense(x))

    class Scale(keras3.layers.Layer):
        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(shape=(shape[-1],), name="factor", initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.factor

    return {kind.__name__: kind for kind in (Block, Traceable, OwnWeight, RawTensorFlow, Scale)}


def test_a_subclassed_model_of_layers_becomes_a_functional_one() -> None:
    model = classes()["Traceable"](name="mine")
    expected = model(X)
    inside = door.load(model)
    assert inside.name == "mine"
    assert [layer.name for layer in inside.layers if layer.name == "block"] == ["block"]
    assert difference(inside(X), expected) == 0
    assert difference(door.to_keras3(inside)(X), expected) == 0
    assert np.any(inside(X, training=True) != inside(X))  # The dropout is still one.


def test_a_subclassed_tf_keras_model_is_traced_too() -> None:
    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, inputs: Any, training: Any = None) -> Any:
            return {"sum": tf.nn.relu(self.dense(inputs["a"])) + inputs["b"]}

    model = Mine()
    data = {"a": X, "b": X[:, :3]}
    expected = model(data)
    assert difference(door.load(model)(data), expected) == 0
    assert difference(door.to_keras3(model)(data), expected) == 0


@pytest.mark.parametrize(
    ("framework_name", "asks"),
    [*itertools.product(["keras3", "tf_keras"], ["if", "factor", "passed on"]), ("tf_keras", "passed on by place")],
)
def test_a_model_that_does_other_things_in_training_is_refused(framework_name: str, asks: str) -> None:
    framework: Any = keras3 if framework_name == "keras3" else keras

    class Mine(framework.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.drop = framework.layers.Dense(3), framework.layers.Dropout(0.5)

        def call(self, x: Any, training: Any = False) -> Any:
            x = self.dense(x)
            if asks == "factor":
                return x * (0.5 if training else 1.0)
            if asks == "if":
                return self.drop(x, training=True) if training else x
            dropped = self.drop(x, training) if asks == "passed on by place" else self.drop(x, training=training)
            return framework.layers.Add()([dropped * 2.0, x])

    model = Mine()
    expected = model(X)
    if asks.startswith("passed on"):
        assert difference(door.load(model)(X), expected) == 0
        return
    with pytest.raises(UserError, match="does other things in training") as caught:
        door.load(model)
    assert "pass training=" in caught.value.hint
    assert "register(Mine)" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [("OwnWeight", "uses weights of its own"), ("RawTensorFlow", "is not made of Keras layers only")],
)
def test_a_model_that_cannot_be_traced_names_its_class_and_the_way_out(name: str, message: str) -> None:
    model = classes()[name]()
    model(X)
    with pytest.raises(UserError, match=message) as caught:
        door.load(model)
    assert f"register({name})" in caught.value.hint


def test_a_model_that_was_never_called_says_so() -> None:
    with pytest.raises(UserError, match="was never called"):
        door.load(classes()["Traceable"]())


def test_an_unknown_layer_names_its_class_and_the_way_to_register_it() -> None:
    inputs = keras3.Input((4,))
    model = keras3.Model(inputs, classes()["Scale"](name="scaled")(inputs))
    with pytest.raises(UserError, match=r"'scaled'.*Scale") as caught:
        door.load(model)
    assert "register(Scale)" in caught.value.hint


def test_a_registered_layer_goes_in_and_out_and_through_a_file(tmp_path: Path) -> None:
    scale = classes()["Scale"]

    class OurScale(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(shape=(shape[-1],), name="factor")

        def call(self, x: Any) -> Any:
            return x * self.factor

    @door.register(scale)
    def _build(layer: Any) -> Any:
        return OurScale(name=layer.name)

    inputs = keras3.Input((4,))
    model = keras3.Model(inputs, scale(name="scaled")(inputs))
    model.layers[1].factor.assign([1.0, 2.0, 3.0, 4.0])
    model.save(tmp_path / "theirs.keras")
    for given in (model, tmp_path / "theirs.keras"):
        inside = door.load(given)
        assert isinstance(inside.layers[1], OurScale)
        assert difference(inside(X), X * np.array([1, 2, 3, 4], "float32")) == 0
        back = door.to_keras3(inside)
        assert type(back.layers[1]) is scale
        assert difference(back(X), X * np.array([1, 2, 3, 4], "float32")) == 0


def test_a_registered_layer_is_not_keras_own_of_its_name(tmp_path: Path) -> None:
    class Reshape(keras3.layers.Layer):
        def call(self, x: Any) -> Any:
            return -x

    class OurReshape(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return -x

    door.register(Reshape)(lambda layer: OurReshape(name=layer.name))
    inputs = keras3.Input((4,))
    own = keras3.layers.Reshape((2, 2), name="own")(Reshape(name="theirs")(inputs))
    model = keras3.Model(inputs, own)
    model.save(tmp_path / "m.keras")
    inside = door.load(tmp_path / "m.keras")
    assert isinstance(inside.get_layer("theirs"), OurReshape)
    assert type(inside.get_layer("own")) is keras.layers.Reshape
    assert difference(inside(X), model(X)) == 0
    inside.save(tmp_path / "inside.keras")
    assert difference(door.load(tmp_path / "inside.keras")(X), model(X)) == 0


def test_a_registered_layer_keeps_its_weights_whatever_it_holds() -> None:
    def holder(framework: Any) -> Any:
        class Held(framework.layers.Layer):
            def build(self, shape: Any) -> None:
                self.inner = framework.layers.GRU(3, recurrent_activation="hard_sigmoid")
                self.inner.build(shape)
                self.activation = framework.activations.hard_sigmoid

            def call(self, x: Any) -> Any:
                return self.inner(x)

        return Held

    theirs, ours = holder(keras3), holder(keras)
    door.register(theirs)(lambda layer: ours(name=layer.name))
    inputs = keras3.Input((5, 4))
    model = keras3.Model(inputs, theirs(name="held")(inputs))
    inside = door.load(model)
    for new in (inside, door.to_keras3(inside)):  # Keras 2's function of that name is a matter of its author.
        assert difference(new.get_weights(), model.get_weights()) == 0


def test_a_builder_whose_weights_do_not_fit_is_told_so() -> None:
    scale = classes()["Scale"]
    door.register(scale)(lambda layer: keras.layers.Dense(4, name=layer.name))
    inputs = keras3.Input((4,))
    with pytest.raises(UserError, match=r"'scaled'.*factor \(4,\).*kernel \(4, 4\)"):
        door.load(keras3.Model(inputs, scale(name="scaled")(inputs)))


def test_only_keras3_layers_can_be_registered() -> None:
    with pytest.raises(UserError, match="not a Keras 3 layer class"):
        door.register(dict)

"""A class is judged as what it is, whatever a file calls it; and nothing is called while a model is put together.

Every trick is one that left its mark, or read its file, while checks went by the names that a file uses.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from models.door.changed_files import layer_of, plain_model, rewritten

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3
from tfday7.models import door
from tfday7.models.door.judge import parsed
from tfday7.models.door.judge_calls import on_keras3_tensor, on_tf_keras_tensor

FRAMEWORKS = {"keras3": keras3, "tf_keras": keras}
SPELLINGS: dict[str, Any] = {
    "its name": {"class_name": "TFOpLambda"},
    "its kind and name": {"class_name": "layers.TFOpLambda"},
    "a module and its name": {"class_name": "TFOpLambda", "module": "builtins.layers", "registered_name": None},
    "the class for slices": {"class_name": "layers.SlicingOpLambda", "registered_name": "TFOpLambda"},
}


def writing(mark: Path, spelling: dict[str, Any]) -> dict[str, Any]:
    """Returns a layer's record that makes tf_keras write the file `mark` when it puts the model together."""
    call = [["_CONSTANT_VALUE", -1, str(mark), {"contents": "x"}]]
    settings = {"name": "evil", "function": "io.write_file"}
    return {**spelling, "name": "evil", "config": settings, "inbound_nodes": [call]}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_tensorflow_function_that_writes_files_is_refused_under_each_name(
    name: str, spelling: str, tmp_path: Path
) -> None:
    path, mark = tmp_path / name, tmp_path / "mark"
    plain_model(keras).save(path)
    record = writing(mark, SPELLINGS[spelling])
    if name == "m.keras":
        rewritten(path, lambda config: config["config"]["layers"].append(record))
    else:
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            config["config"]["layers"].append(record)
            file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UserError, match=r"'evil'.*tf\.io\.write_file"):
        door.load(path)
    assert not mark.exists()


def test_a_tensorflow_function_inside_another_layer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras).save(path)
    inner = {"class_name": "layers.TFOpLambda", "config": {"name": "evil", "function": "io.write_file"}}
    outer = {"class_name": "TimeDistributed", "config": {"name": "outer", "layer": inner}}
    rewritten(path, lambda config: config["config"]["layers"].append({**outer, "name": "outer", "inbound_nodes": []}))
    with pytest.raises(UserError, match=r"tf\.io\.write_file"):
        door.load(path)


CONSTANTS: dict[str, Any] = {
    "tf_keras": [
        [["_CONSTANT_VALUE", -1, [1.0], {"multiples": [10**12]}]],
        [["_CONSTANT_VALUE", -1, [1.0], {"multiples": ["input_1", 0, 0]}], ["_CONSTANT_VALUE", -1, [1.0], {}]],
        {"args": ["_CONSTANT_VALUE", -1, {"class_name": "__keras_tensor__", "config": {}}, {}], "kwargs": {}},
        [],
    ],
    "keras3": [
        {"args": [[1.0]], "kwargs": {}},
        {"args": [], "kwargs": {"x": {"class_name": "__numpy__", "config": {"value": [{
            "class_name": "__keras_tensor__", "config": {}}], "dtype": "object"}}}},
        {},
        [],
    ],
}  # fmt: skip


@pytest.mark.parametrize(("which", "number"), [(which, number) for which in CONSTANTS for number in range(4)])
def test_a_call_on_constants_alone_is_refused_whatever_is_called(which: str, number: int, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(FRAMEWORKS[which]).save(path)
    made = {"class_name": "TFOpLambda", "config": {"name": "t", "function": "tile"}}
    if which == "keras3":
        made = {"class_name": "Tile", "module": "keras.src.ops.numpy", "config": {"name": "t", "repeats": [10**12]}}
    record = {**made, "name": "t", "inbound_nodes": [CONSTANTS[which][number]]}
    rewritten(path, lambda config: config["config"]["layers"].append(record))
    with pytest.raises(UserError, match=r"'t' is called on constants alone"):
        door.load(path)


@pytest.mark.parametrize("call", [[["d", 5, 0, {}]], [["d", 0, 0, {}]], [["input_0", 0, 0, {"x": ["d", 0, 0]}]]])
def test_calls_that_wait_for_each_other_are_not_waited_for(call: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras).save(path)

    def change(config: dict[str, Any]) -> None:
        first = config["config"]["layers"][0]
        first["name"] = first["config"]["name"] = "input_0"
        layer_of(config, "d")["inbound_nodes"] = [call]

    with pytest.raises(UserError, match=r"calls a layer on what no other makes"):
        door.load(rewritten(path, change))


def test_calls_in_any_order_are_made(tmp_path: Path) -> None:
    inputs = x = keras.Input((2,))
    for number in range(20):
        x = keras.layers.Dense(2, name=f"d{number}")(x)
    keras.Model(inputs, x).save(tmp_path / "m.keras")
    rewritten(tmp_path / "m.keras", lambda config: config["config"]["layers"].reverse())
    assert len(door.load(tmp_path / "m.keras").layers) == 21


def test_calls_that_a_keras_writes_are_on_tensors() -> None:
    x, y = keras.Input((2,), name="x"), keras.Input((2,), name="y")
    outputs = [1.0 + x, x - y, x[:, :1], keras.layers.Add()([x, y]), keras.layers.Concatenate()([x, y])]
    config = keras.Model([x, y], outputs).get_config()
    calls = [call for layer in config["layers"] for call in json.loads(json.dumps(layer["inbound_nodes"]))]
    assert len(calls) == len(outputs)
    assert all(on_tf_keras_tensor(call) for call in calls)
    assert any(call[0] == "_CONSTANT_VALUE" or call[0][0] == "_CONSTANT_VALUE" for call in calls)
    x3, y3 = keras3.Input((2,), name="x"), keras3.Input((2,), name="y")
    outputs3 = [1.0 + x3, x3 - y3, x3[:, :1], keras3.layers.Add()([x3, y3])]
    config3 = keras3.Model([x3, y3], outputs3).get_config()
    calls3 = [call for layer in config3["layers"] for call in json.loads(json.dumps(layer["inbound_nodes"]))]
    assert len(calls3) == len(outputs3)
    assert all(on_keras3_tensor(call) for call in calls3)


@pytest.mark.parametrize("which", FRAMEWORKS)
@pytest.mark.parametrize("name", ["layers.StringLookup", "IntegerLookup", "layers.TextVectorization"])
def test_a_vocabulary_is_no_path_under_any_name_of_its_layer(name: str, which: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(FRAMEWORKS[which]).save(path)
    record = {"class_name": name, "config": {"name": "words", "vocabulary": "/etc/passwd"}}
    rewritten(path, lambda config: config["config"]["layers"].append({**record, "name": "words", "inbound_nodes": []}))
    with pytest.raises(UserError, match=r"'words'.*would read the file '/etc/passwd'"):
        door.load(path)


KEPT = {"name": "evil", "layer_class": "StringLookup", "settings": '{"vocabulary": "/etc/passwd"}', "build": "null"}


def with_kept_layer(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Writes a file with a layer "rms" that only Keras 3 has, and changes that layer's record."""
    inputs = keras3.Input((4, 2))
    door.load(keras3.Model(inputs, keras3.layers.RMSNormalization(name="rms")(inputs))).save(path)
    return rewritten(path, lambda config: change(layer_of(config, "rms")))


def test_a_kept_layer_is_judged_as_the_layer_that_it_keeps(tmp_path: Path) -> None:
    path = with_kept_layer(tmp_path / "m.keras", lambda record: record["config"].update(KEPT))
    with pytest.raises(UserError, match=r"'evil'.*would read the file '/etc/passwd'"):
        door.load(path)
    path = with_kept_layer(tmp_path / "m.keras", lambda record: record["config"].update(layer_class="function"))
    with pytest.raises(UserError, match=r"'layers\.function', which is not one of Keras's own classes"):
        door.load(path)


@pytest.mark.parametrize("class_name", ["Dense", "KerasOperation", "layers.Dense"])
def test_a_registered_name_does_not_hide_what_a_record_is(class_name: str, tmp_path: Path) -> None:
    record = {"class_name": class_name, "registered_name": "tfday7>Keras3Layer", "module": "x", "config": KEPT}
    path = with_kept_layer(tmp_path / "m.keras", lambda changed: changed.update(record))
    with pytest.raises(UserError, match=r"would read the file '/etc/passwd'"):
        door.load(path)


@pytest.mark.parametrize("which", FRAMEWORKS)
@pytest.mark.parametrize("class_name", [5, None, ["Dense"], {"class_name": "Dense"}])
def test_a_class_that_is_named_by_no_word_is_refused(class_name: Any, which: str, tmp_path: Path) -> None:
    """Keras goes on to the registered name, and imports the module."""
    path = tmp_path / "m.keras"
    plain_model(FRAMEWORKS[which]).save(path)
    record = {"class_name": class_name, "registered_name": "system", "module": "os", "config": {"name": "evil"}}
    rewritten(path, lambda config: layer_of(config, "d")["config"].update(kernel_initializer=record))
    with pytest.raises(UserError, match=r"'evil' names a class by"):
        door.load(path)


@pytest.mark.parametrize("key", ["registered_name", "module"])
@pytest.mark.parametrize("which", FRAMEWORKS)
def test_a_list_in_the_place_of_a_name_is_no_name(which: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(FRAMEWORKS[which]).save(path)
    rewritten(path, lambda config: layer_of(config, "d").update({key: ["x"]}))
    assert type(door.load(path).get_layer("d")) is keras.layers.Dense


@pytest.mark.parametrize(("key", "value"), [("settings", 5), ("build", [1]), ("settings", None), ("settings", "{")])
def test_settings_of_a_kept_layer_that_are_no_json_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    path = with_kept_layer(tmp_path / "m.keras", lambda record: record["config"].update({key: value}))
    with pytest.raises(UserError, match=r"'rms'.*settings are no JSON"):
        door.load(path)


def test_json_is_as_deep_as_models_are() -> None:
    assert parsed("[" * 150 + "]" * 150, "m.keras")
    for depth in (600, 100_000):
        with pytest.raises(UserError, match=r"m\.keras: its settings are no JSON|m\.keras: settings nested more than"):
            parsed("[" * depth + "]" * depth, "m.keras")

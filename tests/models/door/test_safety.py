"""Loading runs no code of a file: fixtures that would leave a mark, one per format and trick; and hurtful files.

Each fixture that carries code is shown to be real: allowed to run, it leaves its mark.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from models.door.changed_files import layer_of, plain_model, rewritten
from models.door.conftest import ROOT

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3
from tfday7.models import door


def with_lambda(framework: Any, mark: Path) -> Any:
    """Returns a model whose Lambda layer writes the file `mark` when its bytecode runs."""
    function = eval(f"lambda x: (open({str(mark)!r}, 'w').close(), x)[1]")  # noqa: S307 - so that the path is a constant
    inputs = framework.layers.Input((2,))
    x = framework.layers.Dense(2)(inputs)
    return framework.Model(inputs, framework.layers.Lambda(function, output_shape=(2,), name="evil")(x))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize(
    ("which", "name"),
    [("keras3", "m.keras"), ("keras3", "m.h5"), ("tf_keras", "m.keras"), ("tf_keras", "m.h5"), ("tf_keras", "m")],
)
def test_a_lambda_is_refused_by_name_before_it_runs(which: str, name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with_lambda(keras3 if which == "keras3" else keras, mark).save(tmp_path / name)
    mark.unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"'evil'.*brings Python code") as caught:
        door.load(tmp_path / name)
    assert "--allow_unsafe_model" in caught.value.hint
    assert not mark.exists()
    model = door.load(tmp_path / name, allow_unsafe=True)
    assert mark.exists()
    assert model(np.ones((1, 2), "float32")).shape == (1, 2)


TRICKS: dict[str, Any] = {
    "a function of the operating system as a layer": {
        "module": "os",
        "class_name": "system",
        "config": {"command": "x"},
    },
    "an import by module": {"module": "antigravity", "class_name": "Dense2", "config": {}},
    "a Keras helper that downloads": {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"origin": "file:///x"},
    },
    "a lambda as an initializer": {"class_name": "__lambda__", "config": {"value": ["", None, None]}},
    "a type specification": {"class_name": "__typespec__", "module": "os", "spec_name": "x", "config": []},
    "another runtime": {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/x"}},
    "a function": {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"},
}


@pytest.mark.parametrize("which", ["keras3", "tf_keras"])
@pytest.mark.parametrize("trick", TRICKS)
def test_settings_cannot_name_anything_outside_of_the_table(trick: str, which: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3 if which == "keras3" else keras).save(path)
    rewritten(path, lambda config: layer_of(config, "d")["config"].update(kernel_initializer=TRICKS[trick]))
    with pytest.raises(UserError, match="'d'"):
        door.load(path)


@pytest.mark.parametrize("which", ["keras3", "tf_keras"])
@pytest.mark.parametrize(
    ("module", "registered_name"),
    [("my_pkg.layers", "my_pkg>Dense"), ("my_pkg.layers", "Dense"), ("my_pkg", None), (None, "Dense"),
     (None, "Custom>Dense"), ("keras_hub.layers", "Dense")],
)  # fmt: skip
def test_another_class_of_a_known_name_is_not_keras_own(
    module: str | None, registered_name: str | None, which: str, tmp_path: Path
) -> None:
    """Keras writes no module for classes of a script."""
    path, record = tmp_path / "m.keras", {"module": module, "registered_name": registered_name}
    plain_model(keras3 if which == "keras3" else keras).save(path)
    rewritten(path, lambda config: layer_of(config, "d").update(record))
    with pytest.raises(UserError, match=r"'d' is made of 'Dense'.*not one of Keras's own classes"):
        door.load(path)


def test_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3).save(path)
    rewritten(path, lambda config: layer_of(config, "d")["config"].update(activation="os.system"))
    with pytest.raises(UserError, match=r"'os\.system'"):
        door.load(path)


def test_tensorflow_functions_that_touch_files_are_refused(tmp_path: Path) -> None:
    inputs = keras.Input((2,))
    keras.Model(inputs, inputs + 1.0).save(tmp_path / "m.keras")

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["function"] = "io.write_file"

    with pytest.raises(UserError, match=r"tf\.io\.write_file"):
        door.load(rewritten(tmp_path / "m.keras", change))


def test_settings_hidden_inside_a_kept_layer_are_judged_too(tmp_path: Path) -> None:
    inputs = keras3.Input((4, 2))
    inside = door.load(keras3.Model(inputs, keras3.layers.RMSNormalization(name="rms")(inputs)))
    inside.save(tmp_path / "m.keras")

    def change(config: dict[str, Any]) -> None:
        settings = layer_of(config, "rms")["config"]
        settings["settings"] = json.dumps(
            {"name": "rms", "scale": {"module": "os", "class_name": "system", "config": {}}}
        )

    with pytest.raises(UserError, match="'system'"):
        door.load(rewritten(tmp_path / "m.keras", change))


def test_a_vocabulary_cannot_be_a_path_of_this_machine(tmp_path: Path) -> None:
    inputs = keras3.Input((), dtype="string")
    model = keras3.Model(inputs, keras3.layers.StringLookup(vocabulary=["a"], name="words")(inputs))
    model.save(tmp_path / "m.keras")
    rewritten(tmp_path / "m.keras", lambda c: layer_of(c, "words")["config"].update(vocabulary="/etc/passwd"))
    with pytest.raises(UserError, match="/etc/passwd"):
        door.load(tmp_path / "m.keras")


def test_settings_nested_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3).save(path)
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    rewritten(path, lambda config: layer_of(config, "d")["config"].update(name2=deep))
    with pytest.raises(UserError, match="nested"):
        door.load(path)


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "assets/../../outside.txt", "C:\\outside"])
def test_a_member_that_leads_outside_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3).save(path)
    rewritten(path, lambda config: None, **{name: b"x"})
    with pytest.raises(UserError, match="leads outside"):
        door.load(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3).save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("assets/zeros", bytes(100_000_000))
    with pytest.raises(UserError, match="zip bomb"):
        door.load(path)


@pytest.mark.parametrize("which", ["keras3", "tf_keras"])
def test_settings_that_would_fill_the_memory_are_refused(which: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3 if which == "keras3" else keras).save(path)
    rewritten(path, lambda config: layer_of(config, "d")["config"].update(units=2_000_000_000))
    with pytest.raises(UserError, match=r"ask for more than 256,000,000 bytes of weights"):
        door.load(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_a_truncated_file_is_an_error_with_its_name(name: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / name
    plain_model(keras3).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(UserError, match=name):
        door.load(path)


def changed_weights(path: Path, change: Callable[[Any], None]) -> Path:
    """Changes the weights inside a .keras file."""
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    buffer = io.BytesIO(content["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    content["model.weights.h5"] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def _other_shape(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = np.zeros((5, 5), "float32")


def _missing(file: Any) -> None:
    del file["layers/dense/vars/0"]


def _link_outside(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def _enormous(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset("0", shape=(1_000_000, 1_000_000), chunks=(1000, 1000), dtype="float32")


def _stored_outside(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset("0", shape=(2, 2), dtype="float32", external=[("/etc/passwd", 0, 16)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_shape, "do not fit together"),
        (_missing, "do not fit together"),
        (_link_outside, "links to another file"),
        (_enormous, "declares"),
        (_stored_outside, "reads its values from another file"),
    ],
)
def test_weights_that_do_not_fit_or_reach_out_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3).save(path)
    with pytest.raises(UserError, match=message):
        door.load(changed_weights(path, change))


@pytest.mark.parametrize("framework", [keras, keras3], ids=["tf_keras", "keras3"])
def test_an_h5_file_with_turned_bits_opens_or_is_refused(framework: Any, tmp_path: Path) -> None:
    """h5py says RuntimeError, OSError, KeyError or TypeError of what it finds, wherever it is read."""
    plain_model(framework).save(tmp_path / "good.h5")
    good, broken = (tmp_path / "good.h5").read_bytes(), tmp_path / "broken.h5"
    generator, refused = np.random.default_rng(1), []
    for _ in range(150):
        content = np.frombuffer(good, np.uint8).copy()
        content[generator.integers(0, len(good), 4)] ^= 1 << generator.integers(0, 8, 4).astype(np.uint8)
        broken.write_bytes(content.tobytes())
        try:
            door.load(broken)
        except UserError as error:
            refused.append(error.message)
    assert len(refused) > 20
    assert all(str(broken) in message for message in refused)


def test_a_saved_model_whose_checkpoint_is_gone_or_damaged_is_refused(tmp_path: Path) -> None:
    plain_model(keras).save(tmp_path / "m")
    index = tmp_path / "m" / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:20])
    with pytest.raises(UserError, match="do not fit together"):
        door.load(tmp_path / "m")
    (tmp_path / "m" / "keras_metadata.pb").write_bytes(b"\xff" * 50)
    with pytest.raises(UserError, match="damaged"):
        door.load(tmp_path / "m")


def test_a_pipe_among_the_variables_of_a_saved_model_is_not_waited_for(tmp_path: Path) -> None:
    plain_model(keras).save(tmp_path / "m")
    values = tmp_path / "m" / "variables" / "variables.data-00000-of-00001"
    values.unlink()
    os.mkfifo(values)
    with pytest.raises(UserError, match="a pipe; expected a file"):
        door.load(tmp_path / "m")


def test_a_tf_keras_file_is_read_without_loading_keras3(tmp_path: Path, plain_python: Callable[[str], str]) -> None:
    plain_model(keras).save(tmp_path / "m.keras")
    printed = plain_python(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tfday7.models import door\n"
        "print('tensorflow' in sys.modules); door.load('m.keras'); print('keras' in sys.modules)"
    )
    assert printed.split() == ["False", "False"]

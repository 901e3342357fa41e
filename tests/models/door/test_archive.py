"""A damaged or hostile `.keras` file is the user's error, and puts nothing where its members' names lead."""

from __future__ import annotations

import errno
import importlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from models.door.changed_files import layer_of, plain_model, rewritten

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, keras3
from tfday7.models import door
from tfday7.models.door import archive, keras_archive, rules

FRAMEWORKS = {"keras3": keras3, "tf_keras": keras}


def test_a_keras_file_with_one_turned_bit_opens_or_is_refused(tmp_path: Path) -> None:
    """Zipfile says OSError, RuntimeError, NotImplementedError or UnicodeDecodeError of what it finds."""
    plain_model(keras3).save(tmp_path / "good.keras")
    good, broken = (tmp_path / "good.keras").read_bytes(), tmp_path / "broken.keras"
    with zipfile.ZipFile(tmp_path / "good.keras") as file:
        headers = [start + byte for start in (one.header_offset for one in file.infolist()) for byte in range(30)]
        headers += list(range(file.start_dir, len(good)))
    refused = []
    for place in headers:
        for bit in (0, 7):
            content = bytearray(good)
            content[place] ^= 1 << bit
            broken.write_bytes(content)
            try:
                with archive.opened(broken) as opened, opened.unpacked(0):
                    opened.text("config.json")
                    opened.text("metadata.json")
            except UserError as error:
                refused.append(error.message)
    assert len(refused) > 100
    assert all(str(broken) in message for message in refused)


def test_a_full_disk_is_no_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), archive.reading(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(UserError, match="not a readable"), archive.reading(tmp_path):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.mark.parametrize("which", FRAMEWORKS)
def test_metadata_that_are_no_record_are_refused(which: str, tmp_path: Path) -> None:
    plain_model(FRAMEWORKS[which]).save(tmp_path / "m.keras")
    rewritten(tmp_path / "m.keras", lambda config: None, **{"metadata.json": b"[1]"})
    with pytest.raises(UserError, match=r"m\.keras: metadata\.json"):
        door.load(tmp_path / "m.keras")


@pytest.mark.parametrize("depth", [300, 600])
@pytest.mark.parametrize("which", FRAMEWORKS)
def test_settings_are_only_so_deep_before_anything_walks_through_them(which: str, depth: int, tmp_path: Path) -> None:
    path, deep = tmp_path / "m.keras", []  # type: ignore[var-annotated]
    for _ in range(depth):
        deep = [deep]
    plain_model(FRAMEWORKS[which]).save(path)
    rewritten(path, lambda config: layer_of(config, "d")["config"].update(name2=deep))
    with pytest.raises(UserError, match="nested more than 200 deep"):
        door.load(path)


def with_members(path: Path, **members: bytes) -> Path:
    """Adds members, packed, to a file."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize("which", FRAMEWORKS)
def test_only_what_the_loader_asks_for_is_written_and_not_by_the_names_of_members(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework, path, written = FRAMEWORKS[which], tmp_path / "m.keras", []
    inputs = framework.layers.Input((), dtype="string")
    words = framework.layers.StringLookup(name="words")
    words.adapt(np.array(["a", "b", "b"]))
    framework.Model(inputs, words(inputs)).save(path)
    (asset,) = (name for name in zipfile.ZipFile(path).namelist() if name.startswith("assets/"))
    others = {"assets/large": b"x", "other.h5": b"x", f"{asset}/more": b"x", "assets/layers/more/vocabulary.txt": b"x"}
    with_members(path, **others)
    load_state = keras_archive._load_state

    def noted(*given: Any, **named: Any) -> None:
        load_state(*given, **named)
        folder = given[2]
        written.extend(one for one in folder.rglob("*") if one.is_file())
        assert not (folder / "assets").exists()

    monkeypatch.setattr(keras_archive, "_load_state", noted)
    assert door.read(path).get_layer("words").get_vocabulary() == ["[UNK]", "b", "a"]
    assert sorted(one.name for one in written) == ["model.weights.h5", "vocabulary.txt"]


def test_weights_are_no_larger_than_the_model_explains(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    plain_model(keras3).save(path)
    with zipfile.ZipFile(path) as file:
        content = {name: file.read(name) for name in file.namelist()}
    noise = np.random.default_rng(0).integers(0, 256, 1_000_000, np.uint8).tobytes()
    content["model.weights.h5"] += noise + bytes(70_000_000)  # Within the ratio of a bomb.
    path.unlink()
    with pytest.raises(UserError, match=r"bytes of weights; its model has 24"):
        door.load(with_members(path, **content))


def test_vocabularies_are_text_of_a_size_that_is_read_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.keras"
    inputs = keras3.Input((), dtype="string")
    words = keras3.layers.StringLookup(name="words")
    words.adapt(np.array(["a" * 1000]))
    keras3.Model(inputs, words(inputs)).save(path)
    largest = max(zipfile.ZipFile(path).getinfo(name).file_size for name in ("config.json", "metadata.json"))
    monkeypatch.setattr(archive, "_LARGEST_TEXT_BYTES", largest)
    content = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
    (asset,) = (name for name in content if name.startswith("assets/"))
    path.unlink()
    with pytest.raises(UserError, match="assets of its layers are larger than"):
        door.load(with_members(path, **{**content, asset: b"a" * (largest + 1)}))


def test_text_in_an_h5_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = np.bytes_(b"\xff\xfe not text")
    with pytest.raises(UserError, match="its settings are no JSON"):
        door.load(path)


def test_metadata_of_a_saved_model_that_are_no_record_are_refused(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "m", save_format="tf")
    record = tmp_path / "m" / "keras_metadata.pb"
    saved = importlib.import_module("tf_keras.protobuf.saved_metadata_pb2").SavedMetadata()
    saved.ParseFromString(record.read_bytes())
    next(node for node in saved.nodes if node.node_id == 0).metadata = "[1]"
    record.write_bytes(saved.SerializeToString())
    with pytest.raises(UserError, match="its metadata is no record"):
        door.load(tmp_path / "m")


def test_a_model_that_was_never_built_is_refused(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")

    def unbuild(config: dict[str, Any]) -> None:
        layers = config["config"]["layers"]
        config["config"]["layers"] = [one for one in layers if one["class_name"] != "InputLayer"]
        for part in [config, *config["config"]["layers"]]:
            part.pop("build_config", None)

    with pytest.raises(UserError):
        door.load(rewritten(tmp_path / "m.keras", unbuild))


@pytest.fixture
def sized() -> Iterator[Any]:
    """A registered Keras 3 layer with assets of its own, one of them in a folder."""

    class Sized(keras3.layers.Layer):
        words = "none"

        def call(self, x: Any) -> Any:
            return x * len(self.words)

        def save_assets(self, folder: str) -> None:
            (Path(folder) / "more").mkdir()
            (Path(folder) / "more" / "words.txt").write_text(self.words)

        def load_assets(self, folder: str) -> None:
            self.words = (Path(folder) / "more" / "words.txt").read_text()

    door.register(Sized)(lambda layer: keras.layers.Rescaling(len(layer.words), name=layer.name))
    yield Sized
    del rules.REGISTERED[Sized]


def test_a_registered_layer_has_its_own_assets(sized: Any, tmp_path: Path) -> None:
    path, layer = tmp_path / "m.keras", sized(name="sized")
    layer.words = "a few words"
    inputs = keras3.Input((2,))
    keras3.Model(inputs, layer(inputs)).save(path)
    assert door.load(path).get_layer("sized").scale == 11


@pytest.mark.parametrize("name", ["/escaped", "./escaped", "c:escaped"])
def test_assets_of_a_registered_layer_stay_in_their_folder(name: str, sized: Any, tmp_path: Path) -> None:
    path, inputs = tmp_path / "m.keras", keras3.Input((2,))
    keras3.Model(inputs, sized(name="sized")(inputs)).save(path)
    (asset,) = (one for one in zipfile.ZipFile(path).namelist() if one.endswith("words.txt"))
    with_members(path, **{asset.replace("more/words.txt", name): b"x"})
    with pytest.raises(UserError, match="leads outside of the archive"):
        door.load(path)

"""The delivered model of a table: raw cells in, the core's answers out, in plain Keras."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import run_command

from tfday7 import models
from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras3, tf
from tfday7.data import DataConfig, Dataset, columns, load
from tfday7.data.source import SOURCES
from tfday7.models import ModelConfig, building, raw_columns

# What a user of the delivered model writes: `csv`, `datetime` and Keras, nothing of ours.
PLAIN = """
import csv, datetime, json, sys
import keras, numpy as np, tensorflow as tf

def days(text):
    return (datetime.datetime.fromisoformat(text) - datetime.datetime(2000, 1, 1)) / datetime.timedelta(days=1)

read = {"linear": str, "when": lambda text: days(text) if text else float("nan"), "note": str,
        "size": lambda text: float(text) if text else float("nan")}
model = keras.models.load_model(sys.argv[1])
with open(sys.argv[2], newline="", encoding="utf-8") as stream:
    rows = list(csv.DictReader(stream))
inputs = {name: tf.constant([[read[name](row[name])] for row in rows]) for name in model.input}
np.save(sys.argv[3], model(inputs).numpy())
print(json.dumps([model.name, sorted(model.input), "tfday7" in sys.modules]))
"""

CELLS = {  # One column is called like the model.
    "linear": ["Rome", "", "São Paulo", "a\nb", "[UNK]", "rare", 'q"u,ote', " Rome "],
    "size": ["1", "-2.75", "", "1e3", "0", "7", "8", "9"],
    "note": ["", "Good, GOOD food!", "it's a_b-c", "Ünder ünder", "good\nfood", "!!!", "food", "bad\tfood"],
    "when": ["2024-02-29", "1970-01-01T06:00", "", "2031-12-31T23:59:59", "2000-01-01", "2024-07-04T12:00",
             "2010-05-06", "1999-12-31"],
}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with every kind of column and every kind of cell, in 240 rows."""
    found = tmp_path_factory.mktemp("raw") / "cells.csv"
    with found.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*CELLS, "label"])
        draw = random.Random(0)
        for _ in range(240):
            row = [draw.choice(cells) for cells in CELLS.values()]
            writer.writerow([*row, "yes" if row[0] in ("Rome", "rare", "") else "no"])
    return found


def _config(path: Path, **flags: Any) -> DataConfig:
    kinds = "linear=categorical,note=text,when=date,size=numeric"
    return DataConfig(data=str(path), target="label", **{"fill_missing": True, "columns": kinds, **flags})


@pytest.fixture(scope="module")
def dataset(path: Path) -> Dataset:
    return load(_config(path))


def _core(dataset: Dataset, name: str = "linear") -> Any:
    """Returns a model with weights that no output is 0 for."""
    core = building.build(ModelConfig(model=name), dataset.problem, seed=3)
    generator = np.random.default_rng(3)
    core.set_weights(
        [weight + generator.normal(size=weight.shape).astype(weight.dtype) for weight in core.get_weights()]
    )
    return core


def _raw_inputs(path: Path) -> dict[str, Any]:
    table = columns.read_table(str(path))
    numbers = columns.values(table, {"size": "numeric", "when": "date"}, fill_missing=True)
    texts = {name: tf.constant([[text] for text in table.columns[name]]) for name in ("linear", "note")}
    return texts | {name: tf.constant(found[:, np.newaxis], tf.float32) for name, found in numbers.items()}


def test_raw_cells_give_the_answers_that_the_core_gives_for_their_features(path: Path, dataset: Dataset) -> None:
    features = SOURCES.get("csv").load(_config(path)).x[:]
    core = _core(dataset)
    whole = raw_columns.attach(core, dataset.problem.encoding)
    assert set(whole.input) == set(CELLS)
    expected = core(features).numpy()
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(whole(_raw_inputs(path)).numpy(), expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_plain_keras_opens_the_file_and_gives_the_answers(path: Path, dataset: Dataset, tmp_path: Path) -> None:
    core = _core(dataset)
    models.save(raw_columns.attach(core, dataset.problem.encoding), tmp_path / "model.keras")
    arguments = [str(tmp_path / "model.keras"), str(path), str(tmp_path / "out.npy")]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-c", PLAIN, *arguments], capture_output=True, text=True, check=False, env=environment,
        cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == ["linear", sorted(CELLS), False]
    expected = core(SOURCES.get("csv").load(_config(path)).x[:]).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=2e-5 * np.abs(expected).max())


def test_text_alone_goes_in_as_text(path: Path) -> None:
    config = _config(path, columns="linear=drop,size=drop,when=drop,note=text", fill_missing=False)
    dataset = load(config)
    core = _core(dataset)
    whole = raw_columns.attach(core, dataset.problem.encoding)
    expected = core(SOURCES.get("csv").load(config).x[:]).numpy()
    np.testing.assert_allclose(whole({"note": _raw_inputs(path)["note"]}).numpy(), expected, atol=1e-5)


def test_the_core_comes_back_out_of_the_file(path: Path, dataset: Dataset, tmp_path: Path) -> None:
    core, file = _core(dataset), tmp_path / "model.keras"
    models.save(raw_columns.attach(core, dataset.problem.encoding), file)
    again = building.build(ModelConfig(model=str(file)), dataset.problem)
    assert [layer.name for layer in again.layers] == [layer.name for layer in core.layers]
    assert again.name == core.name
    np.testing.assert_array_equal(again(dataset.test.x[:8]).numpy(), core(dataset.test.x[:8]).numpy())


@pytest.mark.parametrize("flags", [{"columns": "note=drop,when=drop"}, {"columns": "note=text,size=categorical"}])
def test_a_core_is_not_fed_columns_that_are_encoded_in_another_way(
    path: Path, dataset: Dataset, tmp_path: Path, flags: dict[str, str]
) -> None:
    file = tmp_path / "model.keras"
    models.save(raw_columns.attach(_core(dataset), dataset.problem.encoding), file)
    with pytest.raises(UserError, match="was trained on a table whose columns are encoded in another way"):
        building.build(ModelConfig(model=str(file)), load(_config(path, **flags)).problem)


def test_models_without_raw_columns_stay_as_they_are(blobs: Dataset) -> None:
    core = building.build(ModelConfig(model="linear"), blobs.problem)
    assert raw_columns.attach(core, None) is core
    assert raw_columns.detach(core, None, "file") is core
    nested = keras3.Sequential([keras3.Input((4,)), keras3.Sequential([keras3.layers.Dense(3)])])
    assert raw_columns.detach(nested, None, "file") is nested


@pytest.mark.slow
def test_a_run_delivers_the_raw_model_exports_the_core_and_can_be_trained_on(path: Path, tmp_path: Path) -> None:
    flags = [f"--data={path}", "--target=label", "--fill_missing", "--columns=linear=categorical,note=text,when=date"]
    ended = run_command("train", *flags, "--model=linear", "--epochs=2", "--run_dir=first", cwd=tmp_path)
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "first" / "run.json").read_text())
    assert [column["kind"] for column in record["data"]["columns"]] == ["categorical", "numeric", "text", "date"]
    assert set(keras3.models.load_model(tmp_path / "first" / "model.keras").input) == set(CELLS)
    artefacts = json.loads((tmp_path / "first" / "exports.json").read_text())["artefacts"]
    for artefact in artefacts:
        assert artefact["parity"]["failures"] == []
        assert artefact["input"]["shape"] == [1, *record["data"]["input_shape"]]
        assert artefact["input"]["columns"] == record["data"]["columns"]
    more = [*flags, "--model=first/model.keras", "--epochs=1", "--run_dir=second", "--export="]
    ended = run_command("train", *more, cwd=tmp_path)
    assert ended.code == 0, ended.err
    second = json.loads((tmp_path / "second" / "run.json").read_text())
    assert second["metric"]["train"] >= record["metric"]["train"] - 0.1

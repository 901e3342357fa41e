"""What a bundle holds, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from deploying import made_bundles
from deploying.made_artefacts import change
from deploying.made_bundles import answers_of, convert

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras
from tfday7.deploying import bundle, guide
from tfday7.exporting import vectors
from tfday7.exporting.vectors import Vectors
from tfday7.runtimes.litert import LiteRT

Artefacts = Callable[..., Path]


def autoencoder() -> tuple[Any, np.ndarray]:
    """Returns a convolutional one as --model=autoencoder builds it, untrained, with images."""
    keras.utils.set_random_seed(2)
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 1))
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(16, 1)(x)
    for filters in (32, 16):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.UpSampling2D()(x))
    model = keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(x))
    return model, np.random.default_rng(2).uniform(0, 1, (32, 8, 8, 1)).astype(np.float32)


def read(made: bundle.Bundle, which: str) -> np.ndarray:
    described = made.spec["vectors"][which]
    dtype = {"float32": "<f4", "int32": "<i4"}[described["dtype"]]
    return np.fromfile(made.folder / described["file"], dtype).reshape(described["shape"])


def test_a_bundle_holds_the_model_its_words_and_its_vectors(artefact: Artefacts, tmp_path: Path) -> None:
    path = artefact("tokens")
    made = bundle.make(path, tmp_path / "made")
    assert sorted(entry.name for entry in made.folder.iterdir()) == [
        "README.md", "bundle.json", "labels.txt", "run_model.py", "tokens_float32.tflite", "vectors_expected.bin",
        "vectors_keras.bin", "vectors_raw.bin", "vocabulary.txt",
    ]  # fmt: skip
    assert made.model.read_bytes() == path.read_bytes()
    assert made.spec["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (made.folder / "labels.txt").read_text() == "cat\ndog\nbird\n"
    assert "A token id is the number of a word: `vocabulary.txt` has" in (made.folder / "README.md").read_text()
    assert (made.folder / "vocabulary.txt").read_text().split("\n")[:3] == ["", "[UNK]", "word0"]
    assert "vocabulary" not in made.spec["input"]
    assert json.loads((made.folder / "bundle.json").read_text()) == made.spec
    given = vectors.read(path.with_name("tokens_vectors.npz"))
    np.testing.assert_array_equal(read(made, "raw"), given.raw)
    np.testing.assert_array_equal(read(made, "keras"), given.keras)
    assert read(made, "raw").dtype == np.int32


def test_the_expected_answers_are_those_of_this_very_file(artefact: Artefacts, tmp_path: Path) -> None:
    """The arithmetic of the record, written out for an int8 file that standardizes before and after."""
    path = artefact("columns", "int8")
    made = bundle.make(path, tmp_path / "made")
    start, end, runner = made.spec["input"], made.spec["output"], LiteRT(path)
    x = (read(made, "raw") - np.array(start["standardization"]["mean"])) / start["standardization"]["std"]
    steps = np.round(x.astype(np.float32) / np.float32(start["scale"])) + start["zero_point"]
    numbers = []
    for row in np.clip(steps, -128, 127).astype(np.int8):
        runner.feed(row[np.newaxis])
        runner.run()
        numbers.append(runner.read().astype(np.float32))
    y = (np.concatenate(numbers) - np.float32(end["zero_point"])) * np.float32(end["scale"])
    answers = y * np.array(end["standardization"]["std"]) + np.array(end["standardization"]["mean"])
    np.testing.assert_array_equal(read(made, "expected"), answers.astype(np.float32))


def test_the_same_artefact_gives_the_same_bytes(artefact: Artefacts, tmp_path: Path) -> None:
    first, second = (bundle.make(artefact("cnn", "int8"), tmp_path / name) for name in ("first", "second"))
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_only_a_file_with_variables_is_stateful_and_its_readme_says_to_reset_it(
    artefact: Artefacts, tmp_path: Path
) -> None:
    lstm, cnn = (bundle.make(artefact(model), tmp_path / model) for model in ("lstm", "cnn"))
    assert (lstm.spec["stateful"], cnn.spec["stateful"]) == (True, False)
    assert "reset_all_variables" in (lstm.folder / "README.md").read_text()
    assert "reset_all_variables" not in (cnn.folder / "README.md").read_text()


def test_names_cannot_become_markup(artefact: Artefacts, tmp_path: Path) -> None:
    """A model's name is that of its run's folder, and what a record says is text of any origin."""
    made = bundle.make(artefact("cnn"), tmp_path / "made")
    hostile = "x`<img src=x onerror=alert(1)>`[y](http://z)"
    assert made.artefact.parity is not None
    parity = dataclasses.replace(made.artefact.parity, metric=hostile, failures=[hostile])
    told = dataclasses.replace(made.artefact, parity=parity, notes=[hostile])
    end = {**made.spec["output"], "task": hostile, "meaning": hostile}
    text = guide.text(told, {**made.spec, "name": hostile, "model": hostile, "output": end}, 0.1)
    assert "onerror" in text
    assert "<img" not in text
    assert "](http" not in text


def test_what_a_device_may_differ_by_follows_from_the_outputs_numbers(artefact: Artefacts, tmp_path: Path) -> None:
    def tolerances(model: str, kind: str) -> tuple[bundle.Bundle, list[float]]:
        made = bundle.make(artefact(model, kind), tmp_path / f"{model}_{kind}")
        found = made.spec["vectors"]
        return made, found.get("column_tolerances", [found["tolerance"]])

    made, (allowed,) = tolerances("cnn", "int8")
    assert allowed == pytest.approx(1.01 * made.spec["output"]["scale"])  # Three operators: one step.
    made, found = tolerances("columns", "int8")
    assert found == pytest.approx([1.01 * made.spec["output"]["scale"] * std for std in (9.3, 0.51)])
    assert made.spec["vectors"]["tolerance"] == max(found)
    made, (allowed,) = tolerances("cnn", "float32")
    assert allowed == pytest.approx(1e-4 * np.abs(read(made, "expected")).max())
    made, found = tolerances("several", "float32")
    price, city = (1e-4 * np.abs(read(made, "expected")[:, columns]).max() for columns in (slice(0, 1), slice(1, 4)))
    assert found == pytest.approx([price, city, city, city])
    made, found = tolerances("columns", "float32")
    inner = (read(made, "expected") - np.array([5000.1, 0.7])) / [9.3, 0.51]
    largest, offset = 1e-4 * np.abs(inner).max(), 2.0**-23 * np.abs(read(made, "expected")).max(axis=0)
    assert found == pytest.approx([largest * 9.3 + offset[0], largest * 0.51 + offset[1]])


def test_a_deep_int8_file_may_pass_a_step_on_from_layer_to_layer(artefact: Artefacts) -> None:
    recorded = bundle.check(artefact("cnn", "int8"))
    step = 1.01 * recorded.output["scale"]
    for operators, steps in ((1, 1), (7, 1), (8, 2), (30, 4)):
        assert bundle.tolerances(recorded, np.ones((2, 3)), operators) == pytest.approx([steps * step])
    for apart, steps in ((0, 2), (1, 2), (3, 3), (8, 8), (100, 8)):  # By the file itself; more is no rounding.
        assert bundle.tolerances(recorded, np.ones((2, 3)), 8, apart) == pytest.approx([steps * step])


def test_the_reference_kernels_answers_to_an_autoencoder_are_within_what_is_allowed(tmp_path: Path) -> None:
    """Of 8 operators, and 3 steps away from XNNPACK's, as TFLite Micro's are, too."""
    model, raw = autoencoder()
    made = made_bundles.made(
        tmp_path, convert(model, raw, "int8"), answers_of(model, raw), task="reconstruction", meaning="values"
    )
    interpreter = Interpreter(str(made.model), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    start, end, answers = made.spec["input"], made.spec["output"], []
    for x in np.clip(np.round(raw / np.float32(start["scale"])) + start["zero_point"], -128, 127).astype(np.int8):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[np.newaxis])
        interpreter.invoke()
        made_here = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        answers.append((made_here.astype(np.float64) - end["zero_point"]) * end["scale"])
    difference = np.abs(np.stack(answers) - read(made, "expected")).max()
    assert difference > 2.5 * end["scale"]
    assert difference <= made.spec["vectors"]["tolerance"] <= 4 * end["scale"]


@pytest.mark.parametrize("scale", [0.5, None])
def test_a_sign_that_turns_at_the_end_allows_a_device_as_much(artefact: Artefacts, scale: float | None) -> None:
    """As a Rescaling by -2 does."""
    recorded = bundle.check(artefact("cnn"))
    allowed = []
    for sign in (1.0, -1.0):
        output = {"scale": scale, "standardization": {"mean": [1.0], "std": [3.0, sign * 2.0]}}
        turned = dataclasses.replace(recorded, output=output)
        allowed.append(bundle.tolerances(turned, np.array([[7.0, 1.0 + sign * 4.0]]), 1))
    np.testing.assert_allclose(allowed[1], allowed[0], rtol=1e-2)
    assert (allowed[1] > 0).all()


def test_the_readme_says_what_is_not_known_and_where_numbers_end(copied: Artefacts, tmp_path: Path) -> None:
    path = copied("cnn", "int8")
    parity = {"largest_difference": None, "mean_difference": None, "failures": ["outputs hold NaN"]}
    made = bundle.make(change(path, parity=parity), tmp_path / "made")
    readme = (made.folder / "README.md").read_text()
    assert "largest difference unknown, mean unknown" in readme
    assert "is BROKEN: outputs hold NaN" in readme
    assert "cut off at -128 and 127" in readme
    wide = {**made.spec, "input": {**made.spec["input"], "dtype": "int16"}}
    assert "cut off at -32768 and 32767" in guide.text(made.artefact, wide, 0.1)


def test_a_file_that_is_no_tflite_file_is_refused_by_its_format(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"anything")
    with pytest.raises(UserError, match=r"\.onnx cannot be deployed") as error:
        bundle.check(path)
    assert "--formats=tflite" in error.value.hint


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"format": "onnx"}, "format 'onnx'"),
        ({"sha256": "0" * 64, "files": []}, "not the record of"),
        ({"vectors": None}, "names no test vectors"),
        ({"name": "../outside"}, "expected a file's name"),
        ({"name": "-rf"}, "expected a file's name"),
        ({"name": "line\nbreak"}, "expected a file's name"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_followed_is_refused(copied: Artefacts, fields: dict, reason: str) -> None:
    path = change(copied("cnn"), **fields)
    with pytest.raises(UserError, match=reason) as error:
        bundle.check(path)
    assert error.value.hint


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"labels": ["cat", "dog\nbird", "x"]}, "cannot be a line of labels.txt"),
        ({"input": {"shape": [1, 9, 9, 1]}}, "its record says input shape"),
        ({"output": {"scale": 0.5, "zero_point": 0}}, "its record says output scale"),
        ({"vectors": "nothing.npz"}, "no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_bundled_leaves_nothing(copied: Artefacts, tmp_path: Path, fields: dict, reason: str) -> None:
    path = change(copied("cnn"), **fields)
    with pytest.raises(UserError, match=reason):
        bundle.make(path, tmp_path / "out" / "made")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_vectors_of_another_model_are_refused(copied: Artefacts, tmp_path: Path) -> None:
    path = copied("cnn")
    other = Vectors(np.zeros((3, 4), np.float32), np.zeros((3, 3), np.float32))
    vectors.write(path.with_name("cnn_vectors.npz"), other)
    with pytest.raises(UserError, match=r"its inputs are float32 \[4\]; cnn_float32.tflite takes float32 \[8, 8, 1\]"):
        bundle.make(path, tmp_path / "made")


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_a_damaged_file_is_refused_even_where_its_record_agrees(copied: Artefacts, tmp_path: Path, cut: int) -> None:
    path = copied("cnn")
    content = path.read_bytes()[:cut] if cut >= 0 else b"x" * 5000
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change(path, sha256=digest, files=[{"name": path.name, "size_bytes": len(content), "sha256": digest}])
    with pytest.raises(UserError, match="cannot load"):
        bundle.make(path, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_runtime_that_is_not_installed_here_is_named_with_the_extra_that_brings_it(
    artefact: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = artefact("cnn")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="litert is not installed") as error:
        bundle.make(path, tmp_path / "made")
    assert "pip install 'tfday7[litert]'" in error.value.hint

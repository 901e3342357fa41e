"""Metadata as TensorFlow Lite Support reads it, and a model that stays what it was, to the bit."""

from __future__ import annotations

import functools
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from exporting.tflite_samples import examples, sample
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from tfday7.core.errors import UserError
from tfday7.core.frameworks import tf
from tfday7.exporting import tflite_file, tflite_root
from tfday7.exporting.records import Artefact
from tfday7.exporting.tflite_metadata import InputInfo, ModelInfo, OutputInfo, attach, info_of, normalization, read

REFERENCE = ROOT / ".reference"
# What the reference imports as TensorFlow, if it is there, registers the same names with pybind11 and fails.
PRELUDE = "import json, sys\nsys.modules['tensorflow'] = None\n"

IMAGE = InputInfo("image", "Pixels.", "image", 8, 8, 3, (127.5, 100.0, 90.0), (255.0, 128.0, 64.0), (0.0,), (255.0,))
CAT = ModelInfo("pets", IMAGE, OutputInfo("logit", "One a class.", ("猫", "Hund ß", "🐦")), "Pets.", "1.2", "me", "MIT")
WORDS = ModelInfo(
    "words",
    InputInfo("tokens", content="tokens", vocabulary=("[padding]", "[unknown]", "été")),
    OutputInfo("probability", minimum=(0.0,), maximum=(1.0,)),
)
SERIES = ModelInfo("series", InputInfo("features", mean=(0.5,) * 4, std=(2.0,) * 4), OutputInfo("value"))
CASES = {
    ("conv", "float32"): CAT,
    ("conv", "int8"): CAT,
    ("tokens", "int8"): WORDS,
    ("lstm", "int8"): SERIES,
    ("dense", "float16"): SERIES,
}


def reference(script: str, *arguments: str) -> str:
    """Returns what a script prints that runs with TensorFlow Lite Support; skips the test where that is missing."""
    if reason := _missing():
        pytest.skip(reason)
    ended = _run(script, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@functools.cache
def _missing() -> str:
    if not (REFERENCE / "tflite_support").is_dir():
        return "tflite-support is not in .reference: make reference-tools"
    ended = _run("from tensorflow_lite_support.metadata.python import metadata")
    return "" if ended.returncode == 0 else f"tflite-support does not load: {ended.stderr.splitlines()[-1]}"


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(folder) for folder in (REFERENCE / "protobuf3", REFERENCE))
    environment = {**os.environ, "PYTHONPATH": path, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + script, *arguments],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


DISPLAY = """
from tensorflow_lite_support.metadata.cc.python import _pywrap_metadata_version
from tensorflow_lite_support.metadata.python.metadata import MetadataDisplayer
shown = MetadataDisplayer.with_model_file(sys.argv[1])
files = shown.get_packed_associated_file_list()
print(json.dumps({
    "metadata": json.loads(shown.get_metadata_json()),
    "files": {name: shown.get_associated_file_buffer(name).decode() for name in files},
    "version": _pywrap_metadata_version.GetMinimumMetadataParserVersion(bytes(shown.get_metadata_buffer())),
}))
"""


@pytest.mark.parametrize("case", CASES, ids="_".join)
def test_the_reference_reader_finds_what_was_written(case: tuple[str, str], tmp_path: Path) -> None:
    info, path = CASES[case], tmp_path / "model.tflite"
    path.write_bytes(attach(sample(*case), info))
    shown = json.loads(reference(DISPLAY, str(path)))
    found = shown["metadata"]
    (graph,) = found["subgraph_metadata"]
    (taken,), (made,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert (found["name"], taken["name"], made["name"]) == (info.name, info.input.name, info.output.name)
    assert found.get("author", "") == info.author
    assert found.get("license", "") == info.license
    assert found.get("version", "") == info.version
    assert found.get("description", "") == info.description
    assert found["min_parser_version"] == shown["version"]
    units = taken.get("process_units", [])
    assert [unit["options"] for unit in units] == (
        [{"mean": list(info.input.mean), "std": list(info.input.std)}] if info.input.mean else []
    )
    kind = "ImageProperties" if info.input.content == "image" else "FeatureProperties"
    assert taken["content"]["content_properties_type"] == kind
    files = {}
    if info.output.labels:
        files["labels.txt"] = "".join(f"{label}\n" for label in info.output.labels)
        assert [file["type"] for file in made["associated_files"]] == ["TENSOR_AXIS_LABELS"]
    if info.input.vocabulary:
        files["vocabulary.txt"] = "".join(f"{word}\n" for word in info.input.vocabulary)
        assert [file["type"] for file in taken["associated_files"]] == ["VOCABULARY"]
    assert shown["files"] == files


def test_the_reference_reader_finds_an_image_with_its_size_colours_and_range(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(attach(sample("conv"), CAT))
    (graph,) = json.loads(reference(DISPLAY, str(path)))["metadata"]["subgraph_metadata"]
    (taken,) = graph["input_tensor_metadata"]
    assert taken["content"]["content_properties"] == {"color_space": "RGB", "default_size": {"width": 8, "height": 8}}
    assert taken["stats"] == {"max": [255.0], "min": [0.0]}


CLASSIFY = """
import numpy as np
from tflite_support.task import core, processor, vision
options = vision.ImageClassifierOptions(
    core.BaseOptions(file_name=sys.argv[1]), processor.ClassificationOptions(score_threshold=-100.0)
)
classifier = vision.ImageClassifier.create_from_options(options)
found = classifier.classify(vision.TensorImage.create_from_array(np.load(sys.argv[2])))
print(json.dumps({entry.category_name: entry.score for entry in found.classifications[0].categories}))
"""


def test_the_task_library_classifies_raw_pixels_by_the_metadata_alone(tmp_path: Path) -> None:
    if not (REFERENCE / "protobuf3").is_dir():
        pytest.skip("protobuf 3 is not in .reference: make reference-tools")
    content = attach(sample("conv"), CAT)
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    (tmp_path / "model.tflite").write_bytes(content)
    np.save(tmp_path / "pixels.npy", pixels)
    scores = json.loads(reference(CLASSIFY, str(tmp_path / "model.tflite"), str(tmp_path / "pixels.npy")))
    fed = ((pixels - np.array(IMAGE.mean)) / np.array(IMAGE.std)).astype(np.float32)
    assert scores == pytest.approx(
        dict(zip(CAT.output.labels, answers(content, fed[np.newaxis])[0][0], strict=True)), abs=1e-6
    )


def answers(content: bytes, x: np.ndarray) -> list[np.ndarray]:
    """Returns a file's own numbers for real inputs, one after the other."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = given["quantization"]
    found = []
    for example in x:
        value = example if not scale else np.clip(np.round(example / scale) + zero_point, -128, 127)
        interpreter.reset_all_variables()
        interpreter.set_tensor(given["index"], value.astype(given["dtype"])[np.newaxis])
        interpreter.invoke()
        found.append(interpreter.get_tensor(made["index"]))
    return found


@pytest.mark.parametrize("case", CASES, ids="_".join)
def test_the_model_answers_the_same_to_the_bit(case: tuple[str, str]) -> None:
    x = examples(case[0], 5)
    before, after = answers(sample(*case), x), answers(attach(sample(*case), CASES[case]), x)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert not np.array_equal(before[0], before[1])


@pytest.mark.parametrize("case", CASES, ids="_".join)
def test_the_model_lies_in_the_file_byte_by_byte_at_its_old_alignment(case: tuple[str, str]) -> None:
    before, after = sample(*case), attach(sample(*case), CASES[case])
    assert after.count(before) == 1
    assert after.index(before) % 16 == 0
    old, new = constants(before), constants(after)
    assert [(data, position % 16) for position, data in old] == [(data, position % 16) for position, data in new[:-1]]
    assert new[-1][0] % 16 == 0  # The metadata itself.
    one, other = tflite_file.read(before), tflite_file.read(after)
    assert (one.nodes, one.tensors, one.signatures) == (other.nodes, other.tensors, other.signatures)
    assert other.metadata == (*one.metadata, "TFLITE_METADATA")
    assert other.min_runtime_version == one.min_runtime_version


def constants(content: bytes) -> list[tuple[int, bytes]]:
    """Returns each buffer's position in the file and its bytes."""
    model, found = schema.Model.GetRootAs(content, 0), []
    for i in range(model.BuffersLength()):
        if (buffer := model.Buffers(i)).DataLength():
            data = buffer.DataAsNumpy().tobytes()
            position = buffer._tab.Vector(buffer._tab.Offset(4))
            assert content[position : position + len(data)] == data
            found.append((position, data))
    return found


def test_the_same_metadata_gives_the_same_bytes_and_other_metadata_takes_its_place() -> None:
    content = sample("conv")
    once = attach(content, CAT)
    assert once == attach(content, CAT)
    assert attach(once, CAT) == once
    other = ModelInfo("other", IMAGE, OutputInfo("value"))
    assert attach(once, other) == attach(content, other)


def test_metadata_of_another_writer_is_replaced() -> None:
    """The other writer's data stays in the file, where nobody finds it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(sample("conv"), 0))
    model.metadata.append(schema.MetadataT(b"TFLITE_METADATA", len(model.buffers)))
    model.buffers.append(schema.BufferT(np.frombuffer(b"\0\0\0\0M001 something else", np.uint8)))
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    foreign = bytes(builder.Output())
    assert tflite_root.without_metadata(foreign, "TFLITE_METADATA") == foreign
    both = attach(foreign, CAT)
    found = read(both)
    assert found is not None
    assert found["name"] == "pets"
    assert tflite_file.read(both).metadata.count("TFLITE_METADATA") == 1


def test_what_was_written_is_read_back() -> None:
    found = read(attach(sample("conv"), CAT))
    assert found is not None
    assert (found["name"], found["author"], found["license"], found["version"]) == ("pets", "me", "MIT", "1.2")
    assert found["input"]["colour_space"] == "RGB"
    assert (found["input"]["mean"], found["input"]["std"]) == ([127.5, 100.0, 90.0], [255.0, 128.0, 64.0])
    assert found["files"] == {"labels.txt": ["猫", "Hund ß", "🐦"]}
    assert read(sample("conv")) is None


def test_labels_lie_in_an_archive_that_is_not_compressed() -> None:
    with zipfile.ZipFile(io.BytesIO(attach(sample("conv"), CAT))) as archive:
        (entry,) = archive.infolist()
        assert entry.compress_type == zipfile.ZIP_STORED
        assert archive.read("labels.txt").decode() == "猫\nHund ß\n🐦\n"
        assert archive.testzip() is None


def test_every_label_is_one_line_that_no_reader_skips() -> None:
    labels = ("a\nb", "", "  ", "c\r\nd\u2028e", "two  spaces")
    found = read(attach(sample("conv"), ModelInfo("m", IMAGE, OutputInfo("logit", labels=labels))))
    assert found is not None
    assert found["files"]["labels.txt"] == ["a b", "[blank]", "[blank]", "c d e", "two  spaces"]


@given(
    raw=st.floats(-1e4, 1e4),
    divisor=st.sampled_from([1.0, 255.0, 127.5]),
    mean=st.floats(-100, 100),
    std=st.floats(0.01, 100),
)
def test_divisor_and_standardization_are_one_normalization(raw: float, divisor: float, mean: float, std: float) -> None:
    (whole_mean,), (whole_std,) = normalization({"divisor": divisor, "standardization": {"mean": [mean], "std": [std]}})
    expected = (raw / divisor - mean) / std
    assert (raw - whole_mean) / whole_std == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_without_standardization_raw_values_are_only_divided() -> None:
    assert normalization({"divisor": 255.0, "standardization": None}) == ((0.0,), (255.0,))
    assert normalization({}) == ((0.0,), (1.0,))


def artefact(given_input: dict[str, Any], output: dict[str, Any], labels: list[str] | None = None) -> Artefact:
    return Artefact("m_int8", "tflite", "int8", input=given_input, output=output, labels=labels or [])


def test_a_record_of_an_image_classifier_becomes_its_metadata() -> None:
    scaling = {"mean": [0.5], "std": [0.25]}
    shape = {"dtype": "int8", "shape": [1, 8, 6, 1], "divisor": 255.0, "standardization": scaling}
    info = info_of(
        artefact(
            {**shape, "preprocessing": "pixels / 255"}, {"task": "classification", "meaning": "logits"}, ["a", "b"]
        ),
        author="me",
    )
    assert (info.name, info.author) == ("m_int8", "me")
    assert (info.input.content, info.input.width, info.input.height, info.input.channels) == ("image", 6, 8, 1)
    assert (info.input.mean, info.input.std) == ((0.5 * 255,), (0.25 * 255,))
    assert "pixels / 255" in info.input.description
    assert info.output.labels == ("a", "b")
    assert "softmax" in info.output.description


def test_a_record_of_texts_keeps_its_ids_as_they_are() -> None:
    given_input = {"dtype": "int32", "shape": [1, 20], "vocabulary": ["[padding]", "[unknown]", "word"], "divisor": 1.0}
    info = info_of(artefact(given_input, {"task": "classification", "meaning": "probabilities"}, ["a", "b"]))
    assert (info.input.content, info.input.mean, info.input.std) == ("tokens", (), ())
    assert info.input.vocabulary == ("[padding]", "[unknown]", "word")
    assert (info.output.minimum, info.output.maximum) == ((0.0,), (1.0,))


def test_what_scales_a_target_back_is_said_in_words() -> None:
    given_input = {"dtype": "float32", "shape": [1, 3]}
    output = {"task": "regression", "meaning": "values", "standardization": {"mean": [2000.0], "std": [9.5]}}
    info = info_of(artefact(given_input, output))
    assert "y * std + mean with mean 2000 and std 9.5" in info.output.description
    assert (info.output.labels, info.output.minimum) == ((), ())
    assert info.input.description == "3 numbers."


def test_several_targets_are_named_with_their_columns() -> None:
    heads = [
        {"name": "price", "task": "regression", "columns": [0, 1], "labels": []},
        {"name": "city", "task": "classification", "columns": [1, 3], "labels": ["Ulm", "Bonn"]},
    ]
    info = info_of(
        artefact({"dtype": "float32", "shape": [1, 3]}, {"task": "several", "meaning": "logits", "heads": heads})
    )
    assert "Columns 0 to 0: price, regression." in info.output.description
    assert "Columns 1 to 2: city, classification (Ulm, Bonn)." in info.output.description
    assert info.output.labels == ()


def test_a_file_with_constants_outside_of_its_flatbuffer_is_refused() -> None:
    module = tf.Module()
    weights = tf.constant(np.ones((64, 64)), tf.float32)
    spec = tf.TensorSpec((1, 64), tf.float32, name="input")
    module.serve = tf.function(lambda x: {"output": tf.matmul(x, weights)}, input_signature=[spec], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    converter._experimental_use_buffer_offset = True
    content = converter.convert()
    assert tflite_file.read(content).weight_bytes == {"float32": 64 * 64 * 4}
    with pytest.raises(UserError, match="outside of its flatbuffer"):
        attach(content, SERIES)


def test_a_model_with_two_outputs_is_refused() -> None:
    module = tf.Module()
    spec = tf.TensorSpec((1, 4), tf.float32, name="input")
    module.serve = tf.function(lambda x: {"a": x + 1, "b": x * 2}, input_signature=[spec], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    with pytest.raises(UserError, match="1 inputs and 2 outputs"):
        attach(converter.convert(), SERIES)


def test_what_is_no_model_is_a_user_error() -> None:
    with pytest.raises(UserError, match="not a TFLite model"):
        attach(b"something", CAT)
    with pytest.raises(UserError, match="not a TFLite model"):
        read(b"something")


def test_damaged_metadata_is_a_user_error_or_reads_otherwise() -> None:
    content = attach(sample("conv"), CAT)
    front = content.index(sample("conv"))
    failed = 0
    for place in (*range(front), *range(front + len(sample("conv")), len(content))):
        value = 0xFF if place % 2 else content[place] ^ 0x08
        try:
            read(content[:place] + bytes([value]) + content[place + 1 :])
        except UserError:
            failed += 1
    assert failed > 100

"""The Kotlin that goes into an app, compiled and run: it must make of raw values, bit by bit, what NumPy makes of them.

One compilation serves all models; each has a package of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from deploying.android.kotlin_stubs import ANDROID, ANSWERS, ASSETS, LITERT
from deploying.made_bundles import (
    VECTORS,
    answers_of,
    convert,
    dense,
    generator,
    image_classifier,
    made,
    word_classifier,
)

from tfday7.deploying.android import deploy
from tfday7.deploying.bundle import Bundle
from tfday7.deploying.config import DeployConfig
from tfday7.deploying.rendering import identifier
from tfday7.exporting.vectors import Vectors

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("kotlinc") is None, reason="kotlinc is not installed (apt-get install kotlin)"),
]

COLUMNS = 5000  # More constants than fit into one JVM method.
HOSTILE_NAME = 'it\'s a "$model"; ${exit} `x` * @PACKAGE@_int8'
HOSTILE_LABELS = ('"); System.exit(3) //', "${1/0} $labels", "tab\tback\\slash \\n ünï 类")
WORDS = ("[padding]", "[unknown]", "$word", '"', *(f"w{i}" for i in range(4, 20)))


def pixels(folder: Path) -> Bundle:
    """Int8, raw values divided by 255; halves of a pixel fall onto the boundaries of rounding, others far outside."""
    model, raw = image_classifier()
    content = convert(model, raw / 255, "int8")
    raw = generator().integers(0, 511, raw.shape).astype(np.float32) / 2
    raw[0, 0, :4, 0] = [1e30, -1e30, -0.0, 1e-40]
    vectors = Vectors(raw, np.asarray(model(raw / 255)))
    return made(folder, content, vectors, HOSTILE_NAME, labels=HOSTILE_LABELS, input={"divisor": 255.0})


def regression(folder: Path) -> Bundle:
    """Int8 between means and deviations of 5,000 columns and of two targets."""
    model = dense(COLUMNS, 2)
    mean, std = generator().normal(size=(2, COLUMNS)) * [[1e3], [1.0]]
    raw = (mean + generator().normal(size=(VECTORS, COLUMNS)) * std).astype(np.float32)
    core = ((raw - mean) / std).astype(np.float32)
    return made(
        folder,
        convert(model, core, "int8"),
        Vectors(raw, np.asarray(model(core))),
        "prices_int8",
        "regression",
        "values",
        input={"standardization": {"mean": mean.tolist(), "std": std.tolist()}},
        output={"standardization": {"mean": [2000.0, 1e-3], "std": [9.1, 1 / 3]}},
    )


def words(folder: Path) -> Bundle:
    """Token ids in, probabilities out."""
    model, raw = word_classifier()
    vocabulary = {"vocabulary": list(WORDS)}
    vectors = answers_of(model, raw)
    return made(
        folder,
        convert(model, raw),
        vectors,
        "words_float32",
        meaning="probabilities",
        labels=("a", "b"),
        input=vocabulary,
    )


def tags(folder: Path) -> Bundle:
    """Int8, several labels an example; one mean for all columns."""
    model = dense(4, 3)
    raw = generator().normal(size=(VECTORS, 4)).astype(np.float32)
    one = {"standardization": {"mean": [0.25], "std": [0.1]}}
    content = convert(model, ((raw - 0.25) / 0.1).astype(np.float32), "int8")
    return made(folder, content, answers_of(model, raw), "tags_int8", "multilabel", labels=("x", "y", "z"), input=one)


def several(folder: Path) -> Bundle:
    """Float32, a class and two values at once."""
    model = dense(4, 5)
    raw = generator().normal(size=(VECTORS, 4)).astype(np.float32)
    targets = [
        {"name": "city\t$", "task": "classification", "columns": [0, 3], "labels": ["A", "B", "\\n"]},
        {"name": "price", "task": "regression", "columns": [3, 5], "labels": []},
    ]
    scaling = {"mean": [0.0, 0.0, 0.0, 7.5, 1.0], "std": [1.0, 1.0, 1.0, 0.3, 2.0]}
    output = {"heads": targets, "standardization": scaling}
    return made(
        folder, convert(model, raw), answers_of(model, raw), "both_float32", "several", "logits, values", output=output
    )


MODELS = {made_by.__name__: made_by for made_by in (pixels, regression, words, tags, several)}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[Path, Bundle]]]:
    """All bundles, and their Kotlin in one jar."""
    root = tmp_path_factory.mktemp("kotlin")
    found, extra = {}, {"Android.kt": ANDROID, "Assets.kt": ASSETS, "LiteRT.kt": LITERT}
    for name, made_by in MODELS.items():
        bundle = made_by(root / name)
        package = deploy(bundle, root / name / "android", DeployConfig(device="android"), lambda _: None)["package"]
        found[name] = (root / name / "android", bundle)
        extra[f"{name}/Answers.kt"] = ANSWERS.replace("@PACKAGE@", package)
    for name, text in extra.items():
        (root / "stubs" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "stubs" / name).write_text(text, encoding="utf-8")
    sources = [str(path) for folder in (*(one for one, _ in found.values()), root / "stubs") for path in kotlin(folder)]
    ended = subprocess.run(
        [str(shutil.which("kotlinc")), *sources, "-include-runtime", "-d", str(root / "check.jar")],
        env={**os.environ, "JAVA_OPTS": "-Xmx1g -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"},  # A third of the time.
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return root / "check.jar", found


def kotlin(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.kt"))


def java(jar: Path, bundle: Bundle, main: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    package = f"tfday7.{identifier(bundle.spec['name'])}"
    return subprocess.run(
        [
            str(shutil.which("java")),
            f"-Dvectors={folder / 'test_vectors'}",
            "-cp",
            str(jar),
            f"{package}.{main}",
            str(folder),
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", MODELS)
def test_kotlin_makes_the_bytes_and_values_that_numpy_makes(name: str, compiled) -> None:
    jar, found = compiled
    folder, bundle = found[name]
    ended = java(jar, bundle, "CheckVectorsKt", folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{VECTORS} vectors: input bytes and output values are equal, answers agree\n"


@pytest.mark.parametrize("file", ["model_input.bin", "values.bin", "answers.bin"])
def test_the_check_finds_a_single_wrong_number(file: str, compiled, tmp_path: Path) -> None:
    jar, found = compiled
    folder, bundle = found["tags"]
    shutil.copytree(folder, tmp_path / "broken")
    path = tmp_path / "broken" / "test_vectors" / file
    content = bytearray(path.read_bytes())
    content[-2] ^= 0x01
    path.write_bytes(content)
    ended = java(jar, bundle, "CheckVectorsKt", tmp_path / "broken")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: vector {VECTORS - 1}: ")


def said(jar: Path, bundle: Bundle, folder: Path, *words: str) -> tuple[list[list[tuple]], dict[str, str]]:
    """Returns the answers (target, label, index, value) to each vector as an app gets them, and all else printed."""
    ended = java(jar, bundle, "AnswersKt", folder, *words)
    assert ended.returncode == 0, ended.stderr
    answers: list[list[tuple]] = [[] for _ in range(VECTORS)]
    other = {}
    for line in ended.stdout.splitlines():
        first, _, rest = line.partition(" ")
        if not first.isdigit():
            other[first] = rest
            continue
        target, label, index, value = rest.split()
        texts = [bytes.fromhex(text[1:]).decode("utf-8") for text in (target, label)]
        answers[int(first)].append((*texts, int(index), float(value)))
    return answers, other


def expected(bundle: Bundle) -> np.ndarray:
    """Returns the file's own answers before the last step, as the bundle has them."""
    described = bundle.spec["vectors"]["expected"]
    values = np.fromfile(bundle.folder / described["file"], described["dtype"])
    return values.reshape(described["shape"]).astype(np.float64)


def softmax(y: np.ndarray) -> np.ndarray:
    return np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)


def test_an_app_gets_all_classes_the_likeliest_first_under_their_own_names(compiled) -> None:
    jar, found = compiled
    folder, bundle = found["pixels"]
    answers, other = said(jar, bundle, folder)
    for row, given in zip(softmax(expected(bundle)), answers, strict=True):
        order = np.argsort(-row, kind="stable")
        assert [(target, label, index) for target, label, index, _ in given] == [
            ("", HOSTILE_LABELS[i], i) for i in order
        ]
        np.testing.assert_allclose([value for *_, value in given], row[order], rtol=1e-6)
    assert [bytes.fromhex(text[1:]).decode() for text in other["labels"].split()] == list(HOSTILE_LABELS)


def test_an_app_gets_the_labels_that_apply(compiled) -> None:
    jar, found = compiled
    folder, bundle = found["tags"]
    answers, _ = said(jar, bundle, folder)
    applies = expected(bundle) > 0
    assert 0 < applies.sum() < applies.size
    assert [[label for _, label, _, _ in given] for given in answers] == [
        [label for label, is_so in zip("xyz", row, strict=True) if is_so] for row in applies
    ]


def test_an_app_gets_each_target_of_several(compiled) -> None:
    jar, found = compiled
    folder, bundle = found["several"]
    answers, _ = said(jar, bundle, folder)
    wanted = expected(bundle)
    for row, likely, given in zip(wanted, softmax(wanted[:, :3]), answers, strict=True):
        order = np.argsort(-likely, kind="stable")
        assert [(target, label) for target, label, _, _ in given] == [
            *(("city\t$", ["A", "B", "\\n"][i]) for i in order),
            ("price", "0"),
            ("price", "1"),
        ]
        np.testing.assert_allclose([value for *_, value in given], [*likely[order], *row[3:]], rtol=1e-6)


def test_an_app_gets_ids_of_words_and_is_refused_ids_of_none(compiled) -> None:
    jar, found = compiled
    folder, bundle = found["words"]
    answers, other = said(jar, bundle, folder, "w4", "$word", "never seen", '"')
    assert other["ids"] == "4 2 1 3 0 0"
    assert other["refused"] == "token id 20 of 20 words"
    np.testing.assert_allclose(  # The outputs are called probabilities, so they come as they are.
        [sorted(value for *_, value in given) for given in answers], np.sort(expected(bundle), axis=1), rtol=1e-6
    )

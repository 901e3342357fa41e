"""The runner that goes to a device: its answers are the package's bit for bit, and mistakes are two lines."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Ended, load_script

from tfday7.deploying import bundle

Artefacts = Callable[..., Path]
SOURCE = Path(bundle.__file__).with_name("device") / "run_model.py"
ALLOWED = {
    "__future__", "argparse", "collections", "hashlib", "importlib", "json", "numpy", "os", "pathlib", "platform",
    "sys", "time", "typing",
}  # fmt: skip
MODELS = [
    ("cnn", "float32"), ("cnn", "int8"), ("columns", "float32"), ("columns", "int8"),
    pytest.param("lstm", "float32", marks=pytest.mark.slow),
    ("tokens", "float32"), ("tokens", "int8"), ("multilabel", "float32"), ("several", "float32"),
]  # fmt: skip


@pytest.fixture(scope="module")
def bundled(artefact: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the folder of a bundle by model and kind; tests that change one copy it first."""
    folder = tmp_path_factory.mktemp("bundles")

    def find(model: str, kind: str = "float32") -> Path:
        made = folder / f"{model}_{kind}"
        return made if made.exists() else bundle.make(artefact(model, kind), made).folder

    return find


@pytest.fixture
def own(bundled: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(bundled("cnn"), tmp_path / "own"))


def load(folder: Path) -> Any:
    """Returns the runner as a module, as it lies in a bundle."""
    return load_script(folder / "run_model.py", f"run_model_{folder.name}")


def run(folder: Path, *arguments: str, first: Path | None = None) -> Ended:
    """Runs the runner in a process of its own, without this package; modules in `first` hide others of their name."""
    environment = {**os.environ, "PYTHONPATH": str(first) if first else ""}
    command = [sys.executable, str(folder / "run_model.py"), *arguments]
    ended = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def is_exit_2(ended: Ended, *parts: str) -> bool:
    lines = [line for line in ended.err.splitlines() if not line.startswith(("INFO", "W0000"))]
    return ended.code == 2 and not ended.out and lines[0].startswith("error: ") and all(p in ended.err for p in parts)


def write(folder: Path, name: str, content: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    return folder


def test_it_needs_python_3_7_the_standard_library_and_numpy() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 7))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    assert found <= ALLOWED


@pytest.mark.parametrize(("model", "kind"), MODELS, ids=lambda part: part)
def test_its_arithmetic_is_the_packages_bit_for_bit(bundled: Callable[..., Path], model: str, kind: str) -> None:
    folder = bundled(model, kind)
    runner = load(folder)
    found = runner.Bundle(folder)
    loaded = runner.Model(found)
    answers = loaded.answers(found.vectors("raw"))
    np.testing.assert_array_equal(answers, found.vectors("expected"))
    backward = loaded.answers(found.vectors("raw")[::-1])[::-1]  # State that is kept would show in another order.
    np.testing.assert_array_equal(backward, answers)


def test_check_prints_one_object_and_counts_as_numpy_does(bundled: Callable[..., Path]) -> None:
    folder = bundled("cnn", "int8")
    ended = run(folder, "check")
    assert ended.code == 0, ended
    record = json.loads(ended.out)
    spec = json.loads((folder / "bundle.json").read_text())
    expected, keras = (
        np.fromfile(folder / f"vectors_{name}.bin", "<f4").reshape(-1, 3) for name in ("expected", "keras")
    )
    assert record["parity"] == {
        "largest_difference": 0.0,
        "tolerance": spec["vectors"]["tolerance"],
        "examples": 24,
        "same_decision": 1.0,
        "keras_largest_difference": pytest.approx(float(np.abs(expected.astype(float) - keras).max())),
        "keras_same_decision": pytest.approx(float(np.mean(expected.argmax(1) == keras.argmax(1)))),
        "holds": True,
    }
    assert record["runtime"]["package"] == "ai-edge-litert"
    assert record["machine"]["machine"] == os.uname().machine
    assert record["machine"]["python"].startswith("3.")


@pytest.mark.parametrize(("steps", "code"), [(1, 0), (2, 3)])
def test_one_step_of_an_int8_output_is_allowed_and_two_are_not(
    bundled: Callable[..., Path], tmp_path: Path, steps: int, code: int
) -> None:
    folder = Path(shutil.copytree(bundled("cnn", "int8"), tmp_path / "own"))
    expected = np.fromfile(folder / "vectors_expected.bin", "<f4")
    expected[5] += steps * json.loads((folder / "bundle.json").read_text())["output"]["scale"]
    expected.tofile(folder / "vectors_expected.bin")
    ended = run(folder, "check")
    assert (ended.code, json.loads(ended.out)["parity"]["holds"]) == (code, code == 0)


def test_a_column_is_held_against_its_own_tolerance(bundled: Callable[..., Path], tmp_path: Path) -> None:
    """A step of the first target is 18 of the second: the larger tolerance must not cover the smaller column."""
    folder = Path(shutil.copytree(bundled("columns", "int8"), tmp_path / "own"))
    spec = json.loads((folder / "bundle.json").read_text())
    expected = np.fromfile(folder / "vectors_expected.bin", "<f4").reshape(-1, 2)
    expected[3, 1] += 0.9 * spec["vectors"]["tolerance"]
    expected.tofile(folder / "vectors_expected.bin")
    ended = run(folder, "check")
    parity = json.loads(ended.out)["parity"]
    assert (ended.code, parity["holds"], parity["same_decision"]) == (3, False, None)
    assert parity["largest_difference"] < parity["tolerance"]


def test_answers_that_are_no_numbers_do_not_hold(bundled: Callable[..., Path]) -> None:
    folder = bundled("cnn")
    runner = load(folder)
    found = runner.Bundle(folder)
    answers = found.vectors("expected").copy()
    answers[0, 0] = np.nan
    parity = runner.compare(found, answers)
    assert (parity["holds"], parity["largest_difference"]) == (False, None)


def test_the_same_decision_is_counted_by_what_is_decided(bundled: Callable[..., Path]) -> None:
    runner = load(bundled("cnn"))
    one, other = np.array([[1.0, -1.0], [2.0, 3.0]]), np.array([[1.0, 1.0], [2.0, 3.0]])
    decided = {"task": "multilabel", "meaning": "logits"}
    assert runner.same_decisions(one, other, decided) == 0.5  # The first's second label applies in one alone.
    assert runner.same_decisions(one, other, {**decided, "meaning": "probabilities"}) == 0.5
    assert runner.same_decisions(one, other, {"task": "classification", "meaning": "logits"}) == 1.0
    assert runner.same_decisions(one, other, {"task": "regression", "meaning": "values"}) is None
    heads = [{"name": "a", "task": "regression", "columns": [0, 1], "labels": []},
             {"name": "b", "task": "classification", "columns": [1, 3], "labels": []}]  # fmt: skip
    several = {"task": "several", "meaning": "values, logits", "heads": heads}
    assert runner.same_decisions(np.array([[9.0, 1.0, 2.0]]), np.array([[0.0, 1.0, 2.0]]), several) == 1.0
    assert runner.same_decisions(np.array([[9.0, 1.0, 2.0]]), np.array([[9.0, 3.0, 2.0]]), several) == 0.0


def test_benchmark_measures_at_least_twenty_runs_and_no_p99_of_them(bundled: Callable[..., Path]) -> None:
    record = json.loads(run(bundled("cnn"), "benchmark", "--seconds=0", "--threads=2").out)
    assert (record["runs"], record["threads"], record["batch_size"], record["latency_ms"]["p99"]) == (20, 2, 1, None)
    assert 0 < record["latency_ms"]["p50"] <= record["latency_ms"]["p90"]
    assert record["load_ms"] > 0
    assert record["peak_memory_bytes"] > 10_000_000  # Python and NumPy alone have more.
    longer = json.loads(run(bundled("cnn"), "benchmark", "--seconds=0.5").out)
    assert longer["runs"] >= 100
    assert longer["latency_ms"]["p90"] <= longer["latency_ms"]["p99"]


def test_predict_says_classes_labels_and_values_by_name(bundled: Callable[..., Path], tmp_path: Path) -> None:
    folder = bundled("tokens")
    logits = np.fromfile(folder / "vectors_expected.bin", "<f4").reshape(-1, 3)[0].astype(float)
    ids = ",".join(map(str, np.fromfile(folder / "vectors_raw.bin", "<i4")[:5]))
    (answer,) = json.loads(run(folder, "predict", f"--values={ids}").out)["answers"]
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert answer["label"] == ["cat", "dog", "bird"][int(logits.argmax())]
    assert answer["probabilities"] == pytest.approx(probabilities.tolist(), rel=1e-6)
    assert answer["probability"] == pytest.approx(probabilities.max(), rel=1e-6)

    folder = bundled("multilabel")
    raw, logits = (np.fromfile(folder / f"vectors_{n}.bin", "<f4").reshape(24, -1) for n in ("raw", "expected"))
    np.save(tmp_path / "raw.npy", raw[:3])
    answers = json.loads(run(folder, "predict", f"--raw={tmp_path / 'raw.npy'}").out)["answers"]
    for answer, row in zip(answers, logits[:3], strict=True):
        assert answer["labels"] == [label for label, y in zip(("cat", "dog", "bird"), row, strict=True) if y > 0]
        assert answer["probabilities"] == pytest.approx((1 / (1 + np.exp(-row.astype(float)))).tolist(), rel=1e-6)

    folder = bundled("several")
    raw, values = (np.fromfile(folder / f"vectors_{n}.bin", "<f4").reshape(24, -1) for n in ("raw", "expected"))
    given = ",".join(f"{x:.9g}" for x in raw[0])
    (answer,) = json.loads(run(folder, "predict", f"--values={given}").out)["answers"]
    assert answer["targets"]["price"]["values"] == pytest.approx([float(values[0, 0])])
    assert answer["targets"]["city"]["label"] == ["Aachen", "Bern", "Como"][int(values[0, 1:].argmax())]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["no command"]),
        (["dance"], ["dance"]),
        (["check", "--threads=0"], ["threads"]),
        (["benchmark", "--seconds=x"], ["seconds"]),
        (["predict"], ["--values"]),
        (["predict", "--values=1,2"], ["2 numbers; expected 64", "[8, 8, 1]"]),
        (["predict", "--values=a"], ["--values", "hint: give numbers"]),
        (["predict", "--values=" + ",".join(["nan"] * 64)], ["NaN or infinity"]),
        (["predict", "--raw=/no/such.npy"], ["--raw=/no/such.npy", "cannot be read"]),
    ],
)  # fmt: skip
def test_mistakes_are_two_lines(bundled: Callable[..., Path], arguments: list[str], parts: list[str]) -> None:
    assert is_exit_2(ended := run(bundled("cnn"), *arguments), *parts), ended


def test_arrays_of_another_shape_and_pickles_are_refused(bundled: Callable[..., Path], tmp_path: Path) -> None:
    class Pickled:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    np.save(tmp_path / "shape.npy", np.zeros((2, 3)))
    np.save(tmp_path / "pickle.npy", np.array([Pickled()], object), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.array(["a"]))
    folder = bundled("cnn")
    for name, part in (
        ("shape", "shape [2, 3]; expected [8, 8, 1]"),
        ("pickle", "cannot be read"),
        ("text", "not one"),
    ):
        assert is_exit_2(ended := run(folder, "predict", f"--raw={tmp_path}/{name}.npy"), part), ended
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("values", ["0,1,2,3,20", "0,1,2,3,-1", "0,1,2,3,1.5"])
def test_token_ids_that_there_are_none_of_are_refused(bundled: Callable[..., Path], values: str) -> None:
    assert is_exit_2(ended := run(bundled("tokens"), "predict", f"--values={values}"), "whole numbers from 0 to 19"), (
        ended
    )


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("cnn_float32.tflite", b"TFL3", "its SHA-256 is not that of bundle.json"),
        ("vectors_raw.bin", b"123", "3 bytes; expected 6144"),
        ("bundle.json", b"{", "no JSON"),
        ("bundle.json", b'{"format": "other"}', "not of the format tfday7-bundle-1"),
        ("bundle.json", None, "No such file"),
        ("vectors_expected.bin", None, "No such file"),
    ],
)  # fmt: skip
def test_a_damaged_bundle_is_named(own: Path, name: str, content: bytes | None, part: str) -> None:
    if content is None:
        (own / name).unlink()
    else:
        (own / name).write_bytes(content)
    assert is_exit_2(ended := run(own, "check"), name, part, "hint: deploy the bundle again"), ended


def test_a_missing_runtime_names_what_brings_one(bundled: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        write(tmp_path, f"{name}/__init__.py", f"raise ImportError('no {name} here')\n")
    ended = run(bundled("cnn"), "check", first=tmp_path)
    assert is_exit_2(ended, "no runtime", "no ai_edge_litert here", "-m pip install ai-edge-litert"), ended


def test_a_missing_numpy_is_named(bundled: Callable[..., Path], tmp_path: Path) -> None:
    write(tmp_path, "numpy/__init__.py", "raise ImportError('gone')\n")
    ended = run(bundled("cnn"), "check", first=tmp_path)
    assert is_exit_2(ended, "NumPy cannot be imported: gone", "-m pip install numpy"), ended


FAKE = """
import numpy as np
class Interpreter:
    def __init__(self, model_content, num_threads):
        self.size = len(model_content)
    def allocate_tensors(self): pass
    def reset_all_variables(self): pass
    def get_input_details(self): return [{"index": 0}]
    def get_output_details(self): return [{"index": 1}]
    def set_tensor(self, index, x): pass
    def invoke(self): pass
    def get_tensor(self, index): return np.zeros((1, 3), np.float32)
"""


def test_tflite_runtime_serves_where_ai_edge_litert_is_missing_and_is_named(
    bundled: Callable[..., Path], tmp_path: Path
) -> None:
    write(tmp_path, "ai_edge_litert/__init__.py", "raise ImportError('missing')\n")
    write(tmp_path, "tflite_runtime/__init__.py", "__version__ = '9.8.7'\n")
    write(tmp_path, "tflite_runtime/interpreter.py", FAKE)
    ended = run(bundled("cnn"), "check", first=tmp_path)
    record = json.loads(ended.out)
    assert record["runtime"] == {"package": "tflite-runtime", "version": "9.8.7"}
    assert (ended.code, record["parity"]["holds"]) == (3, False)  # It answers zeros.
    largest = np.abs(np.fromfile(bundled("cnn") / "vectors_expected.bin", "<f4")).max()
    assert record["parity"]["largest_difference"] == pytest.approx(float(largest))


def test_a_runtime_that_is_too_old_for_the_file_is_the_users_to_replace(
    bundled: Callable[..., Path], tmp_path: Path
) -> None:
    old = FAKE.replace("self.size = len(model_content)", "raise ValueError('unknown operator version 12')")
    write(tmp_path, "ai_edge_litert/__init__.py", "__version__ = '0.1'\n")
    write(tmp_path, "ai_edge_litert/interpreter.py", old)
    ended = run(bundled("cnn"), "check", first=tmp_path)
    parts = ("ai-edge-litert 0.1 cannot load the model: unknown operator version 12", "--upgrade ai-edge-litert")
    assert is_exit_2(ended, *parts), ended

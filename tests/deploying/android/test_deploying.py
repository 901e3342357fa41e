"""The Android bundle as a whole: what lies in it, what it never says as code, and when it is not written."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deploying.android.conftest import HOSTILE_NAME
from deploying.android.fake_adb import FakePhone

from tfday7.core.errors import UserError
from tfday7.deploying.android import deploy, source
from tfday7.deploying.bundle import Bundle
from tfday7.deploying.config import DeployConfig
from tfday7.deploying.rendering import identifier

NAME = identifier(HOSTILE_NAME)


def deployed(bundle: Bundle, folder: Path, **settings: Any) -> dict[str, Any]:
    return deploy(bundle, folder, DeployConfig(device="android", **settings), lambda _: None)


def with_spec(bundle: Bundle, **changes: Any) -> Bundle:
    return dataclasses.replace(bundle, spec={**bundle.spec, **changes})


def test_the_bundle_has_all_that_an_app_needs(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    phone.attach({})
    record = deployed(bundle, tmp_path / "out")
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == set(record["files"])
    assert found == {
        "README.md",
        "app/build.gradle.kts.lines",
        f"app/src/main/assets/{NAME}/{NAME}.tflite",
        f"app/src/main/assets/{NAME}/labels.txt",
        *(f"app/src/main/java/tfday7/{NAME}/Model{part}.kt" for part in ("Spec", "Processing", "Runner")),
        "test/CheckVectors.kt",
        "test_vectors/bundle.json",
        *(f"test_vectors/vectors_{which}.bin" for which in ("raw", "expected", "keras")),
        *(f"test_vectors/{step}.bin" for step in ("model_input", "model_output", "values", "answers")),
    }
    asset = tmp_path / "out" / f"app/src/main/assets/{NAME}/{NAME}.tflite"
    assert asset.read_bytes() == bundle.model.read_bytes()
    assert record["package"] == f"tfday7.{NAME}"
    assert record["rows"] == []
    assert "no Android device is attached (adb devices)" in record["notes"]
    json.dumps(record, allow_nan=False)


def test_no_name_or_label_becomes_code(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    phone.attach({})
    labels = ["$INJECTED", '"; INJECTED() //', "*/ INJECTED /*"]
    deployed(with_spec(bundle, labels=labels), tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.kt"):
        assert "INJECTED" not in path.read_text()
        assert "model$" not in path.read_text()
        assert "touch bad" not in path.read_text()
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "`x`" not in readme.splitlines()[0]
    written = (tmp_path / "out" / f"app/src/main/assets/{NAME}/labels.txt").read_text()
    assert written.splitlines() == labels
    assert not Path("bad").exists()


def test_pure_kotlin_needs_neither_android_nor_litert(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    phone.attach({})
    deployed(bundle, tmp_path / "out")
    imports = {
        path.name: re.findall(r"^import (\S+)", path.read_text(), re.MULTILINE)
        for path in (tmp_path / "out").rglob("*.kt")
    }
    for name in ("ModelSpec.kt", "ModelProcessing.kt", "CheckVectors.kt"):
        assert all(found.startswith(("java.", "kotlin.")) for found in imports[name]), imports[name]
    assert "org.tensorflow.lite.Interpreter" in imports["ModelRunner.kt"]


def test_the_steps_between_lead_from_the_raw_vectors_to_the_files_answers(
    bundle: Bundle, tmp_path: Path, phone: FakePhone
) -> None:
    phone.attach({})
    deployed(bundle, tmp_path / "out")
    vectors = tmp_path / "out" / "test_vectors"
    values = (vectors / "values.bin").read_bytes()
    assert values == (vectors / "vectors_expected.bin").read_bytes() == (vectors / "model_output.bin").read_bytes()
    assert (vectors / "model_input.bin").read_bytes() == (vectors / "vectors_raw.bin").read_bytes()
    logits = np.frombuffer(values, "<f4").reshape(6, 3).astype(np.float64)
    answers = np.fromfile(vectors / "answers.bin", "<f4").reshape(6, 3)
    np.testing.assert_allclose(answers, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-6)


def test_the_readme_and_gradle_name_versions(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    phone.attach({})
    record = deployed(bundle, tmp_path / "out")
    readme, gradle = ((tmp_path / "out" / name).read_text() for name in ("README.md", "app/build.gradle.kts.lines"))
    assert "| FULLY_CONNECTED | 1 | 2 |" in readme
    assert "TensorFlow Lite or LiteRT: 1.14.0" in readme
    assert 'implementation("com.google.ai.edge.litert:litert:1.4.2")' in gradle
    assert 'noCompress += "tflite"' in gradle
    assert "minSdk = 21" in gradle
    assert record["requirements"]["min_sdk"] == 21
    assert "keeps state" not in readme


def test_a_model_that_keeps_state_says_so(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    phone.attach({})
    deployed(with_spec(bundle, stateful=True), tmp_path / "out")
    assert "keeps state" in (tmp_path / "out" / "README.md").read_text()
    assert "IS_STATEFUL = true" in next((tmp_path / "out").rglob("ModelSpec.kt")).read_text()


def test_a_phone_that_is_attached_is_used(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    phone.give_benchmark()
    phone.give_python()
    record = deployed(bundle, tmp_path / "out", threads="1,2")
    assert [row["threads"] for row in record["rows"]] == [1, 2]
    assert record["parity"]["holds"]
    assert record["phone"]["model"] == "Phone X"
    assert record["notes"] == []


def test_a_phone_that_is_too_old_for_the_app_is_named(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    script = phone.bin / "getprop"
    script.write_text(script.read_text().replace("echo '33'", "echo '19'"))
    record = deployed(bundle, tmp_path / "out")
    assert "Phone X (Android 13, arm64-v8a) has API level 19; the app needs 21" in record["notes"]


def test_an_earlier_bundle_is_replaced_and_anything_else_is_not(
    bundle: Bundle, tmp_path: Path, phone: FakePhone
) -> None:
    phone.attach({})
    deployed(bundle, tmp_path / "out")
    (tmp_path / "out" / "check.jar").write_text("as README.md says")
    deployed(bundle, tmp_path / "out")
    assert not (tmp_path / "out" / "check.jar").exists()
    own = tmp_path / "out" / f"app/src/main/java/tfday7/{NAME}/Mine.kt"
    own.write_text("dear")
    with pytest.raises(UserError, match=r"no deployment made \(app/.*/Mine.kt\)"):
        deployed(bundle, tmp_path / "out")
    assert own.exists()
    deployed(bundle, tmp_path / "out", overwrite=True)
    assert not own.exists()
    with pytest.raises(UserError, match="holds the bundle of"):
        deployed(with_spec(bundle, name="other"), tmp_path / "out")
    deployed(with_spec(bundle, name="other"), tmp_path / "out", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(UserError, match="holds something else, which would be replaced") as error:
        deployed(bundle, tmp_path / "mine")
    assert "--output_dir" in error.value.hint
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "dear"


def test_a_bundle_with_all_that_one_can_have_is_replaced(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    phone.attach({})
    heads = [
        {"name": "price", "task": "regression", "columns": [0, 1], "labels": []},
        {"name": "city", "task": "classification", "columns": [1, 3], "labels": ["Aachen", "Bern"]},
    ]
    affine = {"mean": [0.5], "std": [2.0]}
    output = {**bundle.spec["output"], "heads": heads, "meaning": "values, logits", "standardization": affine}
    full = with_spec(bundle, input={**bundle.spec["input"], "standardization": affine}, output=output)
    words = dataclasses.replace(bundle.artefact, input={**bundle.artefact.input, "vocabulary": ["a"]})
    full = dataclasses.replace(full, artefact=words)
    for _ in range(2):
        record = deployed(full, tmp_path / "out")
    assets = [file.rpartition("/")[2] for file in record["files"] if "/assets/" in file]
    assert set(assets) == {f"{NAME}.tflite", *source.ASSETS}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b"]}, "2 labels for 3 columns"),
        ({"output": {"task": "guessing"}}, "'guessing' with 'logits'; expected one of"),
        ({"output": {"meaning": "vibes"}}, "'classification' with 'vibes'"),
        ({"input": {"dtype": "float16"}}, "input is float16; expected float32 or int8 or int32"),
        ({"input": {"standardization": {"mean": [0.0, 0.0], "std": [1.0, 1.0]}}}, "not one finite mean and std"),
        ({"input": {"standardization": {"mean": [float("nan")], "std": [1.0]}}}, "not one finite mean and std"),
        ({"output": {"heads": [{"name": "x", "task": "regression", "columns": [2, 9], "labels": []}]}}, "2 to 9 of 3"),
    ],
)
def test_what_cannot_be_generated_writes_nothing(
    changes: dict[str, Any], message: str, bundle: Bundle, tmp_path: Path, phone: FakePhone
) -> None:
    merged = {
        name: {**bundle.spec[name], **value} if isinstance(value, dict) else value for name, value in changes.items()
    }
    with pytest.raises(UserError, match=re.escape(message)):
        deployed(with_spec(bundle, **merged), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert phone.calls() == []


def test_a_dry_run_writes_and_measures_nothing(bundle: Bundle, tmp_path: Path, phone: FakePhone) -> None:
    record = deployed(bundle, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert phone.calls() == []
    assert record["notes"] == ["dry run: nothing was written or measured"]
    assert "README.md" in record["files"]

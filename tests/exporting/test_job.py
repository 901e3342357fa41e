"""What the artefacts of a model share on their way: a SavedModel is written once for all that are made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from compression.qat.compared import images

from tfday7.core.errors import UserError
from tfday7.core.frameworks import keras, tf
from tfday7.exporting import job
from tfday7.exporting.format import FORMATS
from tfday7.exporting.records import Origin


@pytest.mark.parametrize(("ends", "written"), [(False, ["whole_1"]), (True, ["whole_1", "core_1"])])
def test_a_core_that_is_the_whole_model_is_not_saved_again(
    ends: bool, written: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saved, save = list[str](), job.save_with_batch
    monkeypatch.setattr(job, "save_with_batch", lambda *given: saved.append(given[2].name) or save(*given))
    inputs = keras.Input((6, 4))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Rescaling(3.0, 1.0)(outputs) if ends else outputs)
    made = job.Job(model, images((6, 4)), tmp_path, Origin("m", "", "logits"), tmp_path)
    paths = [made.saved_model(kind, 1) for kind in ("float32", "int8", "dynamic", "float16")]
    assert saved == written
    assert [path.name for path in paths] == [written[0], written[-1], written[0], written[-1]]


@pytest.mark.parametrize(
    ("format", "asked", "taken"),
    [("tflite", 8, 1), ("tensorrt", None, 1), ("onnx", 8, 8), ("openvino", None, None), ("saved_model", 8, None),
     ("keras", 1, None)],
)  # fmt: skip
def test_a_recipe_has_the_batch_that_the_file_takes(
    format: str, asked: int | None, taken: int | None, tmp_path: Path
) -> None:
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    made = job.Job(model, images((6, 4)), tmp_path, Origin("m", "", "logits"), tmp_path, asked)
    assert made.recipe(FORMATS.get(format), "float32")["batch"] == taken


def test_a_model_that_cannot_be_run_is_refused_with_what_was_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "Graph execution error:\n\nDetected at node m/Cast defined at (most recent call last):\n"
        '  File "m.py", line 8, in <module>\n\nCast float to string is not supported\n\t [[{{node m/Cast}}]]'
    )

    def predict(*given: object) -> None:
        raise tf.errors.UnimplementedError(None, None, said)

    monkeypatch.setattr(job.pipeline, "predict", predict)
    with pytest.raises(UserError, match=r"m cannot be run on examples of shape \(6, 4\) \(Cast float to string is not"):
        job.answers(None, images((6, 4)), "m")

"""The steps on this machine, against arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from deploying.made_bundles import answers_of, convert, dense, generator, made

from tfday7.core.errors import UserError
from tfday7.deploying.reference import Head, answered, heads, reference
from tfday7.exporting.vectors import Vectors


def test_each_step_is_the_arithmetic_of_the_record(tmp_path: Path) -> None:
    model = dense(4, 2)
    mean, std = np.array([1.0, -2.0, 0.5, 100.0]), np.array([0.3, 2.0, 1.0, 7.0])
    raw = (mean + generator().normal(size=(6, 4)) * std).astype(np.float32) * np.float32(4.0)
    core = ((raw / np.float32(4.0) - mean) / std).astype(np.float32)
    bundle = made(
        tmp_path,
        convert(model, core, "int8"),
        Vectors(raw, np.asarray(model(core))),
        "x_int8",
        "regression",
        "values",
        input={"divisor": 4.0, "standardization": {"mean": mean.tolist(), "std": std.tolist()}},
        output={"standardization": {"mean": [3.0], "std": [0.7]}},
    )
    found = reference(bundle)
    given, out = bundle.spec["input"], bundle.spec["output"]
    steps = [round(float(x / np.float32(given["scale"]))) + given["zero_point"] for x in core.ravel()]
    assert found.given.ravel().tolist() == [max(-128, min(127, step)) for step in steps]
    y = (found.made.astype(np.float32) - np.float32(out["zero_point"])) * np.float32(out["scale"])
    np.testing.assert_array_equal(found.values, (y.astype(np.float64) * 0.7 + 3.0).astype(np.float32))
    np.testing.assert_array_equal(found.answers, found.values)
    assert np.abs(found.values - (np.asarray(model(core)) * 0.7 + 3.0)).max() < 0.05


def test_probabilities_are_softmax_and_sigmoid_of_logits_alone() -> None:
    values = np.array([[0.0, np.log(3.0), 700.0, -1000.0, 5.0]], np.float32)
    targets = [
        Head("c", "classification", "logits", 0, 2, ()),
        Head("m", "multilabel", "logits", 2, 4, ()),
        Head("r", "regression", "values", 4, 5, ()),
    ]
    np.testing.assert_allclose(answered(values, targets), [[0.25, 0.75, 1.0, 0.0, 5.0]], rtol=1e-6, atol=1e-30)
    assert answered(values, [Head("", "classification", "probabilities", 0, 5, ())]).tolist() == values.tolist()


def test_each_of_several_targets_has_its_own_meaning(tmp_path: Path) -> None:
    output = {
        "shape": [1, 5],
        "task": "several",
        "meaning": "logits, values",
        "heads": [
            {"name": "city", "task": "classification", "columns": [0, 3], "labels": ["A", "B", "C"]},
            {"name": "price", "task": "regression", "columns": [3, 5], "labels": []},
        ],
    }
    found = heads({"output": output, "labels": []})
    assert [(head.name, head.meaning, head.first, head.last) for head in found] == [
        ("city", "logits", 0, 3),
        ("price", "values", 3, 5),
    ]
    with pytest.raises(UserError, match="2 targets with the meanings 'logits'"):
        heads({"output": {**output, "meaning": "logits"}, "labels": []})


def test_classes_along_more_than_one_row_are_refused() -> None:
    output = {"shape": [1, 7, 3], "task": "classification", "meaning": "logits"}
    with pytest.raises(UserError, match=r"the output decides for each of 7 rows"):
        heads({"output": output, "labels": []})


def test_a_reference_is_the_bundles_own_answers(tmp_path: Path) -> None:
    model = dense(4, 3)
    raw = generator().normal(size=(6, 4)).astype(np.float32)
    bundle = made(tmp_path, convert(model, raw), answers_of(model, raw), "x_float32")
    expected = np.fromfile(bundle.folder / "vectors_expected.bin", "<f4").reshape(6, 3)
    np.testing.assert_array_equal(reference(bundle).values, expected)

"""Every task through the whole program, run as a user runs it: data, training, scores, files, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score
from support import Ended, run_command

from tfday7.runtimes.litert import LiteRT

pytestmark = pytest.mark.slow


def train(folder: Path, *arguments: str) -> tuple[Ended, dict[str, Any], dict[str, dict[str, Any]]]:
    """Returns how the command ended, run.json, and the artefacts by kind."""
    ended = run_command("train", *arguments, "--run_dir=run", "--export_dir=out", cwd=folder)
    assert ended.code == 0, ended.err
    run = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    artefacts = json.loads((folder / "run" / "exports.json").read_text(encoding="utf-8"))["artefacts"]
    return ended, run, {artefact["kind"]: artefact for artefact in artefacts}


def weather(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Returns three features and three labels that they decide, each alone and independently of the others."""
    generator = np.random.default_rng(5)
    x = generator.normal(size=(count, 3))
    return x, (x + 0.2 * generator.normal(size=x.shape) > [0.0, 0.5, -0.3]).astype(int)


def test_several_labels_an_example_go_from_a_table_to_verified_files(tmp_path: Path) -> None:
    x, y = weather()
    rows = [",".join(map(str, [*a, *b])) for a, b in zip(x, y, strict=True)]
    (tmp_path / "weather.csv").write_text("\n".join(["t,w,p,wet,windy,warm", *rows]), encoding="utf-8")
    flags = ("--data=weather.csv", "--target=wet,windy,warm", "--model=mlp", "--width=8", "--epochs=15")
    _, run, artefacts = train(tmp_path, *flags, "--learning_rate=0.02", "--lang=zh")
    assert (run["data"]["task"], run["data"]["class_names"]) == ("multilabel", ["wet", "windy", "warm"])
    assert (run["metric"]["name"], run["gate"]) == ("f1_score", None)
    assert run["metric"]["test"] > 0.85 > run["metric"]["baseline"] > 0.5
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = metrics[run["training"]["best_epoch"] - 1]
    assert best["val_f1_score"] == pytest.approx(run["metric"]["validation"], abs=1e-4)
    assert json.loads((tmp_path / "run" / "diagnosis.json").read_text())["verdict"] == "good_fit"
    for artefact in artefacts.values():
        assert artefact["labels"] == ["wet", "windy", "warm"]
        assert (artefact["output"]["task"], artefact["output"]["meaning"]) == ("multilabel", "logits")
        assert artefact["parity"]["failures"] == []
    said = LiteRT(tmp_path / artefacts["float32"]["path"]).predict(x.astype(np.float32)) > 0
    assert f1_score(y, said, average="micro") > 0.85
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "多标签分类" in page
    assert "大于 0（即 sigmoid 大于 0.5）表示该标签成立" in page


def test_what_has_no_meaning_for_several_labels_is_refused_by_name(tmp_path: Path) -> None:
    x, y = weather(100)
    np.savez(tmp_path / "weather.npz", x_train=x, y_train=y)
    ended = run_command("train", "--data=weather.npz", "--model=mlp", "--class_weights=balanced", cwd=tmp_path)
    assert ended.code == 2
    assert "--class_weights=balanced has no meaning for --task=multilabel" in ended.err


def test_an_autoencoder_learns_mapped_files_without_labels_and_its_files_give_the_same(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    hidden = generator.normal(size=(1500, 2))
    x = np.tanh(hidden @ generator.normal(size=(2, 12))) * 50 + 200 + generator.normal(size=(1500, 12))
    (tmp_path / "sensors").mkdir()
    np.save(tmp_path / "sensors" / "x_train.npy", x)
    flags = ("--data=sensors", "--model=autoencoder", "--width=64", "--depth=1", "--epochs=12", "--learning_rate=0.01")
    _, run, artefacts = train(tmp_path, *flags)
    assert (run["data"]["task"], run["metric"]["name"], run["gate"]) == ("reconstruction", "r2_score", None)
    assert run["metric"]["test"] > 0.8
    assert run["metric"]["baseline"] == pytest.approx(0.0, abs=1e-6)
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = metrics[run["training"]["best_epoch"] - 1]
    assert best["val_r2_score"] == pytest.approx(run["metric"]["validation"], abs=1e-3)
    assert all(artefact["parity"]["failures"] == [] for artefact in artefacts.values())
    again = LiteRT(tmp_path / artefacts["float32"]["path"]).predict(x.astype(np.float32))
    odd = LiteRT(tmp_path / artefacts["float32"]["path"]).predict(generator.permuted(x, axis=0).astype(np.float32))
    errors, odd_errors = np.square(again - x).mean(axis=1), np.square(odd - x).mean(axis=1)
    assert np.median(odd_errors) > 5 * np.median(errors)  # Columns that do not belong together are told apart.
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "how far they are off tells the unusual from the usual" in page


def test_targets_of_different_kinds_share_a_model_a_file_and_a_score_that_is_their_mean(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    x = generator.normal(size=(500, 3))
    price = 3000 + 900 * x[:, 0] - 500 * x[:, 2] + 30 * generator.normal(size=500)
    city = np.array(["Athens", "Bergen", "Cork"])[np.digitize(x[:, 1], [-0.5, 0.5])]
    rows = [f"{a},{b},{c},{p:.2f},{town}" for (a, b, c), p, town in zip(x, price, city, strict=True)]
    (tmp_path / "homes.csv").write_text("\n".join(["a,b,c,price,city", *rows]), encoding="utf-8")
    flags = ("--data=homes.csv", "--target=price,city", "--model=mlp", "--width=16", "--depth=1", "--epochs=25")
    ended, run, artefacts = train(tmp_path, *flags, "--learning_rate=0.02", "--label_smoothing=0.05")
    assert (run["data"]["task"], run["gate"]) == ("several", None)
    assert [(head["name"], head["task"]) for head in run["data"]["heads"]] == [
        ("price", "regression"),
        ("city", "classification"),
    ]
    metric = run["metric"]
    assert [(head["target"], head["name"]) for head in metric["heads"]] == [("price", "r2_score"), ("city", "accuracy")]
    assert all(head["test"] > 0.85 > head["baseline"] for head in metric["heads"])
    assert metric["test"] == pytest.approx(np.mean([head["test"] for head in metric["heads"]]))
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = metrics[run["training"]["best_epoch"] - 1]
    mean = (best["val_price_r2_score"] + best["val_city_accuracy"]) / 2
    assert mean == pytest.approx(metric["validation"], abs=1e-3)
    assert best["val_mean_score"] == pytest.approx(mean)
    for artefact in artefacts.values():
        assert artefact["parity"]["failures"] == []
        assert artefact["output"]["meaning"] == "values, logits"
        assert [(head["name"], head["columns"], head["labels"]) for head in artefact["output"]["heads"]] == [
            ("price", [0, 1], []),
            ("city", [1, 4], ["Athens", "Bergen", "Cork"]),
        ]
    outputs = LiteRT(tmp_path / artefacts["float32"]["path"]).predict(x.astype(np.float32))
    assert np.corrcoef(outputs[:, 0], price)[0, 1] > 0.98
    assert np.mean(np.array(["Athens", "Bergen", "Cork"])[outputs[:, 1:].argmax(axis=1)] == city) > 0.85
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Target “city”" in page
    assert f"test accuracy {metric['heads'][1]['test']:.4f}, guessing" in page
    assert "Target “price”: test R² 0.9" in ended.out
    assert "outputs 1 to 3, classification, Athens, Bergen, Cork" in page

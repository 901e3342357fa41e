"""The runner on aarch64: Debian's Python under qemu-user, each runtime's own wheel, answers compared with x86-64.

`make test-arm64` fetches what it needs (tests/arm64/prepare.py) and runs these; elsewhere they skip.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from arm64 import prepare
from deploying import made_artefacts

from tfday7.deploying import bundle

WANTED = os.environ.get("TFDAY7_ARM64") == "1"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WANTED, reason="runs an emulated aarch64: make test-arm64"),
    pytest.mark.skipif(WANTED and not prepare.is_ready(), reason="run tests/arm64/prepare.py first: make test-arm64"),
]
MODELS = [("cnn", "float32"), ("cnn", "int8"), ("lstm", "float32"), ("tokens", "float32")]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        (model, kind): bundle.make(made_artefacts.make(folder, model, kind), folder / f"{model}_{kind}").folder
        for model, kind in MODELS
    }


def emulated(runtime: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Runs the runner of a bundle on aarch64, and returns what it printed."""
    start, environment = prepare.command(runtime)
    command = [*start, str(folder / "run_model.py"), *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, (ended.returncode, ended.stdout, ended.stderr)
    return json.loads(ended.stdout)


@pytest.mark.parametrize("runtime", prepare.RUNTIMES)
@pytest.mark.parametrize(("model", "kind"), MODELS, ids=lambda part: part)
def test_answers_on_aarch64_are_those_of_x86(
    bundles: dict[tuple[str, str], Path], model: str, kind: str, runtime: str
) -> None:
    record = emulated(runtime, bundles[model, kind], "check")
    package, _, version = prepare.RUNTIMES[runtime].partition("==")
    assert record["runtime"] == {"package": package, "version": version}
    assert record["machine"]["machine"] == "aarch64"
    parity = record["parity"]
    assert parity["holds"], parity
    assert parity["largest_difference"] <= parity["tolerance"]
    assert parity["same_decision"] >= 1 - 1 / parity["examples"]


def test_benchmarking_and_predicting_work_on_aarch64(bundles: dict[tuple[str, str], Path]) -> None:
    record = emulated("tflite_runtime", bundles["tokens", "float32"], "benchmark", "--seconds=0")
    assert record["runs"] == 20
    assert record["machine"]["cpu"] == "Cortex-A72 (qemu-user)"
    (answer,) = emulated("litert", bundles["tokens", "float32"], "predict", "--values=1,2,3,4,5")["answers"]
    assert answer["label"] in ("cat", "dog", "bird")
    assert sum(answer["probabilities"]) == pytest.approx(1.0)

"""The command tfday7.benchmark, as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from benchmarking import made_artefacts
from reporting.report_folders import complete
from support import ROOT, run_command

from tfday7.core import files

QUICK = ("--seconds=0.1", "--profile=false")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with linear_float32.onnx, its record, its test vectors, and its data."""
    folder = tmp_path_factory.mktemp("models") / "linear"
    folder.mkdir()
    made_artefacts.write_table(folder / "table.csv")
    made_artefacts.record(made_artefacts.onnx_file(folder / "linear_float32.onnx"), folder / "table.csv")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "linear"))


def test_the_table_is_shown_and_the_rows_are_written(folder: Path) -> None:
    ended = run_command("benchmark", f"--artefacts={folder}", "--runtimes=onnxruntime,openvino", *QUICK)
    assert (ended.code, ended.err) == (0, "")
    for shown in (
        "Fastest: ",
        "p50",
        "onnxruntime",
        "openvino",
        "1.00x",
        "Repeatability: ",
        "accuracy",
        "benchmark.json",
    ):
        assert shown in ended.out
    rows = json.loads((folder / "benchmark.json").read_text())["rows"]
    assert [row["runtime"] for row in rows] == ["onnxruntime", "openvino"]
    assert {row["metric"] for row in rows} == {made_artefacts.expected_accuracy(folder / "table.csv")}


def test_json_is_the_record_and_nothing_else(folder: Path) -> None:
    output = folder / "out" / "rows.json"
    path = folder / "linear_float32.onnx"
    ended = run_command("benchmark", f"--artefacts={path}", f"--output={output}", "--json", "--batch_sizes=1,4", *QUICK)
    assert ended.code == 0
    record = json.loads(ended.out)
    assert [row["batch_size"] for row in record["rows"]] == [1, 4]
    assert record["path"] == str(output)
    assert json.loads(output.read_text())["rows"] == record["rows"]
    assert not (folder / "benchmark.json").exists()


def test_the_same_again_replaces_the_rows(folder: Path) -> None:
    for _ in range(2):
        assert run_command("benchmark", f"--artefacts={folder}", "--metric=false", *QUICK).code == 0
    assert len(json.loads((folder / "benchmark.json").read_text())["rows"]) == 1


def test_a_run_s_exports_are_measured_and_its_report_is_rendered_again(folder: Path, tmp_path: Path) -> None:
    run = complete(tmp_path / "run")
    run.write_flags({"data": "digits"})
    entry = {"name": "linear_float32", "format": "onnx", "kind": "float32", "path": str(folder / "linear_float32.onnx")}
    files.write_json(run / "exports.json", {"artefacts": [entry]})
    before = json.loads((run / "benchmark.json").read_text())["rows"]
    ended = run_command("benchmark", f"--run_dir={run.path}", "--lang=zh", *QUICK)
    assert (ended.code, ended.err) == (0, "")
    assert "最快" in ended.out
    rows = json.loads((run / "benchmark.json").read_text())["rows"]
    assert rows[:-1] == before
    assert rows[-1]["artefact"] == "linear_float32"
    assert "linear_float32" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ([], "--artefacts or --run_dir is missing", "tflite_models/quickstart"),
        (["--artefacts=none.tflite"], "--artefacts=none.tflite: no such file or folder", "for example"),
        (["--artefacts=setup.cfg"], "setup.cfg: no runtime takes such a file", ".tflite"),
        (["--artefacts=x", "--run_dir=y"], "--artefacts=x contradicts --run_dir=y", ""),
        (["--run_dir=no/run"], "--run_dir=no/run: no run was started there", "train first"),
        (["--artefacts={file}", "--runtimes=onnx"], "unknown runtime 'onnx'", "onnxruntime"),
        (["--artefacts={file}", "--runtimes=litert"], "litert takes none of the artefacts", ".tflite"),
        (["--artefacts={file}", "--threads=0"], "--threads=0", "for example"),
        (["--artefacts={file}", "--batch_sizes=two"], "--batch_sizes=two", ""),
        (["--artefacts={file}", "--seconds=0"], "--seconds=0", ""),
        (["--artefacts={file}", "--targets=xnnpack"], "--targets=xnnpack needs --check", ""),
        (["--artefacts={file}", "--check", "--threads=2"], "--threads=2 contradicts --check", "measures nothing"),
        (["--artefacts={file}", "--data=digits", "--metric=false"], "--data=digits contradicts --metric=false", ""),
        (["--artefacts={file}", "--output=setup.cfg/x"], "--output=setup.cfg/x", ""),
    ],
)
def test_a_mistake_is_exit_2_with_error_and_hint(folder: Path, arguments: list[str], message: str, hint: str) -> None:
    file = folder / "linear_float32.onnx"
    ended = run_command("benchmark", *(text.format(file=file) for text in arguments), "--only_check_args")
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert hint in ended.err.partition("hint: ")[2]
    assert ended.out == ""
    assert not (folder / "benchmark.json").exists()


def test_check_measures_nothing_and_writes_nothing(folder: Path) -> None:
    before = {entry.name for entry in folder.iterdir()}
    path = folder / "linear_float32.onnx"
    ended = run_command("benchmark", f"--artefacts={path}", "--check", "--targets=openvino_int8,xnnpack", "--json")
    assert (ended.code, ended.err) == (0, "")
    (artefact,) = json.loads(ended.out)["artefacts"]
    openvino, xnnpack = artefact["judgements"]
    assert (openvino["target"], openvino["failure"], openvino["measured"]) == ("openvino_int8", "", True)
    assert ".tflite files alone" in xnnpack["failure"]
    ended = run_command("benchmark", f"--artefacts={path}", "--check", "--targets=openvino_int8", "--lang=zh")
    assert ended.code == 0
    assert "未加速" in ended.out
    assert {entry.name for entry in folder.iterdir()} == before
    for targets, message in (("npu", "unknown acceleration target 'npu'"), ("xnnpack", "nothing could be judged")):
        ended = run_command("benchmark", f"--artefacts={path}", "--check", f"--targets={targets}")
        assert ended.code == 2
        assert message in ended.err


@pytest.mark.skipif(Path("/proc/driver/nvidia/gpus").exists(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_exit_2_before_anything_is_measured(folder: Path) -> None:
    ended = run_command("benchmark", f"--artefacts={folder}", "--device=gpu")
    assert ended.code == 2
    assert "--device=gpu: this machine has no GPU for onnxruntime" in ended.err
    assert ended.out == ""


def test_a_corrupt_file_is_exit_2_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.tflite").write_bytes(bytes(range(256)) * 4)
    ended = run_command("benchmark", f"--artefacts={tmp_path / 'broken.tflite'}", *QUICK)
    assert ended.code == 2
    assert "error: nothing could be measured: " in ended.err
    assert "LiteRT cannot load it" in ended.err
    assert "Traceback" not in ended.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["broken.tflite"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_workers_and_writes_nothing(folder: Path, number: int, code: int) -> None:
    before = {entry.name for entry in folder.iterdir()}
    command = [sys.executable, "-m", "tfday7.benchmark", f"--artefacts={folder}"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes) as process:
        deadline = time.monotonic() + 60
        while not _workers(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for worker in _workers(process.pid):
            os.kill(worker, signal.SIGSTOP)  # Sixty rounds of a file as small as this one are over in a moment.
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    deadline = time.monotonic() + 60
    while left := _workers(process.pid):  # One that was stopped before it asked to end with its parent looks itself.
        assert time.monotonic() < deadline
        for worker in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGCONT)
        time.sleep(0.05)
    assert {entry.name for entry in folder.iterdir()} == before


def _workers(parent: int) -> list[int]:
    """Returns the workers of a process: they have its number as their last argument."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"tfday7.benchmarking.worker" in arguments and str(parent).encode() in arguments:
            found.append(int(entry.name))
    return found

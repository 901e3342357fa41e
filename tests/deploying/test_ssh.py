"""Deploying for real, to an OpenSSH server on loopback: what is installed, what comes back, and what never stays."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deploying import loopback
from deploying.loopback import Device
from support import run_command

from tfday7.core.errors import GateError, UserError
from tfday7.deploying import bundle, deploying
from tfday7.deploying.config import DeployConfig

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(loopback.MISSING), reason=loopback.MISSING)]
Artefacts = Callable[..., Path]
HOSTILE = 'pi\'s 模型; rm -rf $HOME `touch x` "$(touch y)" & | > z'
CNN = ["README.md", "bundle.json", "cnn_float32.tflite", "labels.txt", "run_model.py", "vectors_expected.bin",
       "vectors_keras.bin", "vectors_raw.bin"]  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    with loopback.serving(tmp_path_factory.mktemp("device")) as device:
        yield device


@pytest.fixture
def device(shared: Device) -> Iterator[Device]:
    """A device with an empty home."""
    yield shared
    for entry in shared.home.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def deploy(path: Path, device: Device, **settings: Any) -> dict[str, Any]:
    return deploying.deploy(config(path, device, **settings), lambda sentence: None)


def config(path: Path, there: Device, **settings: Any) -> DeployConfig:
    given = {"device": there.url, "ssh_config": str(there.config), "python": sys.executable, "benchmark_seconds": 0.1}
    return DeployConfig(artefact=str(path), **{**given, **settings})


def fake_python(folder: Path, script: str) -> Path:
    """Writes a Python that is the real one but for what a shell script does first."""
    folder.mkdir(exist_ok=True)
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n{script}\nexec {shlex.quote(sys.executable)} "$@"\n')
    path.chmod(0o755)
    return path


def test_a_model_is_checked_measured_and_installed_under_any_name(copied: Artefacts, device: Device) -> None:
    """The whole command, with a folder's name that a shell would tear apart."""
    path = copied("cnn")
    arguments = [f"--artefact={path}", f"--device={device.url}", f"--ssh_config={device.config}", "--threads=1,2"]
    arguments += [f"--python={sys.executable}", "--benchmark_seconds=0.1", f"--remote_dir={HOSTILE}"]
    ended = run_command("deploy", *arguments, "--json")
    assert ended.code == 0, ended
    assert device.left() == sorted([HOSTILE, *(f"{HOSTILE}/{name}" for name in CNN)])
    record = json.loads(ended.out)
    assert (record["folder"], record["installed"], record["parity"]["holds"]) == (HOSTILE, True, True)
    assert "installed in pi's 模型" in ended.err

    written = json.loads((path.parent / "benchmark.json").read_text())["rows"]
    assert written == record["rows"]
    assert [(row["artefact"], row["runtime"], row["threads"], row["batch_size"]) for row in written] == [
        ("cnn_float32", "litert", 1, 1), ("cnn_float32", "litert", 2, 1),
    ]  # fmt: skip
    for row in written:
        assert row["device"].endswith(" (127.0.0.1)")
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p90"]
        assert row["runs"] >= 20
        assert row["load_ms"] > 0
        assert row["peak_memory_bytes"] > 10_000_000
        assert row["size_bytes"] == path.stat().st_size
        assert row["parity"]["holds"]

    installed = subprocess.run(
        [sys.executable, str(device.home / HOSTILE / "run_model.py"), "check"], capture_output=True, check=False
    )
    assert installed.returncode == 0
    assert json.loads(installed.stdout)["parity"]["largest_difference"] == 0.0


def test_deploying_again_replaces_what_was_there_and_its_figures(copied: Artefacts, device: Device) -> None:
    path, target = copied("cnn"), device.home / "tfday7" / "cnn_float32"
    deploy(path, device)
    before = target.stat().st_ino
    (target / "labels.txt").write_text("old\n")
    deploy(path, device)
    assert target.stat().st_ino != before
    assert (target / "labels.txt").read_text() == "cat\ndog\nbird\n"
    assert device.left() == sorted(["tfday7", "tfday7/cnn_float32", *(f"tfday7/cnn_float32/{name}" for name in CNN)])
    assert len(json.loads((path.parent / "benchmark.json").read_text())["rows"]) == 1


def test_the_figures_of_a_runs_artefact_go_to_the_run(copied: Artefacts, device: Device, tmp_path: Path) -> None:
    path, run = copied("cnn"), tmp_path / "run"
    run.mkdir()
    (run / "flags.txt").write_text("--epochs=1\n")
    (run / "benchmark.json").write_text('{"hardware": {"cpu": "mine"}, "rows": [{"artefact": "other"}]}')
    record = json.loads(path.with_name(path.name + ".json").read_text())
    path.with_name(path.name + ".json").write_text(json.dumps({**record, "run": "../run"}))
    made = deploy(path, device)
    found = json.loads((run / "benchmark.json").read_text())
    assert found == {"hardware": {"cpu": "mine"}, "rows": [{"artefact": "other"}, *made["rows"]]}
    assert not (path.parent / "benchmark.json").exists()


def test_the_bundle_is_kept_here_only_where_it_is_asked_for(
    artefact: Artefacts, device: Device, tmp_path: Path
) -> None:
    deploy(artefact("cnn"), device, output_dir=str(tmp_path / "kept"))
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == CNN
    there = device.home / "tfday7" / "cnn_float32"
    for name in CNN:
        assert (there / name).read_bytes() == (tmp_path / "kept" / name).read_bytes()
    with pytest.raises(UserError, match="holds the bundle of 'cnn_float32'"):
        deploy(artefact("multilabel"), device, output_dir=str(tmp_path / "kept"))


def test_a_login_shell_that_greets_and_is_bash_is_understood(artefact: Artefacts, tmp_path: Path) -> None:
    with loopback.serving(tmp_path / "device", login="echo Welcome; echo machine=toaster; bash") as device:
        assert deploy(artefact("cnn"), device)["machine"]["machine"] == os.uname().machine


def test_other_answers_are_recorded_and_not_installed(copied: Artefacts, device: Device, tmp_path: Path) -> None:
    """A runtime that answers otherwise: this device's NumPy shifts what the model says."""
    path = copied("cnn")
    bundle.make(path, device.home / "tfday7/cnn_float32")
    before = {entry.name: entry.read_bytes() for entry in (device.home / "tfday7/cnn_float32").iterdir()}
    shifted = tmp_path / "shifted"
    (shifted / "ai_edge_litert").mkdir(parents=True)
    (shifted / "ai_edge_litert/__init__.py").write_text("__version__ = 'shifted'\n")
    (shifted / "ai_edge_litert/interpreter.py").write_text(SHIFTED)
    python = fake_python(tmp_path / "fake", f"export PYTHONPATH={shlex.quote(str(shifted))}")
    record = deploy(path, device, python=str(python))
    assert (record["installed"], record["parity"]["holds"]) == (False, False)
    with pytest.raises(GateError, match="the answers on the device differ by"):
        deploying.gate(record)
    assert {entry.name: entry.read_bytes() for entry in (device.home / "tfday7/cnn_float32").iterdir()} == before
    assert [name for name in device.left() if ".tfday7-" in name] == []
    rows = json.loads((path.parent / "benchmark.json").read_text())["rows"]
    assert [(row["runtime_version"], row["parity"]["holds"]) for row in rows] == [("shifted", False)]


SHIFTED = """
import numpy as np
class Interpreter:
    def __init__(self, model_content, num_threads): pass
    def allocate_tensors(self): pass
    def reset_all_variables(self): pass
    def get_input_details(self): return [{"index": 0}]
    def get_output_details(self): return [{"index": 1}]
    def set_tensor(self, index, x): pass
    def invoke(self): pass
    def get_tensor(self, index): return np.ones((1, 3), np.float32)
"""


def fails(path: Path, there: Device, reason: str, **settings: Any) -> UserError:
    """Checks that a deployment fails for this reason and leaves the device as it was."""
    before = there.left()
    with pytest.raises(UserError, match=reason) as error:
        deploying.deploy(config(path, there, **settings), lambda sentence: None)
    assert there.left() == before
    assert error.value.hint
    assert not (path.parent / "benchmark.json").exists()
    return error.value


def test_an_unknown_host_key_is_refused_by_ssh(copied: Artefacts, device: Device, tmp_path: Path) -> None:
    text = device.config.read_text().replace(str(device.known_hosts), str(tmp_path / "nobody"))
    (tmp_path / "ssh_config").write_text(text)
    error = fails(copied("cnn"), device, "Host key verification failed", ssh_config=str(tmp_path / "ssh_config"))
    assert "fingerprint" in error.hint
    assert not (tmp_path / "nobody").exists()  # Nor is it learned.


def test_a_key_that_the_device_does_not_know_is_refused(copied: Artefacts, device: Device, tmp_path: Path) -> None:
    loopback.make_key(tmp_path / "stranger")
    text = device.config.read_text().replace("IdentityFile ", f"IdentityFile {tmp_path / 'stranger'}\n#")
    (tmp_path / "ssh_config").write_text(text)
    error = fails(copied("cnn"), device, "Permission denied", ssh_config=str(tmp_path / "ssh_config"))
    assert "ssh-copy-id" in error.hint


def test_a_port_that_nobody_listens_on_is_said(copied: Artefacts, device: Device) -> None:
    url = f"ssh://127.0.0.1:{loopback.free_port()}"
    assert "is sshd running" in fails(copied("cnn"), device, "Connection refused", device=url).hint


def test_a_host_that_does_not_exist_is_said(copied: Artefacts, device: Device) -> None:
    assert "check the name" in fails(copied("cnn"), device, "ssh: .*", device="ssh://no-such-host.invalid").hint


@pytest.mark.parametrize("when", ["-c", "*run_model.py"])
def test_a_device_that_is_too_slow_is_given_up_and_left_clean(
    copied: Artefacts, device: Device, tmp_path: Path, when: str
) -> None:
    python = fake_python(tmp_path / "fake", f'case "$1" in {when}) sleep 60;; esac')
    error = fails(copied("cnn"), device, r"did not (end|answer) (within|in)", python=str(python), timeout_seconds=2)
    assert "--timeout_seconds" in error.hint


def test_a_python_without_numpy_gets_the_command_that_brings_it(
    copied: Artefacts, device: Device, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    error = fails(copied("cnn"), device, "NumPy cannot be imported there", python=python)
    assert f"{python} -m pip install ai-edge-litert" in error.hint


def test_a_python_without_a_runtime_gets_the_command_that_brings_one(
    copied: Artefacts, device: Device, tmp_path: Path
) -> None:
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        (tmp_path / "none" / name).mkdir(parents=True)
        (tmp_path / "none" / name / "__init__.py").write_text("raise ImportError('not here')\n")
    python = fake_python(tmp_path / "fake", f"export PYTHONPATH={shlex.quote(str(tmp_path / 'none'))}")
    error = fails(copied("cnn"), device, r"no runtime .*ai_edge_litert: not here", python=str(python))
    assert "-m pip install ai-edge-litert" in error.hint


@pytest.mark.parametrize(
    ("python", "reason"), [("no-such-python", "there is no no-such-python"), ("true", "no Python 3")]
)
def test_a_python_that_is_none_is_said(copied: Artefacts, device: Device, python: str, reason: str) -> None:
    assert "--python=PATH" in fails(copied("cnn"), device, reason, python=python).hint


@pytest.mark.parametrize("step", ["probe", "check"])
def test_a_runtime_that_crashes_is_named_by_its_signal(
    copied: Artefacts, device: Device, tmp_path: Path, step: str
) -> None:
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGILL)\n"
    (tmp_path / "broken" / "ai_edge_litert").mkdir(parents=True)
    (tmp_path / "broken" / "ai_edge_litert/__init__.py").write_text("__version__ = '0'\n")
    told = (
        crash
        if step == "probe"
        else SHIFTED.replace("import numpy as np", f"import numpy as np\ndef crash():\n    {crash}")
    )
    text = told if step == "probe" else told.replace("def invoke(self): pass", "def invoke(self): crash()")
    (tmp_path / "broken" / "ai_edge_litert/interpreter.py").write_text(text)
    python = fake_python(tmp_path / "fake", f"export PYTHONPATH={shlex.quote(str(tmp_path / 'broken'))}")
    reason = "importing ai_edge_litert ended .*SIGILL" if step == "probe" else r"the runtime crashed \(SIGILL\)"
    assert "pip install" in fails(copied("cnn"), device, reason, python=str(python)).hint


def test_a_folder_that_is_no_bundle_is_never_replaced(copied: Artefacts, device: Device) -> None:
    (device.home / "models").mkdir()
    (device.home / "models" / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        fails(
            copied("cnn"),
            device,
            r"holds files, and no bundle \(thesis.txt\)",
            remote_dir="models",
            overwrite=overwrite,
        )
    (device.home / "file").write_text("x")
    fails(copied("cnn"), device, "--remote_dir is there, and no folder", remote_dir="file")
    kept = [(device.home / name).read_text() for name in ("models/thesis.txt", "file")]
    assert kept == ["years of work", "x"]
    fails(copied("cnn"), device, "cannot be written there", remote_dir="file/below")


def test_what_was_added_to_a_bundle_or_is_another_artefact_stays_unless_it_may_go(
    copied: Artefacts, artefact: Artefacts, device: Device
) -> None:
    bundle.make(artefact("multilabel"), device.home / "models")
    fails(copied("cnn"), device, "holds another artefact, multilabel_float32", remote_dir="models")
    (device.home / "models" / "notes.txt").write_text("mine")
    fails(copied("multilabel"), device, r"no deployment made \(notes.txt\)", remote_dir="models")
    deploy(copied("cnn"), device, remote_dir="models", overwrite=True)
    assert sorted(path.name for path in (device.home / "models").iterdir()) == CNN


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_full_disk_is_seen_before_anything_is_copied(copied: Artefacts, device: Device) -> None:
    with loopback.small_disk(device.home / "small", "64k"):
        reason = r"small has 65\.5 kB free; the bundle needs 1\.\d MB"
        error = fails(copied("cnn"), device, reason, remote_dir="small/models")
    assert "--remote_dir=FOLDER" in error.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_is_full_in_spite_of_what_df_says_is_left_clean(copied: Artefacts, tmp_path: Path) -> None:
    (tmp_path / "lying").mkdir()
    (tmp_path / "lying/df").write_text("#!/bin/sh\necho 'tmpfs 9999999 0 9999999 0% /'\n")
    (tmp_path / "lying/df").chmod(0o755)
    path = str(tmp_path / "lying")
    with (
        loopback.serving(tmp_path / "device", path) as device,
        loopback.small_disk(device.home / "small", "16k"),
    ):
        fails(copied("cnn"), device, "the disk is full", remote_dir="small/a/b/models")


def test_what_a_killed_deployment_left_goes_with_the_next_one_a_day_later(artefact: Artefacts, device: Device) -> None:
    parent = device.home / "tfday7"
    old, new, other = parent / ".tfday7-0123456789abcdef", parent / ".tfday7-fedcba9876543210", parent / ".tfday7-mine"
    for folder in (old, new, other):
        folder.mkdir(parents=True)
    for folder in (old, other):
        os.utime(folder, (1, 1))
    deploy(artefact("cnn"), device)
    assert [folder.exists() for folder in (old, new, other)] == [False, True, True]


def test_an_interrupted_deployment_leaves_nothing(
    artefact: Artefacts, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def say(sentence: str) -> None:
        said.append(sentence)
        if "checking its answers" in sentence:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploying.deploy(config(artefact("cnn"), device), say)
    assert any("copying" in sentence for sentence in said)
    assert device.left() == []


def test_a_corrupt_artefact_is_refused_before_the_device_is_asked(copied: Artefacts, device: Device) -> None:
    path = copied("cnn")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    fails(path, device, "SHA-256", device="ssh://no-such-host.invalid")


def test_a_dry_run_shows_commands_that_a_shell_takes_and_touches_nothing(copied: Artefacts, device: Device) -> None:
    path = copied("cnn")
    before = sorted(entry.name for entry in path.parent.iterdir())
    record = deploy(path, device, dry_run=True, remote_dir=HOSTILE, threads="1,4")
    assert [shown["step"] for shown in record["commands"]] == [
        "asking the device what it is", "copying the bundle", "checking its answers", "measuring it (1 thread)",
        "measuring it (4 threads)", "moving it into place",
    ]  # fmt: skip
    assert device.left() == []
    assert sorted(entry.name for entry in path.parent.iterdir()) == before
    probe = shlex.split(record["commands"][0]["command"])
    assert probe[:3] == ["ssh", "-F", str(device.config)]
    assert "-oBatchMode=yes" in probe
    assert probe[-2] == "127.0.0.1"
    assert shlex.split(probe[-1])[4] == f"./{HOSTILE}"
    given = ["sh", "-c", record["commands"][0]["command"]]
    shown = subprocess.run(given, capture_output=True, text=True, check=False)
    assert "machine=" in shown.stdout  # The very line, given to a shell, works.
    assert device.left() == []

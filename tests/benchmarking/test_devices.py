"""What runs where, as far as the system's files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.benchmarking import devices
from tfday7.core.errors import UserError


@pytest.fixture
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without GPUs; returns where NVIDIA's driver would list them."""
    monkeypatch.setattr(devices, "NVIDIA", tmp_path / "gpus")
    monkeypatch.setattr(devices, "RENDER_NODES", tmp_path / "dri")
    return tmp_path / "gpus"


def test_without_a_gpu_it_is_said_for_which_runtimes(no_gpu: Path) -> None:
    devices.check("cpu", ["litert"])
    with pytest.raises(UserError, match="no GPU for onnxruntime, xla"):
        devices.check("gpu", ["onnxruntime", "xla"])


def test_litert_has_no_gpu_in_python(no_gpu: Path) -> None:
    (no_gpu / "0000:01:00.0").mkdir(parents=True)
    with pytest.raises(UserError, match="--device=gpu contradicts --runtimes=litert"):
        devices.check("gpu", ["litert"])


def test_a_gpu_has_the_name_that_its_driver_gives(no_gpu: Path) -> None:
    entry = no_gpu / "0000:01:00.0" / "information"
    entry.parent.mkdir(parents=True)
    entry.write_text("Model: \t\t NVIDIA T4\nIRQ:   \t\t 35\n")
    devices.check("gpu", ["litert", "onnxruntime"])
    assert devices.name("gpu", "onnxruntime") == "NVIDIA T4"
    entry.write_text("Model: Tesla T4\n")
    assert devices.name("gpu", "tensorflow") == "NVIDIA Tesla T4"
    with pytest.raises(UserError, match="no GPU for openvino"):
        devices.check("gpu", ["openvino"])


def test_openvino_takes_the_gpus_of_the_display_system(no_gpu: Path) -> None:
    (no_gpu.parent / "dri").mkdir()
    (no_gpu.parent / "dri" / "renderD128").touch()
    devices.check("gpu", ["openvino"])
    with pytest.raises(UserError, match="no GPU for tensorflow"):
        devices.check("gpu", ["tensorflow"])


def test_the_memory_that_is_left_is_the_system_s_or_the_container_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    assert devices.available_bytes() is None
    (tmp_path / "meminfo").write_text("MemTotal: 16000 kB\nMemAvailable:    8000 kB\n")
    assert devices.available_bytes() == 8000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert devices.available_bytes() == 8000 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert devices.available_bytes() == 4000


def test_only_runtimes_that_do_without_amx_are_asked_to() -> None:
    devices.check(devices.WITHOUT_AMX, ["litert", "onnxruntime"])
    with pytest.raises(UserError, match="contradicts --runtimes=openvino"):
        devices.check(devices.WITHOUT_AMX, ["litert", "openvino"])


def test_a_cpu_without_amx_is_told_from_the_same_one_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.amx, "is_there", lambda: True)
    assert devices.name(devices.WITHOUT_AMX, "litert") == f"{devices.name('cpu', 'litert')} without AMX"
    monkeypatch.setattr(devices.amx, "is_there", lambda: False)
    assert devices.name(devices.WITHOUT_AMX, "litert") == devices.name("cpu", "litert")

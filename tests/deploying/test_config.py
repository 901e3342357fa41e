"""The settings of a deployment: what is missing, contradicts or would reach beyond its folder."""

from __future__ import annotations

from typing import Any

import pytest

from tfday7.core.errors import UserError
from tfday7.deploying.config import DeployConfig


def config(**settings: Any) -> DeployConfig:
    return DeployConfig(**{"artefact": "a.tflite", "device": "ssh://pi@host", **settings})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"artefact": ""}, "--artefact is missing"),
        ({"device": ""}, "--device is missing"),
        ({"device": "toaster"}, "--device=toaster"),
        ({"device": "pi@host"}, "no such device"),
        ({"threads": ""}, "--threads="),
        ({"threads": "1,x"}, "--threads=1,x"),
        ({"threads": "0"}, "--threads=0"),
        ({"device": "android", "remote_dir": "x"}, "--remote_dir=x contradicts --device=android"),
        ({"device": "micro", "python": "python3.9"}, "--python=python3.9 contradicts --device=micro"),
        ({"device": "micro", "ssh_config": "x"}, "--ssh_config=x contradicts --device=micro"),
        ({"device": "micro", "threads": "1,4"}, "--threads=1,4 contradicts --device=micro"),
        ({"device": "micro", "benchmark_seconds": 1.0}, "--benchmark_seconds=1.0 contradicts --device=micro"),
        ({"ssh_config": "/no/such/file"}, "--ssh_config=/no/such/file: no such file"),
        ({"python": "-c"}, "--python='-c'"),
        ({"python": ""}, "--python=''"),
        ({"python": "py\nthon"}, "--python="),
        ({"remote_dir": "a\nb"}, "holds a control character"),
        ({"remote_dir": "/"}, "a folder of its own"),
        ({"remote_dir": "."}, "a folder of its own"),
        ({"remote_dir": "x/.."}, "a folder of its own"),
        ({"remote_dir": "../.."}, "a folder of its own"),
        ({"remote_dir": "~"}, "--remote_dir=~"),
        ({"remote_dir": "~root/x"}, "only be your own home"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        config(**settings).check()


def test_a_password_in_a_device_of_no_kind_is_not_repeated() -> None:
    with pytest.raises(UserError) as error:
        config(device="pi:geheim@host").check()
    assert "geheim" not in str(error.value) + error.value.hint


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("", "./tfday7/digits_int8"),
        ("models", "./models"),
        ("~/models/", "./models"),
        ("a//b/./c", "./a/b/c"),
        ("/opt/models", "/opt/models"),
        ("-rf", "./-rf"),
        ("pi's models; rm -rf $HOME `x`", "./pi's models; rm -rf $HOME `x`"),
        ("../x", "./../x"),
    ],
)  # fmt: skip
def test_the_folder_on_the_device_starts_at_home_or_at_the_root(given: str, folder: str) -> None:
    assert config(remote_dir=given).remote_folder("digits_int8") == folder


@pytest.mark.parametrize(
    ("given", "python"),
    [("python3.9", "python3.9"), ("~/venv/bin/python", "./venv/bin/python"), ("/opt/python", "/opt/python"),
     ("venv/bin/python", "./venv/bin/python")],
)  # fmt: skip
def test_a_python_by_its_path_is_found_from_home(given: str, python: str) -> None:
    assert config(python=given).interpreter() == python


@pytest.mark.parametrize("device", ["ssh://pi@host", "android"])
def test_what_is_measured_takes_threads_and_seconds(device: str) -> None:
    config(device=device, threads="1,4", benchmark_seconds=1.0).check()
    config(device="micro", timeout_seconds=9.0).check()


def test_each_number_of_threads_is_measured_once() -> None:
    assert config(threads="4, 1,4").thread_counts() == (4, 1)

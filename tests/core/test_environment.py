"""What a run ran on."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from tfday7.core import environment


def test_versions_are_those_of_the_running_python_and_its_packages() -> None:
    found = environment.versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"] == np.__version__


def test_a_package_that_is_not_installed_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package-anywhere",))
    assert environment.versions()["no-such-package-anywhere"] is None


def test_hardware_counts_the_cores_that_may_be_used_and_all_memory() -> None:
    found = environment.hardware()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["machine"] == os.uname().machine
    with open("/proc/meminfo", encoding="ascii") as stream:  # noqa: PTH123
        total_kb = int(stream.readline().split()[1])
    assert found["memory_bytes"] == total_kb * 1024
    json.dumps(found, allow_nan=False)

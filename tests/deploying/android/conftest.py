"""A small bundle, and a phone that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from deploying.android.fake_adb import FakePhone
from deploying.made_bundles import convert, dense, generator, made

from tfday7.deploying.bundle import Bundle
from tfday7.exporting.vectors import Vectors

HOSTILE_NAME = 'it\'s a "$model"; $(touch bad) `x`_float32'


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A float32 classifier with a name that a shell would take for commands."""
    model = dense(4, 3)
    raw = generator().normal(size=(6, 4)).astype(np.float32)
    vectors = Vectors(raw, np.asarray(model(raw), np.float32))
    return made(tmp_path_factory.mktemp("dense"), convert(model, raw), vectors, HOSTILE_NAME, labels=("a", "b", "c"))


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    """A phone that is attached; nothing lies on it yet."""
    made_phone = FakePhone(tmp_path / "phone")
    monkeypatch.setenv("PATH", made_phone.search_path())
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return made_phone

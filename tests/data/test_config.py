"""Flags of the data: sizes, and what the data is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfday7.core.errors import UserError
from tfday7.data import DataConfig


@pytest.mark.parametrize(
    ("given", "shape"), [("", None), ("96", (96, 96)), ("96x128", (96, 128)), ("8X4", (8, 4)), ("4096", (4096, 4096))]
)
def test_an_image_size_is_height_by_width(given: str, shape: tuple[int, int] | None) -> None:
    assert DataConfig(image_size=given).image_shape() == shape


@pytest.mark.parametrize(
    "given", ["0", "-1", "4097", "9" * 5000, "1x2x3", "x", "12x", "1.5", "big", "\u0663", "1e3", " 9"]
)
def test_what_is_no_image_size_is_refused(given: str) -> None:
    with pytest.raises(UserError, match=r"--image_size=.*expected") as caught:
        DataConfig(image_size=given)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_images_have_one_channel_or_three(channels: int) -> None:
    with pytest.raises(UserError, match=f"--image_channels={channels}"):
        DataConfig(image_channels=channels)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("digits", "digits"),
        ("dir/points.npz", "points"),
        ("keras:mnist", "keras_mnist"),
        ("python:my.module:make", "python_my.module_make"),
        ("tfds:mnist:3.0.1", "tfds_mnist_3.0.1"),
        ("tfds:ns/set", "tfds_ns_set"),
        ("photos.v2/", "photos.v2"),
        ("photos.v2/../photos.v2", "photos.v2"),
        (".", "here"),
    ],
)
def test_data_is_called_by_its_name_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, name: str
) -> None:
    (tmp_path / "here" / "photos.v2").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert DataConfig(data=data).name() == name

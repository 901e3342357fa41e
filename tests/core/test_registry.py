"""A registry fills itself from a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tfday7.core.errors import UserError
from tfday7.core.registry import Registry
from tfday7.data.source import SOURCES
from tfday7.diagnosis.check import CHECKS
from tfday7.models.architecture import ARCHITECTURES


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[int]:
    """A registry over a package with two modules on disk, as a contributor would write them."""
    package = tmp_path / "shapes_for_registry"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from tfday7.core.registry import Registry\nSHAPES = Registry('shape', __name__)\n"
    )
    for name, sides in (("square", 4), ("circle", 1)):
        (package / f"{name}.py").write_text(f"from shapes_for_registry import SHAPES\nSHAPES.add({name!r}, {sides})\n")
    monkeypatch.syspath_prepend(tmp_path)
    import shapes_for_registry

    yield shapes_for_registry.SHAPES
    for module in [name for name in sys.modules if name.startswith("shapes_for_registry")]:
        del sys.modules[module]


def test_the_folder_is_read_when_a_name_is_first_asked_for(shapes: Registry[int]) -> None:
    assert "shapes_for_registry.square" not in sys.modules
    assert shapes.names() == ("circle", "square")
    assert shapes.get("square") == 4


def test_an_unknown_name_is_a_users_mistake_that_lists_all_names(shapes: Registry[int]) -> None:
    with pytest.raises(UserError, match="unknown shape 'sqare'") as caught:
        shapes.get("sqare", extra="a polygon file")
    assert caught.value.hint == "did you mean square? known: circle, square; or a polygon file"


def test_a_name_is_registered_once() -> None:
    registry: Registry[int] = Registry("shape", "nowhere")
    assert registry.register("a")(1) == 1
    with pytest.raises(ValueError, match="shape 'a' is registered twice"):
        registry.add("a", 2)


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        (SOURCES, {"digits", "fashion_mnist", "npz", "csv"}),
        (ARCHITECTURES, {"mlp", "cnn", "resnet8"}),
        (CHECKS, {"diverged", "not_learning", "overfit", "gap", "underfit", "unstable"}),
    ],
)
def test_the_programs_own_registries_know_their_entries_and_list_them_all(
    registry: Registry[object], names: set[str]
) -> None:
    assert names <= set(registry.names())
    with pytest.raises(UserError) as caught:
        registry.get("no_such_name")
    assert all(name in caught.value.hint for name in registry.names())

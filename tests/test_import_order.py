"""Imports go one way: a library may import an earlier one, never a later one; nothing imports a command."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tfday7"
# The order of DESIGN.md. `stages` joins the libraries for the commands; `cli` is what commands share.
ORDER = (
    "core", "data", "models", "optimizers", "distribution", "training", "tuning", "diagnosis", "runtimes", "exporting",
    "benchmarking", "deploying", "compression", "reporting", "planning", "preparing", "stages",
    "stage_fix", "stage_export", "compress_targets", "stage_compress", "cli",
)  # fmt: skip
COMMANDS = {"train", "tune", "advise", "diagnose", "compress", "export", "benchmark", "deploy", "launch", "report"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Returns the dotted names of tfday7 that a module imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("tfday7.")}


def part(dotted: str) -> str:
    return dotted.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_comes_before_it(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    known = {*ORDER, *COMMANDS, "__version__"}
    for name in imported(path):
        assert part(name) in known, f"{name} has no place in the order"
        assert part(name) not in COMMANDS, f"{path} imports the command {name}"
        if own in ORDER and part(name) != "__version__":
            assert ORDER.index(part(name)) <= ORDER.index(own), f"{own} comes before {part(name)}"


def test_every_folder_and_command_has_its_place() -> None:
    found = {entry.stem for entry in PACKAGE.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").exists()}
    assert found - {"__init__", "__pycache__"} <= {*ORDER, *COMMANDS}


def test_all_ten_commands_exist() -> None:
    assert all((PACKAGE / f"{name}.py").is_file() for name in COMMANDS)
    assert len(COMMANDS) == 10

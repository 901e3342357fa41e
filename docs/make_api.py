"""Makes docs/api.md, the reference of what Python programs call, from the docstrings: python docs/make_api.py

The sources are read, and only settings imported, so that nothing loads TensorFlow: a name is followed through the
`from ... import` of its package to where it is defined.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tfday7.core.settings import typed_fields  # noqa: E402

PAGE = ROOT / "docs" / "api.md"
INTRODUCTION = """# For Python programs

Everything that the commands do can be called. What follows is what programs are meant to rely on, in the order in which
data flow; the settings classes have the flags as fields, with the ranges that `--help` shows. Mistakes raise
`tfday7.core.errors.UserError`, which has a `message` and a `hint`. Made from the docstrings: `python docs/make_api.py`.

```python
from tfday7 import data, models
from tfday7.compression import shrink
from tfday7.models import building

dataset = data.load(data.DataConfig(data="digits"))
model = building.build(models.ModelConfig(model="cnn"), dataset.problem)
smaller = shrink.plan(model, ratio=0.5).apply()
models.save(smaller, "smaller.keras")  # Opens in plain Keras 3.
```
"""
# Of each ability: the module that people import from, and its names.
ENTRIES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "Data": (("tfday7.data", ("load", "DataConfig", "Dataset", "Examples", "Problem")),),
    "Models": (
        ("tfday7.models", ("load", "save", "to_keras3", "register", "ModelConfig")),
        ("tfday7.models.building", ("build",)),
    ),
    "Optimizers": (
        ("tfday7.optimizers", ("advise", "Situation", "Advice", "OptimizerConfig")),
        ("tfday7.optimizers.catalog", ("build",)),
    ),
    "Devices": (
        ("tfday7.distribution", ("DistributionConfig",)),
        ("tfday7.distribution.devices", ("open_devices", "Devices")),
        ("tfday7.distribution.mesh.layouts", ("plan",)),
        ("tfday7.distribution.mesh.axes", ("parse",)),
    ),
    "Training": (("tfday7.training", ("TrainingConfig",)), ("tfday7.training.fitting", ("fit", "Fit"))),
    "Search": (("tfday7.tuning.tuning", ("run",)), ("tfday7.tuning", ("TuningConfig",))),
    "Diagnosis": (("tfday7.diagnosis", ("diagnose", "Diagnosis", "Finding")),),
    "Runtimes": (("tfday7.runtimes", ("open_artefact", "Runner", "Tensor")),),
    "Export": (
        ("tfday7.exporting.exporting", ("export",)),
        ("tfday7.exporting.records", ("Origin", "Artefact", "Parity", "read_artefact")),
        ("tfday7.exporting.options", ("QuantizationOptions",)),
        ("tfday7.exporting.parity", ("compare",)),
    ),
    "Compression": (
        ("tfday7.compression.shrink", ("plan", "Plan")),
        ("tfday7.compression.qat", ("prepare", "is_quantized", "save", "load")),
        ("tfday7.compression.recipe", ("parse", "read", "Recipe")),
        ("tfday7.compression.compressing", ("compress", "Compression")),
    ),
    "A whole run": (("tfday7.planning", ("Plan",)), ("tfday7.stages", ("run", "describe"))),
}
Definition = ast.FunctionDef | ast.ClassDef


def page() -> str:
    """Returns the page."""
    lines = [INTRODUCTION]
    for title, modules in ENTRIES.items():
        lines += [f"## {title}", ""]
        for module, names in modules:
            for name in names:
                lines += _entry(module, name, definition(module, name))
    return "\n".join(lines).rstrip() + "\n"


def definition(module: str, name: str) -> Definition:
    """Returns where a name of a module is defined, in it or in one that it imports the name from.

    Raises:
        LookupError: it is not there.
    """
    for node in _parsed(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and node.module and any(each.name == name for each in node.names):
            return definition(node.module, name)
    raise LookupError(f"{module} has no {name}")


def _parsed(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _entry(module: str, name: str, node: Definition) -> list[str]:
    lines = [f"### `{module}.{name}`", ""]
    if isinstance(node, ast.FunctionDef):
        lines += ["```python", _signature(node), "```", ""]
    lines += ["```text", _docstring(node), "```", ""]
    if isinstance(node, ast.ClassDef):
        is_settings = any(isinstance(base, ast.Name) and base.id == "Settings" for base in node.bases)
        lines += _settings(module, name) if is_settings else []
        methods = [each for each in node.body if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")]
        lines += [f"- `{_shown(method)}`: {_docstring(method).split(chr(10) + chr(10))[0]}" for method in methods]
        lines += [""] if methods else []
    return lines


def _settings(module: str, name: str) -> list[str]:
    """Returns a line for each field of a settings class: its type, default and help."""
    lines = []
    for field, kind, optional in typed_fields(getattr(importlib.import_module(module), name)):
        said = " ".join(field.metadata["help"].split())
        lines.append(f"- `{field.name}: {kind.__name__}{' | None' if optional else ''} = {field.default!r}`: {said}")
    return [*lines, ""]


def _shown(method: ast.FunctionDef) -> str:
    if any(isinstance(each, ast.Name) and "property" in each.id for each in method.decorator_list):
        return method.name
    return _signature(method).removeprefix("def ").removesuffix(":")


def _signature(node: ast.FunctionDef) -> str:
    returned = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    whole = f"def {node.name}({ast.unparse(node.args)}){returned}:"
    if len(whole) <= 100:
        return whole
    arguments = ast.unparse(node.args)
    return f"def {node.name}(\n    {arguments},\n){returned}:"


def _docstring(node: Definition) -> str:
    return inspect.cleandoc(ast.get_docstring(node) or "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

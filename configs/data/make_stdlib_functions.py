"""Makes stdlib_functions.csv: functions of the Python standard library, and whether they return a value.

Python's own `ast` reads the files; nothing is imported or run. A row is a function with a docstring: its module, what
it is, the words of its name, its arguments, its lines, its decorator and the first line of its docstring. The file
beside this program was made with Python 3.11; another version has other functions.

    python configs/data/make_stdlib_functions.py > configs/data/stdlib_functions.csv
"""

from __future__ import annotations

import ast
import csv
import hashlib
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

HEADER = ("module", "kind", "name", "arguments", "defaults", "lines", "decorator", "docstring", "returns")
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3", "encodings"}
SHARE = 0.32  # Of the functions, by a hash of their names: the file stays below 200 kB.


def rows(folder: Path) -> Iterator[tuple[object, ...]]:
    """Yields the rows of all files below a folder, sorted by path."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not LEFT_OUT.intersection(parts):
            yield from functions(ast.parse(path.read_bytes()), parts[0], "function")


def functions(node: ast.AST, module: str, kind: str) -> Iterator[tuple[object, ...]]:
    """Yields the rows of the functions and methods inside a node, not of those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(child)
            digest = hashlib.blake2b(f"{module}.{child.name}.{child.lineno}".encode(), digest_size=4).digest()
            if docstring and int.from_bytes(digest, "big") < SHARE * 2**32:
                yield row(child, module, kind, docstring)
        else:
            yield from functions(child, module, "method" if isinstance(child, ast.ClassDef) else kind)


def row(function: ast.FunctionDef | ast.AsyncFunctionDef, module: str, kind: str, docstring: str) -> tuple[object, ...]:
    """Returns the values of one function in the order of the header."""
    given = function.args
    decorator = ast.unparse(function.decorator_list[0]).split("(")[0] if function.decorator_list else ""
    name = re.sub("([a-z])([A-Z])", r"\1 \2", function.name).replace("_", " ").strip().lower()
    lines = (function.end_lineno or function.lineno) - function.lineno - docstring.count("\n")
    count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
    defaults = len(given.defaults) + sum(default is not None for default in given.kw_defaults)
    first_line = docstring.splitlines()[0][:60]
    returns = "value" if returns_value(function) else "nothing"
    return module, kind, name, count, defaults, lines, decorator, first_line, returns


def returns_value(function: ast.AST) -> bool:
    """Returns whether a function has a return with a value or a yield, functions inside it aside."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(child, (ast.Yield, ast.YieldFrom)) or (isinstance(child, ast.Return) and child.value is not None):
            return True
        if returns_value(child):
            return True
    return False


def main() -> None:
    """Writes the table to standard output."""
    warnings.simplefilter("ignore")  # Old files hold escapes that are no longer allowed.
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows(Path(sysconfig.get_paths()["stdlib"])))


if __name__ == "__main__":
    main()

"""Lines of Python programs, told apart by `tokenize`, encoded without what gives them away."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from support import ROOT

from tfday7.core.errors import UserError
from tfday7.data import Dataset
from tfday7.data.loading import prepare
from tfday7.data.sources import stdlib_text
from tfday7.data.sources.stdlib_text import CODE, COMMENT, DOCSTRING, encode, from_folder, label_lines, words

PROGRAM = '''"""What the module does."""
import os  # needed for paths
# A comment alone.
class Thing:
    r"""First line.

    Second "quoted" line.
    """
    size = """text that
    is neither"""

    def f(self):
        "Short one."  # beside it
        return {"a": 1}
'''


def labelled(program: str) -> list[tuple[int, str]]:
    return [(label, " ".join(words(text))) for label, text in label_lines(io.StringIO(program)) if words(text)]


def test_every_line_of_a_program_is_told_apart() -> None:
    assert sorted(labelled(PROGRAM)) == sorted(
        [
            (DOCSTRING, "what the module does ."),
            (CODE, "import os"),
            (COMMENT, "needed for paths"),
            (COMMENT, "a comment alone ."),
            (CODE, "class thing :"),
            (DOCSTRING, "first line ."),
            (DOCSTRING, "second quoted line ."),
            (CODE, "size = text that"),
            (CODE, "def f ( self ) :"),
            (DOCSTRING, "short one ."),
            (COMMENT, "beside it"),
            (CODE, "return { a : 1 }"),
        ]
    )


@pytest.mark.parametrize("module", ["ast.py", "tokenize.py", "json/decoder.py", "argparse.py", "enum.py"])
def test_docstrings_are_those_that_the_parser_finds(module: str) -> None:
    """Against `ast`, which knows nothing of tokens; a string that is a statement is a docstring wherever it stands."""
    program = (Path(sysconfig.get_paths()["stdlib"]) / module).read_text(encoding="utf-8")
    expected: list[str] = []
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            expected += words(ast.get_source_segment(program, node).lstrip("rRuUbB"))
    found = [word for label, text in label_lines(io.StringIO(program)) if label == DOCSTRING for word in words(text)]
    assert sorted(found) == sorted(expected)


def test_words_hold_nothing_that_gives_the_label_away() -> None:
    assert words('# It\'s `x` != "y_2" \\n') == ["it", "s", "x", "!", "=", "y", "_", "2", "n"]
    assert words("Ünïcode café") == ["ü", "n", "ï", "code", "caf", "é"]
    assert words("#'\"\\ \t") == []


def test_ids_are_cut_filled_and_unknown_words_are_1() -> None:
    vocabulary = ("[padding]", "[unknown]", "a", "b")
    ids = encode([("a", "b", "c"), ("b",), ("a",) * 9], vocabulary, length=4)
    assert ids.tolist() == [[2, 3, 1, 0], [3, 0, 0, 0], [2, 2, 2, 2]]
    assert ids.dtype == np.int32


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return prepare(from_folder(Path(sysconfig.get_paths()["stdlib"]) / "email", 1200), "email")


def test_no_file_and_no_example_is_on_two_sides(tmp_path: Path) -> None:
    for i in range(40):  # Each file has a word of its own, thrice.
        own = "abcdefghij"[i // 4] * 3 + "klmn"[i % 4] * 3
        lines = f'"""the {own} says so"""\n# the {own} is small\n# the {own} is large\n{own} = f(x)\n'
        (tmp_path / f"m{i}.py").write_text(lines)
    raw = from_folder(tmp_path)
    loaded = prepare(raw, "small")
    sides = [{row.tobytes() for row in part.x} for part in (loaded.train, loaded.validation, loaded.test)]
    assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])
    assert all(len(side) for side in sides)
    own_words = {word for word in raw.vocabulary if len(word) == 6}
    assert own_words
    known = {raw.vocabulary.index(word) for word in own_words}
    for part in (loaded.validation, loaded.test):  # A word of one file alone is known where that file trains, only.
        assert not known & set(part.x.ravel().tolist())
        assert (part.x == 1).any(axis=1).all()


def test_classes_are_balanced_and_counts_capped(dataset: Dataset) -> None:
    y = np.concatenate([dataset.train.y, dataset.validation.y, dataset.test.y])
    counts = np.bincount(y)
    assert 1150 <= counts.sum() <= 1200  # Equal ids of different unknown words count once.
    assert 390 <= counts.max() <= 400  # Which of them are equal depends on the version of Python.
    assert counts.min() >= 380
    assert dataset.problem.kind == "text"
    assert dataset.problem.input_shape == (32,)
    assert dataset.train.x.max() < len(dataset.problem.vocabulary) <= 4096


def test_the_python_version_is_part_of_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(sysconfig.get_paths()["stdlib"]) / "json"
    before = prepare(from_folder(folder), "json").fingerprint
    assert prepare(from_folder(folder), "json").fingerprint == before
    monkeypatch.setattr("platform.python_version", lambda: "3.99.1")
    assert prepare(from_folder(folder), "json").fingerprint != before


def test_tests_and_installed_packages_are_left_out(tmp_path: Path) -> None:
    for folder in ("email", "test", "unittest/test", "site-packages/numpy", "tests"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text("x = 1\n")
    (tmp_path / "folder.py").mkdir()
    assert stdlib_text.files(tmp_path) == [tmp_path / "email" / "a.py"]


def test_a_folder_without_programs_or_with_one_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no Python files with code, comments and docstrings"):
        from_folder(tmp_path)
    for content in (b'x = """never closed\n', b"\xff\xfe\x00", b"# coding: no-such-code\nx = 1\n", b"  x\n y\n"):
        (tmp_path / "broken.py").write_bytes(content)
        with pytest.raises(UserError, match=r"broken\.py: cannot be read as Python"):
            from_folder(tmp_path)


@pytest.mark.slow
def test_the_whole_library_takes_seconds_and_no_tensorflow() -> None:
    code = (
        "import sys, time; started = time.monotonic()\n"
        "from tfday7.data import DataConfig, load\n"
        "d = load(DataConfig(data='stdlib_text'))\n"
        "assert 'tensorflow' not in sys.modules\n"
        "assert 19_500 < len(d.train) + len(d.validation) + len(d.test) <= 20_000\n"
        "assert min(len(d.validation), len(d.test)) > 1500\n"
        "print(time.monotonic() - started)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) < 30

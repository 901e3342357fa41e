"""Files appear whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tfday7.core import files
from tfday7.core.errors import UserError


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    files.write_text(path, "größer 大\n")
    assert path.read_bytes() == "größer 大\n".encode()
    assert _names(path.parent) == ["c.txt"]


def test_the_private_name_is_beside_the_file_and_has_its_suffix(tmp_path: Path) -> None:
    with files.replacing(tmp_path / "model.keras") as partial:
        assert partial.suffix == ".keras"
        assert partial.parent.parent == tmp_path  # The same file system, or the move would not be atomic.
        partial.write_bytes(b"new")
        assert not (tmp_path / "model.keras").exists()
    assert (tmp_path / "model.keras").read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, UserError])
def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "record.json"
    files.write_text(path, "old")

    def fail_half_way() -> None:
        with files.replacing(path) as partial:
            partial.write_text("half of the n")
            raise error("stop")

    with pytest.raises(error):
        fail_half_way()
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["record.json"]


def test_a_block_that_writes_nothing_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    files.write_text(path, "old")
    with pytest.raises(UserError, match="cannot write"), files.replacing(path):
        pass
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["record.json"]


def _be_killed(code: str, path: Path) -> None:
    """Runs code in a process of its own, which is to kill itself."""
    root = Path(files.__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, "-c", code, str(path)], env={"PYTHONPATH": str(root)}, check=False)
    assert killed.returncode == -signal.SIGKILL


def test_a_killed_process_leaves_the_old_file_and_its_rest_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    files.write_text(path, "old")
    code = (
        "import os, signal, sys; from pathlib import Path; from tfday7.core.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    _be_killed(code, path)
    assert path.read_text() == "old"
    assert len(_names(tmp_path)) == 2
    files.remove_partials(tmp_path)
    assert _names(tmp_path) == ["record.json"]


def test_a_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    path = tmp_path / "saved_model"
    for content in ("first", "second"):
        with files.replacing(path) as partial:
            partial.mkdir()
            (partial / content).write_text(content)
    assert _names(path) == ["second"]
    assert _names(tmp_path) == ["saved_model"]


def _write_folder(path: Path, content: str) -> None:
    with files.replacing(path) as partial:
        partial.mkdir()
        (partial / content).write_text(content)


@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError])
def test_an_error_between_the_two_moves_of_a_folder_leaves_the_old_one(
    tmp_path: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, move = tmp_path / "saved_model", Path.replace
    _write_folder(path, "first")

    def fail_once(self: Path, target: Path) -> Path:
        if target == path:
            monkeypatch.undo()
            raise error
        return move(self, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(UserError if error is PermissionError else error):
        _write_folder(path, "second")
    assert _names(path) == ["first"]
    assert _names(tmp_path) == ["saved_model"]


def test_a_kill_between_the_two_moves_of_a_folder_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "saved_model"
    _write_folder(path, "first")
    code = (
        "import os, signal, sys; from pathlib import Path; from tfday7.core.files import replacing\n"
        "path, move = Path(sys.argv[1]), Path.replace\n"
        "Path.replace = lambda old, new: os.kill(os.getpid(), signal.SIGKILL) if new == path else move(old, new)\n"
        "with replacing(path) as partial:\n"
        "    partial.mkdir()"
    )
    _be_killed(code, path)
    assert not path.exists()
    files.remove_partials(tmp_path)
    assert _names(tmp_path) == ["saved_model"]
    assert _names(path) == ["first"]


def test_a_file_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write"):
        files.write_text(tmp_path / "taken", "x")
    assert _names(tmp_path) == ["taken"]
    assert _names(tmp_path / "taken") == ["inside"]


def test_a_path_below_a_file_is_a_users_mistake_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"cannot write .*file/below/a.txt: Not a directory") as caught:
        files.write_text(tmp_path / "file" / "below" / "a.txt", "x")
    assert "folder" in caught.value.hint


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_json_holds_no_value_that_other_readers_refuse(tmp_path: Path, value: object) -> None:
    files.write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(tmp_path / "a.json", {"x": value})
    assert files.read_json(tmp_path / "a.json") == {"x": 1}


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = {"name": "大", "values": [1, 2.5, None, True]}
    files.write_json(tmp_path / "a.json", record)
    assert json.loads((tmp_path / "a.json").read_bytes()) == record == files.read_json(tmp_path / "a.json")
    assert "大" in (tmp_path / "a.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"{'a': 1}", b"[1e999]", b"[NaN]", b"[-Infinity]", b"1" * 301]
)
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: not a readable JSON file"):
        files.read_json(tmp_path / "a.json")


def test_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json: no such file"):
        files.read_json(tmp_path / "a.json")


def test_checking_a_folder_that_does_not_exist_yet_leaves_nothing_behind(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "runs" / "new", "run_dir")
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: folder / "file", "is a file"),
        (lambda folder: folder / "file" / "below", "is a file"),
        (lambda folder: folder / ("n" * 300), "File name too long"),
        (lambda folder: Path("/proc/no_run"), "cannot write"),  # No process can make files there, not even root.
    ],
)
def test_a_folder_that_cannot_be_written_is_named_with_its_flag(
    tmp_path: Path, make: Callable[[Path], Path], expected: str
) -> None:
    (tmp_path / "file").write_text("x")
    folder = make(tmp_path)
    with pytest.raises(UserError, match=f"--run_dir={folder}.*{expected}"):
        files.check_writable(folder, "run_dir")


def test_sizes_are_those_of_all_files_below(tmp_path: Path) -> None:
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "graph.pb").write_bytes(b"x" * 100)
    (tmp_path / "model" / "variables" / "data").write_bytes(b"x" * 23)
    assert files.folder_size_bytes(tmp_path / "model") == 100 + 23
    assert files.folder_size_bytes(tmp_path / "model" / "graph.pb") == 100


def test_only_files_with_an_end_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    with (tmp_path / "long").open("wb") as file:
        file.truncate(files.MOST_JSON_BYTES + 1)
    sorts = {
        "pipe": "a pipe; expected a file",
        "endless": "a device; expected a file",
        "circle": "cannot be read",
        "folder": "a folder; expected a file",
        "long": "500,000,001 bytes; expected 500,000,000 at most",
        "missing": "no such file",
    }
    for name, message in sorts.items():
        with pytest.raises(UserError, match=f"{name}: {message}"):
            files.read_json(tmp_path / name)


def test_links_to_files_are_files(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"a": 1})
    (tmp_path / "b.json").symlink_to("a.json")
    assert files.read_json(tmp_path / "b.json") == {"a": 1}

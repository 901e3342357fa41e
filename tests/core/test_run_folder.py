"""The rules for coming back to a run folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfday7.core import run_folder
from tfday7.core.errors import UserError
from tfday7.core.run_folder import METRICS, RunFolder
from tfday7.core.settings import to_text

FLAGS = {"data": "digits", "epochs": "20", "l2": "0.0"}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A folder in which a run was started."""
    folder = RunFolder(tmp_path / "runs" / "quick")
    folder.write_flags(FLAGS)
    folder.update(status="running")
    return folder


def test_flags_are_a_flagfile_and_come_back_as_they_were(run: RunFolder) -> None:
    assert (run / "flags.txt").read_text() == "--data=digits\n--epochs=20\n--l2=0.0\n"
    assert run.flags() == FLAGS


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text("ab=- ,:/.大0", max_size=20)))
def test_any_flag_value_of_one_line_comes_back(tmp_path_factory: pytest.TempPathFactory, flags: dict[str, str]) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write_flags(flags)
    assert folder.flags() == flags


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_no_value_brings_a_flag_of_its_own(run: RunFolder, end: str) -> None:
    with pytest.raises(UserError, match="holds a line break"):
        run.write_flags({"data": f"x{end}--data=python:evil:load{end}#.csv"})
    with pytest.raises(UserError, match="holds a line break"):
        run.write_flags({"data": f"x{end}"})
    assert run.flags() == FLAGS


def test_a_lock_that_is_a_link_is_not_followed(run: RunFolder, tmp_path: Path) -> None:
    (run / ".lock").symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="cannot be written"), run.locked():
        pass
    assert not (tmp_path / "other").exists()


def test_a_run_bears_its_folders_name(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run.name == "quick"
    monkeypatch.chdir(run.path)
    assert RunFolder(Path()).name == "quick"


def test_a_run_exists_once_its_flags_are_written(tmp_path: Path, run: RunFolder) -> None:
    assert run.exists()
    assert not RunFolder(tmp_path).exists()


def test_fields_of_the_record_are_set_one_by_one(run: RunFolder) -> None:
    run.update(seed=3)
    run.update(status="finished")
    assert run.record() == {"status": "finished", "seed": 3} == json.loads((run / "run.json").read_text())
    assert run.is_finished()


def test_only_a_finished_run_is_finished(run: RunFolder, tmp_path: Path) -> None:
    assert not run.is_finished()
    assert not RunFolder(tmp_path / "nothing").is_finished()


@pytest.mark.parametrize(
    "content",
    [
        "[1]", "3", "{", "", '{"data": null}', '{"data": []}', '{"data": {"examples": null}}', '{"metric": []}',
        '{"data": {"task": []}}', '{"metric": {"validation": "x"}}', '{"metric": {"class_recall": 5}}',
        '{"training": null}', '{"training": {"seconds": "x"}}', '{"optimizer": [1]}', '{"gate": {"message": "a"}}',
    ],
)  # fmt: skip
def test_a_damaged_record_is_named(run: RunFolder, content: str) -> None:
    (run / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json: "):
        run.record()


def test_damaged_flags_are_named(run: RunFolder) -> None:
    (run / "flags.txt").write_bytes(b"--data=\xff\n")
    with pytest.raises(UserError, match=r"flags\.txt: cannot be read") as caught:
        run.flags()
    assert "--overwrite" in caught.value.hint


def test_metrics_that_are_no_file_are_refused_and_nested_ones_end_the_list(run: RunFolder) -> None:
    run.path.mkdir(parents=True, exist_ok=True)
    (run / METRICS).write_bytes(b'{"epoch": 1}\n' + b"[" * 100_000 + b"]" * 100_000 + b"\n")
    assert run.metrics() == [{"epoch": 1}]
    (run / METRICS).unlink()
    os.mkfifo(run / METRICS)
    with pytest.raises(UserError, match="a pipe; expected a file"):
        run.metrics()


@pytest.mark.parametrize("rest", [b'{"epoch": 3, "lo', b'{"epoch": 3, "name": "\xe5', b"3\n", b"\xff\xff"])
def test_a_half_written_last_line_of_metrics_is_left_out(run: RunFolder, rest: bytes) -> None:
    assert run.metrics() == []
    whole = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": None}]
    (run / "metrics.jsonl").write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in whole) + rest)
    assert run.metrics() == whole


# Which commands may run in a folder.


def test_the_same_command_may_come_back(run: RunFolder) -> None:
    run.check_reusable(FLAGS, overwrite=False)


@pytest.mark.parametrize("path", ["new", "new/deep"])
def test_a_folder_that_does_not_exist_is_free(tmp_path: Path, path: str) -> None:
    RunFolder(tmp_path / path).check_reusable(FLAGS, overwrite=False)
    assert not (tmp_path / "new").exists()


def test_more_epochs_go_on(run: RunFolder) -> None:
    run.check_reusable({**FLAGS, "epochs": "21"}, overwrite=False)
    run.check_reusable({**FLAGS, "epochs": "100"}, overwrite=False)  # Larger as a number, not as text.


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epochs": "19"}, ["--epochs=19 (was 20)"]),
        ({"epochs": "3"}, ["--epochs=3 (was 20)"]),
        ({"l2": "0.1"}, ["--l2=0.1 (was 0.0)"]),
        ({"epochs": "21", "data": "a.csv"}, ["--data=a.csv (was digits)", "--epochs=21 (was 20)"]),
        ({"width": "8"}, ["--width=8 (was not set)"]),
    ],
)
def test_any_other_difference_is_refused_and_named(run: RunFolder, changes: dict[str, str], named: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        run.check_reusable({**FLAGS, **changes}, overwrite=False)
    assert caught.value.message.endswith("holds another run; different: " + ", ".join(named))
    assert "--overwrite" in caught.value.hint
    assert "--run_dir" in caught.value.hint


def test_a_flag_that_is_no_longer_given_is_a_difference(run: RunFolder) -> None:
    with pytest.raises(UserError, match=r"--l2= \(was 0.0\)"):
        run.check_reusable({"data": "digits", "epochs": "20"}, overwrite=False)


def test_overwrite_accepts_any_difference(run: RunFolder) -> None:
    run.check_reusable({"data": "a.csv"}, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_never_taken(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match="holds files that no run made"):
        RunFolder(tmp_path).check_reusable(FLAGS, overwrite)


@pytest.mark.parametrize("leftover", [".lock", ".partial-abc", "metrics.jsonl"])
def test_what_a_killed_run_left_does_not_make_a_folder_foreign(tmp_path: Path, leftover: str) -> None:
    (tmp_path / leftover).write_text("")
    RunFolder(tmp_path).check_reusable(FLAGS, overwrite=False)


@pytest.mark.parametrize(("name", "expected"), [("file", "is a file"), ("n" * 300, "File name too long")])
def test_a_path_that_cannot_be_a_folder_is_named(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"--run_dir=.*{expected}"):
        RunFolder(tmp_path / name).check_reusable(FLAGS, overwrite=False)


def test_clearing_removes_what_runs_make_and_nothing_else(run: RunFolder) -> None:
    for name in ("checkpoints", "tensorboard", ".partial-x"):
        (run / name / "deep").mkdir(parents=True)
        (run / name / "deep" / "file").write_text("x")
    for name in ("metrics.jsonl", "model.keras", "report.html", "diagnosis.json", "tuning.json", "compression.json"):
        (run / name).write_text("x")
    (run / "notes.md").write_text("mine")
    (run / "mine").mkdir()
    run.clear()
    assert sorted(entry.name for entry in run.path.iterdir()) == ["mine", "notes.md"]
    assert (run / "notes.md").read_text() == "mine"


def test_clearing_does_not_follow_a_link_out_of_the_folder(run: RunFolder, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    (run / "checkpoints").symlink_to(precious)
    run.clear()
    assert (precious / "file").read_text() == "x"
    assert not (run / "checkpoints").is_symlink()


# One process at a time.

HOLD = """
import sys
from pathlib import Path
from tfday7.core.run_folder import METRICS, RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def _hold(path: Path) -> subprocess.Popen[str]:
    root = Path(run_folder.__file__).resolve().parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], env={"PYTHONPATH": str(root)}, **pipes)
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_process_is_refused_while_the_first_one_works(run: RunFolder) -> None:
    with _hold(run.path) as child:
        with pytest.raises(UserError, match="is in use by another process"), run.locked():
            raise AssertionError
        child.communicate("")
    with run.locked():  # It is free again as soon as the other one has ended.
        pass


def test_a_killed_process_holds_nothing(run: RunFolder) -> None:
    with _hold(run.path) as child:
        child.kill()
        child.wait()
    with run.locked():
        pass
    assert run.flags() == FLAGS


def test_a_folder_made_for_a_run_that_wrote_nothing_is_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "new")
    with folder.locked():
        assert folder.path.is_dir()
    assert not folder.path.exists()


def test_a_folder_that_a_run_wrote_to_stays_after_an_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "new")

    def fail_half_way() -> None:
        with folder.locked():
            folder.write_flags(FLAGS)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert folder.flags() == FLAGS


def test_an_empty_folder_of_the_user_stays(tmp_path: Path) -> None:
    with RunFolder(tmp_path).locked():
        pass
    assert tmp_path.is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = RunFolder(tmp_path / "file" / "run")
    with pytest.raises(UserError, match=r"--run_dir=.*cannot be written"), folder.locked():
        raise AssertionError


def test_clearing_keeps_the_lock_that_this_process_holds(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        folder.write_flags({"epochs": "1"})
        folder.clear()
        with pytest.raises(UserError, match="in use by another process"), RunFolder(tmp_path / "run").locked():
            pass


def test_flags_are_cleared_last_so_that_a_killed_clearing_is_known_for_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_flags({"epochs": "1"})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    removed: list[str] = []
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: removed.append(self.name))
    folder.clear()
    assert removed[-1] == "flags.txt"


def test_partial_files_of_killed_processes_are_removed_from_checkpoints_too(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "checkpoints"):
        (place / ".partial-abc").mkdir(parents=True)
    RunFolder(tmp_path).remove_partials()
    assert not list(tmp_path.rglob(".partial-*"))


def test_a_flag_that_a_run_did_not_know_yet_had_its_default(tmp_path: Path) -> None:
    from tfday7.training import TrainingConfig

    known = to_text(TrainingConfig())
    folder = RunFolder(tmp_path)
    folder.write_flags({name: value for name, value in known.items() if name != "patience"})
    assert folder.differing(known) == []
    assert folder.differing({**known, "patience": "3"}) == ["patience"]
    assert folder.differing({**known, "epochs": "3"}) == ["epochs"]
    folder.check_reusable(known, overwrite=False)

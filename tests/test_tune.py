"""`tfday7.tune` as a user runs it: the winner trains, workers change nothing, a kill loses nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from support import ROOT, run_command, start_command

pytestmark = pytest.mark.slow

FLAGS = ("--data=digits", "--model=mlp", "--width=8", "--depth=1", "--epochs=4", "--reruns=1", "--nowiden")
TUNE = "--tune=optimizer=adam|sgd,learning_rate,batch_size=32|64"


def _record(folder: Path) -> dict:
    return json.loads((folder / "tuning.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    ended = run_command("tune", *FLAGS, TUNE, "--trials=5", "--run_dir=search", "--json", cwd=folder)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out) == _record(folder / "search")
    return folder


def test_the_winners_flagfile_trains_what_the_search_found(searched: Path) -> None:
    best = _record(searched / "search")["best"]
    ended = run_command("train", "--flagfile=search/best.flags", "--run_dir=won", "--export=", cwd=searched)
    assert ended.code == 0, ended.err
    trained = json.loads((searched / "won" / "run.json").read_text(encoding="utf-8"))
    assert trained["metric"]["validation"] == pytest.approx(best["value"], abs=1e-6)


def test_two_workers_find_the_same(searched: Path) -> None:
    ended = run_command(
        "tune", *FLAGS, TUNE, "--trials=5", "--tuner_workers=2", "--run_dir=shared", "--json", cwd=searched
    )
    assert ended.code == 0, ended.err
    one, two = _record(searched / "search"), json.loads(ended.out)
    assert [(t["values"], t["value"]) for t in one["trials"]] == [(t["values"], t["value"]) for t in two["trials"]]
    assert {t["worker"] for t in two["trials"]} <= {"worker0", "worker1"}
    assert one["best"]["values"] == two["best"]["values"]


def test_workers_go_on_from_what_workers_have_finished(searched: Path) -> None:
    trials = searched / "shared" / "trials" / "search"
    before = {path: path.stat().st_mtime_ns for path in trials.glob("trial_*/outcome.json")}
    ended = run_command(
        "tune", *FLAGS, TUNE, "--trials=10", "--tuner_workers=2", "--run_dir=shared", "--json", cwd=searched
    )
    assert ended.code == 0, ended.err
    assert len(before) == 5
    assert {path: path.stat().st_mtime_ns for path in before} == before
    record = json.loads(ended.out)
    assert [trial["number"] for trial in record["trials"]] == list(range(1, 11))


def test_other_data_do_not_join_a_search(searched: Path) -> None:
    flags = [flag for flag in FLAGS if not flag.startswith("--data")]
    table = (ROOT / "configs" / "data" / "diabetes.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    for lines, code in ((table, 0), (table[:-1], 2)):
        (searched / "table.csv").write_text("".join(lines), encoding="utf-8")
        common = ("--data=table.csv", "--target=progression", "--tune=learning_rate=0.01..0.05", "--trials=1")
        ended = run_command("tune", *flags, *common, "--run_dir=table", cwd=searched)
        assert ended.code == code, ended.err
    assert "was begun on other data" in ended.err


def test_the_trials_are_there_for_tensorboard(searched: Path) -> None:
    runs = sorted(path.name for path in (searched / "search" / "tensorboard").iterdir())
    assert runs == [f"trial_{number:04d}" for number in range(1, 6)]


def test_a_search_killed_by_sigkill_goes_on(tmp_path: Path) -> None:
    arguments = [*FLAGS, "--tune=learning_rate", "--trials=6", "--run_dir=search"]
    outcomes = tmp_path / "search" / "trials" / "search"
    started = start_command("tune", *arguments, cwd=tmp_path)
    deadline = time.monotonic() + 200
    while len(list(outcomes.glob("trial_*/outcome.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    started.kill()
    started.wait(timeout=60)
    before = {path: path.read_bytes() for path in outcomes.glob("trial_*/outcome.json")}
    assert 2 <= len(before) < 6
    ended = run_command("tune", *arguments, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert len(_record(tmp_path / "search")["trials"]) == 6
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tune=learning_rate=1..0",), "expected a low bound below the high one"),
        (("--objective=f2",), "--objective=f2"),
        (("--tune=nonsense",), "unknown hyperparameter in --tune 'nonsense'"),
        (("--compare=adam",), "two or more different optimizers"),
        (("--trials=0",), "--trials=0"),
        (("--tune=patience",), "--tune=patience: there is no usual range"),
        (("--micro_batch_size=auto",), "--micro_batch_size=auto has no meaning for a search"),
        (("--learning_rate=find",), "--learning_rate=find has no meaning for tfday7.tune"),
        (("--batch_size=100000",), "--batch_size=100000 is larger than the training split"),
    ],
)
def test_a_mistake_is_exit_2_and_leaves_nothing(flags: tuple[str, ...], message: str, tmp_path: Path) -> None:
    ended = run_command("tune", *FLAGS, *flags, cwd=tmp_path)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []

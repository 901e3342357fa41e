"""`python -m tfday7.compress` without a recipe, and `train --compress=auto`: a search as a user makes it."""

from __future__ import annotations

import html
import json
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from deploying import loopback
from support import DIGITS_RUN, run_command, start_command


@pytest.fixture(scope="module")
def run(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "digits"
    shutil.copytree(digits_run, folder)
    return folder


@pytest.fixture(scope="module")
def searched(run: Path) -> tuple[dict[str, Any], Path, tuple[str, ...]]:
    """A search of six candidates, judged by MACs and bytes, on a copy of the run."""
    folder = run.parent / "searched"
    shutil.copytree(run, folder)
    flags = (
        "compress", f"--run_dir={folder}", "--max_candidates=6", "--search_epochs=1", "--measure=false",
        "--max_accuracy_drop=0.2", "--max_size_kb=9", f"--export_dir={folder}/files", "--name=found", "--json",
    )  # fmt: skip
    ended = run_command(*flags)
    assert ended.code == 0, ended.err
    return json.loads(ended.out), folder, flags


@pytest.mark.slow
def test_a_search_finds_what_keeps_the_budget_and_says_why_others_do_not(searched: Any) -> None:
    record, folder, _ = searched
    made = {one["name"]: one for one in record["candidates"]}
    chosen = made[record["chosen"]]
    assert chosen["size_bytes"] <= 9_000
    assert chosen["metric"]["value"] >= record["baseline"]["metric"]["value"] - 0.2
    assert record["budget"]["max_size_kb"] == 9
    for name, one in made.items():
        too_large = one["size_bytes"] > 9_000
        assert too_large == any(each["limit"] == "max_size_kb" for each in record["outside"].get(name, []))
        assert one["latency_ratio"] is None
        assert (one["test_metric"] is not None) == (one["pareto"] or name == record["chosen"])
    search = record["search"]
    assert search["candidates"] == len(made) <= 6
    assert search["overhead_share"] < 0.2
    assert {one["name"] for one in search["groups"]}
    card = (folder / "files" / record["chosen"] / "README.md").read_text()
    assert "## Compressed" in card
    page = (folder / "report.html").read_text()
    assert "Why others were not chosen" in page


@pytest.mark.slow
def test_a_search_that_lost_its_last_candidates_makes_them_again_and_chooses_the_same(searched: Any) -> None:
    """As after a kill: the log ends before, and what the lost candidates had left behind may be there or not."""
    record, folder, flags = searched
    path = folder / "compression" / "search.json"
    log = json.loads(path.read_text())
    log["log"] = log["log"][:3]
    path.write_text(json.dumps(log))
    lost = record["search"]["log"][3]["name"]
    shutil.rmtree(folder / "compression" / lost)
    ended = run_command(*flags)
    assert ended.code == 0, ended.err
    again = json.loads(ended.out)
    assert again["chosen"] == record["chosen"]
    said = [(one["name"], one["decision"]) for one in record["search"]["log"]]
    assert [(one["name"], one["decision"]) for one in again["search"]["log"]] == said
    assert again["search"]["rejected"] == record["search"]["rejected"] != {}
    before = {one["name"]: one["sha256"] for one in record["candidates"]}
    assert {one["name"]: one["sha256"] for one in again["candidates"]} == before


@pytest.mark.slow
def test_a_search_from_nothing_decides_and_chooses_the_same(run: Path, searched: Any) -> None:
    """Where MACs stand for time and a number of candidates ends it, the machine decides nothing."""
    record, folder, flags = searched
    anew = run.parent / "anew"
    shutil.copytree(run, anew)
    ended = run_command(*(flag.replace(str(folder), str(anew)) for flag in flags))
    assert ended.code == 0, ended.err
    again = json.loads(ended.out)
    assert again["chosen"] == record["chosen"]
    decided = [
        [(one["name"], one["decision"]["point"], one["decision"]["epochs"]) for one in each["search"]["log"]]
        for each in (record, again)
    ]
    assert decided[0] == decided[1]
    assert again["search"]["rejected"].keys() == record["search"]["rejected"].keys()


@pytest.mark.slow
def test_the_same_command_helps_a_search_that_is_being_made(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    shutil.copytree(run, folder)
    flags = (
        "compress", f"--run_dir={folder}", "--max_candidates=7", "--search_epochs=1", "--measure=false",
        "--max_accuracy_drop=0.9", f"--export_dir={folder}/files",
    )  # fmt: skip
    first, deadline = start_command(*flags, cwd=tmp_path), time.monotonic() + 200
    while not (folder / "compression" / "search.json").exists():
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    second = run_command(*flags)
    _, said = first.communicate()
    assert (first.returncode, second.code) == (0, 0), said + second.err
    assert "joining it" in second.out
    assert "it concludes" in second.out
    search = json.loads((folder / "compression.json").read_text())["search"]
    assert len(search["log"]) == 7
    workers = {one["worker"] for one in search["log"]}
    assert len(workers) == 2
    assert 0 in workers


@pytest.mark.slow
def test_the_chosen_recipe_makes_the_same_file_again(run: Path, searched: Any, tmp_path: Path) -> None:
    record, folder, _ = searched
    chosen = next(one for one in record["candidates"] if one["name"] == record["chosen"])
    python, module, name, *flags = shlex.split(record["command_of_chosen"])
    assert (python, module, name) == ("python", "-m", "tfday7.compress")
    assert f"--recipe={folder}/files/{chosen['name']}/recipe.json" in flags
    assert record["command_of_chosen"] in html.unescape((folder / "report.html").read_text())
    elsewhere = [f"--run_dir={run}", f"--export_dir={tmp_path}/files", "--json"]
    ended = run_command("compress", *(flag for flag in flags if "_dir=" not in flag), *elsewhere)
    assert ended.code == 0, ended.err
    (again,) = json.loads(ended.out)["candidates"]
    for key in ("sha256", "size_bytes", "macs", "metric", "test_metric"):
        assert again[key] == chosen[key], key


@pytest.mark.slow
def test_training_with_compress_auto_ends_with_the_best_file_within_the_limits(tmp_path: Path) -> None:
    flags = (
        "train", "--data=digits", "--model=mlp", "--width=32", "--depth=1", "--epochs=2", "--learning_rate=0.01",
        "--export=", f"--run_dir={tmp_path}/run", f"--export_dir={tmp_path}/none",
    )  # fmt: skip
    ended = run_command(*flags[:-1], "--compress=auto", "--max_candidates=2", "--max_accuracy_drop=0.3", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "candidate 2" in ended.out
    record = json.loads((tmp_path / "run" / "compression.json").read_text())
    assert record["chosen"] == "int8"
    assert (tmp_path / "tflite_models" / "run" / "int8" / "recipe.json").exists()
    assert record["candidates"][0]["latency_ratio"] > 0


@pytest.mark.skipif(bool(loopback.MISSING), reason=loopback.MISSING)
def test_a_device_that_is_not_there_is_told_before_training(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = run_command("train", *DIGITS_RUN, f"--run_dir={folder}", "--compress=auto", "--device=ssh://pi@127.0.0.1:1")
    assert ended.code == 2
    assert "127.0.0.1" in ended.err
    assert not folder.exists()


def test_a_budget_that_nothing_can_keep_ends_with_3_and_what_comes_nearest(run: Path, tmp_path: Path) -> None:
    ended = run_command(
        "compress", f"--run_dir={run}", "--max_candidates=4", "--search_epochs=1", "--measure=false", "--json",
        "--max_size_kb=1", "--max_accuracy_drop=1", f"--export_dir={tmp_path}/files", "--name=none",
    )  # fmt: skip
    assert ended.code == 3, ended.err
    record = json.loads(ended.out)
    kinds = [one["name"] for one in record["candidates"]]
    assert kinds[0] == "int8"
    assert len(kinds) == 2
    nearest = next(one for one in record["candidates"] if one["name"] == record["nearest"][0])
    assert nearest["size_bytes"] == min(one["size_bytes"] for one in record["candidates"] if not one["failure"])
    assert f"the nearest, {nearest['name']}, has" in ended.err
    assert "hint: --max_size_kb=" in ended.err
    assert any("--max_size_kb=1" in why for why in record["search"]["rejected"].values())


def test_limits_without_compress_auto_are_a_mistake(tmp_path: Path) -> None:
    ended = run_command("train", "--data=digits", "--max_size_kb=40", "--only_check_args", cwd=tmp_path)
    assert ended.code == 2
    assert "--max_size_kb=40.0 has no meaning without --compress=auto" in ended.err
    ended = run_command("train", "--data=digits", "--compress=auto", "--device=gpu", "--only_check_args", cwd=tmp_path)
    assert ended.code == 2
    assert "unknown device 'gpu'" in ended.err
    assert list(tmp_path.iterdir()) == []

"""What the pages say is so: figures are those of the records, outputs those of the commands, flags are there."""

from __future__ import annotations

import collections
import importlib
import inspect
import json
import re
import shlex
from pathlib import Path

import pytest
from support import ROOT, load_script, run_python

from tfday7.compression.technique import TECHNIQUES
from tfday7.core.settings import typed_fields
from tfday7.optimizers import advisor_choice
from tfday7.optimizers.table import OPTIMIZERS

PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])
COMMAND = re.compile(r"python -m tfday7\.([a-z]+)((?: +[^`#|>]*)?)")
OUTPUTS = load_script(ROOT / "docs" / "make_outputs.py")


def command_lines(path: Path) -> list[tuple[str, list[str]]]:
    """Returns the command lines of a page: (command, its arguments); of a sentence's, what stands in its marks."""
    found = []
    for line in re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8")).splitlines():
        for name, rest in COMMAND.findall(line):
            found.append((name, shlex.split(rest.partition("   ")[0].removesuffix(" --"))))
    return found


LINES = [(path, name, rest) for path in PAGES for name, rest in command_lines(path)]


def test_there_are_command_lines() -> None:
    assert len(LINES) > 100
    assert {name for _, name, _ in LINES} >= {"train", "tune", "diagnose", "advise", "export", "benchmark", "deploy"}


@pytest.mark.parametrize(("path", "name", "rest"), LINES, ids=lambda part: getattr(part, "name", str(part))[:90])
def test_a_command_line_is_understood(path: Path, name: str, rest: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flag is there, and takes the value; files that a reader has need not be there."""
    monkeypatch.chdir(ROOT)
    command = importlib.import_module(f"tfday7.{name}").COMMAND
    own = rest[: rest.index("--")] if "--" in rest else rest
    assert all(word.startswith("--") for word in own), f"{path.name}: {rest}"
    own = [word for word in own if not word.startswith("--flagfile=") or (ROOT / word.partition("=")[2]).exists()]
    flags = [word for word in own if word != "--..."]
    command.parse([name, *flags])
    for group in command.settings:
        placeholders = {"RUN", "NAME", "FILE", "N", "K", "..."}
        if not any(value.partition("=")[2] in placeholders for value in flags):
            command.config(group)
        assert typed_fields(group)


@pytest.mark.parametrize("name", ["make_compression", "make_distribution"])
def test_a_page_says_what_its_record_says(name: str) -> None:
    script = load_script(ROOT / "docs" / f"{name}.py")
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.page(text) == text, f"run: python docs/{name}.py"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_readme_says_what_the_records_say(lang: str) -> None:
    script = load_script(ROOT / "docs" / "make_readme.py")
    text = script.PAGES[lang].read_text(encoding="utf-8")
    assert script.page(text, lang) == text, "run: python docs/make_readme.py"


def test_the_reference_is_what_the_docstrings_say() -> None:
    script = load_script(ROOT / "docs" / "make_api.py")
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run: python docs/make_api.py"
    for modules in script.ENTRIES.values():
        for module, names in modules:
            assert all(hasattr(importlib.import_module(module), name) for name in names)


@pytest.mark.parametrize("path", [path for path in OUTPUTS.PAGES if OUTPUTS.commands(path)], ids=lambda path: path.name)
def test_a_page_shows_what_its_commands_print(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert OUTPUTS.page(text) == text, "run: python docs/make_outputs.py"


@pytest.mark.slow
def test_the_examples_of_extending_run_and_hold() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    ended = run_python("-c", "\n".join(blocks))
    assert ended.code == 0, ended.err[-2000:]


def test_messages_that_are_explained_are_messages_of_the_program() -> None:
    """Each piece between the user's own names and numbers, `…`, stands in the sources."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tfday7").rglob("*.py"))
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = [
        found for line in re.findall(r"^### (.*)$", page, re.MULTILINE) for found in re.findall(r"`([^`]+)`", line)
    ]
    assert len(messages) > 15
    foreign = {"Unknown command line flag '…'", "Incompatible Matrix dimensions"}
    for message in set(messages) - foreign:
        assert all(piece.strip(" ;:,'") in sources for piece in message.split("…")), message


def test_the_record_of_broken_inputs_has_every_kind_and_no_failure() -> None:
    kinds = load_script(ROOT / "benchmarks" / "hardening_kinds.py").KINDS
    record = json.loads((ROOT / "benchmarks" / "results" / "hardening.json").read_text(encoding="utf-8"))
    assert set(record["kinds"]) == set(kinds)
    assert record["inputs"] == sum(sum(each["codes"].values()) for each in record["kinds"].values()) > 1000
    assert [name for name, each in record["kinds"].items() if each["failures"]] == []


def test_half_an_hour_of_work_left_nothing_behind() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "soak.json").read_text(encoding="utf-8"))
    assert record["minutes"] >= 30
    assert record["rounds"][-1]["seconds"] >= 1800
    assert record["flat"]


def test_five_gigabytes_were_trained_in_the_memory_that_readme_says() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "large_data.json").read_text(encoding="utf-8"))
    small, large = record["small"], record["large"]
    assert large["data_bytes"] > 99 * small["data_bytes"]
    assert large["data_bytes"] >= 5e9
    assert large["peak_bytes"] - small["peak_bytes"] < 2 * 2**30


def test_what_centered_normalizations_gain_is_what_was_measured() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "layer_normalization.json").read_text(encoding="utf-8"))
    gain = {kind: f"{each['cpu']:.2f}" for kind, each in record["centered_to_keras"].items()}
    page = " ".join((ROOT / "docs" / "exporting.md").read_text(encoding="utf-8").split())
    assert f"takes {gain['int8']} of the time that it would take otherwise" in page
    assert f"the dynamic one {gain['dynamic']}, float32 {gain['float32']} (x86" in page
    before, since = (record["files"][f"{way} int8"]["latency_ratio"]["cpu"] for way in ("keras", "centered"))
    assert f"int8 takes {since:.2f} in place of {before:.2f} of the same float32 file's time" in page
    assert f"(`benchmarks/layer_normalization.py`, {record['date']})" in page


def test_the_architectures_that_passed_the_door_are_those_of_the_record() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "keras3_zoo.json").read_text(encoding="utf-8"))["rows"]
    small = [name for name in rows if name[0].islower()]
    full = [name for name in rows if name.endswith("(full size)")]
    applications = len(rows) - len(small) - len(full)
    english, chinese, door = (
        " ".join((ROOT / name).read_text(encoding="utf-8").split())
        for name in ("README.md", "README.zh.md", "docs/keras3_door.md")
    )
    assert (
        f"(all {applications} architectures of Keras 3's keras.applications, {len(full)} of them also in full size, "
        f"and {len(small)} small ones" in english
    )
    assert f"Keras 3 的 keras.applications 的全部 {applications} 种架构，其中 {len(full)} 个" in chinese
    assert f"sends all {applications} architectures of Keras 3's `keras.applications`" in door


def test_the_readme_says_among_how_many_optimizers_the_advice_chooses() -> None:
    source = inspect.getsource(advisor_choice)
    chosen = set(re.findall(r'(?:Choice\(|first, why = )"(\w+)"', source))
    assert chosen < set(OPTIMIZERS)
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    assert f"one of {len(chosen)} of the {len(OPTIMIZERS)} that `--optimizer` takes" in english
    assert f"`--optimizer` 可用的 {len(OPTIMIZERS)} 种优化器中，它从 {len(chosen)} 种里选" in chinese


def test_every_technique_that_trains_has_the_settings_that_the_page_says() -> None:
    settings = {
        name: {field.name for field, *_ in typed_fields(TECHNIQUES.get(name).settings)} for name in TECHNIQUES.names()
    }
    training = {name for name, fields in settings.items() if {"epochs", "learning_rate"} <= fields}
    assert {name for name, fields in settings.items() if "epochs" in fields} == training
    assert {name for name in training if "distil" not in settings[name]} == {"distil"}
    page = (ROOT / "docs" / "compression.md").read_text(encoding="utf-8")
    assert "all of them but the technique `distil` itself a setting `distil`" in page


def test_the_runs_of_the_diagnosis_benchmark_have_as_many_seeds_as_the_page_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script = load_script(ROOT / "benchmarks" / "diagnosis_cases.py")
    seeds = collections.Counter((task, name) for task, name, _ in script.cases(3))
    healthy = [count for (_, name), count in seeds.items() if name.startswith("healthy_")]
    faults = [count for (_, name), count in seeds.items() if not name.startswith("healthy_")]
    assert (set(faults), set(healthy)) == ({3}, {1})
    page = " ".join((ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8").split())
    said = "{} faults with three seeds each and {} healthy variants with one seed each"
    assert said.format(len(script.FAULTS), script.HEALTHY_RUNS) in page
    assert f"{len(healthy)} of them healthy" in page


def test_every_benchmark_is_listed_with_its_question() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for script in (ROOT / "benchmarks").glob("*.py"):
        part = script.stem.partition("_")[2]  # compression_peers.py is a part of compression.py.
        assert f"`{script.name}`" in page or f"`_{part}`" in page, script.name


def test_a_page_without_its_marks_is_no_page() -> None:
    between = load_script(ROOT / "docs" / "figures.py").between
    assert between("a\n<!-- b -->\nold\n<!-- end of figures -->\nc\n", "<!-- b -->\n", "new\n") == (
        "a\n<!-- b -->\nnew\n<!-- end of figures -->\nc\n"
    )
    for text in ("", "<!-- b -->\n", "<!-- end of figures -->\n"):
        with pytest.raises(ValueError, match="the page has no"):
            between(text, "<!-- b -->\n", "new\n")

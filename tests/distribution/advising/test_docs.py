"""docs/distribution_advice.md says what the command says."""

from __future__ import annotations

import shlex

from support import ROOT, run_command

from tfday7.distribution.advising.accelerators import ACCELERATORS

PAGE = (ROOT / "docs" / "distribution_advice.md").read_text(encoding="utf-8")


def test_the_worked_example_is_what_the_command_says() -> None:
    command = shlex.split(next(line for line in PAGE.splitlines() if line.startswith("    python -m tfday7.advise")))
    shown = [line.strip() for line in run_command("advise", *command[3:]).out.splitlines()]
    example = PAGE[PAGE.index("## A worked example") :]
    lines = [line.strip() for line in example.splitlines() if line.startswith("    ")]
    assert len(lines) > 15
    assert [line for line in lines if line not in shown] == []


def test_the_table_of_accelerators_is_the_one_that_is_used() -> None:
    for name, kind in ACCELERATORS.items():
        figures = (kind.memory_gb, kind.half_tflops, kind.float32_tflops, kind.link_gb_per_s)
        assert f"| `{name}` | {' | '.join(f'{figure:g}' for figure in figures)} | {kind.source} |" in PAGE
    assert PAGE.count("\n| `") >= len(ACCELERATORS)

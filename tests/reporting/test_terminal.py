"""The terminal's summary is plain text that fits, and the progress display leaves few lines."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from reporting.report_folders import artefact, complete, exports_record, metrics, run_record, write
from rich.cells import cell_len
from rich.console import Console

from tfday7.core.run_folder import RunFolder
from tfday7.reporting import TerminalProgress, summary
from tfday7.reporting.progress import epoch_line


def printed(folder: RunFolder, lang: str = "en", width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(summary(folder, lang))
    return stream.getvalue()


def test_the_summary_says_verdict_table_and_paths(tmp_path: Path) -> None:
    folder = complete(tmp_path / "run")
    (tmp_path / "run" / "report.html").touch()
    lines = [line.rstrip() for line in printed(folder, width=200).splitlines()]
    assert lines[0] == "Overfit: test accuracy 0.9808, smallest verified file 86.0 kB (int8)."
    assert lines[1].startswith("  Warning: Validation loss is lowest in epoch 15 of 20")
    assert lines[2] == "    Try: Drop hidden units at random during training.  --dropout=0.3"
    rows = [" ".join(line.split()) for line in lines]
    assert "float32 344.0 kB 334.0 kB 0.9808 <0.001% 100% 0.0400 ms 1.00x held" in rows
    assert "int8 86.0 kB 76.0 kB 0.9770 3.1% 99.23% 0.0300 ms 0.75x held" in rows
    assert "int8_small 43.0 kB 33.0 kB 0.9310 16.2% 94.00% ? ? broken" in rows
    assert lines[-1] == f"report.html  {tmp_path / 'run' / 'report.html'}"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [60, 80, 100, 300])
def test_lines_fit_and_no_cell_is_cut(tmp_path: Path, lang: str, width: int) -> None:
    text = printed(complete(tmp_path / "run"), lang, width)
    assert "…" not in text
    assert "\x1b" not in text
    table = [line for line in text.splitlines() if line.startswith(("float32 ", "int8 ", "---", "Keras"))]
    assert all(
        cell_len(line) <= min(width, 100) for line in text.splitlines() if line in table and ".tflite" not in line
    )
    assert sum(line.startswith("float32 ") and "344.0 kB" in line and "0.9808" in line for line in table) == 1


def test_a_folder_with_little_in_it_gives_a_short_summary(tmp_path: Path) -> None:
    assert printed(write(tmp_path / "empty")).strip() == "No result yet."
    text = printed(write(tmp_path / "run", run=run_record()))
    assert text.splitlines()[0] == "Test accuracy 0.9808."
    assert "Parity" not in text


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    exports = exports_record()
    exports["artefacts"].append(artefact("int8", 5, name="\x1b[31m[bold]evil[/bold]\n", path="\x1b]0;title\x07"))
    text = printed(complete(tmp_path / "run", exports=exports), width=200)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]evil[/bold]" in text


def progress(
    lines: list[dict[str, Any]], epochs: int, best: set[int], *, terminal: bool = False, first: int = 0
) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=terminal, color_system=None, _environ={"TERM": "xterm"})
    display = TerminalProgress(console)
    display.begin(first, epochs, 40)
    for line in lines[first:]:
        display.step(line["epoch"] - 1, 20, 0.5)
        display.epoch(line, line["epoch"] in best)
    display.end()
    display.end()
    return stream.getvalue()


def test_a_line_is_what_people_expect() -> None:
    record = {
        "epoch": 12, "loss": 0.1466, "accuracy": 0.9582, "val_loss": 0.0868, "val_accuracy": 0.9794,
        "learning_rate": 0.001, "seconds": 0.1,
    }  # fmt: skip
    expected = "epoch 12/30  loss 0.1466  accuracy 0.9582  val_loss 0.0868  val_accuracy 0.9794  (best)"
    assert epoch_line(record, 30, is_best=True) == expected
    assert epoch_line({"epoch": 1, "loss": None}, 30, is_best=False) == "epoch  1/30  loss nan"


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (5, 5), (20, 20), (30, 15), (1000, 20), (1005, 20)])
def test_a_piped_run_leaves_about_twenty_plain_lines_and_the_last(epochs: int, lines: int) -> None:
    text = progress(metrics(epochs), epochs, best=set()).splitlines()
    assert len(text) == lines
    assert text[-1].startswith(f"epoch {epochs}/{epochs}  loss 0.0235")
    assert not any("\x1b" in line for line in text)


def test_an_early_stop_shows_the_best_and_the_last_epoch() -> None:
    text = progress(metrics(1000)[:123], 1000, best={117}).splitlines()
    assert [line.split()[1].split("/")[0] for line in text] == ["50", "100", "117", "123"]
    assert text[2].endswith("(best)")


def test_a_resumed_run_starts_where_it_stopped() -> None:
    text = progress(metrics(30), 30, best=set(), first=20).splitlines()
    assert len(text) == 10
    assert text[0].startswith("epoch 21/30")


def test_a_terminal_keeps_a_line_per_best_epoch_but_not_a_thousand() -> None:
    text = progress(metrics(1000), 1000, best=set(range(1, 1001)), terminal=True)
    kept = [line for line in text.splitlines() if "(best)" in line]
    assert 15 <= len(kept) <= 21
    assert "epoch 1000/1000" in kept[-1]


def test_a_terminal_shows_steps_and_the_validation_score() -> None:
    text = progress(metrics(3), 3, best={1}, terminal=True)
    assert "step 20/40" in text
    assert "val_accuracy" in text


def test_a_training_that_goes_back_has_one_bar_and_gives_the_cursor_back() -> None:
    stream = io.StringIO()
    display = TerminalProgress(Console(file=stream, force_terminal=True, _environ={"TERM": "xterm"}))
    for first in (0, 2, 1):  # Before what went back has ended, it begins again.
        display.begin(first, 4, 40)
        display.step(first, 20, 0.5)
    display.end()
    hidden, shown = (stream.getvalue().count(f"\x1b[?25{letter}") for letter in "lh")
    assert hidden == shown == 3


def test_ending_before_the_beginning_is_quiet() -> None:
    stream = io.StringIO()
    TerminalProgress(Console(file=stream)).end()
    assert stream.getvalue() == ""

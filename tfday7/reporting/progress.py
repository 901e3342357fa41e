"""Training as it goes: a live bar on a terminal, a few plain lines when piped.

A run of 1,000 epochs must not leave 1,000 lines behind. About twenty are kept, evenly spaced, always with the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfday7.reporting.records import number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

KEPT_LINES = 20
NO_METRICS = ("epoch", "learning_rate", "seconds")


class TerminalProgress:
    """Draws training; implements `tfday7.training.observer.Observer`.

    Args:
        console: where it draws.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._lines = KeptLines(only_best=console.is_interactive)
        self._epochs = self._steps = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def begin(self, first_epoch: int, epochs: int, steps_per_epoch: int) -> None:
        """Opens the bar, or prepares the lines; epochs count from 0 here. A training that goes back begins again."""
        self._close()
        self._epochs, self._steps = epochs, steps_per_epoch
        self._lines.begin(first_epoch, epochs)
        if self.console.is_interactive:
            self._bar = _bar(self.console)
            self._task = self._bar.add_task("", total=epochs * steps_per_epoch, completed=first_epoch * steps_per_epoch)
            self._bar.update(self._task, epoch=min(first_epoch + 1, epochs), epochs=epochs, step="", loss="", values="")
            self._bar.start()

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Moves the bar; nothing when piped."""
        if self._bar is None or self._task is None:
            return
        done = epoch * self._steps + step
        shown = f"step {step:,}/{self._steps:,}"
        self._bar.update(self._task, completed=done, epoch=epoch + 1, step=shown, loss=f"loss {_value(loss)}")

    def epoch(self, record: dict[str, Any], is_best: bool) -> None:
        """Keeps a line of the epoch if it is one to keep, and shows its validation score beside the bar."""
        if self._bar is not None and self._task is not None:
            done = int(record["epoch"])
            values = "  ".join(f"{name} {_value(record[name])}" for name in _validation(record))
            self._bar.update(self._task, completed=done * self._steps, epoch=done, values=values)
        for kept in self._lines.add(record, is_best):
            self._print(*kept)

    def end(self) -> None:
        """Takes the bar away and adds the last epoch's line; may be called more than once."""
        self._close()
        for kept in self._lines.rest():
            self._print(*kept)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None

    def _print(self, record: dict[str, Any], is_best: bool) -> None:
        from rich.text import Text

        line = Text(epoch_line(record, self._epochs, is_best), style="" if is_best else "dim")
        self.console.print(line, soft_wrap=True, highlight=False)


class KeptLines:
    """Decides which epochs leave a line: about `KEPT_LINES` of them, and always the last.

    Args:
        only_best: keep an epoch for being the best so far (on a terminal, where the bar shows the others), rather than
            for its place (when piped).
    """

    def __init__(self, only_best: bool) -> None:
        self.only_best = only_best
        self._interval, self._epochs, self._kept_epoch = 1, 0, 0
        self._best: tuple[dict[str, Any], bool] | None = None
        self._last: tuple[dict[str, Any], bool] | None = None

    def begin(self, first_epoch: int, epochs: int) -> None:
        """Sets the distance between two lines; `first_epoch` counts from 0."""
        self._interval = max(1, -(-(epochs - first_epoch) // KEPT_LINES))
        self._epochs, self._kept_epoch = epochs, first_epoch
        self._best = self._last = None

    def add(self, record: dict[str, Any], is_best: bool) -> list[tuple[dict[str, Any], bool]]:
        """Returns the epochs to print now, with whether each was the best so far."""
        epoch = int(record["epoch"])
        self._last = (record, is_best)
        if is_best:
            self._best = self._last
        is_due = epoch >= self._kept_epoch + self._interval and (is_best or not self.only_best)
        return self.rest() if epoch == self._epochs else self._keep([self._last]) if is_due else []

    def rest(self) -> list[tuple[dict[str, Any], bool]]:
        """Returns the best and the last epoch where they were not printed, in order."""
        waiting = [entry for entry in (self._best, self._last) if entry and int(entry[0]["epoch"]) > self._kept_epoch]
        return self._keep(waiting[:1] if len(waiting) == 2 and waiting[0] is waiting[1] else waiting)

    def _keep(self, entries: list[tuple[dict[str, Any], bool]]) -> list[tuple[dict[str, Any], bool]]:
        if entries:
            self._kept_epoch = int(entries[-1][0]["epoch"])
        return entries


def epoch_line(record: dict[str, Any], epochs: int, is_best: bool) -> str:
    """Returns for example "epoch 12/30  loss 0.1466  accuracy 0.9582  val_loss 0.0868  (best)"."""
    parts = [f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}"]
    parts += [f"{name} {_value(value)}" for name, value in record.items() if name not in NO_METRICS]
    return "  ".join([*parts, *(["(best)"] if is_best else [])])


def _value(value: Any) -> str:
    found = number(value)
    if found is None:
        return "nan"
    return f"{found:.4f}" if found == 0 or 1e-4 <= abs(found) < 1e6 else f"{found:.3e}"


def _validation(record: dict[str, Any]) -> list[str]:
    """Returns the name of the validation metric, or of the validation loss where there is no metric."""
    names = [name for name in record if name.startswith("val_")]
    return ([name for name in names if name != "val_loss"] or names)[:1]


def _bar(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[step]}", markup=False),
        TextColumn("{task.fields[loss]}", markup=False),
        TextColumn("{task.fields[values]}", markup=False),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
    )

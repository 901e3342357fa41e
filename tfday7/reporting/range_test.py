"""The learning-rate range test of a run, drawn: the loss against the rate that each step was tried at."""

from __future__ import annotations

import dataclasses

from tfday7.core.errors import UserError
from tfday7.reporting import axes
from tfday7.reporting.axes import LOG
from tfday7.reporting.figures import Figure, figure
from tfday7.reporting.plot import Plot
from tfday7.reporting.records import RunRecords, number
from tfday7.reporting.search_records import curve
from tfday7.reporting.words import Words

EXPLODED = 5.0  # Times the lowest loss; at four times it counts as diverged.
MARKS = ("steepest", "lowest", "chosen", "diverges")


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """What the page shows of it: a sentence and the figure."""

    sentence: str
    figure: Figure


def range_test(records: RunRecords, lang: str) -> RangeTest | None:
    """Returns the range test of a run; None when there was none.

    Raises:
        UserError: the record is damaged.
    """
    record, say = records.of_run("range_test"), Words(lang, "search")
    if not record:
        return None
    rates, losses = curve(record.get("rates")), curve(record.get("losses"))
    names = ("steepest", "lowest", "learning_rate", "diverges_at")
    marks = dict(zip(MARKS, (number(record.get(name)) for name in names), strict=True))
    usable = len(rates) == len(losses) > 1 and all(rate is not None and rate > 0 for rate in rates)
    if not usable or not any(loss is not None for loss in losses) or None in [marks[name] for name in MARKS[:3]]:
        raise UserError(
            "run.json: range_test: not what a range test writes", "train again with --learning_rate=find --overwrite"
        )
    shown = {name: f"{rate:.3g}" for name, rate in marks.items() if rate is not None}
    sentence = say("range_test.found" if "diverges" in shown else "range_test.stays", **shown)
    x = axes.numeric("", [*rates, *marks.values()], log=True)
    y = axes.objective("", _before_explosion(losses), maximized=False)
    plot = Plot(sentence, x, y, 440, 240)
    _draw(plot, rates, losses, marks, say)
    legend = [(name, say(f"range_test.{name}", rate=rate)) for name, rate in shown.items()]
    title = say("range_test.log_title" if y.scale == LOG else "range_test.title")
    return RangeTest(sentence, figure(title, plot.svg(), legend, "alone"))


def _before_explosion(losses: list[float | None]) -> list[float | None]:
    """Returns the losses up to where they are so large that the axis would show nothing else."""
    known = [loss for loss in losses if loss is not None]
    bottom = losses.index(min(known))
    largest = max(EXPLODED * min(known), *(loss for loss in losses[: bottom + 1] if loss is not None))
    end = next((i for i, loss in enumerate(losses) if i > bottom and (loss is None or loss > largest)), len(losses))
    return losses[:end]


def _draw(
    plot: Plot, rates: list[float | None], losses: list[float | None], marks: dict[str, float | None], say: Words
) -> None:
    for name in ("diverges", "chosen"):
        place = plot.x.place(marks[name])
        if place is not None:
            plot.upright(place, name, say(f"range_test.{name}", rate=f"{marks[name]:.3g}"))
    plot.line([(plot.x.place(rate), plot.y.place(loss)) for rate, loss in zip(rates, losses, strict=True)], "loss")
    for name in ("steepest", "lowest"):
        at = marks[name] or 0.0
        nearest = min(range(len(rates)), key=lambda index: abs((rates[index] or 0.0) - at))
        across, up = plot.x.place(at), plot.y.place(losses[nearest])
        if across is not None and up is not None:
            plot.dot(across, up, name, say(f"range_test.{name}", rate=f"{at:.3g}"), radius=5.0)

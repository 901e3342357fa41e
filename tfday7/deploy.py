"""Put a model on a device, check its answers there and measure it.

    python -m tfday7.deploy --artefact=tflite_models/quickstart/quickstart_int8.tflite --device=ssh://pi@raspberrypi
    python -m tfday7.deploy --artefact=model_int8.tflite --device=ssh://pi@10.0.0.7:2222 --remote_dir=models/digits
    python -m tfday7.deploy --artefact=model_int8.tflite --device=android
    python -m tfday7.deploy --artefact=model_int8.tflite --device=micro

A device that ssh reaches gets a bundle: the model, its labels, test vectors with the answers that the model gives
here, and run_model.py, which needs Python 3.7, NumPy, and ai-edge-litert or tflite-runtime. There the answers are
compared and the model is measured before the bundle takes its place; a model that answers otherwise there is not
installed. Keys and host keys are ssh's own. For Android and for microcontrollers a folder with sources is written here;
a phone that adb finds is measured.

The figures go to benchmark.json in the run folder, or beside the artefact. Exit codes: 0 done, 2 a mistake in the flags
or files, or a device that cannot be reached or lacks something, 3 the answers on the device are not the expected ones,
130 interrupted, 143 preempted.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from tfday7.cli import Command, OutputConfig, print_json
from tfday7.core.printing import printable_lines
from tfday7.core.units import format_bytes, format_number
from tfday7.deploying.config import DeployConfig

if TYPE_CHECKING:
    from rich.table import Table

    from tfday7.cli import Terminal
    from tfday7.reporting.words import Words

COMMAND = Command("deploy", __doc__, [DeployConfig, OutputConfig])


def main() -> None:
    """Checks everything that can be checked without the device, deploys, and shows the figures."""
    config, output = COMMAND.config(DeployConfig), COMMAND.config(OutputConfig)
    config.check()
    from tfday7.deploying import deploying

    if COMMAND.flags.only_check_args:
        deploying.check(config)
        return
    console = COMMAND.console()
    record = deploying.deploy(config, console.say)
    if output.json:
        print_json(record)
    else:
        show(record, console, output.lang)
    deploying.gate(record)


def show(record: dict[str, Any], console: Terminal, lang: str) -> None:
    """Prints the figures, what to know beside them, and where things lie; of a dry run the commands for a shell."""
    from tfday7.reporting.words import Words

    words = Words(lang, "deploying")
    for shown in record.get("commands", []):
        console.say(f"# {shown['step']}")
        console.out(printable_lines(shown["command"]), highlight=False)
    for (device, runtime), rows in itertools.groupby(record["rows"], _measured_on):
        console.say(f"{device}, {runtime}")
        console.print(figures(list(rows), words), crop=False)
    for note in record["notes"]:
        console.say(f"- {note}")
    for name, place in (("folder", record["folder"]), ("benchmark", record.get("benchmark"))):
        if place:
            console.say(f"{words.known(f'place.{name}', PLACES[name])}: {place}")


def figures(rows: list[dict[str, Any]], words: Words) -> Table:
    """Returns the rows of one device as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for name, otherwise in COLUMNS.items():
        table.add_column(words.known(f"column.{name}", otherwise), justify="left" if name == "answers" else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in _cells(row, words)))
    return table


COLUMNS = {
    "threads": "threads", "p50": "p50 ms", "p90": "p90 ms", "load": "load ms", "memory": "memory", "answers": "answers",
    "difference": "difference",
}  # fmt: skip
PLACES = {"folder": "bundle", "benchmark": "figures"}
ANSWERS = {True: ("as_here", "as here"), False: ("others", "OTHERS"), None: ("unknown", "?")}


def _measured_on(row: dict[str, Any]) -> tuple[str, str]:
    runtime = " ".join(str(part) for part in (row["runtime"], row.get("runtime_version")) if part)
    return str(row["device"]), runtime


def _cells(row: dict[str, Any], words: Words) -> list[str]:
    parity, latency = row.get("parity") or {}, row["latency_ms"]
    identifier, otherwise = ANSWERS[parity.get("holds")]
    return [
        str(row["threads"]),
        format_number(latency["p50"], 3),
        format_number(latency["p90"], 3),
        format_number(row.get("load_ms"), 1),
        format_bytes(row.get("peak_memory_bytes")),
        words.known(f"answers.{identifier}", otherwise),
        _exactly(parity.get("largest_difference")),
    ]


def _exactly(difference: float | None) -> str:
    return "?" if difference is None else f"{difference:.2g}"


if __name__ == "__main__":
    COMMAND.run(main)

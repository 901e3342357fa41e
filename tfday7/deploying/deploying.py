"""A deployment from the settings to the record, whatever the device."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfday7.benchmarking import rows
from tfday7.core import files
from tfday7.core.errors import GateError, UserError
from tfday7.deploying import bundle, figures, guide, output_folder, ssh
from tfday7.deploying.bundle import RUNNER, SPEC, Bundle
from tfday7.deploying.config import DeployConfig
from tfday7.exporting.records import Artefact

# Those that write a folder here: the module whose `deploy` does.
WRITERS = {"android": "tfday7.deploying.android", "micro": "tfday7.deploying.micro"}


def check(config: DeployConfig) -> Artefact:
    """Returns the artefact, if all that can be checked without a device and without running it is right.

    Raises:
        UserError: something is not.
    """
    config.check()
    artefact = bundle.check(Path(config.artefact))
    folder = output(artefact, config)
    if folder is not None:
        files.check_writable(folder, "output_dir")
    if folder is not None and config.kind() == "ssh":  # The other kinds know their own folders.
        names = (*bundle.MADE_BY_DEPLOYING, f"{artefact.name}.tflite")
        output_folder.check_replaceable(folder, SPEC, RUNNER, artefact.name, config.overwrite, names)
    rows.read(figures.place(artefact))
    return artefact


def output(artefact: Artefact, config: DeployConfig) -> Path | None:
    """Returns the folder here that the bundle goes to; None where it is not kept here."""
    if config.output_dir:
        try:
            return Path(config.output_dir).resolve()
        except (OSError, RuntimeError) as error:  # A link that leads to itself.
            raise UserError(f"--output_dir={config.output_dir}: cannot be a folder ({error})") from error
    if config.kind() == "ssh":
        return None
    return (Path(str(artefact.path)).parent / f"{artefact.name}_{config.kind()}").resolve()


def deploy(config: DeployConfig, say: Callable[[str], Any]) -> dict[str, Any]:
    """Deploys an artefact and returns the record of it; its rows are then in benchmark.json.

    Args:
        config: the settings.
        say: called with what happens, a line at a time.

    Raises:
        UserError: it cannot be deployed; nothing has changed, here or there.
    """
    artefact = check(config)
    folder = output(artefact, config)
    if config.kind() == "ssh" and config.dry_run:
        return _shown(artefact, config)
    with tempfile.TemporaryDirectory(prefix="tfday7-") as scratch:
        made = bundle.make(Path(config.artefact), Path(scratch) / artefact.name)
        record = _onto(made, folder, config, say)
    record = {"artefact": artefact.name, **record, "notes": _broken(artefact) + record["notes"]}
    if record["rows"] and not config.dry_run:
        path = figures.place(artefact)
        rows.merge(path, record["rows"])
        record["benchmark"] = str(path)
    return record


def gate(record: dict[str, Any]) -> None:
    """Raises GateError (exit 3) when a device's answers are not the expected ones."""
    parity = record.get("parity")
    if not parity or parity["holds"]:
        return
    largest = parity["largest_difference"]
    how = "are not numbers" if largest is None else f"differ by {largest:.3g}"
    message = f"{record['artefact']}: the answers on the device {how}; allowed {parity['tolerance']:.3g}"
    hint = "another runtime or version there may answer right; the figures were recorded"
    if record["device"] == "micro":  # There is no other runtime.
        hint = "export another kind, or deploy to a device that LiteRT runs on; the folder and the figures were written"
    raise GateError(message, hint)


def _onto(made: Bundle, folder: Path | None, config: DeployConfig, say: Callable[[str], Any]) -> dict[str, Any]:
    if config.kind() in WRITERS:
        writer = importlib.import_module(WRITERS[config.kind()])
        return writer.deploy(made, folder, config, say)
    record = ssh.deploy(made, config, say)
    if folder is not None:
        with files.replacing(folder) as partial:
            shutil.copytree(made.folder, partial)
        record["notes"].append(f"the bundle is in {folder}, too")
    return record


def _shown(artefact: Artefact, config: DeployConfig) -> dict[str, Any]:
    """Returns the record of a deployment that is only shown."""
    planned = ssh.plan(artefact.name, config)
    shown = [{"step": name, "command": command} for name, command in ssh.commands(planned)]
    return {
        "artefact": artefact.name,
        "device": "ssh",
        "address": str(planned.connection.address),
        "folder": planned.target.removeprefix("./"),
        "commands": shown,
        "rows": [],
        "notes": [
            *_broken(artefact),
            "dry run: nothing was written or measured; the bundle is a tar file on the second one's input",
        ],
    }


def _broken(artefact: Artefact) -> list[str]:
    """Returns what to know before an artefact is used at all: whether it is a good copy of its model."""
    said = guide.broken(artefact)
    return [said] if said else []

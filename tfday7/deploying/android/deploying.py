"""Writes the Android bundle, and measures on a phone when one is attached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfday7.deploying import output_folder
from tfday7.deploying.android import on_phone, readme, source
from tfday7.deploying.android.versions import Requirements, requirements
from tfday7.deploying.bundle import VECTOR_FILES
from tfday7.deploying.reference import Reference, heads, reference
from tfday7.deploying.rendering import identifier
from tfday7.exporting import tflite_file
from tfday7.exporting.tflite_contents import Summary

if TYPE_CHECKING:
    from tfday7.deploying.bundle import Bundle
    from tfday7.deploying.config import DeployConfig

SPEC = "test_vectors/bundle.json"
STEPS = ("model_input.bin", "model_output.bin", "values.bin", "answers.bin")


def deploy(bundle: Bundle, folder: Path, config: DeployConfig, say: Callable[[str], Any]) -> dict[str, Any]:
    """Writes an Android bundle and returns its record.

    Args:
        bundle: the model with its vectors.
        folder: made, or replaced when it is an earlier Android bundle of this artefact.
        config: threads, benchmark_seconds and timeout_seconds are for a phone; dry_run writes and measures nothing.
        say: called with what happens, a line at a time.

    Raises:
        UserError: the model cannot be fed by generated code, or the folder may not be replaced.
    """
    named = str(bundle.spec["name"])
    name = identifier(named)
    output_folder.check_replaceable(folder, SPEC, readme.GRADLE, named, config.overwrite, _names(name))
    summary = tflite_file.read(bundle.model)
    needed = requirements(summary)
    contents = _contents(bundle, name, needed, summary)
    record: dict[str, Any] = {
        "device": "android",
        "folder": str(folder),
        "package": f"tfday7.{name}",
        "files": sorted(contents),
        "requirements": needed.to_json(),
        "phone": None,
        "parity": None,
        "rows": [],
    }
    if config.dry_run:
        return record | {"notes": [*needed.notes(), "dry run: nothing was written or measured"]}
    output_folder.write(folder, contents)
    say(f"wrote {folder}: {len(contents)} files for Android, API level {needed.release.min_sdk} and up")
    threads = config.thread_counts()
    said = on_phone.measure(bundle, name, threads, config.benchmark_seconds, config.timeout_seconds, say)
    notes = needed.notes() + said.notes + _too_old(said.phone, needed)
    return record | {"phone": said.phone, "parity": said.parity, "rows": said.rows, "notes": notes}


def _names(name: str) -> list[str]:
    """Returns the names of all files that a bundle can have, and of what its README says how to make."""
    assets, sources = f"app/src/main/assets/{name}", f"app/src/main/java/tfday7/{name}"
    vectors = ("bundle.json", *STEPS, *VECTOR_FILES.values())
    return [
        f"{assets}/{name}.tflite",
        *(f"{assets}/{file}" for file in source.ASSETS),
        *(f"{sources}/{file}" for file in source.MAIN),
        *(f"test/{file}" for file in source.TEST),
        *(f"test_vectors/{file}" for file in vectors),
        readme.GRADLE,
        "README.md",
        readme.PROGRAM,
    ]


def _contents(bundle: Bundle, name: str, needed: Requirements, summary: Summary) -> dict[str, str | bytes]:
    spec, targets = bundle.spec, heads(bundle.spec)
    vocabulary = [str(word) for word in bundle.artefact.input.get("vocabulary") or []]
    return {
        f"app/src/main/assets/{name}/{name}.tflite": bundle.model.read_bytes(),
        **source.assets(name, spec, targets, vocabulary),
        **source.kotlin(name, spec, targets, vocabulary),
        **_vectors(bundle, reference(bundle)),
        readme.GRADLE: readme.gradle_lines(needed),
        "README.md": readme.text(name, bundle.artefact, spec, needed, summary.metadata),
    }


def _vectors(bundle: Bundle, found: Reference) -> dict[str, str | bytes]:
    """Returns the vectors after every step, little-endian, and what describes them."""
    steps = dict(zip(STEPS, (found.given, found.made, found.values, found.answers), strict=True))
    copied = ("bundle.json", *(bundle.spec["vectors"][which]["file"] for which in ("raw", "expected", "keras")))
    contents: dict[str, str | bytes] = {name: (bundle.folder / name).read_bytes() for name in copied}
    contents |= {name: _little_endian(array) for name, array in steps.items()}
    return {f"test_vectors/{name}": content for name, content in contents.items()}


def _little_endian(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _too_old(phone: dict[str, Any] | None, needed: Requirements) -> list[str]:
    if phone is None or phone["sdk"] is None or phone["sdk"] >= needed.release.min_sdk:
        return []
    return [f"{phone['name']} has API level {phone['sdk']}; the app needs {needed.release.min_sdk}"]

"""Which runtime, and which Android, the operators of a `.tflite` file ask for at least.

The file says it itself: the converter looks up the version of each operator in TensorFlow's table of releases and
writes the latest as `min_runtime_version`. What that means for an app is decided here, by the LiteRT releases:
https://ai.google.dev/edge/litert/android has their minimum SDK levels.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfday7.exporting.tflite_contents import Operator, Summary


@dataclasses.dataclass(frozen=True)
class LiteRTRelease:
    """A release of the Android library.

    Attributes:
        version: in Gradle.
        min_sdk: the lowest Android API level that its manifest allows.
        tensorflow: the TensorFlow release whose operators it has at least.
        gpu: whether the Interpreter takes the GPU delegate.
    """

    version: str
    min_sdk: int
    tensorflow: tuple[int, int]
    gpu: bool


# The first line of Interpreter releases that LiteRT still maintains, and the latest, for operators that came later.
OLDER = LiteRTRelease("1.4.2", 21, (2, 17), gpu=True)
NEWER = LiteRTRelease("2.3.0", 24, (2, 21), gpu=False)
FLEX = ("org.tensorflow:tensorflow-lite:2.16.1", "org.tensorflow:tensorflow-lite-select-tf-ops:2.16.1")
GROUP = "com.google.ai.edge.litert"


@dataclasses.dataclass(frozen=True)
class Requirements:
    """What an app needs for a file.

    Attributes:
        operators: each operator with its version.
        min_runtime_version: the first TensorFlow Lite that runs it; None when the file does not say.
        release: the LiteRT release for Gradle.
        reason: why that one.
        flex: operators that TensorFlow itself has to compute.
        custom: operators that the app has to bring.
    """

    operators: tuple[Operator, ...]
    min_runtime_version: str | None
    release: LiteRTRelease
    reason: str
    flex: tuple[str, ...]
    custom: tuple[str, ...]

    def dependencies(self) -> list[str]:
        """Returns the Gradle coordinates that the app needs."""
        return list(FLEX) if self.flex else [f"{GROUP}:litert:{self.release.version}"]

    def notes(self) -> list[str]:
        """Returns what is not as in most models, in sentences."""
        found = []
        if self.min_runtime_version is None:
            found.append("the file does not say which runtime it needs; the Gradle lines name the newest known LiteRT")
        if self.flex:
            found.append(
                f"{', '.join(self.flex)} are computed by TensorFlow itself (Flex): the Gradle lines name "
                "tensorflow-lite-select-tf-ops, which adds many megabytes and was not tried here"
            )
        if self.custom:
            found.append(f"{', '.join(self.custom)} are custom operators: the app has to register them itself")
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns the record, as plain JSON values."""
        return {
            "operators": [{"name": operator.name, "version": operator.version} for operator in self.operators],
            "only_builtin_operators": not self.flex and not self.custom,
            "min_runtime_version": self.min_runtime_version,
            "litert": None if self.flex else self.release.version,
            "min_sdk": self.release.min_sdk,
            "reason": self.reason,
        }


def requirements(summary: Summary) -> Requirements:
    """Returns what a file needs."""
    needed = summary.min_runtime_version or None
    number = _number(needed) if needed else None
    if number is None:
        release, reason = NEWER, "the file does not say which runtime it needs, so the newest known one"
    elif number <= OLDER.tensorflow:
        release, reason = OLDER, f"its operators need TensorFlow Lite {needed}, which every LiteRT release has"
    else:
        release, reason = NEWER, f"its operators need TensorFlow Lite {needed}, newer than LiteRT {OLDER.version}'s"
    flex = {operator.name for operator in summary.operators if operator.flex}
    custom = {operator.name for operator in summary.operators if operator.custom and not operator.flex}
    if flex:
        release, reason = OLDER, "TensorFlow's own operators come with TensorFlow Lite's packages alone"
    return Requirements(summary.operators, needed, release, reason, tuple(sorted(flex)), tuple(sorted(custom)))


def _number(version: str) -> tuple[int, int] | None:
    """Returns (2, 17) for "2.17.0"; None for what is no version."""
    parts = version.split(".")
    return (int(parts[0]), int(parts[1])) if len(parts) >= 2 and all(p.isdecimal() for p in parts[:2]) else None

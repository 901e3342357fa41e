"""What to export, and where to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfday7.core.errors import UserError, unknown_name
from tfday7.core.settings import Settings, setting

FORMATS = ("tflite",)
DEFAULT_FOLDER = Path("tflite_models")


@dataclasses.dataclass(frozen=True)
class ExportConfig(Settings):
    """The settings of an export."""

    export: str = setting("tflite", "Formats to export to, a comma list of: tflite; empty for none.")
    export_dir: str = setting("", "Folder for the exported files of this model; default: tflite_models/<run name>.")

    def formats(self) -> tuple[str, ...]:
        """Returns the formats asked for. Raises UserError listing the known ones for an unknown name."""
        names = tuple(name.strip() for name in self.export.split(",") if name.strip())
        for name in names:
            if name not in FORMATS:
                raise unknown_name("export format", name, FORMATS)
        return names

    def check(self) -> None:
        """Raises UserError for an unknown format, or a folder for no format at all."""
        if not self.formats() and self.export_dir:
            raise UserError(
                f"--export_dir={self.export_dir} has no meaning with an empty --export", "leave one of them out"
            )

    def folder(self, run_name: str) -> Path:
        """Returns the folder of this model's artefacts."""
        return Path(self.export_dir) if self.export_dir else DEFAULT_FOLDER / run_name

"""Photographs a report for README, in headless Chromium.

make run
python docs/make_pictures.py runs/quickstart
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).resolve().parent / "report.png"
WIDTH, HEIGHT = 1100, 1500  # The first screens; a report is longer.
SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip


def photograph(report: Path, picture: Path) -> None:
    """Writes a PNG of a report's first screens.

    Raises:
        FileNotFoundError: there is no Chromium, or no report.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None or not report.is_file():
        raise FileNotFoundError(f"{report} and Chromium are needed")
    with tempfile.TemporaryDirectory() as profile:
        where = (f"--screenshot={picture}", f"--window-size={WIDTH},{HEIGHT}", f"--user-data-dir={profile}")
        subprocess.run([chromium, *SWITCHES, *where, report.resolve().as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    photograph(Path(sys.argv[1]) / "report.html", PICTURE)

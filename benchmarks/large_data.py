"""How much memory does training on more data than there is memory for take?

    python benchmarks/large_data.py [--gigabytes=5]

A folder of `.npy` files with random images is made, and one epoch is trained on it, from splitting to the report, by
the command that people use; then the same on a hundredth of the images. Sampled is the memory of the process (resident,
with what is mapped from files) while it runs. The larger one may take at most 2 GiB more than the smaller one, which
has the same model and libraries.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7.core import environment
from tfday7.core.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "large_data.json"
SHAPE = (96, 96, 3)
CLASSES = 10
CHUNK = 2_000
ALLOWED_BYTES = 2 * 2**30
SMALL_SHARE = 0.01
FLAGS = ("--model=cnn", "--width=8", "--depth=3", "--epochs=1", "--batch_size=128", "--export=")
POLL_SECONDS = 0.1


def generate(folder: Path, count: int) -> int:
    """Writes so many images of each class's own brightness, and returns the bytes."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    y = generator.integers(0, CLASSES, count)
    np.save(folder / "y_train.npy", y)
    path = folder / "x_train.npy"
    x: Any = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *SHAPE))
    for start in range(0, count, CHUNK):
        labels = y[start : start + CHUNK, np.newaxis, np.newaxis, np.newaxis]
        x[start : start + CHUNK] = generator.integers(0, 128, (len(labels), *SHAPE), np.uint8) + 12 * labels
    x.flush()
    return path.stat().st_size


def trained(folder: Path, run: Path) -> dict[str, Any]:
    """Trains on a folder, and returns seconds, peak memory in bytes, and what the run says of itself."""
    command = [sys.executable, "-m", "tfday7.train", f"--data={folder}", f"--run_dir={run}", *FLAGS]
    started, peak = time.monotonic(), 0
    with subprocess.Popen(command, cwd=ROOT) as process:
        while process.poll() is None:
            peak = max(peak, resident_bytes(process.pid))
            time.sleep(POLL_SECONDS)
    if process.returncode:
        sys.exit(f"{folder}: training ended with {process.returncode}")
    return {"seconds": round(time.monotonic() - started, 1), "peak_bytes": peak}


def resident_bytes(pid: int) -> int:
    """Returns the memory of a process; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def main() -> None:
    """Makes the data, trains twice, and writes down what that took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    gigabytes = parser.parse_args().gigabytes
    count = round(gigabytes * 1e9 / np.prod(SHAPE))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="large-") as folder:
        for name, examples in (("small", round(count * SMALL_SHARE)), ("large", count)):
            data = Path(folder) / name
            size = generate(data, examples)
            found[name] = {"examples": examples, "data_bytes": size, **trained(data, Path(folder) / f"run_{name}")}
            print(name, found[name], flush=True)
    more = found["large"]["peak_bytes"] - found["small"]["peak_bytes"]
    record = {
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/large_data.py --gigabytes={gigabytes:g}",
        **found,
        "more_bytes": more,
        "allowed_bytes": ALLOWED_BYTES,
        "holds": more <= ALLOWED_BYTES,
        "hardware": environment.hardware(),
        "versions": environment.versions(),
    }
    write_json(RESULTS, record)
    print(f"{more / 2**30:.2f} GiB more for {found['large']['data_bytes'] / 1e9:.1f} GB of data")


if __name__ == "__main__":
    main()

"""Makes the reference models that are committed here, and the table in README.md: `make models` runs it.

Two tiny models, digits and text, are trained from their seeds and exported for every runtime; their test vectors lie
beside them. CI runs the files through whatever runtimes are installed, so that a new version of one that changes
answers is noticed. Made again, the files differ where TensorFlow or a converter is another version; so this is run
when that is wanted, and the change is looked at.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tfday7.core import files
from tfday7.core.units import format_bytes, format_number
from tfday7.exporting.card import escaped, found_in

ROOT = Path(__file__).resolve().parent.parent
MODELS = {
    "reference_digits": [
        "--data=digits", "--model=cnn", "--width=8", "--depth=1", "--epochs=30", "--learning_rate=0.005",
        "--schedule=cosine",
    ],
    "reference_text": [
        "--data=configs/data/stdlib_functions.csv", "--target=returns",
        "--columns=module=drop,kind=drop,name=drop,arguments=drop,defaults=drop,lines=drop,decorator=drop,docstring=text",
        "--model=lstm", "--width=8", "--depth=1", "--epochs=6", "--learning_rate=0.01",
    ],
}  # fmt: skip
FORMATS = ("--formats=tflite,onnx,openvino,keras", "--kinds=float32,int8")
START, END = "<!-- models -->", "<!-- end of models -->"


def make(name: str, flags: list[str]) -> Path:
    """Trains and exports one model into its folder here, which is replaced; returns the folder."""
    folder = ROOT / "tflite_models" / name
    train, export = commands(name, flags)
    subprocess.run([sys.executable, *train[1:]], cwd=ROOT, check=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, *export[1:]], cwd=ROOT, check=True)
    return folder


def commands(name: str, flags: list[str]) -> list[list[str]]:
    """Returns the commands that make one model."""
    run = f"--run_dir=runs/{name}"
    return [
        ["python", "-m", "tfday7.train", *flags, "--export=", "--deterministic", "--overwrite", run],
        ["python", "-m", "tfday7.export", run, f"--export_dir=tflite_models/{name}", *FORMATS],
    ]


def table(folders: list[Path]) -> str:
    """Returns the table of the committed models, from their records."""
    lines = ["| file | size | metric | largest difference | SHA-256 |", f"|{'---|' * 5}"]
    for folder in folders:
        for artefact in found_in(folder):
            parity = artefact.parity
            metric = f"{parity.metric} {format_number(parity.artefact_metric)}" if parity else "?"
            difference = (
                f"{parity.relative_difference:.2%}" if parity and parity.relative_difference is not None else "?"
            )
            file = f"{folder.name}/{Path(str(artefact.path)).name}"
            cells = (f"`{file}`", format_bytes(artefact.size_bytes), escaped(metric), difference)
            lines.append(f"| {' | '.join(cells)} | `{artefact.sha256}` |")
    made_by = (f"    {shlex.join(command)}" for name, flags in MODELS.items() for command in commands(name, flags))
    return "\n".join([*lines, "", "Made by:", "", *made_by])


def write_table(folders: list[Path]) -> None:
    """Puts the table between its marks in README.md."""
    readme = ROOT / "tflite_models" / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    files.write_text(readme, f"{before}{START}\n\n{table(folders)}\n\n{END}{after}")


def main() -> Any:
    """Makes all models, then the table."""
    write_table([make(name, flags) for name, flags in MODELS.items()])


if __name__ == "__main__":
    main()

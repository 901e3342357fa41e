"""A phone that is none: a program called `adb` that answers as the real one does, out of a folder.

What goes to the phone's shell goes to a real one here, with /data/local/tmp in the folder: wrong quoting does harm, and
is seen. Calls are recorded as lists of arguments.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

PROGRAM = """#!{python}
import json, os, shutil, subprocess, sys
from pathlib import Path

root = Path({root!r})
arguments = sys.argv[1:]
with open(root / "calls.jsonl", "a") as log:
    log.write(json.dumps(arguments) + "\\n")
if arguments == ["devices"]:
    print((root / "devices.txt").read_text())
    sys.exit()
assert arguments[:2] == ["-s", (root / "serial.txt").read_text()], arguments
here = lambda text: text.replace("/data/local/tmp", str(root / "tmp"))
if arguments[2] == "push":
    *paths, folder = arguments[3:]
    assert folder.endswith("/") and Path(here(folder)).is_dir(), folder
    for path in paths:
        shutil.copy(path, here(folder))
elif arguments[2] == "shell":
    (command,) = arguments[3:]
    environment = {{"PATH": str(root / "bin"), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}}
    sys.exit(subprocess.run(["/bin/sh", "-c", here(command)], env=environment).returncode)
else:
    sys.exit(f"unknown command {{arguments[2]}}")
"""

PROPERTIES = {
    "ro.product.model": "Phone X",
    "ro.build.version.release": "13",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.build.version.sdk": "33",
}

# What the real one prints, from its source's format and from outputs that people have shown.
BENCHMARK_OUTPUT = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [/data/local/tmp/model.tflite]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Running benchmark for at least 10 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=73 first=7013 curr=6903 min=6720 max=7100 avg=6850.21 std=99

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=146 first=6850 curr=6844 min=6790 max=7331 avg=6851.5 std=52 p5=6800 median=6848 p95=6950

INFO: Inference timings in us: Init: 1530, First inference: 7013, Warmup (avg): 6850.21, Inference (avg): 6851.5
"""


class FakePhone:
    """Makes the program and the phone's folder.

    Args:
        root: an empty folder whose path needs no quoting.
        serial: the phone's.
    """

    def __init__(self, root: Path, serial: str = "R58M12345") -> None:
        self.root, self.bin, self.tmp = root, root / "bin", root / "tmp"
        for folder in (self.bin, self.tmp):
            folder.mkdir(parents=True)
        for tool in ("ls", "mkdir", "rm", "sh", "sleep"):
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.path = root / "path"
        self.path.mkdir()
        self._script(self.path / "adb", PROGRAM.format(python=sys.executable, root=str(root)))
        (root / "serial.txt").write_text(serial)
        self.attach({serial: "device"})
        lines = "".join(f"  {name}) echo '{value}';;\n" for name, value in PROPERTIES.items())
        self._script(self.bin / "getprop", f'#!/bin/sh\ncase "$1" in\n{lines}esac\n')

    def attach(self, states: dict[str, str]) -> None:
        """Sets what `adb devices` lists."""
        rows = "".join(f"{serial}\t{state}\n" for serial, state in states.items())
        (self.root / "devices.txt").write_text("List of devices attached\n" + rows)

    def give_benchmark(self, output: str = BENCHMARK_OUTPUT, code: int = 0) -> None:
        """Puts a benchmark_model onto the phone, which records its arguments and checks that the model is there."""
        self._script(
            self.tmp / "benchmark_model",
            f"#!{sys.executable}\nimport json, sys\nfrom pathlib import Path\n"
            f"graph = sys.argv[1].partition('=')[2]\nassert Path(graph).read_bytes()[4:8] == b'TFL3'\n"
            f"open({str(self.root / 'benchmarks.jsonl')!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
            f"print({output!r})\nsys.exit({code})\n",
        )

    def give_python(self) -> None:
        """Puts Python, with the runtimes of this one, onto the phone."""
        self._script(self.bin / "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')

    def calls(self) -> list[list[str]]:
        """Returns the arguments of each call."""
        return self._lines("calls.jsonl")

    def benchmarks(self) -> list[list[str]]:
        """Returns the arguments of each run of benchmark_model."""
        return self._lines("benchmarks.jsonl")

    def search_path(self) -> str:
        """Returns a PATH on which `adb` is found first."""
        return f"{self.path}{os.pathsep}{os.environ['PATH']}"

    def _lines(self, name: str) -> list[list[str]]:
        path = self.root / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _script(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

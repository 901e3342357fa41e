"""What does every command do with files that are broken, missing, hostile, or pulled from under it?

    python benchmarks/hardening.py                    # about 1,500 inputs: about an hour on 2 CPU cores
    python benchmarks/hardening.py --kinds=npz,h5     # those kinds alone: their part of the record is replaced
    python benchmarks/hardening.py --count=5          # five inputs, not three, for each kind and damage that is drawn

A kind is a sort of file and a command that reads it. Good files of all kinds are made first, by the commands
themselves. Then each is damaged in every way, in those that draw (a place, a bit, a moment) several times, and the
command runs on it. It has to end with exit code 0, 2, 3, 130 or 143, with one message and no traceback, within the
time limit; nothing half-written stays, every JSON file that is there can be read, and what the user gave is as it was.

`full_disk` lets no file grow beyond a few kB; `sigint`, `sigterm` and `sigkill` come at a random moment, and after a
sigkill the same command has to end well. Commands run in forks of a process that has TensorFlow loaded and has used
nothing of it: starting it is not what is tested, and would take most of the time.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import datetime
import gzip
import hashlib
import json
import multiprocessing
import os
import random
import re
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hardening_kinds import KINDS, Kind, make_good

from tfday7.core import environment, files
from tfday7.core.frameworks import keras, tf

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results" / "hardening.json"
LIMIT_SECONDS = 120
ALLOWED = {0, 2, 3, 130, 143}
MOST_BYTES = 20_000  # Of a file, where the disk is full.
MOST_MEMORY_BYTES = 8_000_000_000  # What is read without end ends there.


def bits(path: Path, chance: random.Random) -> None:
    """Turns one to eight bits."""
    content = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(path: Path, chance: random.Random) -> None:
    """Cuts the file off somewhere."""
    path.write_bytes(path.read_bytes()[: chance.randrange(1, path.stat().st_size)])


def block(path: Path, chance: random.Random) -> None:
    """Overwrites a stretch with one byte."""
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content))
    length = min(len(content) - start, chance.randint(1, 512))
    content[start : start + length] = bytes([chance.choice((0, 0x20, 0x7F, 0xFF))]) * length
    path.write_bytes(content)


def noise(path: Path, chance: random.Random) -> None:
    """Puts random bytes in its place."""
    path.write_bytes(chance.randbytes(chance.randint(1, 5000)))


def numbers(path: Path, chance: random.Random) -> None:
    """Puts something else in the place of a number, or of a few bytes where there is no text."""
    content = path.read_bytes()
    found = [i for i, byte in enumerate(content) if 0x30 <= byte <= 0x39] or list(range(len(content)))
    at = chance.choice(found)
    other = chance.choice(
        (b"NaN", b"-1", b"1e999", b"null", b'"x"', b"[]", b"{}", b"99999999999999999999", b"\xff\xfe")
    )
    path.write_bytes(content[:at] + other + content[at + 1 :])


def nested(path: Path) -> None:
    """Writes very deep JSON."""
    path.write_bytes(b"[" * 100_000 + b"]" * 100_000)


def bomb(path: Path) -> None:
    """Writes an archive that unpacks to 200 MB and more, and names a file outside of its folder."""
    packed = gzip.compress(b"\0" * 50_000_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.txt", "out")
        archive.writestr("config.json", b"\0" * 200_000_000)
        archive.writestr("x_train.npy", packed)


def hole(path: Path) -> None:
    """Writes three gigabytes of nothing, which take no room."""
    with path.open("wb") as file:
        file.truncate(3_000_000_000)


DRAWN: dict[str, Callable[[Path, random.Random], None]] = {
    "bits": bits,
    "cut": cut,
    "block": block,
    "numbers": numbers,
    "noise": noise,
}
REPLACED: dict[str, Callable[[Path], Any]] = {  # What lies there instead.
    "missing": lambda path: None,
    "empty": Path.touch,
    "folder": Path.mkdir,
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "hole": hole,
    "nested": nested,
    "bomb": bomb,
    "text": lambda path: path.write_text("日本語 \u202e <script>alert(1)</script>\n" * 3, encoding="utf-8"),
    "pickle": lambda path: path.write_bytes(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0etouch escaped.\x85R."),
    "picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100),
}
SIGNALS = {"sigint": signal.SIGINT, "sigterm": signal.SIGTERM, "sigkill": signal.SIGKILL}
SIGNALLED = ("npz", "csv", "tflite_deployed", "run_model", "checkpoint", "recipe", "tuned_data", "tuning_begun",
             "search_log", "fixed")  # fmt: skip
DISK = ("npz", "csv", "keras", "tflite_deployed", "run_record", "metrics", "run_model", "checkpoint", "tuned_data",
        "tuning_begun", "search_log", "fixed", "benchmarked")  # fmt: skip


@dataclass
class Ended:
    """How a command ended."""

    code: int | None  # None: it did not, within the limit. Negative: by a signal.
    out: str
    err: str
    seconds: float


@dataclass
class Tally:
    """What came of the inputs of a kind."""

    inputs: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)


def run(command: Sequence[str], folder: Path, send: tuple[int, float] | None = None, full: bool = False) -> Ended:
    """Runs a command in a fork; `send` is a signal and the seconds after which it comes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _be(command, folder, (out, err), full)
        code = _wait(child, started, send)
        said, complained = (os.pread(file.fileno(), 1_000_000, 0).decode("utf-8", "replace") for file in (out, err))
    return Ended(code, said, complained, round(time.monotonic() - started, 2))


def _be(command: Sequence[str], folder: Path, outputs: Sequence[Any], full: bool) -> None:
    """Becomes the command, and never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        for number, output in zip((1, 2), outputs, strict=True):
            os.dup2(output.fileno(), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ["PYTHONPATH"] = str(ROOT)
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
        if full:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
        sys.argv = [f"tfday7.{command[0]}", *command[1:]]
        runpy.run_module(f"tfday7.{command[0]}", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - what the interpreter would print.
        traceback.print_exc()
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(child: int, started: float, send: tuple[int, float] | None) -> int | None:
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        if send is not None and seconds > send[1]:
            os.kill(child, send[0])
            send = None
        if seconds > LIMIT_SECONDS:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.01)


def complaints(ended: Ended, folder: Path, before: dict[str, str], allowed: set[int]) -> list[str]:
    """Returns what a command should not have done."""
    found = []
    if ended.code is None:
        return [f"still running after {LIMIT_SECONDS} s"]
    if ended.code not in allowed:
        found.append(f"exit code {ended.code}")
    if "Traceback (most recent call last)" in ended.err + ended.out:
        found.append("a traceback")
    messages = re.findall("^error: ", ended.err, re.MULTILINE)  # Workers of a group have their name before it.
    if ended.code == 2 and len(messages) != 1:
        found.append(f"{len(messages)} messages")
    if ended.code == 0 and "error: " in ended.err:
        found.append("an error and exit code 0")
    after = digests(folder)
    changed = sorted(name for name, digest in before.items() if after.get(name) != digest)
    if changed:
        found.append(f"changed or lost: {', '.join(changed[:3])}")
    partial = [path for path in folder.rglob(f"{files.PARTIAL}*")]
    if partial and ended.code != -signal.SIGKILL:
        found.append(f"left {partial[0].relative_to(folder)}")
    for path in folder.rglob("*.json"):
        name = str(path.relative_to(folder))
        if name not in before and name.startswith("out") and not _is_json(path):
            found.append(f"half a file: {name}")
    found += [f"it wrote {path}" for path in folder.parent.glob("escaped*")]
    found += ["it ran what a file said"] if (folder / "escaped.").exists() else []
    return found


def digests(folder: Path, but: str = "") -> dict[str, str]:
    """Returns what lies in a folder: name -> digest, of what the user gave (not `out`, not `run`)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.relative_to(folder).parts[0] in ("out", "run", "runs") or name == but:
            continue
        if path.is_symlink() or not path.is_file():
            found[name] = "folder" if path.is_dir() else "special"
        elif path.stat().st_size < 1_000_000_000:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yields a folder; not one of `tempfile.TemporaryDirectory`, which a fork would remove at its end."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def damage(path: Path, name: str, chance: random.Random) -> None:
    """Damages a file in a way that is named; mishaps leave it as it is."""
    if name in DRAWN:
        DRAWN[name](path, chance)
    elif name in REPLACED:
        path.unlink()
        REPLACED[name](path)


def one(kind: Kind, name: str, good: Path, chance: random.Random) -> tuple[Ended, list[str]]:
    """Runs a kind's command on one damaged input, or with one mishap."""
    with scratch() as outer:
        folder = outer / "work"
        shutil.copytree(good, folder, symlinks=True)
        file = str(max(folder.glob(kind.file)).relative_to(folder))
        command = [word.format(file=file) for word in kind.command]
        damage(folder / file, name, chance)
        before = digests(folder, file if kind.owned else "")
        allowed, send = set(ALLOWED), None
        if name in SIGNALS:
            send = (SIGNALS[name], chance.uniform(0.0, 6.0))
            allowed.add(-SIGNALS[name])  # Of SIGINT and SIGTERM: it came while the process was ending.
        ended = run(command, folder, send, name == "full_disk")
        found = complaints(ended, folder, before, allowed)
        if name == "sigkill" and ended.code == -signal.SIGKILL:
            again = run(command, folder)
            if again.code not in (0, 3):
                found.append(f"after the kill: exit code {again.code}: {again.err.strip()[:200]}")
        return ended, found


def plans(name: str, count: int) -> list[str]:
    """Returns the damages and mishaps of a kind, by name."""
    chosen = ["none", *(drawn for drawn in DRAWN for _ in range(count)), *REPLACED]
    chosen += ["full_disk"] * (2 if name in DISK else 0)
    return chosen + [sent for sent in SIGNALS for _ in range(count) if name in SIGNALLED]


def tried(name: str, good: Path, count: int) -> Tally:
    """Runs all inputs of a kind."""
    tally = Tally()
    for number, what in enumerate(plans(name, count)):
        chance = random.Random(f"{name} {what} {number}")
        ended, found = one(KINDS[name], what, good, chance)
        if what == "none" and ended.code not in (0, 3):
            found.append(f"the good file is refused: {ended.err[:300]}")
        tally.inputs += 1
        code = str(ended.code)
        tally.codes[code] = tally.codes.get(code, 0) + 1
        if found:
            said = (ended.err.strip() or ended.out.strip()).splitlines()
            tally.failures.append(
                {"damage": what, "number": str(number), "why": "; ".join(found), "said": " | ".join(said[-3:])[-500:]}
            )
            print(f"  {name} {what} {number}: {'; '.join(found)}: {said[-1][:200] if said else ''}", flush=True)
    return tally


def _timed(work: tuple[str, Path, int]) -> tuple[str, Tally, float]:
    """Returns a kind's name, what came of its inputs, and how many seconds they took."""
    started = time.monotonic()
    return work[0], tried(*work), time.monotonic() - started


def main() -> None:
    """Tries the kinds that are named, and brings the record up to date."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--count", type=int, default=3, help="inputs for each damage that draws")
    parser.add_argument("--good", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if given.good:
        make_good(Path(given.good))
        return
    unknown = sorted(set(given.kinds.split(",")) - set(KINDS))
    if unknown:
        parser.error(f"unknown kinds: {', '.join(unknown)}; known: {', '.join(KINDS)}")
    record = files.read_json(RESULTS) if RESULTS.exists() else {"kinds": {}}
    with scratch() as outer:
        good = outer / "good"
        good.mkdir()
        subprocess.run([sys.executable, __file__, f"--good={good}"], check=True)
        assert tf.Module  # Loaded here, and nothing of it used, for all forks.
        assert keras.layers
        work = [(name, good, given.count) for name in given.kinds.split(",")]
        pool = multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0)))
        for name, tally, seconds in pool.imap_unordered(_timed, work):
            record["kinds"][name] = vars(tally)
            record |= {
                "date": datetime.date.today().isoformat(),
                "command": "python benchmarks/hardening.py",
                "inputs": sum(each["inputs"] for each in record["kinds"].values()),
                "failures": sum(len(each["failures"]) for each in record["kinds"].values()),
                "versions": environment.versions(),
            }
            files.write_json(RESULTS, record)
            said = f"{name}: {tally.inputs} inputs, {len(tally.failures)} failures, {tally.codes}, {seconds:.0f} s"
            print(said, flush=True)
        pool.close()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs the model that lies beside this file: does it answer as it should, how fast is it, what does it say?

    python3 run_model.py check                          # compare its answers with those that it gave elsewhere
    python3 run_model.py benchmark --threads=2          # measure it
    python3 run_model.py predict --values=5.1,3.5,1.4   # one example, as raw values
    python3 run_model.py predict --raw=examples.npy     # one or several

Each prints one JSON object. It needs Python 3.7, NumPy, and ai-edge-litert or tflite-runtime. Exit codes: 0 done, 2 a
mistake or something missing, 3 the answers are not those that were expected.
"""

# Longer than files here should be, as it must be one: it is copied to devices alone, and imports nothing of tfday7.

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

try:
    import numpy as np
except ImportError as missing:
    sys.stderr.write(f"error: NumPy cannot be imported: {missing}\nhint: {sys.executable} -m pip install numpy\n")
    sys.exit(2)

HERE = Path(__file__).resolve().parent
FORMAT = "tfday7-bundle-1"
KEYS = ("model", "sha256", "input", "output", "labels", "vectors")
# Package, and the module that has `Interpreter`. TensorFlow is the last resort: it takes half a gigabyte.
RUNTIMES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("tensorflow", "tensorflow"),
)
WARMUP_RUNS = 10
MIN_RUNS = 20
MAX_RUNS = 10000  # More say nothing more, and their times would count as the model's memory.
MIN_RUNS_FOR_P99 = 100  # With fewer, one run would be the percentile.


class UserError(Exception):
    """Something that whoever runs this can do something about: a message and a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


# What the bundle holds ------------------------------------------------------------------------------------------------


class Bundle:
    """The files beside this one, as bundle.json describes them."""

    def __init__(self, folder: Path = HERE) -> None:
        self.folder = folder
        try:
            self.spec = json.loads(self.read("bundle.json").decode("utf-8"))
        except ValueError as error:
            raise self._damaged("bundle.json", f"no JSON: {error}") from None
        if not isinstance(self.spec, dict) or self.spec.get("format") != FORMAT or not set(KEYS) <= set(self.spec):
            raise self._damaged("bundle.json", f"not of the format {FORMAT}")
        self.input, self.output = self.spec["input"], self.spec["output"]
        self.labels = self.spec["labels"]

    def read(self, name: str) -> bytes:
        """Returns the content of a file of the bundle."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise self._damaged(name, str(error.strerror)) from None

    def model(self) -> bytes:
        """Returns the model, which is the one that bundle.json describes."""
        content = self.read(self.spec["model"])
        if hashlib.sha256(content).hexdigest() != self.spec["sha256"]:
            raise self._damaged(self.spec["model"], "its SHA-256 is not that of bundle.json")
        return content

    def vectors(self, which: str) -> np.ndarray:
        """Returns the "raw" inputs, the "expected" answers, or those of the "keras" model."""
        described = self.spec["vectors"][which]
        dtype, content = np.dtype(described["dtype"]).newbyteorder("<"), self.read(described["file"])
        expected = product(described["shape"]) * dtype.itemsize
        if len(content) != expected:
            raise self._damaged(described["file"], f"{len(content)} bytes; expected {expected}")
        found = np.frombuffer(content, dtype)
        return found.astype(described["dtype"]).reshape(described["shape"])

    def vocabulary_size(self) -> int:
        """Returns how many token ids there are; 0 where the model takes none."""
        if not (self.folder / "vocabulary.txt").exists():
            return 0
        return self.read("vocabulary.txt").count(b"\n")

    def _damaged(self, name: str, reason: str) -> UserError:
        return UserError(f"{self.folder / name}: {reason}", "deploy the bundle again")


def product(sizes: Sequence[int]) -> int:
    """Returns how many numbers an array of these sizes has."""
    count = 1
    for size in sizes:
        count *= size
    return count


# Running the model ----------------------------------------------------------------------------------------------------


def find_runtime() -> tuple[Any, dict[str, Any]]:
    """Returns the class `Interpreter` of the first runtime that can be imported, and its package and version."""
    reasons = []
    for package, name in RUNTIMES:
        try:
            module = importlib.import_module(name)
            found = module.lite.Interpreter if package == "tensorflow" else module.Interpreter
        except (ImportError, AttributeError, OSError) as error:  # OSError: a library that it needs is missing.
            reasons.append(f"{package}: {first_line(error)}")
        else:
            return found, {"package": package, "version": version_of(package, name.partition(".")[0])}
    hint = f"{sys.executable} -m pip install ai-edge-litert"
    if any("numpy" in reason for reason in reasons):  # tflite-runtime was built against NumPy 1.
        hint += "; tflite-runtime needs 'numpy<2'"
    raise UserError(f"no runtime for .tflite files can be imported ({'; '.join(reasons)})", hint)


def first_line(error: Exception) -> str:
    """Returns the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def version_of(package: str, module: str) -> str | None:
    """Returns the version of a package; None where it cannot be told."""
    told = getattr(sys.modules[module], "__version__", None)
    if told:
        return str(told)
    try:
        from importlib import metadata  # Since Python 3.8.

        return metadata.version(package)
    except ImportError:  # No such module, or no such package.
        return None


class Model:
    """The model in a runtime. From raw values to answers, float32 throughout unless it says otherwise."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        interpreter, self.runtime = find_runtime()
        self.bundle = bundle
        started = time.perf_counter()
        try:
            self.interpreter = interpreter(model_content=bundle.model(), num_threads=threads)
            self.interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            newer = "tensorflow" if self.runtime["package"] == "tensorflow" else "ai-edge-litert"
            hint = f"a newer runtime may: {sys.executable} -m pip install --upgrade {newer}"
            named = f"{self.runtime['package']} {self.runtime['version']}"
            raise UserError(f"{named} cannot load the model: {first_line(error)}", hint) from None
        self.load_ms = (time.perf_counter() - started) * 1000.0
        self.start = self.interpreter.get_input_details()[0]["index"]
        self.end = self.interpreter.get_output_details()[0]["index"]

    def answers(self, raw: np.ndarray) -> np.ndarray:
        """Returns the answers [n, ...] to raw values [n, ...], each example alone."""
        return np.concatenate([self.answer(raw[i : i + 1]) for i in range(len(raw))])

    def answer(self, raw: np.ndarray) -> np.ndarray:
        """Returns the answer [1, ...] to one example [1, ...]."""
        self.feed(prepared(raw, self.bundle.input))
        try:
            self.interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"the model cannot be run: {first_line(error)}") from None
        return restored(self.interpreter.get_tensor(self.end), self.bundle.output)

    def feed(self, x: np.ndarray) -> None:
        """Sets the input. What the model keeps from one run to the next, as an LSTM does, is forgotten first."""
        self.interpreter.reset_all_variables()
        self.interpreter.set_tensor(self.start, x)


def prepared(raw: np.ndarray, described: dict[str, Any]) -> np.ndarray:
    """Returns raw values as the numbers that the file takes."""
    if raw.dtype.kind == "i":  # Token ids are neither scaled nor rounded.
        return raw.astype(described["dtype"])
    x = raw.astype(np.float32)
    if described.get("divisor", 1.0) != 1.0:
        x = x / np.float32(described["divisor"])
    affine = described.get("standardization")
    if affine:
        mean, std = (np.array(affine[name], np.float64) for name in ("mean", "std"))
        x = ((x.astype(np.float64) - mean) / std).astype(np.float32)
    if not described.get("scale"):
        return x.astype(described["dtype"])
    steps = np.rint(x / np.float32(described["scale"])) + np.float32(described["zero_point"])  # Half to even.
    limits = np.iinfo(described["dtype"])
    return np.clip(steps, limits.min, limits.max).astype(described["dtype"])


def restored(numbers: np.ndarray, described: dict[str, Any]) -> np.ndarray:
    """Returns the file's numbers as the answer."""
    y = numbers.astype(np.float32)
    if described.get("scale"):
        y = (y - np.float32(described["zero_point"])) * np.float32(described["scale"])
    affine = described.get("standardization")
    if affine:
        mean, std = (np.array(affine[name], np.float64) for name in ("mean", "std"))
        y = (y.astype(np.float64) * std + mean).astype(np.float32)
    return y


# Judging its answers --------------------------------------------------------------------------------------------------


def compare(bundle: Bundle, answers: np.ndarray) -> dict[str, Any]:
    """Returns how answers to the test vectors differ from what the same file, and the Keras model, said elsewhere."""
    expected, keras = bundle.vectors("expected"), bundle.vectors("keras")
    vectors = bundle.spec["vectors"]
    largest = largest_difference(answers, expected)
    allowed = np.array(vectors.get("column_tolerances") or vectors["tolerance"], np.float64)
    within = np.abs(answers.astype(np.float64) - expected) <= allowed  # False where a number is none.
    return {
        "largest_difference": largest,
        "tolerance": vectors["tolerance"],
        "examples": len(expected),
        "same_decision": same_decisions(answers, expected, bundle.output),
        "keras_largest_difference": largest_difference(answers, keras),
        "keras_same_decision": same_decisions(answers, keras, bundle.output),
        "holds": bool(within.all()),
    }


def largest_difference(a: np.ndarray, b: np.ndarray) -> float | None:
    """Returns the largest absolute difference; None where one of the numbers is NaN or infinite."""
    largest = float(np.abs(a.astype(np.float64) - b).max())
    return largest if np.isfinite(largest) else None


def same_decisions(a: np.ndarray, b: np.ndarray, output: dict[str, Any]) -> float | None:
    """Returns the share of examples that both decide alike (of several targets: on the one that agrees least)."""
    shares = []
    for target in targets(output):
        one, other = decided(a, target), decided(b, target)
        if one is not None and other is not None:
            shares.append(float(np.mean((one == other).reshape(len(one), -1).all(axis=1))))
    return min(shares) if shares else None


def targets(output: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns what the model answers: most answer one thing, some several side by side, each with its columns."""
    heads = output.get("heads") or [{"name": None, "task": output["task"], "columns": [None, None], "labels": None}]
    meanings = [meaning.strip() for meaning in output["meaning"].split(",")]
    each = meanings if len(meanings) == len(heads) else meanings * len(heads)
    return [dict(head, meaning=each[index]) for index, head in enumerate(heads)]


def decided(answers: np.ndarray, target: dict[str, Any]) -> np.ndarray | None:
    """Returns the chosen classes, or which labels apply; None where nothing is decided."""
    first, last = target["columns"]
    y = answers[..., first:last]
    if target["task"] == "classification":
        return y.argmax(axis=-1)
    if target["task"] == "multilabel":
        return y > (0.0 if target["meaning"] == "logits" else 0.5)
    return None


def said(answer: np.ndarray, bundle: Bundle) -> dict[str, Any]:
    """Returns one answer, [...] without the batch, in words."""
    found = {}
    for target in targets(bundle.output):
        first, last = target["columns"]
        labels = bundle.labels if target["labels"] is None else target["labels"]
        found[target["name"]] = said_of(answer[..., first:last].astype(np.float64), target, labels)
    return {"targets": found} if bundle.output.get("heads") else found[None]


def said_of(y: np.ndarray, target: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    """Returns the answer for one target in words; float64, as probabilities of many classes are small."""
    if target["task"] == "classification":
        if target["meaning"] == "logits":
            y = np.exp(y - y.max(axis=-1, keepdims=True))
            y = y / y.sum(axis=-1, keepdims=True)
        best = int(y.argmax())
        label = labels[best] if best < len(labels) else None
        return {"label": label, "index": best, "probability": float(y.max()), "probabilities": y.tolist()}
    if target["task"] == "multilabel":
        if target["meaning"] == "logits":
            y = 0.5 * (1.0 + np.tanh(0.5 * y))  # The sigmoid, without overflow.
        applying = [label for index, label in enumerate(labels) if y[index] > 0.5]
        return {"labels": applying, "probabilities": y.tolist()}
    return {"values": y.tolist()}


# What is measured -----------------------------------------------------------------------------------------------------


def measure(model: Model, seconds: float) -> dict[str, Any]:
    """Returns the latency of one run without feeding it, and how often it was timed."""
    x = prepared(model.bundle.vectors("raw")[:1], model.bundle.input)
    taken: list[float] = []
    started = time.perf_counter()
    for run in range(WARMUP_RUNS + MAX_RUNS):
        model.feed(x)
        before = time.perf_counter()
        model.interpreter.invoke()
        now = time.perf_counter()
        taken.append((now - before) * 1000.0)
        if run + 1 >= WARMUP_RUNS + MIN_RUNS and now - started > seconds:
            break
    memory = peak_memory_bytes()
    p50, p90, p99 = (round(float(np.percentile(taken[WARMUP_RUNS:], q)), 5) for q in (50, 90, 99))
    runs = len(taken) - WARMUP_RUNS
    return {
        "latency_ms": {"p50": p50, "p90": p90, "p99": p99 if runs >= MIN_RUNS_FOR_P99 else None},
        "runs": runs,
        "batch_size": 1,
        "load_ms": round(model.load_ms, 3),
        "peak_memory_bytes": memory,
    }


def peak_memory_bytes() -> int | None:
    """Returns the most memory that this process has had, Python and all; None where the system does not say."""
    for line in text_of("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def machine() -> dict[str, Any]:
    """Returns what this runs on; None where unknown."""
    try:
        memory: int | None = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        memory = None
    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": memory,
    }


def cpu_name() -> str | None:
    """Returns for example "Raspberry Pi 4 Model B Rev 1.4", or what the processor calls itself."""
    board = text_of("/proc/device-tree/model").strip("\0 \n")
    if board:
        return board
    for line in text_of("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or None


def text_of(path: str) -> str:
    """Returns the text of a file; "" when it cannot be read."""
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


# Commands -------------------------------------------------------------------------------------------------------------


def check(arguments: argparse.Namespace) -> int:
    """Compares the model's answers with those that it gave where the bundle was made."""
    bundle = Bundle()
    model = Model(bundle, arguments.threads)
    parity = compare(bundle, model.answers(bundle.vectors("raw")))
    show({"parity": parity, "runtime": model.runtime, "machine": machine()})
    return 0 if parity["holds"] else 3


def benchmark(arguments: argparse.Namespace) -> int:
    """Measures latency, load time and memory."""
    model = Model(Bundle(), arguments.threads)
    figures = measure(model, arguments.seconds)
    show({**figures, "threads": arguments.threads, "runtime": model.runtime, "machine": machine()})
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Answers examples that the user gives."""
    bundle = Bundle()
    raw = values_given(arguments.values, bundle) if arguments.values is not None else array_given(arguments.raw, bundle)
    model = Model(bundle, arguments.threads)
    answers = model.answers(raw)
    if not np.isfinite(answers).all():
        raise UserError("the model answers NaN or infinity", "are the values those that it was trained on?")
    show({"answers": [said(y, bundle) for y in answers], "runtime": model.runtime})
    return 0


def values_given(text: str, bundle: Bundle) -> np.ndarray:
    """Returns one example [1, ...] from numbers with commas between them."""
    shape = tuple(bundle.input["shape"][1:])
    try:
        values = np.array([float(part) for part in text.split(",")], np.float64)
    except ValueError as error:
        raise UserError(f"--values: {error}", "give numbers with commas between them") from None
    if values.size != product(shape):
        raise UserError(f"--values: {values.size} numbers; expected {product(shape)}, for the shape {list(shape)}")
    return checked(values.reshape((1, *shape)), "--values", bundle)


def array_given(path: str, bundle: Bundle) -> np.ndarray:
    """Returns examples [n, ...] from a NumPy file of one example or several."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"--raw={path}: cannot be read ({error})", "save it with numpy.save") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
        raise UserError(f"--raw={path}: not one array of numbers", "save it with numpy.save")
    shape = tuple(bundle.input["shape"][1:])
    if found.shape == shape:
        found = found[np.newaxis]
    if found.shape[1:] != shape or not len(found):
        expected = f"expected {list(shape)} for one example, or {['n', *shape]} for n"
        raise UserError(f"--raw={path}: shape {list(found.shape)}; {expected}")
    return checked(found, "--raw=" + path, bundle)


def checked(raw: np.ndarray, where: str, bundle: Bundle) -> np.ndarray:
    """Returns values in the type of raw ones, or says what is wrong with them."""
    if not np.isfinite(raw).all():
        raise UserError(f"{where}: holds NaN or infinity")
    if bundle.spec["vectors"]["raw"]["dtype"] != "int32":
        return raw.astype(np.float32)
    known = bundle.vocabulary_size() or 2**31
    if (raw != np.rint(raw)).any() or raw.min() < 0 or raw.max() >= known:
        raise UserError(f"{where}: expected token ids, whole numbers from 0 to {known - 1}")
    return raw.astype(np.int32)


def show(record: dict[str, Any]) -> None:
    """Prints a record, and nothing else goes to stdout."""
    sys.stdout.write(json.dumps(record, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()


class Parser(argparse.ArgumentParser):
    """Says what is wrong as the rest of this program does."""

    def error(self, message: str) -> Any:
        """Raises UserError."""
        raise UserError(message, f"{self.prog} --help")


def at_least(smallest: float, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns a reader of numbers that are not smaller."""

    def read(text: str) -> Any:
        number = kind(text)
        if not smallest <= number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: expected at least {smallest}")
        return number

    read.__name__ = "number"
    return read


def parse(given: list[str]) -> argparse.Namespace:
    """Returns the command with its settings."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="run_model.py", description=__doc__, formatter_class=shape, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="check|benchmark|predict")
    for command in (check, benchmark, predict):
        own = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        own.add_argument("--threads", type=at_least(1, int), default=1, help="CPU threads of the runtime (default: 1)")
        own.set_defaults(run=command)
        if command is benchmark:
            own.add_argument("--seconds", type=at_least(0, float), default=3.0, help="how long to measure (default: 3)")
        if command is predict:
            one = own.add_mutually_exclusive_group(required=True)
            one.add_argument("--values", help="one example: raw values with commas between them")
            one.add_argument("--raw", help="a .npy file of one example, or of several")
    arguments = parser.parse_args(given)
    if arguments.command is None:
        parser.error("no command; expected check, benchmark or predict")
    return arguments


def main() -> int:
    """Runs one command and returns the exit code."""
    try:
        arguments = parse(sys.argv[1:])
        return int(arguments.run(arguments))
    except UserError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())

"""History files: what loggers write is read, what is none is refused, and nothing in them is executed."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfday7.core.errors import UserError
from tfday7.core.run_folder import RunFolder
from tfday7.diagnosis import diagnose
from tfday7.diagnosis.history import files as history_files
from tfday7.diagnosis.history.histories import read

COLUMNS = {"loss": [3.0, 2.0, 1.5], "val_loss": [3.5, 2.5, 2.25], "accuracy": [0.25, 0.5, 0.75]}
RECORDS = [{"epoch": i, **{name: values[i] for name, values in COLUMNS.items()}} for i in range(3)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


def _csv(delimiter: str = ",") -> str:
    rows = [["epoch", *COLUMNS], *([i, *row] for i, row in enumerate(zip(*COLUMNS.values(), strict=True)))]
    return "".join(delimiter.join(map(str, row)) + "\n" for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        _csv(),
        _csv(";"),
        "\ufeff" + _csv("\t").replace("\n", "\r\n"),
        _csv() + "3,1.",  # Half-written.
        json.dumps(COLUMNS),
        json.dumps(COLUMNS, indent=4),
        json.dumps({"history": COLUMNS, "params": {"epochs": 3}}),
        json.dumps({name: dict(enumerate(values)) for name, values in COLUMNS.items()}),  # As pandas writes it.
        json.dumps(RECORDS),
        LINES,
        LINES + '{"epoch": 3, "lo',
        "\n" + LINES.replace("\n", "\r\n"),
    ],
    ids=[
        "csv", "semicolons", "tabs and a byte order mark", "half csv", "json", "indented", "keras dump", "pandas",
        "records", "lines", "half a line", "windows",
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_history_is_read_whatever_its_form(tmp_path: Path, text: str, packed: bool) -> None:
    path = tmp_path / "history"  # No suffix: the content says what it is.
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    evidence = read(path)
    np.testing.assert_array_equal([evidence.loss, evidence.val_loss], [COLUMNS["loss"], COLUMNS["val_loss"]])
    assert evidence.train_score == 0.75


def test_what_csvlogger_writes_is_read_with_its_na(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["epoch", "loss", "val_loss"])
        writer.writeheader()
        writer.writerows([{"epoch": i, "loss": 9 - i, "val_loss": 10 - i if i % 2 else "NA"} for i in range(6)])
    evidence = read(path)
    np.testing.assert_array_equal([evidence.loss, evidence.val_loss], [[8, 6, 4], [9, 7, 5]])
    assert evidence.notes == ("gaps",)


def test_infinities_and_literals_that_json_does_not_know_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text('{"loss": [1.0, NaN, 0.5, Infinity], "val_loss": [1, 2, 3, "inf"]}')
    np.testing.assert_array_equal(read(path).loss, [1.0, 0.5, np.nan])
    assert diagnose(path).verdict == "broken"


def test_one_record_is_one_epoch(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1, "loss": 2.0, "val_loss": 2.5}\n')
    assert read(path).epochs == 1
    assert diagnose(str(path)).verdict == "undetermined"


def test_the_path_of_a_run_folder_is_judged_as_a_run_and_its_record_is_written(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(LINES)
    by_path = diagnose(tmp_path)
    assert json.loads((tmp_path / "diagnosis.json").read_text(encoding="utf-8")) == by_path.to_json()
    assert diagnose(RunFolder(tmp_path)) == by_path == diagnose(str(tmp_path))


def test_of_a_history_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(LINES)
    diagnose(path)
    assert list(tmp_path.iterdir()) == [path]


class Trap:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.path.touch, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (bytes(range(256)), "no UTF-8 text"),
        (b"loss,val_loss\n1,\x002\n", "binary"),
        (b"\x1f\x8b" + b"rubbish" * 9, "a damaged gzip file"),
        (gzip.compress(LINES.encode(), mtime=0)[:-12], "a damaged gzip file"),
        (b'{"loss": [1, 2', "no readable JSON"),
        (b'{"loss": 1}\nloss\n{"loss": 2}\n', "line 2 is no readable JSON"),
        (b"[" * 100_000, "no"),
        (b"[1, 2, 3]", "record 1 is no object"),
        (b'{"loss": [1]}\n{"loss": [2]}\n', "record 1 is a whole history"),
        (b'{"accuracy": [0.5]}', "no training loss in it; it holds accuracy"),
        (b"epoch,accuracy\n1,0.5\n", "no training loss in it; it holds epoch, accuracy"),
        (b"Dear all, this is a letter.\nYours\n", "no training loss in it"),
        (b"loss,val_loss\n", "holds no epochs"),
        (b"loss,val_loss\n1,2\nloss,val_loss\n", "'loss' is no number"),
        ("loss\n1\n".encode("utf-16"), "no UTF-8 text"),
    ],
)
def test_what_is_no_history_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        diagnose(path)
    assert str(path) in raised.value.message


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path, made = tmp_path / "history.pkl", tmp_path / "made"
    path.write_bytes(pickle.dumps({"loss": Trap(made)}, protocol=0))
    with pytest.raises(UserError):
        diagnose(path)
    assert not made.exists()


def test_a_file_that_unpacks_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_files, "MAX_BYTES", 1_000_000)
    path = tmp_path / "history.csv"
    for content in (b"loss\n" + b"1\n" * 600_000, gzip.compress(b"loss\n" + b"1\n" * 600_000)):
        path.write_bytes(content)
        with pytest.raises(UserError, match="more than 1 MB of text"):
            diagnose(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=60), st.text(alphabet='loss,"{}[]:1.\n val_NaN', max_size=60).map(str.encode)))
def test_any_content_is_judged_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        assert diagnose(path).unseen

"""Latency and answers of a model on a phone, and the reasons for what is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from deploying.android.conftest import HOSTILE_NAME
from deploying.android.fake_adb import BENCHMARK_OUTPUT, FakePhone

from tfday7.deploying.android import on_phone
from tfday7.deploying.android.adb import AdbError
from tfday7.deploying.bundle import Bundle

UNKNOWN = "parity on the device is unknown: "


def measure(bundle: Bundle, threads: tuple[int, ...] = (1,)) -> on_phone.OnPhone:
    said: list[Any] = []
    found = on_phone.measure(bundle, "model_x", list(threads), 2.0, 60.0, said.append)
    assert said in ([], ["measuring on Phone X (Android 13, arm64-v8a)"])
    return found


def test_latency_is_measured_for_each_number_of_threads(bundle: Bundle, phone: FakePhone) -> None:
    phone.give_benchmark()
    found = measure(bundle, (1, 4))
    assert [row["threads"] for row in found.rows] == [1, 4]
    row = found.rows[1]
    assert row["latency_ms"] == {"p50": 6.848, "p90": None, "p99": None}
    assert (row["mean_ms"], row["runs"], row["load_ms"]) == (6.8515, 146, 1.53)
    assert (row["artefact"], row["device"]) == (HOSTILE_NAME, "Phone X (Android 13, arm64-v8a)")
    ran = phone.benchmarks()[1]
    assert ran[0].endswith(f"/tfday7/model_x/{HOSTILE_NAME}.tflite")
    assert "--num_threads=4" in ran
    assert "--min_secs=2" in ran


def test_an_older_benchmark_model_prints_lines_as_they_are(bundle: Bundle, phone: FakePhone) -> None:
    """Without "INFO: " before each; the figures are the same."""
    assert BENCHMARK_OUTPUT.startswith("INFO: ")
    phone.give_benchmark(BENCHMARK_OUTPUT.replace("INFO: ", ""))
    (row,) = measure(bundle).rows
    assert row["latency_ms"]["p50"] == 6.848
    assert (row["mean_ms"], row["runs"], row["load_ms"]) == (6.8515, 146, 1.53)


def test_an_older_benchmark_model_prints_no_median_and_a_mean_is_not_taken_for_one(
    bundle: Bundle, phone: FakePhone
) -> None:
    phone.give_benchmark("count=50 first=266601 curr=266931 min=265837 max=268116 avg=266473 std=419")
    (row,) = measure(bundle).rows
    assert row["latency_ms"]["p50"] is None
    assert row["mean_ms"] == 266.473


def test_answers_are_compared_on_the_phone_where_python_is_there(bundle: Bundle, phone: FakePhone) -> None:
    phone.give_python()
    found = measure(bundle)
    assert found.parity is not None
    assert found.parity["holds"]
    assert found.parity["examples"] == 6
    assert found.rows == []
    assert not [note for note in found.notes if note.startswith(UNKNOWN)]


def test_rows_say_how_the_answers_compared(bundle: Bundle, phone: FakePhone) -> None:
    phone.give_benchmark()
    assert [row["parity"] for row in measure(bundle, (1, 2)).rows] == [None, None]
    phone.give_python()
    found = measure(bundle, (1, 2))
    assert found.parity is not None
    assert [row["parity"] for row in found.rows] == [found.parity] * 2


def test_answers_that_differ_are_a_result_and_no_failure(
    bundle: Bundle, phone: FakePhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone.give_python()
    content = bytearray((bundle.folder / "vectors_expected.bin").read_bytes())
    content[3] ^= 0x80  # The sign of the first answer.
    push = on_phone.Phone.push

    def push_broken(self: Any, paths: Any, folder: str) -> None:
        push(self, paths, folder)
        (phone.tmp / "tfday7" / "model_x" / "vectors_expected.bin").write_bytes(content)

    monkeypatch.setattr(on_phone.Phone, "push", push_broken)
    found = measure(bundle)
    assert found.parity is not None
    assert not found.parity["holds"]


def test_what_is_not_on_the_phone_is_named(bundle: Bundle, phone: FakePhone) -> None:
    found = measure(bundle)
    assert found.phone is not None
    assert found.phone["sdk"] == 33
    assert (found.rows, found.parity) == ([], None)
    assert found.notes == [
        "latency is unknown: /data/local/tmp/benchmark_model is not on the device (README.md says where to get it)",
        UNKNOWN + "nothing there runs the model (no python3 in adb's shell); ModelRunner in an app's test does",
    ]


def test_a_python_without_a_runtime_is_named(bundle: Bundle, phone: FakePhone) -> None:
    (phone.bin / "python3").write_text("#!/bin/sh\necho 'error: NumPy cannot be imported: none' >&2; exit 2\n")
    (phone.bin / "python3").chmod(0o755)
    found = measure(bundle)
    assert found.parity is None
    assert UNKNOWN + "run_model.py: error: NumPy cannot be imported: none" in found.notes


def test_a_benchmark_that_fails_is_named_and_parity_is_measured_all_the_same(bundle: Bundle, phone: FakePhone) -> None:
    phone.give_benchmark("ERROR: failed to initialize the interpreter", code=1)
    phone.give_python()
    found = measure(bundle)
    assert found.rows == []
    assert found.notes == ["latency is unknown: benchmark_model failed: ERROR: failed to initialize the interpreter"]
    assert found.parity is not None


def test_a_model_that_cannot_be_copied_is_named_and_leaves_nothing(bundle: Bundle, phone: FakePhone) -> None:
    (phone.bin / "mkdir").unlink()
    found = measure(bundle)
    (note,) = found.notes
    assert note.startswith("nothing was measured: the model cannot be copied to the Android device: ")
    assert "mkdir" in note
    assert phone.calls()[-1][3].startswith("rm -rf /data/local/tmp/tfday7/model_x")


def test_nothing_stays_on_the_phone(bundle: Bundle, phone: FakePhone) -> None:
    phone.give_benchmark()
    measure(bundle)
    assert sorted(path.name for path in phone.tmp.iterdir()) == ["benchmark_model", "tfday7"]
    assert list((phone.tmp / "tfday7").iterdir()) == []
    assert not list(phone.root.rglob("bad"))


def test_without_a_phone_the_reason_is_named(bundle: Bundle, phone: FakePhone) -> None:
    phone.attach({})
    found = measure(bundle)
    assert found.phone is None
    assert found.notes == ["no Android device is attached (adb devices)", UNKNOWN + "there was none"]
    assert phone.calls() == [["devices"]]


def test_output_without_timings_is_refused() -> None:
    with pytest.raises(AdbError, match="no timings"):
        on_phone.parse("STARTING!\ncount=none\n")
    with pytest.raises(AdbError, match="no timings"):
        on_phone.parse("count=5 avg=1.2.3 std=1\n")

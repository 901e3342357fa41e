"""The log of a search: what is read again, what is not, and who makes what."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tfday7.compression.records import Candidate
from tfday7.compression.search.decisions import Decision, Trial
from tfday7.compression.search.log import CLAIM, LEADER, LOCK, LOG, Log, rejected, used_seconds
from tfday7.compression.search.space import Point
from tfday7.core.errors import UserError

KEY = {"model": "a"}
METRIC = {"name": "accuracy", "value": 0.9}


def entry(number: int, path: Path | None = None, epochs: int = 0, **changes: Any) -> dict[str, Any]:
    candidate = Candidate(f"one_{number}", metric=METRIC, path=None if path is None else str(path))
    decision = {"why": "start", "point": Point().to_json(), "epochs": epochs, "expected": {}}
    made = {"making": 1.0, "deciding": 0.5}
    return {"number": number, "decision": decision, "candidate": candidate.to_json(), "seconds": made, **changes}


def _changed(**changes: Any) -> dict[str, Any]:
    """Returns an entry whose candidate is another one."""
    whole = entry(1, epochs=1)
    return {**whole, "candidate": {**whole["candidate"], **changes}}


def chosen(ratio: float) -> Decision:
    return Decision("start", Point(ratio), 1)


@pytest.mark.parametrize("name", [LOCK, LEADER, CLAIM.format(1)])
def test_a_lock_that_is_a_link_is_not_followed(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine", encoding="utf-8")
    (tmp_path / name).symlink_to(tmp_path / "other")
    log = Log(tmp_path, KEY)
    with pytest.raises(UserError, match=f"{name}: a link; expected a file"), log.led():
        log.claim(lambda entries, pending: chosen(0.5))
    assert (tmp_path / "other").read_text(encoding="utf-8") == "mine"


def test_what_was_logged_is_read_again_under_the_same_key(tmp_path: Path) -> None:
    log = Log(tmp_path, KEY)
    assert not log.is_there()
    assert log.begin(12.0) == []
    assert log.until() == 12.0
    claim = log.claim(lambda entries, pending: chosen(0.5))
    assert claim is not None
    log.add(claim, entry(claim.number))
    assert Log(tmp_path, KEY).begin(None) == [entry(1)]
    assert log.until() == float("inf")
    assert Log(tmp_path, {"model": "b"}).read() == []


def test_it_ends_where_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "there.tflite").touch()
    log, kept = Log(tmp_path, KEY), entry(1, tmp_path / "there.tflite")
    listed = [kept, entry(2, tmp_path / "gone.tflite"), entry(3)]
    (tmp_path / LOG).write_text(json.dumps({"key": KEY, "log": listed}))
    assert log.begin(None) == [kept]
    assert log.read() == [kept]


@pytest.mark.parametrize(
    "damage",
    [
        None, 3, [3], [{}], [{**entry(1), "seconds": 3}], [{**entry(1), "decision": {}}], [entry(1, rejected=3)],
        [entry(1, rejected="abc")], [{**entry(1), "number": "1"}],
        [{**entry(1), "decision": {**entry(1)["decision"], "point": {"ratio": None}}}],
        [_changed(metric={"value": "x"})], [_changed(steps=[{"epoch_seconds": "x", "epochs": 1}])],
        [_changed(steps=[{"epoch_seconds": 1.0}])], [_changed(recipe={"name": "a"})], [_changed(recipe={"steps": [1]})],
    ],
)  # fmt: skip
def test_a_damaged_log_is_named(damage: Any, tmp_path: Path) -> None:
    (tmp_path / LOG).write_text(json.dumps({"key": KEY, "log": damage}))
    with pytest.raises(UserError, match=r"search\.json: "):
        Log(tmp_path, KEY).begin(None)


@pytest.mark.parametrize("claims", [None, 5, [1], [{}], [{"number": "1", "decision": {}}]], ids=str)
def test_damaged_claims_are_named(claims: Any, tmp_path: Path) -> None:
    (tmp_path / LOG).write_text(json.dumps({"key": KEY, "log": [], "claims": claims}))
    with pytest.raises(UserError, match=r"search\.json: "):
        Log(tmp_path, KEY).is_quiet()


def test_a_candidate_of_which_little_was_written_has_the_rest(tmp_path: Path) -> None:
    short = {**entry(1), "candidate": {"name": "x", "failure": "none"}}
    (tmp_path / LOG).write_text(json.dumps({"key": KEY, "log": [short]}))
    (read,) = Log(tmp_path, KEY).read()
    assert (read["candidate"]["steps"], read["candidate"]["recipe"]) == ([], None)


def test_a_claim_is_seen_by_others_until_it_is_logged(tmp_path: Path) -> None:
    ours, other = Log(tmp_path, KEY), Log(tmp_path, KEY)
    ours.begin(None)
    claim = ours.claim(lambda entries, pending: chosen(0.5))
    assert claim is not None
    seen: list[Trial] = []

    def decide(entries: list[Any], pending: list[Trial]) -> Decision | None:
        seen.extend(pending)
        return None

    assert other.claim(decide) is None
    assert [(trial.point, trial.epochs) for trial in seen] == [(Point(0.5), 1)]
    assert seen[0].candidate.failure
    assert not other.is_quiet()
    ours.add(claim, entry(claim.number))
    assert other.is_quiet()
    assert [one["number"] for one in other.read()] == [1]
    assert not list(tmp_path.glob("claim_*"))


def test_what_a_killed_process_had_begun_is_nobodys(tmp_path: Path) -> None:
    log = Log(tmp_path, KEY)
    log.begin(None)
    killed = os.fork()
    if not killed:
        log.claim(lambda entries, pending: chosen(0.5))
        os._exit(0)
    os.waitpid(killed, 0)
    assert log.is_quiet()
    claim = log.claim(lambda entries, pending: None if pending else chosen(0.25))
    assert claim is not None
    assert claim.number == 1
    claim.release()
    claim.release()
    assert log.is_quiet()


def test_time_is_that_of_the_process_that_has_worked_longest() -> None:
    log = [entry(1), entry(2), entry(3, worker=7), entry(4, worker=7), entry(5, worker=7)]
    assert used_seconds(log) == 4.5
    assert used_seconds([]) == 0.0


def test_a_search_is_led_by_a_process_that_lives_and_deserted_by_one_that_has_not_concluded(tmp_path: Path) -> None:
    log, other = Log(tmp_path, KEY), Log(tmp_path, KEY)
    with log.led():
        assert other.is_led()
        assert not other.is_deserted()
    assert not other.is_led()
    assert not other.is_deserted()  # It has concluded.
    with pytest.raises(UserError), log.led():
        raise UserError("it failed")
    assert not other.is_led()
    assert other.is_deserted()
    with log.led():
        assert not other.is_deserted()


def test_what_was_left_out_is_known_whoever_left_it_out() -> None:
    changes: list[dict[str, Any]] = [{"s25_int8": "too large", "float16": "too large"}, {"float16": None}, {}]
    log = [entry(number, rejected=each) for number, each in enumerate(changes, 1)]
    assert rejected(log, {}) == {"s25_int8": "too large"}
    assert rejected(log, {"c8_int8": "too large"}) == {"c8_int8": "too large", "s25_int8": "too large"}
    tried = {**entry(4), "decision": {**entry(4)["decision"], "point": Point(0.25).to_json()}}
    assert rejected([*log, tried, entry(5)], {}) == {}

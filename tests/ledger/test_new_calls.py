"""Calls to the new endpoints, which are counted and not kept one by one."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shim.ledger.evidence import REACHED, Evidence, Kind
from shim.ledger.ledger import Ledger
from shim.ledger.reading import read_evidence
from shim.ledger.tables import tidying
from tests.support.ledger_records import NOON, a_call, running
from tests.support.waiting import until

MINUTE = timedelta(minutes=1)
NEWS = Kind.REPLACEMENT_CALL


def told(evidence: Evidence) -> dict[tuple[int | None, str | None], int]:
    assert all(one.kind is NEWS for one in evidence.sums)
    return {(one.upstream_status, one.decision): one.count for one in evidence.sums}


async def one_by_one(source: Path, ledger: Ledger, moments: list[datetime]) -> None:
    """Each in a row of its own, as they are where there is a second between them."""
    for number, moment in enumerate(moments, 1):
        ledger.count(a_call(timestamp=moment))
        await until(lambda number=number: rows(source) == number)  # type: ignore[misc]


def rows(source: Path) -> int:
    connection = sqlite3.connect(source)
    try:
        (found,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
    assert isinstance(found, int)
    return found


async def test_only_calls_that_a_handler_took_count_by_the_day(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        for status, reached in ((200, True), (404, True), (404, False), (409, True), (503, False)):
            ledger.count(a_call(status=status, reached=reached))
    for since in (None, NOON - MINUTE, NOON - timedelta(days=1), NOON - timedelta(hours=1)):
        evidence = read_evidence(source, since)
        assert told(evidence) == {
            (200, REACHED): 1,
            (404, REACHED): 1,
            (404, None): 1,
            (409, REACHED): 1,
            (503, None): 1,
        }
        assert [(day.kind, day.count) for day in evidence.days] == [(NEWS, 3)]


async def test_what_an_older_version_wrote_tells_by_its_status_who_was_reached(
    tmp_path: Path,
) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        for status in (200, 202, 404, 405, 409):
            ledger.count(a_call(status=status, reached=False))
    async with running(source) as ledger:
        # In the same hour this version has written one too.
        ledger.count(a_call(status=200))
    for since in (None, NOON - MINUTE):
        evidence = read_evidence(source, since)
        assert told(evidence) == {
            (200, REACHED): 2,
            (202, REACHED): 1,
            (404, None): 1,
            (405, None): 1,
            (409, REACHED): 1,
        }
        assert [(day.kind, day.count) for day in evidence.days] == [(NEWS, 4)]


# A --since within an hour counted that hour's calls to the new endpoints whole.
async def test_since_counts_calls_from_that_very_moment(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, heartbeat=timedelta(milliseconds=10)) as ledger:
        await one_by_one(source, ledger, [NOON + n * MINUTE for n in (0, 10, 20, 70)])
    counts = [
        sum(one.count for one in read_evidence(source, NOON + since * MINUTE).sums)
        for since in (0, 1, 10, 15, 21, 71)
    ]
    assert counts == [4, 3, 3, 2, 1, 0]
    assert [day.count for day in read_evidence(source, NOON + 15 * MINUTE).days] == [2]


async def test_where_not_all_of_an_hour_is_kept_one_by_one_it_counts_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, heartbeat=timedelta(milliseconds=10)) as ledger:
        await one_by_one(source, ledger, [NOON + n * MINUTE for n in (0, 10, 20, 70, 80)])
    monkeypatch.setattr(tidying, "_MOST_CALLS", 3)
    async with running(source):
        await until(lambda: rows(source) == 3)
    assert sum(one.count for one in read_evidence(source, NOON + 15 * MINUTE).sums) == 5
    assert sum(one.count for one in read_evidence(source, NOON + 75 * MINUTE).sums) == 1
    assert sum(one.count for one in read_evidence(source).sums) == 5


async def test_callers_past_the_cap_are_summed_in_the_first_hour_too(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, caller_cap=1) as ledger:
        for caller in ("a", "b", "c"):
            ledger.count(a_call(caller))
    later = read_evidence(source, NOON - MINUTE)
    assert {one.caller: one.count for one in later.sums} == {"a": 1, "(other)": 2}
    assert read_evidence(source, NOON).sums == later.sums
    assert read_evidence(source, NOON + MINUTE).sums == []


async def test_what_could_not_be_read_is_counted_by_where_it_came_from(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, clock=lambda: NOON, caller_cap=2) as ledger:
        for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"):
            ledger.count_unreadable(address)
        ledger.count(a_call("a"))
        ledger.count(a_call("b"))
    for since in (None, NOON - MINUTE, NOON - timedelta(hours=1)):
        evidence = read_evidence(source, since)
        found = {(one.kind, one.caller): one for one in evidence.sums}
        assert {key: one.count for key, one in found.items()} == {
            (Kind.UNREADABLE, "10.0.0.1"): 2,
            (Kind.UNREADABLE, "10.0.0.2"): 1,
            (Kind.UNREADABLE, "(other)"): 2,
            (NEWS, "a"): 1,
            (NEWS, "b"): 1,
        }
        one = found[Kind.UNREADABLE, "10.0.0.1"]
        assert (one.caller_source, one.mode, one.decision, one.upstream_status, one.first) == (
            *("address", None, None, None),
            NOON,
        )
        assert {(day.kind, day.caller): day.count for day in evidence.days} == {
            key: one.count for key, one in found.items()
        }
    # They are no calls of anybody's, and nothing of them waits where there is no fleet.
    assert rows(source) == 2

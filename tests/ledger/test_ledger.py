from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shim.ledger.adding import import_records
from shim.ledger.errors import LedgerError
from shim.ledger.evidence import Kind
from shim.ledger.ledger import Ledger, LedgerState
from shim.ledger.leftovers import read_told
from shim.ledger.reading import read_evidence, read_near_misses, read_uses
from shim.ledger.recent import read_recent
from shim.ledger.records import Decision, decode_record, encode
from tests.support.clock import Clock
from tests.support.ledger_records import (
    NOON,
    Changes,
    a_call,
    a_near_miss,
    a_use,
    append,
    kept,
    now,
    running,
)
from tests.support.tools import run, tool
from tests.support.waiting import until


def at(source: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(source)
    try:
        rows = connection.execute(query, values).fetchall()
        connection.commit()
        return rows
    finally:
        connection.close()


@pytest.fixture(params=["file", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "ledger.db" if request.param == "file" else None


async def test_a_use_is_read_as_it_was_written(path: Path | None) -> None:
    use = a_use("ci", NOON + timedelta(milliseconds=123), error="late", masked=True)
    miss = a_near_miss()
    async with running(path) as ledger:
        assert await append(ledger, use)
        assert await append(ledger, miss)
        await kept(ledger)
        assert list(read_uses(ledger.source)) == [use.as_dict()]
        assert list(read_near_misses(ledger.source)) == [miss.as_dict()]


async def test_sums_days_callers_phases_and_spans_tell_what_happened(path: Path | None) -> None:
    async with running(path, clock=lambda: NOON) as ledger:
        ledger.phase_changed("observe")
        ledger.phase_changed("observe")
        await append(ledger, a_use("a", NOON, upstream_status=404, masked=True))
        later = NOON + timedelta(hours=1)
        await append(ledger, a_use("a", later, upstream_status=404, masked=True))
        await append(ledger, a_use("a", NOON - timedelta(days=1), mode=None, user_agent="old"))
        await append(ledger, a_near_miss("b"))
        ledger.count(a_call("c"))
        ledger.count(a_call("c", NOON + timedelta(seconds=5)))
        await until(lambda: len(read_evidence(ledger.source).sums) == 4)
        evidence = read_evidence(ledger.source)

    found = {(s.caller, s.kind, s.mode, s.upstream_status, s.masked): s for s in evidence.sums}
    masked = found["a", Kind.USE, "kill", 404, True]
    assert (masked.count, masked.first, masked.last) == (2, NOON, NOON + timedelta(hours=1))
    assert found["a", Kind.USE, None, 200, False].decision == "translated"
    assert found["b", Kind.NEAR_MISS, "wrong_method", None, False].decision is None
    assert found["c", Kind.REPLACEMENT_CALL, "kill", 200, False].count == 2
    assert {(d.day.day, d.caller, d.kind, d.count) for d in evidence.days} == {
        (19, "a", Kind.USE, 1),
        (20, "a", Kind.USE, 2),
        (20, "b", Kind.NEAR_MISS, 1),
        (20, "c", Kind.REPLACEMENT_CALL, 2),
    }
    assert evidence.callers["a"].user_agent == "curl/8.5.0"
    assert [(change.timestamp, change.phase) for change in evidence.phase_changes] == [
        (NOON, "observe")
    ]
    assert [(span.instance, span.start) for span in evidence.spans] == [("node-1", NOON)]


@pytest.mark.parametrize(
    ("since", "uses"),
    [
        pytest.param(timedelta(days=40), 6, id="before everything"),
        pytest.param(timedelta(days=1, hours=1), 5, id="an hour of an earlier day"),
        pytest.param(timedelta(minutes=90), 4, id="an earlier hour of this day"),
        pytest.param(timedelta(minutes=20), 3, id="a minute within the hour"),
        pytest.param(timedelta(0), 1, id="a moment is its own beginning"),
        pytest.param(timedelta(milliseconds=-1), 0, id="after everything"),
    ],
)
async def test_since_counts_from_that_very_moment(
    tmp_path: Path, since: timedelta, uses: int
) -> None:
    end = NOON + timedelta(minutes=50)
    ages = [timedelta(days=30), timedelta(days=1), timedelta(minutes=80), timedelta(minutes=15)]
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        for age in [*ages, timedelta(minutes=5), timedelta(0)]:
            await append(ledger, a_use("a", end - age))
    evidence = read_evidence(source, end - since)
    assert sum(one.count for one in evidence.sums) == uses
    assert sum(day.count for day in evidence.days) == uses
    assert len(list(read_uses(source, end - since))) == uses
    assert all(one.first >= end - since for one in evidence.sums)


@pytest.mark.parametrize(
    ("filters", "minutes"),
    [
        pytest.param({}, [599, 598, 597], id="all"),
        pytest.param({"caller": "c3"}, [593, 583, 573], id="a caller"),
        pytest.param({"caller": "rare"}, [300, 0], id="a rare caller, past the cap"),
        pytest.param({"caller": "nobody"}, [], id="nobody"),
        pytest.param({"mode": "invalid"}, [511], id="no mode"),
        pytest.param({"decision": "failed", "caller": "c7"}, [127], id="two at once"),
        pytest.param({"caller": "rare", "since": NOON + timedelta(minutes=1)}, [300], id="since"),
    ],
)
def test_the_latest_uses_are_found_by_what_they_are(
    tmp_path: Path, filters: dict[str, Any], minutes: list[int]
) -> None:
    source = tmp_path / "ledger.db"
    uses = [
        a_use(
            "rare" if minute in (0, 300) else f"c{minute % 10}",
            NOON + timedelta(minutes=minute),
            mode=None if minute == 511 else "kill",
            decision=Decision.FAILED if minute in (127, 128) else Decision.TRANSLATED,
        )
        for minute in range(600)
    ]
    import_records(source, reversed(uses), caller_cap=10)
    found = read_recent(source, 3, **filters)
    assert found == [uses[minute] for minute in minutes]


ONE_BY_ONE = """
import asyncio, os, pathlib, sys
from tests.support.ledger_records import a_use, append, running

async def write(path):
    async with running(path, wait_seconds=30) as ledger:
        for _ in range(20):
            assert await append(ledger, a_use())
            os.write(1, b"kept")

asyncio.run(write(pathlib.Path(sys.argv[1])))
"""


def test_the_line_of_a_use_is_written_before_it_counts_as_kept_and_no_use_waits_for_a_disk(
    tmp_path: Path,
) -> None:
    source, trace = tmp_path / "ledger.db", tmp_path / "trace"
    strace = [tool("strace", "Debian strace"), "-f", "-y", "-e", "trace=write,fsync,fdatasync"]
    run(*strace, "-o", str(trace), sys.executable, "-c", ONE_BY_ONE, str(source))
    assert at(source, "PRAGMA journal_mode") == [("wal",)]
    calls = trace.read_text()
    done = re.findall(r'write\(\d+<[^>]*\.journal-|write\(1<[^>]*>, "kept', calls)
    order = "".join("k" if what.endswith("kept") else "w" for what in done)
    assert re.fullmatch("(w+k){20}", order), order
    # What the ledger takes later, in groups, it takes to the disk itself.
    assert 1 <= len(re.findall(r"sync\(\d+<[^>]*-wal>", calls)) < 20


async def test_a_group_of_uses_is_one_commit(tmp_path: Path) -> None:
    async with running(tmp_path / "ledger.db") as ledger:
        assert all(await asyncio.gather(*(append(ledger, a_use(str(n))) for n in range(200))))
        await kept(ledger)
        state = ledger.state()
    assert state.written == 200
    assert (state.ok, state.queued, state.dropped) == (True, 0, 0)
    assert state.last_commit_seconds is not None


async def test_a_caller_is_known_once_a_call_of_his_was_let_through(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    names = {"in", "refused", "nonsense", "missed", "both", "rehearsed", "served", "nobody"}

    def known(ledger: Ledger) -> set[str]:
        return set(filter(ledger.is_known, names))

    async with running(source) as ledger:
        await append(ledger, a_use("in"))
        await append(ledger, a_use("refused", decision=Decision.REFUSED))
        await append(ledger, a_use("nonsense", decision=Decision.INVALID))
        await append(ledger, a_near_miss("missed"))
        await append(ledger, a_use("both", decision=Decision.REFUSED))
        await append(ledger, a_use("both"))
        await append(ledger, a_use("rehearsed", phase="freeze", would_refuse=True))
        await append(ledger, a_use("served", phase="reject", would_refuse=True))
        assert known(ledger) == {"in", "both", "served"}
    async with running(source) as again:
        await until(lambda: known(again) == {"in", "both", "served"})


async def test_callers_past_the_cap_are_summed_together_and_keep_their_name_in_the_use(
    tmp_path: Path,
) -> None:
    source = tmp_path / "ledger.db"
    for restart in range(2):
        async with running(source, caller_cap=3) as ledger:
            for number in range(5):
                await append(ledger, a_use(f"caller-{number}"))
            await append(ledger, a_near_miss(f"scanner-{restart}"))
    evidence = read_evidence(source, None)
    sums = {(one.caller, one.kind): one.count for one in evidence.sums}
    assert sums == {
        ("caller-0", Kind.USE): 2,
        ("caller-1", Kind.USE): 2,
        ("caller-2", Kind.USE): 2,
        ("(other)", Kind.USE): 4,
        ("scanner-0", Kind.NEAR_MISS): 1,
        ("scanner-1", Kind.NEAR_MISS): 1,
    }
    assert {use["caller"] for use in read_uses(source)} == {f"caller-{n}" for n in range(5)}
    later = read_evidence(source, NOON - timedelta(minutes=1))
    assert {(s.caller, s.kind): s.count for s in later.sums} == sums
    assert later.days == evidence.days


async def test_importing_the_lines_of_a_log_twice_changes_nothing(tmp_path: Path) -> None:
    uses = [a_use(f"c{n % 3}", NOON + timedelta(minutes=n)) for n in range(40)]
    misses = [a_near_miss()]
    lines = [*map(encode, uses), *map(encode, misses)]
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        await append(ledger, uses[0])
        await kept(ledger)
        first = import_records(source, map(decode_record, lines))
        before = read_evidence(source)
        second = import_records(source, map(decode_record, lines + lines))
        after = read_evidence(source)
    assert (first.new, first.known) == (40, 1)
    assert (second.new, second.known) == (0, 82)
    assert (after.sums, after.days, after.callers) == (before.sums, before.days, before.callers)
    assert sum(one.count for one in after.sums) == 41
    assert list(read_uses(source)) == [use.as_dict() for use in uses]


async def test_retention_removes_single_uses_in_small_steps_and_keeps_the_sums(
    tmp_path: Path,
) -> None:
    source = tmp_path / "ledger.db"
    old = [a_use("a", NOON - timedelta(days=181)) for _ in range(1200)]
    import_records(source, old)
    before = read_evidence(source).sums
    async with running(source, clock=lambda: NOON) as ledger:
        await append(ledger, a_use("a", NOON))
        await until(lambda: len(list(read_uses(source))) == 1)
        assert sum(one.count for one in read_evidence(source).sums) == 1201
    assert before[0].first == NOON - timedelta(days=181)
    # Lines from before that time are refused: nothing tells any more whether they were counted.
    again = import_records(source, old)
    assert (again.new, again.too_old) == (0, 1200)
    assert sum(one.count for one in read_evidence(source).sums) == 1201
    # Where single uses are gone, the hour that "since" is in counts as a whole.
    whole = read_evidence(source, NOON - timedelta(days=181))
    assert sum(one.count for one in whole.sums) == 1201


def beats(*moments: float) -> list[datetime]:
    return [NOON + timedelta(seconds=seconds) for seconds in moments]


@pytest.mark.parametrize(
    ("moments", "spans"),
    [
        pytest.param((0, 10, 20), [(0, 20)], id="steady"),
        pytest.param((0, 29, 58), [(0, 58)], id="slow, within half a minute"),
        pytest.param((0, 10, 41, 50), [(0, 10), (41, 50)], id="a gap"),
        pytest.param((0, 20, 18, 25), [(0, 25)], id="a small step back"),
        pytest.param((0, 20, -100, -90), [(-100, -90), (0, 0)], id="back before it began"),
        pytest.param(
            (0, 20, 3600, 3610, 30), [(0, 20), (30, 30), (3600, 3600)], id="ahead, then back"
        ),
    ],
)
async def test_a_span_says_no_more_than_what_was_seen(
    tmp_path: Path, moments: tuple[float, ...], spans: list[tuple[float, float]]
) -> None:
    source = tmp_path / "ledger.db"
    clock = Clock(NOON)
    async with running(source, clock=clock, heartbeat=timedelta(hours=1)) as ledger:
        for number, moment in enumerate(beats(*moments)):
            clock.moment = moment
            await append(ledger, a_use(str(number), moment))
            await kept(ledger)
    found = read_evidence(source).spans
    seconds = [
        ((span.start - NOON).total_seconds(), (span.end - NOON).total_seconds()) for span in found
    ]
    assert seconds == spans
    # A span that was cut off because the clock went back is nobody's last sign of life.
    assert all(span.stopped for span in found if span.start > NOON + timedelta(hours=0.5))


async def test_each_process_has_a_span_of_its_own_and_tells_that_it_was_stopped(
    tmp_path: Path,
) -> None:
    source = tmp_path / "ledger.db"
    for start, end in ((0, 5), (6, 9)):
        clock = Clock(NOON + timedelta(seconds=start))
        async with running(source, clock=clock) as ledger:
            await append(ledger, a_use())
            assert not read_evidence(source).spans[-1].stopped
            clock.moment = NOON + timedelta(seconds=end)
    assert [(span.start, span.end, span.stopped) for span in read_evidence(source).spans] == [
        (NOON, NOON + timedelta(seconds=5), True),
        (NOON + timedelta(seconds=6), NOON + timedelta(seconds=9), True),
    ]


async def test_the_span_grows_without_any_use(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, heartbeat=timedelta(milliseconds=50)):
        await until(lambda: source.exists() and len(read_evidence(source).spans) == 1)
        first = read_evidence(source).spans[0]
        await until(lambda: read_evidence(source).spans[0].end > first.end)
        assert [span.start for span in read_evidence(source).spans] == [first.start]


async def test_an_older_file_is_brought_up_to_date_and_its_uses_are_summed(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    uses = [a_use(f"c{n % 2}", NOON + timedelta(hours=n)) for n in range(30)]
    fields = list(uses[0].as_dict())
    columns = ", ".join(f'"{field}"' for field in fields)
    connection = sqlite3.connect(source)
    connection.execute(f"CREATE TABLE uses ({columns}, PRIMARY KEY (id))")
    marks = ", ".join("?" * len(fields))
    connection.executemany(
        f"INSERT INTO uses VALUES ({marks})", [tuple(use.as_dict().values()) for use in uses]
    )
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match=r"schema 0, older than 2: start restate-shim serve"):
        read_evidence(source)
    async with running(source) as ledger:
        assert ledger.state().ok, ledger.state().error
        assert await append(ledger, a_use("c2"))
        await until(lambda: not ledger.is_known("nobody"))
        assert all(map(ledger.is_known, ("c0", "c1", "c2")))
    assert sum(one.count for one in read_evidence(source).sums) == 31
    assert {use["id"] for use in read_uses(source)} > {use.id for use in uses}
    assert at(source, "SELECT version FROM schema_version") == [(3,)]


async def test_a_file_from_before_stops_were_told_learns_of_them(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, clock=Clock(NOON)) as ledger:
        await append(ledger, a_use())
    at(source, "ALTER TABLE spans DROP COLUMN stopped")
    for name in ("would_refuse", "announced"):
        at(source, f"ALTER TABLE uses DROP COLUMN {name}")
    at(source, "UPDATE schema_version SET version = 1")
    async with running(source, clock=Clock(NOON + timedelta(hours=1))) as ledger:
        assert ledger.state().ok, ledger.state().error
    assert [span.stopped for span in read_evidence(source).spans] == [False, True]
    assert at(source, "SELECT version FROM schema_version") == [(3,)]


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    async with running(source) as ledger:
        await append(ledger, a_use())
    at(source, "UPDATE schema_version SET version = 7")
    changes = Changes()
    async with running(source, on_change=changes) as ledger:
        await append(ledger, a_use())
        state = ledger.state()
    assert not state.ok
    assert state.error is not None
    assert "schema 7, written by a newer restate-shim; this one knows 3" in state.error
    assert [change.ok for change in changes] == [False]
    assert at(source, "SELECT count(*) FROM uses") == [(1,)]
    # A later version finds the use where it was left.
    assert len(read_told(source)) == 1
    with pytest.raises(LedgerError, match="schema 7"):
        read_evidence(source)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "there is no ledger", id="missing"),
        pytest.param(b"", "is empty: no shim has written to it", id="empty"),
        pytest.param(b"not a database at all" * 100, "file is not a database", id="something else"),
    ],
)
def test_a_source_that_cannot_be_read_is_said(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    source = tmp_path / "ledger.db"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(LedgerError, match=said):
        read_evidence(source)
    with pytest.raises(LedgerError, match=said):
        list(read_uses(source))


async def test_text_that_no_database_takes_is_kept_with_marks_in_its_place(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    hostile = ["\ud800", "a\x00b", "<script>", "\u202e", "x" * 65_536, "'; DROP TABLE uses; --"]
    changes: list[LedgerState] = []
    async with running(source, on_change=changes.append) as ledger:
        for text in hostile:
            await append(ledger, a_use(user_agent=text))
        await until(lambda: ledger.state().written == len(hostile))
        await until(lambda: ledger.state().ok)
    assert [use["user_agent"] for use in read_uses(source)] == ["?", *hostile[1:]]


async def test_a_closed_ledger_takes_no_more(tmp_path: Path) -> None:
    async with running(tmp_path / "ledger.db") as ledger:
        pass
    assert not await append(ledger, a_use(timestamp=now().astimezone(UTC)))
    assert ledger.state().dropped == 1

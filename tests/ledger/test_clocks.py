"""A clock that is wrong drops nothing for its age, and proves nothing."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog

from shim.clocks import Witness
from shim.ledger.reading import read_evidence, read_uses
from shim.report.coverage import observe
from tests.support.clock import Clock, http_date
from tests.support.ledger_records import NOON, a_use, append, kept, running
from tests.support.waiting import until

DAY = timedelta(days=1)
SOON = timedelta(milliseconds=20)


class Clocks:
    """The machine's, and upstream's when it is heard."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.ours = Clock(moment)
        self.witness = Witness(self.ours, structlog.get_logger())

    def hear(self, theirs: datetime) -> None:
        self.witness.hear(http_date(theirs), time.monotonic())


async def kept_uses(source: Path, at: datetime, heard: datetime | None = None) -> int:
    """How many single uses a shim leaves that starts with its clock at this time."""
    clocks = Clocks(at)
    if heard is not None:
        clocks.hear(heard)
    async with running(source, clock=clocks.ours, witness=clocks.witness, heartbeat=SOON) as ledger:
        before = len(list(read_uses(source)))
        await append(ledger, a_use(timestamp=at))
        # Retention comes behind the first group.
        await until(lambda: len(list(read_uses(source))) != before)
        await kept(ledger)
    return len(list(read_uses(source)))


# One start with the clock 200 days ahead dropped every single use there was.
@pytest.mark.parametrize(
    ("ahead", "heard", "left"),
    [
        pytest.param(200 * DAY, None, 3, id="a clock that jumped"),
        pytest.param(200 * DAY, timedelta(0), 3, id="a clock that upstream knows better than"),
        pytest.param(200 * DAY, 200 * DAY, 1, id="half a year later, as upstream says too"),
        pytest.param(-200 * DAY, -200 * DAY, 3, id="both back"),
    ],
)
async def test_what_is_kept_by_a_shim_that_starts_at_another_time(
    tmp_path: Path, ahead: timedelta, heard: timedelta | None, left: int
) -> None:
    source = tmp_path / "ledger.db"
    async with running(source, clock=lambda: NOON) as ledger:
        for _ in range(2):
            await append(ledger, a_use(timestamp=NOON))
    said = None if heard is None else NOON + heard
    assert await kept_uses(source, NOON + ahead, said) == left


async def test_a_clock_that_jumped_drops_nothing_however_often_it_starts(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    assert await kept_uses(source, NOON) == 1
    for count in (2, 3, 4):
        assert await kept_uses(source, NOON + 200 * DAY) == count


def covered(source: Path, start: datetime, end: datetime) -> float:
    evidence = read_evidence(source)
    return observe(evidence.spans, start, end, beat=evidence.beat).share


@pytest.mark.parametrize("off", [-DAY, 200 * DAY], ids=["behind", "ahead"])
async def test_a_shim_with_a_wrong_clock_claims_no_time(tmp_path: Path, off: timedelta) -> None:
    source = tmp_path / "ledger.db"
    clocks = Clocks(NOON + off)
    async with running(source, clock=clocks.ours, witness=clocks.witness, heartbeat=SOON) as ledger:
        await until(lambda: source.exists() and read_evidence(source).spans)
        for seconds in (10, 20):
            clocks.ours.moment = NOON + off + timedelta(seconds=seconds)
            await append(ledger, a_use(timestamp=clocks.ours.moment))
            await kept(ledger)
        hour = timedelta(hours=1)
        end = NOON + off + timedelta(seconds=20)
        await until(lambda: covered(source, end - timedelta(seconds=20), end) == 1)
        # What was claimed before upstream was heard is taken back.
        clocks.hear(NOON + timedelta(seconds=20))
        await until(lambda: len(read_evidence(source).spans) == 2)
        assert covered(source, NOON + off - hour, NOON + off + hour) == 0


# Two shims of a fleet, one a day behind: the report of a shorter window called the route unused.
async def test_a_shim_with_a_wrong_clock_is_missed_where_others_are_up(tmp_path: Path) -> None:
    clocks = Clocks(NOON - DAY)
    clocks.hear(NOON)
    source = tmp_path / "behind.db"
    async with running(source, clock=clocks.ours, witness=clocks.witness, heartbeat=SOON) as ledger:
        await append(ledger, a_use(timestamp=clocks.ours.moment))
        await kept(ledger)
        spans = read_evidence(source).spans
    (sign,) = spans
    assert (sign.start, sign.end, sign.stopped) == (NOON, NOON, False)
    start, end = NOON - timedelta(hours=6), NOON + timedelta(hours=6)
    spans = [*spans, type(sign)(instance="other", start=start, end=end)]
    other = observe(spans, start, end, beat=timedelta(seconds=1))
    assert [(gap.start, gap.end, gap.silent) for gap in other.gaps] == [(NOON, end, ("node-1",))]


# A step of less than the longest pause counted as time that somebody had seen.
async def test_time_that_a_clock_skipped_was_seen_by_nobody(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    clock = Clock(NOON)
    async with running(source, clock=clock, heartbeat=SOON, monotonic=lambda: 0.0) as ledger:
        await append(ledger, a_use())
        await kept(ledger)
        clock.moment = NOON + timedelta(seconds=20)
        await until(lambda: len(read_evidence(source).spans) == 2)
    assert [span.start for span in read_evidence(source).spans] == [NOON, clock.moment]


# Agreement that was hours old counted as if it were of now.
async def test_what_was_claimed_since_the_clocks_last_agreed_is_taken_back(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.hear(NOON)
    source = tmp_path / "ledger.db"
    async with running(source, clock=clocks.ours, witness=clocks.witness, heartbeat=SOON) as ledger:
        await append(ledger, a_use())
        for seconds in (20, 40, 60):
            clocks.ours.moment = NOON + timedelta(seconds=seconds)
            await until(lambda: read_evidence(source).spans[0].end == clocks.ours.moment)
        clocks.hear(NOON - timedelta(seconds=100))
        await until(lambda: read_evidence(source).spans[-1].end == NOON)


async def test_what_was_claimed_while_the_clocks_agreed_stays(tmp_path: Path) -> None:
    clocks = Clocks()
    clocks.hear(NOON)
    source = tmp_path / "ledger.db"

    def spans() -> list[tuple[float, float]]:
        return [
            ((span.start - NOON).total_seconds(), (span.end - NOON).total_seconds())
            for span in read_evidence(source).spans
        ]

    async with running(source, clock=clocks.ours, witness=clocks.witness, heartbeat=SOON) as ledger:
        await append(ledger, a_use())
        clocks.ours.moment = NOON + timedelta(seconds=10)
        clocks.hear(NOON + timedelta(seconds=10))
        await until(lambda: spans() == [(0, 10)])
        # Ours stops; theirs goes on.
        clocks.hear(NOON + timedelta(seconds=1000))
        await until(lambda: spans() == [(0, 10), (1000, 1000)])
        clocks.ours.moment = NOON + timedelta(seconds=1100)
        clocks.hear(NOON + timedelta(seconds=1100))
        await until(lambda: len(spans()) == 3)
    assert spans() == [(0, 10), (1000, 1000), (1100, 1100)]

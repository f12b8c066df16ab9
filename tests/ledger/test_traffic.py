"""What a shim carried besides: counted per hour, and a row for each hour in which it was up."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from shim.ledger.evidence import Evidence
from shim.ledger.ledger import Ledger
from shim.ledger.reading import read_evidence
from tests.support.clock import Clock
from tests.support.ledger_records import a_use, append, kept, now, running
from tests.support.waiting import until

HOUR = timedelta(hours=1)
THIS_HOUR = now().replace(minute=0, second=0, microsecond=0)


def carried(evidence: Evidence) -> list[tuple[str, datetime, int]]:
    return [(one.instance, one.hour, one.requests) for one in evidence.traffic]


def carry(ledger: Ledger, number: int) -> None:
    for _ in range(number):
        ledger.carried()


@pytest.mark.parametrize("in_file", [True, False], ids=["file", "memory"])
async def test_what_came_is_counted_by_the_hour_and_hours_without_any_are_told(
    tmp_path: Path, *, in_file: bool
) -> None:
    clock = Clock(THIS_HOUR - 2 * HOUR + timedelta(minutes=59))
    beat = timedelta(milliseconds=20)
    path = tmp_path / "ledger.db" if in_file else None
    async with running(path, clock=clock, heartbeat=beat) as ledger:
        await until(lambda: carried(read_evidence(ledger.source)))
        assert carried(read_evidence(ledger.source)) == [("node-1", THIS_HOUR - 2 * HOUR, 0)]
        carry(ledger, 3)
        await until(lambda: carried(read_evidence(ledger.source))[-1][2] == 3)
        clock.moment += timedelta(minutes=2)
        await until(lambda: len(carried(read_evidence(ledger.source))) == 2)
        clock.moment += HOUR
        await until(lambda: len(carried(read_evidence(ledger.source))) == 3)
        carry(ledger, 4)
        await until(lambda: carried(read_evidence(ledger.source))[-1][2] == 4)
        assert carried(read_evidence(ledger.source)) == [
            ("node-1", THIS_HOUR - 2 * HOUR, 3),
            ("node-1", THIS_HOUR - HOUR, 0),
            ("node-1", THIS_HOUR, 4),
        ]


async def test_another_process_of_the_same_hour_adds_to_it_and_since_limits_none_of_it(
    tmp_path: Path,
) -> None:
    source, clock = tmp_path / "ledger.db", Clock(THIS_HOUR)
    for instance, number in (("node-1", 2), ("node-1", 3), ("node-2", 0)):
        async with running(source, clock=clock, instance=instance) as ledger:
            carry(ledger, number)
    expected = [("node-1", THIS_HOUR, 5), ("node-2", THIS_HOUR, 0)]
    assert carried(read_evidence(source)) == expected
    assert carried(read_evidence(source, THIS_HOUR + 5 * HOUR)) == expected


# Past 60 days a shim that carried nothing looked like one that did not count: "safe" for 90 days.
async def test_however_old_it_is_it_is_read(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    for days, number in ((400, 2), (0, 3)):
        clock = Clock(THIS_HOUR - timedelta(days=days))
        async with running(source, clock=clock) as ledger:
            carry(ledger, number)
    assert [requests for *_, requests in carried(read_evidence(source))] == [2, 3]


async def test_each_hour_that_a_span_reaches_into_has_a_row(tmp_path: Path) -> None:
    source, clock = tmp_path / "ledger.db", Clock(THIS_HOUR - HOUR + timedelta(minutes=59.99))
    async with running(source, clock=clock, heartbeat=timedelta(hours=9)) as ledger:
        await until(lambda: carried(read_evidence(source)))
        # No heartbeat of its own: the group with the use claims the time.
        clock.moment += timedelta(seconds=1)
        await append(ledger, a_use(timestamp=clock.moment))
        await kept(ledger)
        evidence = read_evidence(source)
    assert [span.end for span in evidence.spans] == [clock.moment]
    assert carried(evidence) == [("node-1", THIS_HOUR - HOUR, 0), ("node-1", THIS_HOUR, 0)]


def carry_and_die(source: str) -> None:
    import asyncio  # noqa: PLC0415 - in a process of its own

    async def live() -> None:
        async with running(Path(source)) as ledger:
            carry(ledger, 7)
            await until(lambda: any(one[2] == 7 for one in carried(read_evidence(ledger.source))))
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(live())


def test_a_kill_loses_none_of_what_was_written_a_second_later(tmp_path: Path) -> None:
    source = tmp_path / "ledger.db"
    process = get_context("spawn").Process(target=carry_and_die, args=(str(source),))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert sum(requests for _, _, requests in carried(read_evidence(source))) == 7

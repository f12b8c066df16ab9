"""What upstream's Date says against the machine's clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog
from structlog.testing import capture_logs

from shim.clocks import Witness
from tests.support.clock import Clock
from tests.support.ledger_records import NOON

AT_NOON = b"Fri, 20 Nov 2026 12:00:00 GMT"


def heard(date: bytes, *off: timedelta) -> Witness:
    clock = Clock(NOON)
    witness = Witness(clock, structlog.get_logger())
    for at, by in enumerate(off):
        clock.moment = NOON + by
        witness.hear(date, at)
    return witness


@pytest.mark.parametrize(
    ("off", "agrees"),
    [
        (timedelta(0), True),
        (timedelta(minutes=-2), True),
        (timedelta(minutes=2), True),
        (timedelta(minutes=2, seconds=1), False),
        (timedelta(days=-1), False),
        (timedelta(days=200), False),
    ],
)
def test_clocks_agree_within_what_a_gap_may_last(off: timedelta, agrees: bool) -> None:
    witness = heard(AT_NOON, off)
    assert witness.agrees is agrees
    assert witness.heard is not None
    assert witness.heard.offset == -off


@pytest.mark.parametrize(
    "date",
    [
        *(b"", b"now", b"\xff" * 60, b"Fri, 99 Nov 2026 12:00:00 GMT"),
        # Numbers that no integer of C holds: callers waited for ever.
        *(b"Fri, 20 Nov 99999999999999 12:00:00 GMT", b"Fri, 20 Nov 2026 12:99999999999999:00 GMT"),
        *(b"Fri, 20 Nov 2026 12:00:00 +9999999999999999",),
        *(b"Fri, 20 Nov 99999 12:00:00 GMT", b"Fri, 20 Nov 2026 12:00:00 +9999", b"0 " * 100_000),
    ],
    ids=lambda date: ascii(date[:40]),
)
def test_what_is_no_date_says_nothing(date: bytes) -> None:
    witness = heard(date, timedelta(0))
    assert witness.heard is None
    assert witness.agrees
    assert not witness.due(0.9)
    assert witness.due(1)


def test_it_is_said_once_when_they_disagree_and_once_when_not() -> None:
    day = timedelta(days=1)
    with capture_logs() as lines:
        heard(AT_NOON, timedelta(0), day, day, timedelta(0), timedelta(0))
    assert [line["event"] for line in lines] == ["clock_disagrees", "clock_agrees"]
    assert lines[0]["offset_seconds"] == -86400

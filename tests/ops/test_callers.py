"""The log tells of callers that are new, or back, with where to look."""

from __future__ import annotations

from typing import Any

import structlog

from shim.ledger.evidence import Evidence, merge
from shim.ops.callers import Arrivals
from shim.route.policy import CallerEntry
from tests.support.samples import HOUR, NOW, recorded, report_of, up, used

ENTRIES = [CallerEntry(match="etl", owner="data", contact="#data")]


def look(arrivals: Arrivals, *parts: Evidence) -> list[dict[str, Any]]:
    with structlog.testing.capture_logs() as logs:
        arrivals.look(report_of(merge([*parts, recorded(up(NOW))]), entries=ENTRIES).callers)
    return [dict(line) for line in logs]


def test_each_is_told_once_and_nobody_from_before_the_start() -> None:
    arrivals = Arrivals(NOW - HOUR, structlog.get_logger())
    assert look(arrivals, used("old", 1, 2)) == []
    (line,) = look(arrivals, used("old", 0, 1, 2), used("etl", 0))
    assert (line["event"], line["caller"]) == ("caller_first_seen", "etl")
    assert (line["owner"], line["contact"]) == ("data", "#data")
    assert line["see"].startswith("/usage#caller-")
    assert look(arrivals, used("old", 0, 1, 2), used("etl", 0)) == []


def test_one_that_comes_back_is_told_each_time_that_it_does() -> None:
    arrivals = Arrivals(NOW - HOUR, structlog.get_logger())
    # It had come back before this shim began.
    assert look(arrivals, used("etl", 1, 30, 31)) == []
    for _ in range(2):
        (line,) = look(arrivals, used("etl", 0, 30, 31))
        assert (line["event"], line["caller"]) == ("caller_came_back", "etl")
        assert look(arrivals, used("etl", 0, 30, 31)) == []
        assert look(arrivals, used("etl", 8, 30, 31)) == []

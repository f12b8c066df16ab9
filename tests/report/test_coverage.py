"""Tables of who was recording when, and what that says of the time between."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from shim.ledger.evidence import Evidence, Span
from shim.report.coverage import Coverage, observe
from shim.report.model import Status
from shim.settings.parsers import Instances
from tests.support.samples import DAY, HOUR, NOW, report_of, up

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
WINDOW = 14 * DAY
START = NOW - WINDOW
LONG_AGO = NOW - 60 * DAY


def stopped(start: datetime, end: datetime, instance: str = "shim-a") -> Span:
    return Span(instance=instance, start=start, end=end, stopped=True)


def observed(
    *spans: Span, window: timedelta = WINDOW, instances: Instances | None = None
) -> Coverage:
    return observe(spans, NOW - window, NOW, beat=SECOND, instances=instances)


def gaps(coverage: Coverage) -> list[tuple[timedelta, timedelta, tuple[str, ...]]]:
    """When each begins and ends, back from now, and who was missing."""
    return [(NOW - gap.start, NOW - gap.end, gap.silent) for gap in coverage.gaps]


@pytest.mark.parametrize(
    ("spans", "status", "longest"),
    [
        ([], Status.UNPROVEN, WINDOW),
        ([up(LONG_AGO)], Status.SAFE, timedelta(0)),
        ([up(LONG_AGO, NOW - MINUTE)], Status.SAFE, timedelta(0)),
        ([up(LONG_AGO, NOW + HOUR)], Status.SAFE, timedelta(0)),
        ([up(LONG_AGO, NOW - 3 * MINUTE)], Status.UNPROVEN, 3 * MINUTE),
        ([stopped(LONG_AGO, NOW - 3 * MINUTE)], Status.UNPROVEN, 3 * MINUTE),
        ([up(NOW - 13 * DAY)], Status.UNPROVEN, DAY),
        ([up(LONG_AGO, NOW - 20 * DAY)], Status.UNPROVEN, WINDOW),
        ([up(LONG_AGO, NOW - 2 * DAY), up(NOW - 2 * DAY + MINUTE)], Status.SAFE, MINUTE),
        (
            [up(LONG_AGO, NOW - 2 * DAY), up(NOW - 2 * DAY + 121 * SECOND)],
            Status.UNPROVEN,
            121 * SECOND,
        ),
        (
            # 30 gaps of a minute: none is long, together they are more than 0.1 %.
            [up(NOW - (n + 1) * 12 * HOUR, NOW - n * 12 * HOUR - MINUTE) for n in range(1, 31)]
            + [up(NOW - 12 * HOUR)],
            Status.UNPROVEN,
            MINUTE,
        ),
    ],
    ids=[
        "no record at all",
        "up throughout",
        "a heartbeat ago",
        "a clock ahead of ours",
        "silent at the end",
        "stopped at the end",
        "began within the window",
        "ended before the window",
        "a quick restart",
        "a restart of more than two minutes",
        "many quick restarts",
    ],
)
def test_silence_counts_only_where_a_shim_was_recording(
    spans: list[Span], status: Status, longest: timedelta
) -> None:
    verdict = report_of(Evidence(spans=spans), window=WINDOW).verdict
    assert verdict.status is status
    assert verdict.longest_gap_seconds == longest.total_seconds()
    assert (verdict.observed_percent == 100) == (longest == timedelta(0))


def test_two_shims_of_one_name_do_not_stand_in_for_each_other() -> None:
    # Both had the host's name: what one recorded hid that the other had been killed.
    dark = Span(instance="host", start=LONG_AGO, end=NOW - HOUR)
    alive = Span(instance="host", start=LONG_AGO + HOUR, end=NOW)
    assert gaps(observed(dark, alive, window=DAY)) == [(HOUR, 0 * HOUR, ("host",))]
    again = Span(instance="host", start=NOW - HOUR + MINUTE, end=NOW)
    assert observed(dark, again, alive, window=DAY).longest_gap == 60


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 1),
        ([up(LONG_AGO)], 1),
        ([up(LONG_AGO), up(LONG_AGO, instance="b")], 2),
        ([up(LONG_AGO), up(NOW - HOUR, instance="b")], 2),
        ([up(LONG_AGO), up(NOW - HOUR + SECOND, instance="b")], 1),
        # Restarts do not end the hour.
        (
            [
                up(LONG_AGO),
                up(NOW - HOUR, NOW - HOUR / 2, "b"),
                up(NOW - HOUR / 2 + MINUTE, NOW, "b"),
            ],
            2,
        ),
        (
            [
                up(LONG_AGO),
                up(NOW - 2 * HOUR, NOW - HOUR, "b"),
                up(NOW - HOUR + 3 * MINUTE, NOW, "b"),
            ],
            2,
        ),
        (
            [
                up(LONG_AGO),
                up(NOW - 70 * MINUTE, NOW - 35 * MINUTE, "b"),
                up(NOW - 32 * MINUTE, NOW, "b"),
            ],
            1,
        ),
        # One after the other, as a rolling update goes.
        ([stopped(LONG_AGO, NOW - DAY), up(NOW - DAY - MINUTE, NOW, "b")], 1),
        ([up(START - 29 * DAY), up(START - 29 * DAY, START - 28 * DAY, "b")], 2),
        ([up(START - 40 * DAY), up(START - 40 * DAY, START - 31 * DAY, "b")], 1),
        # A sign of one that claims nothing is no time.
        ([up(LONG_AGO), up(NOW - HOUR, NOW - HOUR, "b"), up(NOW, NOW, "b")], 1),
        ([up(LONG_AGO, instance="host"), up(LONG_AGO + SECOND, instance="host")], 2),
    ],
)
def test_as_many_should_record_as_recorded_side_by_side_for_an_hour(
    spans: list[Span], expected: int
) -> None:
    assert observed(*spans).expected == expected


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([up(LONG_AGO), up(LONG_AGO, instance="b")], []),
        # What a second one would have seen before it was there, nobody knows.
        ([up(LONG_AGO), up(NOW - 2 * DAY, instance="b")], [(WINDOW, 2 * DAY, ("b",))]),
        ([up(LONG_AGO), up(LONG_AGO, NOW - 3 * DAY, "b")], [(3 * DAY, 0 * DAY, ("b",))]),
        # Stopped in order and never started again: where its callers go now nobody knows.
        ([up(LONG_AGO), stopped(LONG_AGO, NOW - 3 * DAY, "b")], [(3 * DAY, 0 * DAY, ("b",))]),
        ([up(LONG_AGO), up(LONG_AGO, NOW - 15 * DAY, "b")], [(WINDOW, 0 * DAY, ("b",))]),
        ([up(LONG_AGO), up(LONG_AGO, NOW - 45 * DAY, "b")], []),
        ([stopped(LONG_AGO, NOW - 3 * DAY), up(NOW - 3 * DAY - MINUTE, instance="b")], []),
        (
            [up(LONG_AGO), up(LONG_AGO, NOW - 5 * DAY, "b"), up(NOW - 4 * DAY, instance="b")],
            [(5 * DAY, 4 * DAY, ("b",))],
        ),
        # Each time names whoever was missing then, and nobody else.
        (
            [
                up(LONG_AGO),
                up(LONG_AGO, NOW - 5 * DAY, "b"),
                up(NOW - 3 * DAY, instance="b"),
                up(LONG_AGO, NOW - 4 * DAY, "c"),
                up(NOW - 2 * DAY, instance="c"),
            ],
            [
                (5 * DAY, 4 * DAY, ("b",)),
                (4 * DAY, 3 * DAY, ("b", "c")),
                (3 * DAY, 2 * DAY, ("c",)),
            ],
        ),
        # Less than an hour together, and killed: it was there, and nobody has stopped it.
        ([up(LONG_AGO), up(NOW - HOUR, NOW - HOUR / 2, "b")], [(HOUR / 2, 0 * DAY, ("b",))]),
        ([up(LONG_AGO), stopped(NOW - HOUR, NOW - HOUR / 2, "b")], []),
        # Killed, and another has taken its place.
        (
            [up(LONG_AGO, NOW - DAY, "pod-1"), up(NOW - DAY + MINUTE, NOW, "pod-2")],
            [(DAY, DAY - MINUTE, ("pod-1",))],
        ),
        # A clock that nobody believes: a sign an hour, and no time with it.
        (
            [up(LONG_AGO), *(up(NOW - n * HOUR, NOW - n * HOUR, "b") for n in (3, 2, 1))],
            [(3 * HOUR, 0 * HOUR, ("b",))],
        ),
    ],
    ids=[
        "both up",
        "one joined later",
        "one went dark",
        "one was stopped in order",
        "one went dark before the window",
        "one went dark long ago",
        "a rolling replacement",
        "one was dark for a day",
        "two were dark in turn",
        "one went dark within its first hour",
        "one was stopped within its first hour",
        "one was killed and replaced",
        "one doubts its clock",
    ],
)
def test_others_do_not_stand_in_for_a_shim_that_is_missing(
    spans: list[Span], found: list[tuple[timedelta, timedelta, tuple[str, ...]]]
) -> None:
    assert gaps(observed(*spans)) == found


@pytest.mark.parametrize(
    ("instances", "spans", "found"),
    [
        (1, [up(LONG_AGO)], []),
        (1, [up(LONG_AGO), up(LONG_AGO, NOW - 3 * DAY, "b")], []),
        (2, [up(LONG_AGO), up(LONG_AGO, instance="b")], []),
        (2, [up(LONG_AGO)], [(WINDOW, 0 * DAY, ())]),
        (
            3,
            [up(LONG_AGO), up(LONG_AGO, NOW - 3 * DAY, "b")],
            [(WINDOW, 3 * DAY, ()), (3 * DAY, 0 * DAY, ("b",))],
        ),
        (("shim-a",), [up(LONG_AGO), up(LONG_AGO, NOW - 3 * DAY, "b")], []),
        (("shim-a", "c"), [up(LONG_AGO), up(LONG_AGO, NOW, "b")], [(WINDOW, 0 * DAY, ("c",))]),
    ],
)
def test_the_record_is_held_to_the_shims_that_are_said_to_be_there(
    instances: Instances,
    spans: list[Span],
    found: list[tuple[timedelta, timedelta, tuple[str, ...]]],
) -> None:
    assert gaps(observed(*spans, instances=instances)) == found


# A shim that had been dead for 100 seconds counted as observing, in a window of four minutes.
@pytest.mark.parametrize(
    ("ago", "window", "beat", "observed_to_the_end"),
    [
        (100 * SECOND, 4 * MINUTE, SECOND, False),
        (10 * SECOND, 4 * MINUTE, SECOND, True),
        (100 * SECOND, HOUR, SECOND, True),
        (121 * SECOND, 14 * DAY, SECOND, False),
        (119 * SECOND, 14 * DAY, SECOND, True),
        # In a log there is a sign a minute.
        (100 * SECOND, 4 * MINUTE, MINUTE, True),
        (2 * SECOND, 4 * SECOND, SECOND, True),
        (2.1 * SECOND, 4 * SECOND, SECOND, False),
    ],
)
def test_a_shim_is_up_for_as_long_as_its_next_sign_may_be_late(
    ago: timedelta, window: timedelta, beat: timedelta, observed_to_the_end: bool
) -> None:
    coverage = observe([up(LONG_AGO, NOW - ago)], NOW - window, NOW, beat=beat)
    assert (coverage.gaps == ()) == observed_to_the_end


def test_a_sign_that_is_dated_ahead_does_not_make_a_shim_look_gone() -> None:
    # A shim whose clock had been contradicted left one; the beats of the next day were none then.
    sign = up(NOW + DAY, NOW + DAY)
    assert observed(up(LONG_AGO, NOW - SECOND), sign).gaps == ()
    assert report_of(Evidence(spans=[up(LONG_AGO), sign])).warnings == ()


def test_coverage_by_day_adds_up() -> None:
    start = NOW - 3 * DAY
    spans = [up(start, NOW - 2 * DAY), up(NOW - 1 * DAY)]
    coverage = observe(spans, start, NOW, beat=SECOND)
    assert [round(day.observed, 3) for day in coverage.by_day()] == [1, 0.604, 0.396, 1]
    assert coverage.share == pytest.approx(2 / 3)
